//! Slots that a person holds are left alone.

use super::walk::Walk;
use super::{Rule, Violation, World};
use crate::model::id::VolumeId;
use crate::model::slot::SlotId;
use crate::model::volume::VolumeKind;
use crate::plan::ClaimAct;
use crate::plan::step::{Act, Step};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// Nothing is done to a held slot, its instance or its volumes, and its claim stays as it is.
pub(super) fn held(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let claims = || world.claims.slots.values().filter(|claim| claim.held);
    let held: BTreeSet<&SlotId> = claims().map(|claim| &claim.slot).collect();
    if held.is_empty() {
        return;
    }
    let volumes: BTreeMap<&VolumeId, &SlotId> = claims()
        .flat_map(|claim| claim.volumes.values().map(|volume| (&volume.id, &claim.slot)))
        .collect();
    for placed in &walk.steps {
        let slot = touched(placed.step, world, &volumes);
        if let Some(slot) = slot.filter(|slot| held.contains(slot)) {
            let why = format!("{slot} is held");
            found.push(Violation::new(Rule::Held, &placed.step.id.0, why));
        }
    }
    for placed in &walk.lanes {
        let back = placed.lane.restore.iter().flat_map(|restore| &restore.claims);
        for act in placed.lane.claims_before.iter().chain(&placed.lane.claims_after).chain(back) {
            let slot = match act {
                ClaimAct::Write(claim) => &claim.slot,
                ClaimAct::Remove { slot } => slot,
                ClaimAct::Hold { .. } | ClaimAct::Failed { .. } | ClaimAct::Loss { .. } => continue,
            };
            if held.contains(slot) {
                let why = "it is held, and its claim would be another";
                found.push(Violation::new(Rule::Held, slot, why));
            }
        }
    }
}

/// The slot that a step is about; of volumes, whose they are by claims.
fn touched<'a>(
    step: &'a Step,
    world: &World<'a>,
    volumes: &BTreeMap<&'a VolumeId, &'a SlotId>,
) -> Option<&'a SlotId> {
    match &step.act {
        Act::MakePool { .. } | Act::FetchImage { .. } => None,
        Act::MakeVolume { volume } | Act::AdoptVolume { volume, .. } => Some(&volume.slot),
        // A snapshot changes nothing of what it is of.
        Act::CopyVolume { volume, .. } => {
            (volume.kind != VolumeKind::Snapshot).then_some(&volume.slot)
        }
        Act::RemoveClone { volume } | Act::RemoveSnapshot { volume } => {
            Some(&world.reading(&step.host)?.volumes.get(volume)?.spec.slot)
        }
        Act::MarkVolume { volume, marks } | Act::TakeBackVolume { volume, marks } => {
            Some(volumes.get(volume).copied().unwrap_or(&marks.slot))
        }
        Act::GrowVolume { volume, .. }
        | Act::RetireVolume { volume, .. }
        | Act::DestroyVolume { volume, .. } => volumes.get(volume).copied(),
        Act::StartInstance { instance } => Some(&instance.slot),
        Act::StopInstance { slot, .. } => Some(slot),
        Act::SuperviseInstance { instance, .. } => {
            Some(&world.reading(&step.host)?.instances.get(instance)?.slot)
        }
    }
}
