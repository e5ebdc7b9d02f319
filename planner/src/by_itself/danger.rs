//! What a rollout takes away: data, protection, or a place where something ran.

use crate::model::id::VolumeId;
use crate::model::size::Size;
use crate::model::volume::{Keeping, OnRemove, VolumeKind, VolumeSpec};
use crate::plan::step::{Act, Step};
use crate::plan::{ClaimAct, Lane, Plan, Rollout};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// All that is dangerous about a rollout, each once; nothing: it is safe.
pub(super) fn of(plan: &Plan, rollout: &Rollout) -> Vec<String> {
    let lanes = || rollout.waves.iter().flat_map(|wave| &wave.lanes);
    let steps = lanes().flat_map(|lane| lane.steps.iter().chain(lane.failing()));
    let steps = steps.chain(&rollout.on_failure).filter_map(|step| of_step(plan, step));
    let mut dangers = Vec::new();
    for danger in lanes().filter_map(of_lane).chain(steps) {
        if !dangers.contains(&danger) {
            dangers.push(danger);
        }
    }
    dangers
}

/// A claim that goes is a slot that goes, or one that has another name from now on.
fn of_lane(lane: &Lane) -> Option<String> {
    let acts = lane.claims_before.iter().chain(&lane.claims_after).chain(&lane.claims_on_failure);
    let acts = acts.chain(lane.restore.iter().flat_map(|restore| &restore.claims));
    let slot = acts.filter_map(ClaimAct::removes).next()?;
    Some(match lane.object.slot() {
        Some(new) if new != slot => format!("it renames {slot} to {new}"),
        Some(_) | None => format!("it removes {slot}"),
    })
}

fn of_step(plan: &Plan, step: &Step) -> Option<String> {
    match &step.act {
        Act::RetireVolume { volume, .. } => Some(format!("it puts {} away", name(plan, volume))),
        Act::DestroyVolume { volume, .. } => Some(format!("it destroys {}", name(plan, volume))),
        Act::MakeVolume { volume } => replaces(plan, volume).then(|| {
            format!(
                "it starts {} of {} empty in place of one with data",
                volume.source, volume.slot
            )
        }),
        Act::MarkVolume { volume, marks } => loosens(plan, volume, &marks.keeping)
            .then(|| format!("it makes {} easier to lose", name(plan, volume))),
        Act::TakeBackVolume { volume, marks } => loosens(plan, volume, &marks.keeping)
            .then(|| format!("it takes {} back with what was in it", name(plan, volume))),
        // A snapshot or a clone takes nobody's place.
        Act::CopyVolume { volume, .. } => {
            let replaces = volume.kind == VolumeKind::Own && replaces(plan, volume);
            replaces
                .then(|| format!("it puts a copy in place of {} of {}", volume.source, volume.slot))
        }
        Act::MakePool { .. }
        | Act::FetchImage { .. }
        | Act::AdoptVolume { .. }
        | Act::RemoveClone { .. }
        | Act::RemoveSnapshot { .. }
        | Act::GrowVolume { .. }
        | Act::StartInstance { .. }
        | Act::StopInstance { .. }
        | Act::SuperviseInstance { .. } => None,
    }
}

fn name(plan: &Plan, id: &VolumeId) -> String {
    for claim in plan.remembered.values() {
        if let Some((source, _)) = claim.volumes.iter().find(|(_, volume)| volume.id == *id) {
            return format!("volume {source} of {}", claim.slot);
        }
    }
    format!("volume {id}")
}

/// Whether the slot had data under that name.
fn replaces(plan: &Plan, made: &VolumeSpec) -> bool {
    let claimed = plan.remembered.get(&made.slot).and_then(|claim| claim.volumes.get(&made.source));
    claimed.is_some_and(|volume| volume.size > Size::ZERO)
}

/// Whether a volume is kept less well than before. Where it is not known how it was kept, it may
/// be.
fn loosens(plan: &Plan, id: &VolumeId, after: &Keeping) -> bool {
    let claimed = plan.remembered.values().flat_map(|claim| claim.volumes.values());
    let before = claimed.filter(|volume| volume.id == *id).find_map(|volume| volume.keeping);
    let Some(before) = before else { return true };
    let destroys = before.on_remove == OnRemove::Retain && after.on_remove == OnRemove::Destroy;
    destroys || before.protect && !after.protect || after.retention < before.retention
}
