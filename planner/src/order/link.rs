//! What waits for what.

use super::steps;
use crate::model::guest::Guest;
use crate::model::instance::{InstanceSpec, Role};
use crate::model::name::{AppName, HostName};
use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::plan::change::{Change, Verb};
use crate::plan::step::Act;
use crate::plan::{Rollout, RolloutId};
use crate::recover::{Ground, Trusted};
use alloc::collections::{BTreeMap, BTreeSet};

/// Volumes wait for the pool they are made in; new slots on a host wait for removals there, whose
/// memory they may take, and so does whatever takes more on a host that has no more without them;
/// a slot's instance waits until copies of it elsewhere are stopped; all of an app waits for its
/// release command.
pub(super) fn link(rollouts: &mut [Rollout], changes: &[Change], ground: &Ground<'_>) {
    let awaited = Awaited::of(rollouts, changes, ground);
    let of_app = |rollout: &Rollout| Some((rollout.app.clone()?, rollout.id.clone()));
    let commands = rollouts.iter().filter(|rollout| rollout.id.is_release_command());
    let commands: BTreeMap<AppName, RolloutId> = commands.filter_map(of_app).collect();
    // What is removed of apps that have a command waits for it, so no command waits for that.
    let behind = rollouts.iter().filter_map(of_app).filter(|(app, _)| commands.contains_key(app));
    let behind: BTreeSet<RolloutId> = behind.map(|(_, id)| id).collect();
    for rollout in rollouts {
        let mut after = awaited.by(rollout, ground);
        match rollout.app.as_ref().and_then(|app| commands.get(app)) {
            Some(command) if *command == rollout.id => after.retain(|id| !behind.contains(id)),
            Some(command) => {
                after.insert(command.clone());
            }
            None => {}
        }
        rollout.after = after.into_iter().collect();
    }
}

/// What others may wait for.
struct Awaited<'a> {
    created: BTreeSet<&'a Object>,
    tight: BTreeSet<HostName>,
    /// What makes the pool of a host.
    pools: BTreeMap<HostName, RolloutId>,
    /// What stops removed instances on a host.
    stops: BTreeMap<HostName, BTreeSet<RolloutId>>,
    /// What stops removed instances of a slot.
    cleared: BTreeMap<SlotId, BTreeSet<RolloutId>>,
}

impl<'a> Awaited<'a> {
    fn of(rollouts: &[Rollout], changes: &'a [Change], ground: &Ground<'_>) -> Self {
        let created = changes.iter().filter(|change| change.verb == Verb::Create);
        let mut awaited = Self {
            created: created.map(|change| &change.object).collect(),
            tight: tight(ground, rollouts),
            pools: BTreeMap::new(),
            stops: BTreeMap::new(),
            cleared: BTreeMap::new(),
        };
        for rollout in rollouts {
            let is_removal = rollout.id.0.ends_with("/remove");
            for step in steps(rollout) {
                let (host, id) = (step.host.clone(), rollout.id.clone());
                match &step.act {
                    Act::MakePool { .. } => {
                        awaited.pools.insert(host, id);
                    }
                    Act::StopInstance { slot, .. } if is_removal => {
                        awaited.stops.entry(host).or_default().insert(id.clone());
                        awaited.cleared.entry(slot.clone()).or_default().insert(id);
                    }
                    Act::MakeVolume { .. }
                    | Act::CopyVolume { .. }
                    | Act::RemoveClone { .. }
                    | Act::RemoveSnapshot { .. }
                    | Act::GrowVolume { .. }
                    | Act::MarkVolume { .. }
                    | Act::RetireVolume { .. }
                    | Act::TakeBackVolume { .. }
                    | Act::AdoptVolume { .. }
                    | Act::DestroyVolume { .. }
                    | Act::FetchImage { .. }
                    | Act::StartInstance { .. }
                    | Act::StopInstance { .. }
                    | Act::SuperviseInstance { .. } => {}
                }
            }
        }
        awaited
    }

    /// What a rollout waits for, but for its app's release command.
    fn by(&self, rollout: &Rollout, ground: &Ground<'_>) -> BTreeSet<RolloutId> {
        let mut after = BTreeSet::new();
        for step in steps(rollout) {
            match &step.act {
                Act::MakeVolume { .. } => after.extend(self.pools.get(&step.host).cloned()),
                Act::StartInstance { instance } => {
                    let slot = &instance.slot;
                    after.extend(self.cleared.get(slot).into_iter().flatten().cloned());
                    let takes = self.tight.contains(&step.host)
                        && more(ground, &step.host, instance) != Guest::NONE;
                    if takes || self.created.contains(&Object::Slot { slot: slot.clone() }) {
                        after.extend(self.stops.get(&step.host).into_iter().flatten().cloned());
                    }
                }
                Act::MakePool { .. }
                | Act::CopyVolume { .. }
                | Act::RemoveClone { .. }
                | Act::RemoveSnapshot { .. }
                | Act::GrowVolume { .. }
                | Act::MarkVolume { .. }
                | Act::RetireVolume { .. }
                | Act::TakeBackVolume { .. }
                | Act::AdoptVolume { .. }
                | Act::DestroyVolume { .. }
                | Act::FetchImage { .. }
                | Act::StopInstance { .. }
                | Act::SuperviseInstance { .. } => {}
            }
        }
        after
    }
}

/// Hosts that have not the memory and processors for all that is there and all that is started.
fn tight(ground: &Ground<'_>, rollouts: &[Rollout]) -> BTreeSet<HostName> {
    let mut needs: BTreeMap<&HostName, Guest> = BTreeMap::new();
    for step in rollouts.iter().flat_map(steps) {
        if let Act::StartInstance { instance } = &step.act {
            let sum = needs.entry(&step.host).or_insert(Guest::NONE);
            *sum = sum.plus(more(ground, &step.host, instance));
        }
    }
    let lacks = |(host, needs): (&HostName, Guest)| {
        let Trusted { spec, reading } = ground.trusted.get(host)?;
        let there = reading.instances.values().map(|view| Guest::new(view.memory, view.cpus));
        let all = there.fold(needs, Guest::plus);
        (all.memory > spec.memory || all.cpus > spec.cpus).then(|| host.clone())
    };
    needs.into_iter().filter_map(lacks).collect()
}

/// What an instance takes beyond what the one in its place has.
fn more(ground: &Ground<'_>, host: &HostName, instance: &InstanceSpec) -> Guest {
    let mains = ground.seen.mains.get(&instance.slot).into_iter().flatten();
    let mut here = mains.filter(|at| at.host == host && instance.role == Role::Main);
    let guest = instance.guest;
    here.next().map_or(guest, |at| {
        let memory = guest.memory.minus(at.view.memory);
        Guest::new(memory, guest.cpus.saturating_sub(at.view.cpus))
    })
}
