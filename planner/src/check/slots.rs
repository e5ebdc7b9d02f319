//! One to one: slots, their main instances and their volumes.

use super::copies::spec_of;
use super::walk::{Path, Placed, Walk};
use super::{Rule, Violation, World};
use crate::model::id::{InstanceId, VolumeId};
use crate::model::instance::{InstanceSpec, Role};
use crate::model::name::HostName;
use crate::model::slot::SlotId;
use crate::model::volume::{VolumeKind, VolumeState};
use crate::plan::step::Act;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// Main instances as they are after the plan, each with its host and its volumes.
fn mains<'a>(
    walk: &Walk<'a>,
    world: &World<'a>,
) -> BTreeMap<(&'a SlotId, &'a HostName, &'a InstanceId), BTreeSet<&'a VolumeId>> {
    let mut mains = BTreeMap::new();
    for (host, reading) in world.readings() {
        for view in reading.instances.values().filter(|view| view.role == Role::Main) {
            mains.insert((&view.slot, host, &view.id), view.volumes.iter().collect());
        }
    }
    for placed in walk.main() {
        match &placed.step.act {
            Act::StopInstance { instance, slot } if !restarted(walk, placed, instance) => {
                mains.remove(&(slot, &placed.step.host, instance));
            }
            Act::StartInstance { instance } if instance.role == Role::Main => {
                let volumes = instance.binds.iter().map(|bind| &bind.volume).collect();
                mains.insert((&instance.slot, &placed.step.host, &instance.id), volumes);
            }
            _ => {}
        }
    }
    mains
}

/// Whether an instance that is stopped is started again later, under the same id.
fn restarted(walk: &Walk<'_>, stop: &Placed<'_>, instance: &InstanceId) -> bool {
    walk.on_instance(instance).any(|start| {
        start.path == Path::Main
            && matches!(start.step.act, Act::StartInstance { .. })
            && start.step.host == stop.step.host
            && walk.before(stop, start)
    })
}

/// Slots that the plan starts a main instance of have that one only; no volume has two.
pub(super) fn one_to_one(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let mains = mains(walk, world);
    let mut of_slot: BTreeMap<&SlotId, usize> = BTreeMap::new();
    let mut holders: BTreeMap<&VolumeId, usize> = BTreeMap::new();
    for ((slot, _, _), volumes) in &mains {
        *of_slot.entry(slot).or_default() += 1;
        for volume in volumes {
            *holders.entry(volume).or_default() += 1;
        }
    }
    for (placed, spec) in walk.started().filter(|(placed, _)| placed.path == Path::Main) {
        if spec.role != Role::Main {
            continue;
        }
        let of_slot = of_slot.get(&spec.slot).copied().unwrap_or(0);
        if of_slot > 1 {
            let why = format!("{} would have {of_slot} main instances", spec.slot);
            found.push(Violation::new(Rule::OneToOne, &placed.step.id.0, why));
        }
        for bind in &spec.binds {
            let holders = holders.get(&bind.volume).copied().unwrap_or(0);
            if holders > 1 {
                let why = format!("volume {} would have {holders} main instances", bind.volume);
                found.push(Violation::new(Rule::OneToOne, &placed.step.id.0, why));
            }
        }
    }
}

/// What an instance is started on exists by then, is its slot's, and is attached on its host.
pub(super) fn binds(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for (placed, spec) in walk.started() {
        let mut broken = |why| found.push(Violation::new(Rule::Binds, &placed.step.id.0, why));
        if matches!(spec.role, Role::Green | Role::Release) && !spec.binds.is_empty() {
            broken(format!("an instance with role {} holds volumes", spec.role.as_str()));
        }
        let mut seen = BTreeSet::new();
        for bind in &spec.binds {
            if !seen.insert((&bind.volume, &bind.source)) {
                broken(format!("volume {} is bound twice", bind.volume));
            }
            match attached_for(walk, world, placed, &bind.volume) {
                None => broken(format!("volume {} is not attached by then", bind.volume)),
                Some(slot) if *slot != spec.slot => {
                    broken(format!("volume {} is of {slot}", bind.volume));
                }
                Some(_) => {}
            }
            let volume = spec_of(walk, world, placed, &bind.volume);
            let clone = volume.is_some_and(|volume| volume.kind == VolumeKind::Clone);
            let own = matches!(spec.role, Role::Main | Role::Run);
            if clone == own {
                let what = if clone { "a clone" } else { "a volume that is no clone" };
                broken(format!("an instance with role {} holds {what}", spec.role.as_str()));
            }
        }
    }
}

/// The slot that a volume is attached for when a step begins, on the step's host.
fn attached_for<'a>(
    walk: &Walk<'a>,
    world: &World<'a>,
    at: &Placed<'_>,
    volume: &VolumeId,
) -> Option<&'a SlotId> {
    let view = world.reading(&at.step.host)?.volumes.get(volume);
    let mut slot = view.filter(|v| v.state == VolumeState::Attached).map(|v| &v.spec.slot);
    let earlier = walk
        .on_volume(volume)
        .filter(|placed| placed.step.host == at.step.host && walk.before(placed, at));
    for placed in earlier {
        match &placed.step.act {
            Act::MakeVolume { volume: spec }
            | Act::AdoptVolume { volume: spec, .. }
            | Act::CopyVolume { volume: spec, .. }
                if spec.id == *volume =>
            {
                slot = (spec.kind != VolumeKind::Snapshot).then_some(&spec.slot);
            }
            Act::MarkVolume { volume: id, marks } | Act::TakeBackVolume { volume: id, marks }
                if id == volume =>
            {
                slot = Some(&marks.slot);
            }
            Act::RetireVolume { volume: id, .. }
            | Act::DestroyVolume { volume: id, .. }
            | Act::RemoveClone { volume: id }
            | Act::RemoveSnapshot { volume: id }
                if id == volume =>
            {
                slot = None;
            }
            _ => {}
        }
    }
    slot
}

/// A main instance is started only when the slot's other one, and every other holder of its
/// volumes, was stopped before.
pub(super) fn holders(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for (placed, spec) in walk.started() {
        let Some(reading) = world.reading(&placed.step.host) else { continue };
        for view in reading.instances.values() {
            let same_slot = spec.role == Role::Main
                && view.role == Role::Main
                && view.slot == spec.slot
                && view.id != spec.id;
            // What is over holds its volumes no more, and its record may stay.
            let shares = meets(spec, &view.volumes) && !view.state.is_over();
            if (same_slot || shares) && view.id != spec.id {
                let stopped = stops(walk, &view.id).any(|stop| walk.before(stop, placed));
                if !stopped {
                    let why = format!("instance {} was not stopped before", view.id);
                    found.push(Violation::new(Rule::OneToOne, &placed.step.id.0, why));
                }
            }
        }
    }
}

fn meets(spec: &InstanceSpec, volumes: &BTreeSet<VolumeId>) -> bool {
    spec.binds.iter().any(|bind| volumes.contains(&bind.volume))
}

fn stops<'w, 'a>(
    walk: &'w Walk<'a>,
    instance: &'w InstanceId,
) -> impl Iterator<Item = &'w Placed<'a>> {
    let steps = walk.on_instance(instance);
    steps.filter(|placed| matches!(placed.step.act, Act::StopInstance { .. }))
}

/// A volume is retired only after whoever holds it was stopped.
pub(super) fn idle(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for placed in &walk.steps {
        let (Act::RetireVolume { volume, .. }
        | Act::TakeBackVolume { volume, .. }
        | Act::DestroyVolume { volume, .. }
        | Act::RemoveClone { volume }
        | Act::RemoveSnapshot { volume }) = &placed.step.act
        else {
            continue;
        };
        let Some(reading) = world.reading(&placed.step.host) else { continue };
        // What was taken back already, by a plan that is applied again, may be in use again.
        let taken = matches!(placed.step.act, Act::TakeBackVolume { .. })
            && reading.volumes.get(volume).is_some_and(|v| v.state == VolumeState::Attached);
        if taken {
            continue;
        }
        let holders = reading.instances.values().filter(|view| view.volumes.contains(volume));
        for holder in holders {
            if !stops(walk, &holder.id).any(|stop| walk.before(stop, placed)) {
                let why = format!("instance {} still holds volume {volume}", holder.id);
                found.push(Violation::new(Rule::Idle, &placed.step.id.0, why));
            }
        }
        let mut starts = walk.started().filter(|(start, spec)| {
            spec.binds.iter().any(|bind| bind.volume == *volume) && walk.before(start, placed)
        });
        let kept = starts
            .find(|(start, spec)| !stops(walk, &spec.id).any(|stop| walk.before(start, stop)));
        if let (Some((_, spec)), false) = (kept, matches!(placed.path, Path::RolloutFailed)) {
            let why = format!("instance {} is started on volume {volume} before", spec.id);
            found.push(Violation::new(Rule::Idle, &placed.step.id.0, why));
        }
    }
}
