//! What is shown is what is done: people review the changes, hosts get the steps.

use super::walk::{Path, Walk};
use super::{Rule, Violation, World};
use crate::model::id::{InstanceId, VolumeId};
use crate::model::instance::Role;
use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::model::volume::VolumeKind;
use crate::plan::change::Verb;
use crate::plan::step::Act;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Every volume that is destroyed or retired is shown so, and the other way round; every object
/// that is made or changed is shown.
pub(super) fn told(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let shown = Shown::of(walk);
    let made: BTreeSet<&VolumeId> = walk.made().map(|(_, volume)| &volume.id).collect();
    let (mut destroyed, mut retired) = (BTreeSet::new(), BTreeSet::new());
    for placed in &walk.steps {
        // What is done after a failure is told with the rollout.
        let fails = placed.path != Path::Main;
        let told = match &placed.step.act {
            Act::DestroyVolume { volume, .. } if made.contains(volume) => true,
            Act::DestroyVolume { volume, .. } => {
                destroyed.insert(volume);
                shown.destroyed.contains(volume)
            }
            Act::RetireVolume { volume, .. } => {
                retired.insert(volume);
                fails || shown.retired.contains(volume)
            }
            Act::MakePool { .. } => fails || shown.pools.contains(&placed.step.host),
            Act::MakeVolume { volume } | Act::AdoptVolume { volume, .. } => {
                fails || shown.volumes.contains(&volume.id)
            }
            // A clone that is there for the time of a rollout is told with that.
            // A snapshot to go back to is told with its slot.
            Act::CopyVolume { volume, .. } => {
                fails
                    || volume.kind == VolumeKind::Clone
                    || volume.is_way_back() && shown.slots.contains(&volume.slot)
                    || shown.volumes.contains(&volume.id)
            }
            Act::RemoveClone { volume } => {
                walk.makes(volume).is_some() || shown.volumes.contains(volume)
            }
            Act::RemoveSnapshot { volume } => {
                let of = walk.lane(placed).and_then(|lane| lane.object.slot());
                fails
                    || of.is_some_and(|slot| shown.slots.contains(slot))
                    || shown.volumes.contains(volume)
            }
            Act::GrowVolume { volume, .. }
            | Act::MarkVolume { volume, .. }
            | Act::TakeBackVolume { volume, .. } => fails || shown.volumes.contains(volume),
            Act::StartInstance { instance } => match instance.role {
                Role::Main => fails || shown.slots.contains(&instance.slot),
                Role::Release | Role::Run => fails || shown.runs.contains(&instance.id),
                // Told with the strategy.
                Role::Canary | Role::Green => true,
            },
            // Extra instances are told with the rollout. The old instance of a slot that has
            // another name by now is shown as the new one's.
            Act::StopInstance { instance, slot } => {
                let views = world.reading(&placed.step.host).map(|reading| &reading.instances);
                let view = views.and_then(|views| views.get(instance));
                let main = view.is_some_and(|view| view.role == Role::Main);
                let of = walk.lane(placed).and_then(|lane| lane.object.slot());
                let mut slots = [Some(slot), of].into_iter().flatten();
                fails || !main || slots.any(|slot| shown.slots.contains(slot))
            }
            // It takes nothing from anybody.
            Act::SuperviseInstance { .. } | Act::FetchImage { .. } => true,
        };
        if !told {
            found.push(Violation::new(Rule::Told, &placed.step.id.0, "no change shows it"));
        }
    }
    for (shown, done, what) in
        [(&shown.destroyed, &destroyed, "destroyed"), (&shown.retired, &retired, "retired")]
    {
        for volume in shown.difference(done) {
            let why = alloc::format!("it is shown as {what}, and no step does it");
            found.push(Violation::new(Rule::Told, volume, why));
        }
    }
}

/// What the changes of a plan show.
#[derive(Default)]
struct Shown<'a> {
    destroyed: BTreeSet<&'a VolumeId>,
    retired: BTreeSet<&'a VolumeId>,
    /// Volumes that are shown with whatever verb.
    volumes: BTreeSet<&'a VolumeId>,
    /// Slots, also those of which only an instance is shown.
    slots: BTreeSet<&'a SlotId>,
    /// Instances that are shown as run.
    runs: BTreeSet<&'a InstanceId>,
    pools: BTreeSet<&'a crate::model::name::HostName>,
}

impl<'a> Shown<'a> {
    fn of(walk: &Walk<'a>) -> Self {
        let mut shown = Self::default();
        for change in &walk.plan.changes {
            match &change.object {
                Object::Volume { volume, .. } => {
                    shown.volumes.insert(volume);
                    match change.verb {
                        Verb::Destroy => shown.destroyed.insert(volume),
                        Verb::Retire => shown.retired.insert(volume),
                        Verb::Remove
                        | Verb::Create
                        | Verb::TakeBack
                        | Verb::Adopt
                        | Verb::Redeploy
                        | Verb::Restart
                        | Verb::Update
                        | Verb::Run => false,
                    };
                }
                Object::Slot { slot } => {
                    shown.slots.insert(slot);
                }
                Object::Instance { slot, instance } => {
                    shown.slots.insert(slot);
                    if change.verb == Verb::Run {
                        shown.runs.insert(instance);
                    }
                }
                Object::Pool { host } => {
                    shown.pools.insert(host);
                }
                Object::Fleet
                | Object::Host { .. }
                | Object::App { .. }
                | Object::Group { .. }
                | Object::Foreign { .. } => {}
            }
        }
        shown
    }
}
