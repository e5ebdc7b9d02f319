//! What the catalog remembers of a plan's slots, against all that it can remember on the plan's
//! way: what it did when the plan was made, and what the plan itself writes.

use crate::model::claim::{Claim, Claims};
use crate::model::slot::SlotId;
use crate::plan::{ClaimAct, Lane, Plan};
use crate::simulate::in_order;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The states of each slot's claim, in the order in which the plan comes to them.
pub(super) struct Book<'a> {
    states: BTreeMap<&'a SlotId, Vec<Option<&'a Claim>>>,
    /// Which of them it is in; nothing: none of them.
    now: BTreeMap<&'a SlotId, Option<usize>>,
    /// The first and the last that each lane writes, by the lane's place in memory.
    written: BTreeMap<*const Lane, BTreeMap<&'a SlotId, (usize, usize)>>,
}

impl<'a> Book<'a> {
    pub(super) fn new(plan: &'a Plan, seen: &'a Claims, claims: &'a Claims) -> Self {
        let mut book =
            Self { states: BTreeMap::new(), now: BTreeMap::new(), written: BTreeMap::new() };
        for act in &plan.corrections {
            book.learn(act, seen);
        }
        for rollout in in_order(&plan.rollouts) {
            for lane in rollout.waves.iter().flat_map(|wave| &wave.lanes) {
                let mut written = BTreeMap::new();
                for act in lane.claims_before.iter().chain(&lane.claims_after) {
                    if let Some((slot, index)) = book.learn(act, seen) {
                        let ends = written.entry(slot).or_insert((index, index));
                        ends.1 = index;
                    }
                }
                book.written.insert(core::ptr::from_ref(lane), written);
            }
        }
        for (slot, states) in &book.states {
            let now = claims.slots.get(*slot);
            // What differs in nothing is nearer than what says the same: a failure that is still
            // remembered has not been taken back.
            let exact = states.iter().rposition(|state| *state == now);
            book.now.insert(slot, exact.or_else(|| states.iter().rposition(|it| same(*it, now))));
        }
        book
    }

    fn learn(&mut self, act: &'a ClaimAct, seen: &'a Claims) -> Option<(&'a SlotId, usize)> {
        let (slot, state) = match act {
            ClaimAct::Write(claim) => (&claim.slot, Some(claim)),
            ClaimAct::Remove { slot } => (slot, None),
            ClaimAct::Hold { .. } | ClaimAct::Failed { .. } | ClaimAct::Loss { .. } => return None,
        };
        let states = self.states.entry(slot).or_insert_with(|| alloc::vec![seen.slots.get(slot)]);
        states.push(state);
        Some((slot, states.len() - 1))
    }

    fn written(&self, lane: &Lane) -> impl Iterator<Item = (&'a SlotId, (usize, usize))> {
        let written = self.written.get(&core::ptr::from_ref(lane));
        written.into_iter().flatten().map(|(slot, ends)| (*slot, *ends))
    }

    fn now(&self, slot: &SlotId) -> Option<usize> {
        self.now.get(slot).copied().flatten()
    }

    /// Whether the catalog knows all that the lane tells it, or more.
    pub(super) fn is_past(&self, lane: &Lane) -> bool {
        self.written(lane).all(|(slot, (_, last))| self.now(slot).is_some_and(|now| now >= last))
    }

    /// What is wrong with the claims of a lane's slots, in words.
    pub(super) fn differs(&self, lane: &Lane) -> Option<String> {
        let mut slots = self.written(lane).map(|(slot, _)| slot);
        let slot = slots.find(|slot| self.now(slot).is_none())?;
        Some(alloc::format!("another apply has changed what is remembered of {slot}"))
    }

    /// The lane without telling the catalog again what it has long passed.
    pub(super) fn not_rewritten(&self, lane: &Lane) -> Lane {
        let first: BTreeMap<_, _> =
            self.written(lane).map(|(slot, (first, _))| (slot, first)).collect();
        let mut left = lane.clone();
        left.claims_before.retain(|act| match act {
            ClaimAct::Write(claim) => {
                let first = first.get(&claim.slot).copied();
                self.now(&claim.slot).is_none_or(|now| first.is_none_or(|first| now <= first))
            }
            ClaimAct::Hold { .. }
            | ClaimAct::Remove { .. }
            | ClaimAct::Failed { .. }
            | ClaimAct::Loss { .. } => true,
        });
        left
    }

    /// Whether a slot is still remembered as it was when the plan was made.
    pub(super) fn is_as_seen(&self, act: &ClaimAct) -> bool {
        match act {
            ClaimAct::Write(claim) => self.is_first(&claim.slot),
            ClaimAct::Remove { slot } => self.is_first(slot),
            ClaimAct::Hold { .. } | ClaimAct::Failed { .. } | ClaimAct::Loss { .. } => false,
        }
    }

    fn is_first(&self, slot: &SlotId) -> bool {
        let (Some(now), Some(states)) = (self.now(slot), self.states.get(slot)) else {
            return false;
        };
        let now = states.get(now).copied().flatten();
        same(states.first().copied().flatten(), now)
    }
}

/// Whether two claims say the same. A failure that was remembered on the way is none of it: what
/// failed is judged by what runs; nor is how an instance is kept running, which its host says.
fn same(one: Option<&Claim>, other: Option<&Claim>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let Claim {
                slot,
                host,
                pool,
                volumes,
                address,
                applied,
                applied_spec,
                supervision: _,
                failed: _,
                held: _,
            } = one;
            (slot, host, pool, volumes, address, applied, applied_spec)
                == (
                    &other.slot,
                    &other.host,
                    &other.pool,
                    &other.volumes,
                    &other.address,
                    &other.applied,
                    &other.applied_spec,
                )
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}
