//! What trusted hosts have of each slot, by slot: an index, no judgement.

use super::{Renames, Trusted};
use crate::model::instance::Role;
use crate::model::name::{AppName, HostName, SourceName};
use crate::model::observed::{InstanceView, VolumeView};
use crate::model::slot::SlotId;
use crate::model::volume::{VolumeKind, VolumeState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Something seen on a host.
pub(crate) struct At<'a, T> {
    /// Where.
    pub(crate) host: &'a HostName,
    /// What.
    pub(crate) view: &'a T,
}

impl<T> Clone for At<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for At<'_, T> {}

/// Objects by the slot they are of, under the name that the slot has now.
#[derive(Default)]
pub(crate) struct Seen<'a> {
    /// Main instances.
    pub(crate) mains: BTreeMap<SlotId, Vec<At<'a, InstanceView>>>,
    /// Instances in other roles.
    pub(crate) extras: BTreeMap<SlotId, Vec<At<'a, InstanceView>>>,
    /// Those among them that run a release command, by app.
    pub(crate) commands: BTreeMap<AppName, Vec<At<'a, InstanceView>>>,
    /// Attached volumes; copies are none.
    pub(crate) attached: BTreeMap<SlotId, Vec<At<'a, VolumeView>>>,
    /// Retired volumes, also those that are being erased; copies are none.
    pub(crate) retired: BTreeMap<(SlotId, SourceName), Vec<At<'a, VolumeView>>>,
    /// Volumes in whatever state, and copies.
    pub(crate) volumes: Vec<At<'a, VolumeView>>,
}

impl<'a> Seen<'a> {
    /// Sorts what hosts said by slot.
    pub(crate) fn of(trusted: &BTreeMap<&'a HostName, Trusted<'a>>, renames: &Renames) -> Self {
        let mut seen = Self::default();
        for (host, trusted) in trusted {
            for view in trusted.reading.instances.values() {
                let slot = renames.slot(&view.slot);
                let map = match view.role {
                    Role::Main => &mut seen.mains,
                    Role::Canary | Role::Green | Role::Release | Role::Run => &mut seen.extras,
                };
                map.entry(slot).or_default().push(At { host, view });
            }
            for view in trusted.reading.volumes.values() {
                seen.add_volume(At { host, view }, renames);
            }
        }
        for (slot, extras) in &seen.extras {
            let commands = extras.iter().filter(|at| at.view.role == Role::Release);
            for command in commands {
                seen.commands.entry(slot.app.clone()).or_default().push(*command);
            }
        }
        seen
    }

    /// Whether an instance uses a clone: it goes with that.
    pub(crate) fn is_on_clone(&self, instance: &At<'_, InstanceView>) -> bool {
        self.volumes.iter().any(|at| {
            at.view.spec.kind == VolumeKind::Clone
                && at.host == instance.host
                && instance.view.volumes.contains(&at.view.spec.id)
        })
    }

    fn add_volume(&mut self, at: At<'a, VolumeView>, renames: &Renames) {
        self.volumes.push(at);
        if !at.view.spec.kind.is_own() {
            return;
        }
        let slot = renames.slot(&at.view.spec.slot);
        match at.view.state {
            VolumeState::Attached => self.attached.entry(slot).or_default().push(at),
            VolumeState::Retired { .. } | VolumeState::Erasing => {
                let source = renames.source(&slot, &at.view.spec.source);
                self.retired.entry((slot, source)).or_default().push(at);
            }
            VolumeState::Making => {}
        }
    }
}
