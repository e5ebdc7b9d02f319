//! Data goes only when all say so; nothing starts empty in its place; nothing shrinks.

use super::walk::{Path, Placed, Walk};
use super::{Rule, Violation, World};
use crate::model::host::HostState;
use crate::model::id::VolumeId;
use crate::model::permit::Permit;
use crate::model::time::{Millis, Timestamp};
use crate::model::volume::{OnRemove, VolumeSpec, VolumeState};
use crate::plan::ClaimAct;
use crate::plan::step::Act;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How far the clock of a host may be from ours where data is to go.
const CLOCKS_AGREE: Millis = Millis::from_secs(300);

/// A volume is destroyed with a permit, after its retention by its host's clock, as its own marks
/// say, and never in the plan that lifts its protection.
pub(super) fn destroy(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for placed in &walk.steps {
        let Act::DestroyVolume { volume, retired } = &placed.step.act else { continue };
        let mut broken =
            |why: String| found.push(Violation::new(Rule::Destroy, &placed.step.id.0, why));
        if !world.permits.has(Permit::Destroy) {
            broken("nobody permitted it".into());
        }
        if remarked(walk, volume) {
            broken("the same plan changes how the volume is kept".into());
        }
        if let Some(why) = not_erasable(walk, world, placed, volume, *retired) {
            broken(why);
        }
    }
}

/// Whether the plan writes a volume's marks.
fn remarked(walk: &Walk<'_>, volume: &VolumeId) -> bool {
    walk.steps.iter().any(|placed| match &placed.step.act {
        Act::MakeVolume { volume: spec }
        | Act::AdoptVolume { volume: spec, .. }
        | Act::CopyVolume { volume: spec, .. } => spec.id == *volume,
        Act::MarkVolume { volume: id, .. }
        | Act::RetireVolume { volume: id, .. }
        | Act::TakeBackVolume { volume: id, .. } => id == volume,
        Act::MakePool { .. }
        | Act::FetchImage { .. }
        | Act::GrowVolume { .. }
        | Act::DestroyVolume { .. }
        | Act::RemoveClone { .. }
        | Act::RemoveSnapshot { .. }
        | Act::StartInstance { .. }
        | Act::StopInstance { .. }
        | Act::SuperviseInstance { .. } => false,
    })
}

/// Whether a person named the volume: then it is the only one that the plan destroys.
fn named(walk: &Walk<'_>, world: &World<'_>) -> bool {
    let destroys =
        walk.steps.iter().filter(|placed| matches!(placed.step.act, Act::DestroyVolume { .. }));
    world.permits.has(Permit::Retained) && destroys.count() == 1
}

fn not_erasable(
    walk: &Walk<'_>,
    world: &World<'_>,
    placed: &Placed<'_>,
    volume: &VolumeId,
    retired: Timestamp,
) -> Option<String> {
    let reading = world.reading(&placed.step.host)?;
    // Absent: a plan that is applied a second time finds it destroyed.
    let view = reading.volumes.get(volume)?;
    let keeping = &view.spec.keeping;
    if view.is_half_made() {
        return None;
    }
    if keeping.protect {
        return Some("the volume is protected".into());
    }
    if let Some(copy) = reading.copy_of(volume) {
        return Some(format!("{} of it keeps its data readable", copy.spec.id));
    }
    match view.state {
        VolumeState::Making | VolumeState::Attached => Some("the volume is not retired".into()),
        VolumeState::Erasing => None,
        VolumeState::Retired { since } if since != retired => {
            Some(format!("it was retired at {}, not at {}", since.0, retired.0))
        }
        VolumeState::Retired { .. }
            if keeping.on_remove == OnRemove::Retain && !named(walk, world) =>
        {
            Some("the volume wants to be retained".into())
        }
        VolumeState::Retired { since } => {
            let (theirs, ours) = (reading.at, reading.asked_at);
            if theirs.since(ours).max(ours.since(theirs)) > CLOCKS_AGREE {
                return Some(format!("its host's clock says {}, ours {}", theirs.0, ours.0));
            }
            let kept = reading.at.since(since);
            (kept < keeping.retention)
                .then(|| format!("it was kept for {kept}, its retention is {}", keeping.retention))
        }
    }
}

/// Over the fleet. The planner's limit per app is narrower; the judge need not know what apps were
/// called before.
pub(super) fn max_loss(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let now = world.readings().map(|(_, reading)| reading.asked_at).max().unwrap_or_default();
    let day = Millis::from_days(1);
    let recent = world.claims.losses.iter().filter(|(_, at)| now.since(*at) < day).count();
    let loses = |placed: &Placed<'_>| lost_by(world, placed).is_some();
    let lost: BTreeSet<&VolumeId> = walk
        .steps
        .iter()
        .filter(|placed| placed.path != Path::WentBack)
        .filter_map(|placed| lost_by(world, placed))
        .collect();
    let lost = lost.len() + walk.going_back(|placed| usize::from(loses(placed)));
    let corrected = walk.plan.corrections.iter().filter_map(ClaimAct::written);
    let claims = world.claims.slots.values().chain(corrected);
    let all: BTreeSet<&VolumeId> =
        claims.flat_map(|claim| claim.volumes.values().map(|volume| &volume.id)).collect();
    let limit = world.policy.max_loss;
    let share = all.len() * limit.share_thousandths as usize / 1000;
    let limit = share.max(limit.count as usize);
    if lost > 0 && recent + lost > limit {
        let why = format!("{} volumes would be lost in a day, {limit} may be", recent + lost);
        found.push(Violation::new(Rule::MaxLoss, &walk.plan.fleet, why));
    }
}

/// The volume that a step puts away or destroys, if it is there as a slot's.
fn lost_by<'a>(world: &World<'a>, placed: &Placed<'a>) -> Option<&'a VolumeId> {
    let there = &world.reading(&placed.step.host)?.volumes;
    match &placed.step.act {
        Act::DestroyVolume { volume, .. } => there.contains_key(volume).then_some(volume),
        Act::RetireVolume { volume, .. } => {
            let view = there.get(volume)?;
            (view.state == VolumeState::Attached).then_some(volume)
        }
        _ => None,
    }
}

/// A slot gets an empty volume in place of one with data only with a permit, and never while that
/// one may still be there on a host that could not be read.
pub(super) fn replace(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for (placed, spec) in walk.made() {
        if let Some(why) = replaces(walk, world, spec) {
            found.push(Violation::new(Rule::Replace, &placed.step.id.0, why));
        }
    }
}

fn replaces(walk: &Walk<'_>, world: &World<'_>, spec: &VolumeSpec) -> Option<String> {
    let permitted = world.permits.has(Permit::Empty);
    let claim = world.claims.slots.get(&spec.slot);
    if let Some((claim, volume)) =
        claim.and_then(|claim| claim.volumes.get(&spec.source).map(|volume| (claim, volume)))
        && volume.id != spec.id
        && !world.readings().any(|(_, reading)| reading.volumes.contains_key(&volume.id))
    {
        let lost = world.hosts.get(&claim.host).is_some_and(|h| h.state == HostState::Lost);
        let read = world.readings().any(|(_, reading)| match &reading.pool {
            crate::model::observed::PoolView::Present(pool) => {
                Some(&pool.id) == claim.pool.as_ref()
            }
            crate::model::observed::PoolView::Absent => false,
        });
        if !(read || lost && permitted) {
            return Some(format!("volume {} may still be on {}", volume.id, claim.host));
        }
    }
    let views = world.readings().flat_map(|(_, reading)| reading.volumes.values());
    let mut attached = views.filter(|view| {
        view.spec.slot == spec.slot
            && view.spec.source == spec.source
            && view.spec.id != spec.id
            && view.state == VolumeState::Attached
    });
    let full = attached.find(|view| view.formatted && !moved_away(walk, &view.spec.id))?;
    (!permitted).then(|| format!("it would take the place of volume {}", full.spec.id))
}

/// Whether the plan gives a volume to another slot or source.
fn moved_away(walk: &Walk<'_>, volume: &VolumeId) -> bool {
    walk.main().any(
        |placed| matches!(&placed.step.act, Act::MarkVolume { volume: id, .. } if id == volume),
    )
}

/// Caps only grow, on hosts and in claims.
pub(super) fn shrink(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for placed in &walk.steps {
        let (id, to) = match &placed.step.act {
            Act::GrowVolume { volume, to } => (volume, *to),
            Act::MakeVolume { volume } | Act::CopyVolume { volume, .. } => {
                (&volume.id, volume.size)
            }
            _ => continue,
        };
        let view = world.reading(&placed.step.host).and_then(|r| r.volumes.get(id));
        let whole = view.filter(|view| view.state != VolumeState::Making);
        if let Some(view) = whole.filter(|view| view.spec.size > to) {
            let why = format!("volume {id} would shrink from {} to {to}", view.spec.size);
            found.push(Violation::new(Rule::Shrink, &placed.step.id.0, why));
        }
    }
    for lane in &walk.lanes {
        for act in lane.lane.claims_before.iter().chain(&lane.lane.claims_after) {
            let ClaimAct::Write(claim) = act else { continue };
            let Some(now) = world.claims.slots.get(&claim.slot) else { continue };
            for (source, volume) in &claim.volumes {
                let had = now.volumes.get(source).filter(|had| had.id == volume.id);
                if had.is_some_and(|had| had.size > volume.size) {
                    let why = format!("the claim of {source} would shrink to {}", volume.size);
                    found.push(Violation::new(Rule::Shrink, &claim.slot, why));
                }
            }
        }
    }
}
