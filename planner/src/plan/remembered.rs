//! Whether the catalog still remembers what a plan was made from. Two plans for one slot must not
//! put it on two hosts: the second finds the first one's claim, and leaves the slot alone.

use super::{ClaimAct, Plan};
use crate::model::claim::{Claim, Claims};
use crate::model::id::{PoolId, VolumeId};
use crate::model::name::{HostName, SourceName};
use crate::model::object::Object;
use crate::model::slot::SlotId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where a slot is and on which volumes. Its release, sizes and failures are for the predicates
/// of steps to judge, so that a plan that was half done can be done again.
type Place<'a> = (&'a HostName, Option<&'a PoolId>, Vec<(&'a SourceName, &'a VolumeId)>);

fn place(claim: &Claim) -> Place<'_> {
    let volumes = claim.volumes.iter().map(|(source, volume)| (source, &volume.id));
    (&claim.host, claim.pool.as_ref(), volumes.collect())
}

impl ClaimAct {
    /// The slot that it is about, if it is about one.
    #[must_use]
    pub const fn slot(&self) -> Option<&SlotId> {
        match self {
            Self::Write(claim) => Some(&claim.slot),
            Self::Hold { slot, .. } | Self::Remove { slot } | Self::Failed { slot, .. } => {
                Some(slot)
            }
            Self::Loss { .. } => None,
        }
    }

    /// The claim that it writes, if it writes one.
    pub(crate) const fn written(&self) -> Option<&Claim> {
        match self {
            Self::Write(claim) => Some(claim),
            Self::Hold { .. } | Self::Remove { .. } | Self::Failed { .. } | Self::Loss { .. } => {
                None
            }
        }
    }

    /// The slot that it takes off, if it does that.
    pub(crate) const fn removes(&self) -> Option<&SlotId> {
        match self {
            Self::Remove { slot } => Some(slot),
            Self::Write(_) | Self::Hold { .. } | Self::Failed { .. } | Self::Loss { .. } => None,
        }
    }
}

impl Plan {
    /// Slots that must be left alone, and why: they are held now, or are somewhere else than
    /// where the plan found them or puts them. `now` is what the catalog remembers under the locks of
    /// the plan's apps.
    #[must_use]
    pub fn left_alone(&self, now: &Claims) -> BTreeMap<SlotId, String> {
        let mut alone = BTreeMap::new();
        for slot in self.slots() {
            if let Some(why) = self.objection(slot, now.slots.get(slot)) {
                alone.insert(slot.clone(), why);
            }
        }
        alone
    }

    /// Slots that the plan does something to, under the names that they have and had.
    pub(crate) fn slots(&self) -> BTreeSet<&SlotId> {
        let lanes = self.rollouts.iter().flat_map(|rollout| &rollout.waves);
        let objects = lanes.flat_map(|wave| &wave.lanes).map(|lane| &lane.object);
        let slots = objects.filter_map(|object| match object {
            Object::Slot { slot } => Some(slot),
            Object::Fleet
            | Object::Host { .. }
            | Object::Pool { .. }
            | Object::App { .. }
            | Object::Group { .. }
            | Object::Volume { .. }
            | Object::Instance { .. }
            | Object::Foreign { .. } => None,
        });
        let corrected = self.corrections.iter().filter_map(ClaimAct::slot);
        slots.chain(self.forgotten()).chain(corrected).collect()
    }

    fn objection(&self, slot: &SlotId, now: Option<&Claim>) -> Option<String> {
        let Some(now) = now else {
            let gone =
                self.remembered.contains_key(slot) && !self.forgotten().any(|gone| gone == slot);
            return gone.then(|| "it was removed since the plan was made".to_string());
        };
        if now.held {
            return Some("it is held, so it is left alone".to_string());
        }
        let known = self.remembered.get(slot).into_iter().chain(self.written(slot));
        if known.map(place).any(|known| known == place(now)) {
            return None;
        }
        Some(format!("it is on {} since the plan was made, with other volumes or none", now.host))
    }

    fn claims(&self) -> impl Iterator<Item = &ClaimAct> {
        let lanes = self.rollouts.iter().flat_map(|rollout| &rollout.waves);
        let lanes = lanes.flat_map(|wave| &wave.lanes);
        let acts = lanes.flat_map(|lane| lane.claims_before.iter().chain(&lane.claims_after));
        self.corrections.iter().chain(acts)
    }

    fn written(&self, slot: &SlotId) -> impl Iterator<Item = &Claim> {
        self.claims().filter_map(ClaimAct::written).filter(move |claim| claim.slot == *slot)
    }

    fn forgotten(&self) -> impl Iterator<Item = &SlotId> {
        self.claims().filter_map(ClaimAct::removes)
    }
}
