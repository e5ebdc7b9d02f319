//! What a slot goes back to when a release fails: the data that it had just before, and in an order
//! in which nothing of it can be lost.

use super::copies::spec_of;
use super::room::claim;
use super::walk::{Path, Placed, PlacedLane, Walk};
use super::{Rule, Violation, World};
use crate::model::claim::Claim;
use crate::model::id::VolumeId;
use crate::model::instance::{InstanceSpec, Role};
use crate::model::volume::VolumeSpec;
use crate::plan::step::{Act, Step};
use crate::plan::{ClaimAct, Gate, Restore};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Snapshots are taken of volumes that nothing uses; going back puts copies of them in place of the
/// volumes; none goes before its slot is healthy.
pub(super) fn way_back(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for placed in &walk.lanes {
        let Some(restore) = &placed.lane.restore else { continue };
        if let Some(why) = astray(walk, world, placed, restore) {
            found.push(Violation::new(Rule::WayBack, &placed.lane.object, why));
        }
    }
    for (placed, of, spec) in walk.copied().filter(|(_, _, spec)| spec.is_way_back()) {
        // Of a plan that is applied again it is there, and the new release runs by now.
        let reading = world.reading(&placed.step.host);
        let reading = reading.filter(|reading| !reading.volumes.contains_key(&spec.id));
        let views = reading.into_iter().flat_map(|reading| reading.instances.values());
        let mut holders = views.filter(|view| view.volumes.contains(of));
        let holder = holders.find(|view| {
            let mut stops = walk.on_instance(&view.id);
            !stops.any(|stop| is_stop(stop.step) && walk.before(stop, placed))
        });
        if let Some(holder) = holder {
            let why = format!("instance {} still writes to it", holder.id);
            found.push(Violation::new(Rule::WayBack, &placed.step.id.0, why));
        }
    }
    for placed in walk.main() {
        let Act::RemoveSnapshot { volume } = &placed.step.act else { continue };
        let Some(spec) = spec_of(walk, world, placed, volume) else { continue };
        if !is_healthy(walk, world, placed, spec) {
            let why = format!("it would go before {} is healthy", spec.slot);
            found.push(Violation::new(Rule::WayBack, &placed.step.id.0, why));
        }
    }
}

const fn is_stop(step: &Step) -> bool {
    matches!(step.act, Act::StopInstance { .. })
}

/// Whether the slot that a snapshot is of has come up when a step begins: the plan has waited for
/// it, or it runs what was brought up last.
fn is_healthy(walk: &Walk<'_>, world: &World<'_>, at: &Placed<'_>, snapshot: &VolumeSpec) -> bool {
    let Some(reading) = world.reading(&at.step.host) else { return false };
    let owner = owner(walk, world, at, snapshot);
    let owns = |volume: &VolumeId| {
        owner.is_some_and(|claim| claim.volumes.values().any(|v| v.id == *volume))
    };
    let main = |spec: &InstanceSpec| {
        let its = spec.slot == snapshot.slot || spec.binds.iter().any(|bind| owns(&bind.volume));
        its && spec.role == Role::Main
    };
    let mut starts = walk.started().filter(|(start, spec)| main(spec) && start.path == Path::Main);
    if let Some((start, _)) = starts.next() {
        let gated = walk.lane(start).is_some_and(|lane| lane.gate != Gate::Open);
        return gated && walk.before(start, at) && !Walk::in_one_lane(start, at);
    }
    let applied = owner.and_then(|claim| claim.applied.as_ref());
    reading.instances.values().any(|view| {
        let its = view.slot == snapshot.slot || view.volumes.iter().any(owns);
        view.is_serving() && its && view.role == Role::Main && applied == Some(&view.release)
    })
}

/// What is remembered of the slot that a snapshot is of: the slot has what it was taken of, or what
/// was made from it. The slot may have another name since.
fn owner<'a>(
    walk: &Walk<'a>,
    world: &World<'a>,
    at: &Placed<'_>,
    snapshot: &VolumeSpec,
) -> Option<&'a Claim> {
    let reading = world.reading(&at.step.host)?;
    let is_of = |id: &VolumeId| {
        let made_from = || reading.volumes.get(id).and_then(|view| view.spec.origin.as_ref());
        snapshot.origin.as_ref() == Some(id) || made_from() == Some(&snapshot.id)
    };
    let corrected = walk.plan.corrections.iter().filter_map(ClaimAct::written);
    let mut claims = corrected.chain(world.claims.slots.values());
    let has = claims.find(|claim| claim.volumes.values().any(|volume| is_of(&volume.id)));
    has.or_else(|| claim(walk, world, &snapshot.slot))
}

/// What is wrong with the way back of a lane.
fn astray(
    walk: &Walk<'_>,
    world: &World<'_>,
    placed: &PlacedLane<'_>,
    restore: &Restore,
) -> Option<String> {
    let lane = placed.lane;
    let Some(Act::StartInstance { instance: new }) = lane.steps.last().map(|step| &step.act) else {
        return Some("its last step starts nothing that could fail".into());
    };
    match restore.steps.first().map(|step| &step.act) {
        Some(Act::StopInstance { instance, .. }) if *instance == new.id => {}
        _ => return Some("it does not begin with a stop of what failed".into()),
    }
    // Volumes by what comes in their place.
    let mut places: BTreeMap<&VolumeId, &VolumeSpec> = BTreeMap::new();
    let mut retired = 0;
    for step in &restore.steps[1..] {
        match &step.act {
            Act::CopyVolume { of, volume } => {
                let Some(origin) = snapshot_of(walk, world, placed, of) else {
                    return Some(format!("{of} is no snapshot that was taken before"));
                };
                places.insert(origin, volume);
            }
            Act::GrowVolume { volume, .. } if places.values().any(|spec| spec.id == *volume) => {}
            Act::RetireVolume { volume, .. } if places.contains_key(volume) => retired += 1,
            _ => return Some(format!("{} is no part of a way back", step.id.0)),
        }
    }
    if places.is_empty() || retired != places.len() {
        return Some("a volume keeps its place beside what comes there".into());
    }
    forgets(new, &places, &restore.claims)
        .or_else(|| elsewhere(world, new, &places, &restore.start))
}

/// The volume that a snapshot is of, if it is one that a deploy takes or took.
fn snapshot_of<'a>(
    walk: &Walk<'a>,
    world: &World<'a>,
    placed: &PlacedLane<'a>,
    snapshot: &VolumeId,
) -> Option<&'a VolumeId> {
    let taken = placed.lane.steps.iter().find_map(|step| match &step.act {
        Act::CopyVolume { volume, .. } if volume.id == *snapshot => Some(volume),
        _ => None,
    });
    let there = || {
        let mut steps = walk.main().filter(|step| walk.within(placed, step));
        let reading = world.reading(&steps.next()?.step.host)?;
        let view = reading.volumes.get(snapshot).filter(|view| view.is_whole())?;
        Some(&view.spec)
    };
    let spec = taken.or_else(there).filter(|spec| spec.is_way_back())?;
    spec.origin.as_ref()
}

/// What the catalog does not learn of it.
fn forgets(
    new: &InstanceSpec,
    places: &BTreeMap<&VolumeId, &VolumeSpec>,
    claims: &[ClaimAct],
) -> Option<String> {
    let Some(ClaimAct::Write(claim)) = claims.first().filter(|act| act.slot() == Some(&new.slot))
    else {
        return Some("its claim is not written".into());
    };
    let other = places.values().find(|spec| {
        let claimed = claim.volumes.get(&spec.source);
        claimed.is_none_or(|it| (&it.id, it.incarnation) != (&spec.id, spec.incarnation))
    });
    if let Some(spec) = other {
        return Some(format!("its claim does not have {} as {}", spec.source, spec.id));
    }
    let remembered = claims[1..].iter().any(|act| match act {
        ClaimAct::Failed { slot, release } => (slot, release) == (&new.slot, &new.release),
        ClaimAct::Write(_)
        | ClaimAct::Hold { .. }
        | ClaimAct::Remove { .. }
        | ClaimAct::Loss { .. } => false,
    });
    (!remembered).then(|| "the failed release is not remembered".into())
}

/// What is started on other volumes than those that come in place. The release before may have had
/// fewer than the one that failed.
fn elsewhere(
    world: &World<'_>,
    new: &InstanceSpec,
    places: &BTreeMap<&VolumeId, &VolumeSpec>,
    start: &[Step],
) -> Option<String> {
    let [Step { act: Act::StartInstance { instance }, .. }] = start else {
        return Some("it does not end with one start".into());
    };
    if instance.slot != new.slot || instance.role != Role::Main || instance.id == new.id {
        return Some("it starts what failed, or another slot".into());
    }
    let stays = instance.binds.iter().find(|bind| places.contains_key(&bind.volume));
    if let Some(bind) = stays {
        return Some(format!("it starts on {}, which was put away", bind.volume));
    }
    let mut claims = world.claims.slots.values();
    let has = |claim: &&Claim| claim.volumes.values().any(|it| places.contains_key(&it.id));
    let before = claims.find(has).and_then(|claim| claim.applied_spec.as_deref());
    let had = |spec: &&&VolumeSpec| before.is_none_or(|it| it.mounts.contains_key(&spec.source));
    let bound = |spec: &VolumeSpec| instance.binds.iter().any(|bind| bind.volume == spec.id);
    let without = places.values().filter(had).find(|spec| !bound(spec));
    without.map(|spec| format!("it starts without its data in {}", spec.source))
}
