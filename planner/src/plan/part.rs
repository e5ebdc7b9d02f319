//! Parts of a plan: some of its rollouts, and what belongs to them.

use super::change::Change;
use super::{Plan, Rollout};
use crate::model::id::VolumeId;
use crate::model::object::Object;
use crate::model::slot::SlotId;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What rollouts do something to.
#[derive(Default)]
struct Touched<'r> {
    slots: BTreeSet<&'r SlotId>,
    volumes: BTreeSet<&'r VolumeId>,
    /// By their names.
    others: BTreeSet<String>,
}

impl<'r> Touched<'r> {
    fn by(rollouts: impl Iterator<Item = &'r Rollout>) -> Self {
        let mut touched = Self::default();
        for lane in rollouts.flat_map(|rollout| &rollout.waves).flat_map(|wave| &wave.lanes) {
            touched.slots.extend(lane.object.slot());
            touched.volumes.extend(lane.steps.iter().filter_map(|step| step.act.volume()));
            touched.others.insert(lane.object.to_string());
        }
        touched
    }

    fn has(&self, change: &Change) -> bool {
        match &change.object {
            Object::Volume { volume, .. } => self.volumes.contains(volume),
            object => match object.slot() {
                Some(slot) => self.slots.contains(slot),
                None => self.others.contains(&object.to_string()),
            },
        }
    }
}

impl Plan {
    /// What these of its rollouts change.
    pub(crate) fn changes_of<'r>(
        &self,
        rollouts: impl IntoIterator<Item = &'r Rollout>,
    ) -> Vec<Change> {
        let touched = Touched::by(rollouts.into_iter());
        self.changes.iter().filter(|change| touched.has(change)).cloned().collect()
    }

    /// What these of its rollouts change, and what none of them all does: that is remembered anew
    /// and nothing more.
    pub(crate) fn changes_of_or_none<'r>(
        &self,
        rollouts: impl IntoIterator<Item = &'r Rollout>,
    ) -> Vec<Change> {
        let (some, all) = (Touched::by(rollouts.into_iter()), Touched::by(self.rollouts.iter()));
        let is_kept = |change: &&Change| some.has(change) || !all.has(change);
        self.changes.iter().filter(is_kept).cloned().collect()
    }
}
