//! Copies of volumes: taken by hand, and those that nobody needs any more.

use super::removal::lane;
use super::{Rolled, push, rollout, step, wording};
use crate::diff::StrayClone;
use crate::diff::volume::header;
use crate::model::id::PoolId;
use crate::model::observed::VolumeView;
use crate::model::volume::VolumeSpec;
use crate::plan::Lane;
use crate::plan::change::Change;
use crate::plan::step::Step;
use crate::recover::Trusted;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// A volume that is made with the data of another one.
pub(crate) struct Copying<'a> {
    /// Where both are.
    pub(crate) host: Trusted<'a>,
    /// The pool that both are in.
    pub(crate) pool: PoolId,
    /// The one whose data it is.
    pub(crate) of: &'a VolumeView,
    /// What is made.
    pub(crate) copy: VolumeSpec,
}

impl Copying<'_> {
    /// The step that makes it. What it costs the pool is asked for, unless it was begun before.
    pub(super) fn step(&self, overcommit_thousandths: u32) -> Step {
        let Self { host, pool, of, copy } = self;
        let begun = host.reading.volumes.contains_key(&copy.id);
        let room = (!begun).then(|| copy.size.plus(header(*host)));
        let name = &host.spec.name;
        step::copy_volume(name, pool.clone(), of, copy.clone(), room, overcommit_thousandths)
    }

    /// One snapshot, and nothing else.
    pub(crate) fn snapshot(&self, overcommit_thousandths: u32) -> Rolled {
        let slot = &self.copy.slot;
        let change = wording::copied(&self.host.spec.name, &self.copy, "a person asks for it");
        let steps = vec![self.step(overcommit_thousandths)];
        let lane = lane(change.object.clone(), steps, Vec::new());
        let id = format!("{}/{}/snapshot", slot.app, slot.group);
        let mut rollout = rollout(id, Some(&slot.app), Some(&slot.group));
        push(&mut rollout.waves, "take a snapshot", vec![lane]);
        Rolled { rollouts: vec![rollout], changes: vec![change] }
    }
}

/// Removes a clone that no deploy needs any more, and the instances on it.
pub(super) fn clear(stray: &StrayClone<'_>, changes: &mut Vec<Change>) -> Lane {
    let view = stray.at.view;
    let why = "it was left behind by an earlier deploy";
    let mut steps = Vec::new();
    for holder in &stray.holders {
        changes.push(wording::cleared(holder.host, &holder.view.slot, holder.view, why));
        steps.push(step::stop_instance(holder.host, holder.view));
    }
    let change = wording::copy_removed(stray.at.host, view, why);
    let object = change.object.clone();
    changes.push(change);
    steps.push(step::remove_clone(stray.at.host, &view.spec.id));
    lane(object, steps, Vec::new())
}
