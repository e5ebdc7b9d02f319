//! Parts of a plan: some of its rollouts, and what belongs to them.

use super::change::Change;
use super::{Plan, Rollout};
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

impl Plan {
    /// What these of its rollouts change: all that is about a slot, or another object, that they
    /// do something to.
    pub(crate) fn changes_of(&self, rollouts: &[Rollout]) -> Vec<Change> {
        let lanes = rollouts.iter().flat_map(|rollout| &rollout.waves);
        let (mut slots, mut objects) = (BTreeSet::new(), BTreeSet::new());
        for lane in lanes.flat_map(|wave| &wave.lanes) {
            slots.extend(lane.object.slot());
            objects.insert(lane.object.to_string());
        }
        let is_theirs = |change: &&Change| match change.object.slot() {
            Some(slot) => slots.contains(slot),
            None => objects.contains(&change.object.to_string()),
        };
        self.changes.iter().filter(is_theirs).cloned().collect()
    }
}
