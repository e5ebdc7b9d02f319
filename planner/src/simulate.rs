//! What the world looks like after a plan was applied: by the meaning of the acts alone, without
//! the code that made the plan. Not a promise about hosts, which have faults of their own.

mod host;

use crate::model::claim::{Claim, Claims, FailedRelease};
use crate::model::id::InstanceId;
use crate::model::name::{AppName, FleetName};
use crate::model::observed::{HostView, Observed, Reading};
use crate::model::time::Timestamp;
use crate::plan::step::Step;
use crate::plan::{ClaimAct, Gate, Lane, Plan, Rollout, RolloutId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

/// The world after the plan was applied in full, at `at` by all clocks.
#[must_use]
pub fn simulate(
    observed: &Observed,
    claims: &Claims,
    plan: &Plan,
    at: Timestamp,
) -> (Observed, Claims) {
    simulate_until(observed, claims, plan, at, usize::MAX)
}

/// The world after apply was cut short behind that many moments. A moment is one thing that is
/// made to last: a lane's claims written, before or after its steps, or one step done. The
/// corrections, which come before all, are written in any case.
#[must_use]
pub fn simulate_until(
    observed: &Observed,
    claims: &Claims,
    plan: &Plan,
    at: Timestamp,
    moments: usize,
) -> (Observed, Claims) {
    Run::new(observed, claims, plan, at, moments, &|_| false).all()
}

/// The world after an apply in which what `fails` names never passed its gate.
#[must_use]
pub fn simulate_failing(
    observed: &Observed,
    claims: &Claims,
    plan: &Plan,
    at: Timestamp,
    fails: &dyn Fn(&InstanceId) -> bool,
) -> (Observed, Claims) {
    Run::new(observed, claims, plan, at, usize::MAX, fails).all()
}

/// How many moments an apply of the plan has, at most.
#[must_use]
pub fn moments(plan: &Plan) -> usize {
    let lanes = plan.rollouts.iter().flat_map(|rollout| &rollout.waves);
    lanes.flat_map(|wave| &wave.lanes).map(|lane| lane.steps.len() + 2).sum()
}

/// Apply was cut short.
struct Cut;

struct Run<'a> {
    plan: &'a Plan,
    at: Timestamp,
    left: usize,
    fails: &'a dyn Fn(&InstanceId) -> bool,
    observed: Observed,
    claims: Claims,
}

impl<'a> Run<'a> {
    fn new(
        observed: &Observed,
        claims: &Claims,
        plan: &'a Plan,
        at: Timestamp,
        moments: usize,
        fails: &'a dyn Fn(&InstanceId) -> bool,
    ) -> Self {
        let (mut observed, claims) = (observed.clone(), claims.clone());
        for view in observed.values_mut() {
            match view {
                HostView::Read(reading) => {
                    reading.at = reading.at.max(at);
                    reading.asked_at = reading.asked_at.max(at);
                }
                HostView::Unread { .. } => {}
            }
        }
        Self { plan, at, left: moments, fails, observed, claims }
    }

    fn all(mut self) -> (Observed, Claims) {
        let plan = self.plan;
        self.learn(&plan.corrections, "");
        for record in &plan.first_records {
            self.claims.apps.insert(record.app.clone(), record.clone());
        }
        let mut failed = BTreeSet::new();
        for rollout in in_order(&plan.rollouts) {
            if rollout.after.iter().any(|id| failed.contains(id)) {
                failed.insert(&rollout.id);
                continue;
            }
            match self.rollout(rollout) {
                Err(Cut) => return (self.observed, self.claims),
                Ok(true) => {}
                Ok(false) => {
                    failed.insert(&rollout.id);
                }
            }
        }
        let cut = plan.rollouts.iter().filter(|rollout| failed.contains(&rollout.id));
        let cut: BTreeSet<&AppName> = cut.filter_map(|rollout| rollout.app.as_ref()).collect();
        for record in plan.records.iter().filter(|record| !cut.contains(&record.app)) {
            self.claims.apps.insert(record.app.clone(), record.clone());
        }
        if failed.is_empty() && plan.completes_catalog {
            self.claims.complete = true;
        }
        (self.observed, self.claims)
    }

    /// Whether all waves passed.
    fn rollout(&mut self, rollout: &Rollout) -> Result<bool, Cut> {
        for wave in &rollout.waves {
            let mut passed = true;
            for lane in &wave.lanes {
                passed &= self.lane(lane)?;
            }
            if !passed {
                for step in &rollout.on_failure {
                    self.step(step, &Gate::Open)?;
                }
                self.moment()?;
                self.learn(&rollout.claims_on_failure, "a gate was not passed");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the gate was passed.
    fn lane(&mut self, lane: &Lane) -> Result<bool, Cut> {
        self.moment()?;
        self.learn(&lane.claims_before, "");
        for step in &lane.steps {
            self.step(step, &lane.gate)?;
        }
        if let Gate::Healthy { host, instance, .. }
        | Gate::StaysUp { host, instance, .. }
        | Gate::Finishes { host, instance, .. } = &lane.gate
            && (self.fails)(instance)
        {
            if let Some(HostView::Read(reading)) = self.observed.get_mut(host) {
                host::fail(reading, instance);
            }
            self.moment()?;
            self.learn(&lane.claims_on_failure, "its gate was not passed");
            self.go_back(lane)?;
            return Ok(false);
        }
        self.moment()?;
        self.learn(&lane.claims_after, "");
        Ok(true)
    }

    /// What is done when the gate of a lane was not passed.
    fn go_back(&mut self, lane: &Lane) -> Result<(), Cut> {
        let Some(restore) = &lane.restore else {
            return lane.on_failure.iter().try_for_each(|step| self.step(step, &Gate::Open));
        };
        restore.steps.iter().try_for_each(|step| self.step(step, &Gate::Open))?;
        self.moment()?;
        self.learn(&restore.claims, "its gate was not passed");
        restore.start.iter().try_for_each(|step| self.step(step, &Gate::Open))
    }

    fn step(&mut self, step: &Step, gate: &Gate) -> Result<(), Cut> {
        self.moment()?;
        if let Some(HostView::Read(reading)) = self.observed.get_mut(&step.host) {
            host::act(reading, step, gate, &self.plan.fleet, self.at);
        }
        Ok(())
    }

    fn moment(&mut self) -> Result<(), Cut> {
        self.left = self.left.checked_sub(1).ok_or(Cut)?;
        Ok(())
    }

    fn learn(&mut self, acts: &[ClaimAct], why: &str) {
        for act in acts {
            match act {
                ClaimAct::Write(claim) => {
                    for (source, volume) in &claim.volumes {
                        let key = (claim.slot.clone(), source.clone());
                        let highest = self.claims.incarnations.entry(key);
                        let highest = highest.or_insert(volume.incarnation);
                        *highest = volume.incarnation.max(*highest);
                    }
                    let known = self.claims.slots.get(&claim.slot);
                    let held = known.map_or(claim.held, |known| known.held);
                    let claim = Claim { held, ..claim.clone() };
                    self.claims.slots.insert(claim.slot.clone(), claim);
                }
                ClaimAct::Hold { slot, held } => {
                    if let Some(claim) = self.claims.slots.get_mut(slot) {
                        claim.held = *held;
                    }
                }
                ClaimAct::Remove { slot } => {
                    self.claims.slots.remove(slot);
                }
                ClaimAct::Failed { slot, release } => {
                    if let Some(claim) = self.claims.slots.get_mut(slot) {
                        let failed =
                            FailedRelease { release: release.clone(), why: why.to_string() };
                        claim.failed = Some(failed);
                    }
                }
                ClaimAct::Loss { app } => self.claims.losses.push((app.clone(), self.at)),
            }
        }
    }
}

/// What one step makes of its host's reading.
pub(crate) fn carry_out(
    reading: &mut Reading,
    step: &Step,
    gate: &Gate,
    fleet: &FleetName,
    at: Timestamp,
) {
    host::act(reading, step, gate, fleet, at);
}

/// Rollouts in the plan's order, but none before those that it waits for. What waits for something
/// that does not exist, or for itself, is never begun.
#[must_use]
pub fn in_order(rollouts: &[Rollout]) -> Vec<&Rollout> {
    let mut waiting: BTreeMap<&RolloutId, Vec<usize>> = BTreeMap::new();
    let mut waits: Vec<usize> = Vec::new();
    let mut ready = BTreeSet::new();
    for (index, rollout) in rollouts.iter().enumerate() {
        let after: BTreeSet<&RolloutId> = rollout.after.iter().collect();
        waits.push(after.len());
        if after.is_empty() {
            ready.insert(index);
        }
        for id in after {
            waiting.entry(id).or_default().push(index);
        }
    }
    let mut order = Vec::new();
    while let Some(next) = ready.pop_first() {
        let rollout = &rollouts[next];
        for index in waiting.remove(&rollout.id).into_iter().flatten() {
            waits[index] -= 1;
            if waits[index] == 0 {
                ready.insert(index);
            }
        }
        order.push(rollout);
    }
    order
}
