//! Rollouts: their order, their gates, how much they take down, and what they leave behind.

use super::walk::{Path, Walk};
use super::{Rule, Violation, World};
use crate::model::desired::Strategy;
use crate::model::instance::{InstanceSpec, Role};
use crate::model::observed::InstanceState;
use crate::model::slot::SlotId;
use crate::model::volume::VolumeKind;
use crate::plan::step::{Act, Step};
use crate::plan::{Gate, Lane, Rollout};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

/// Rollouts have names of their own, wait for rollouts that exist, and never for each other.
pub(super) fn order(walk: &Walk<'_>, _: &World<'_>, found: &mut Vec<Violation>) {
    let names: BTreeSet<_> = walk.plan.rollouts.iter().map(|rollout| &rollout.id).collect();
    if names.len() < walk.plan.rollouts.len() {
        let why = "two rollouts have one name";
        found.push(Violation::new(Rule::Order, &walk.plan.fleet, why));
    }
    for (number, rollout) in walk.plan.rollouts.iter().enumerate() {
        for id in rollout.after.iter().filter(|id| !names.contains(id)) {
            let why = format!("it waits for {}, which does not exist", id.0);
            found.push(Violation::new(Rule::Order, &rollout.id.0, why));
        }
        if walk.waits_for_itself(number) {
            found.push(Violation::new(Rule::Order, &rollout.id.0, "it waits for itself"));
        }
    }
}

/// What a lane starts, it watches: the gate is about the last instance that it starts.
pub(super) fn gates(walk: &Walk<'_>, _: &World<'_>, found: &mut Vec<Violation>) {
    for placed in &walk.lanes {
        let Some((step, spec)) = placed.lane.steps.iter().rev().find_map(started) else { continue };
        let strategy = walk.plan.rollouts[placed.rollout].strategy.as_ref();
        let immediate = strategy.is_some_and(|choice| choice.strategy == Strategy::Immediate);
        let why = match &placed.lane.gate {
            Gate::Open if immediate => None,
            Gate::Open => Some("nobody looks whether it comes up"),
            Gate::Healthy { host, instance, address, checks, .. } => {
                let own = *host == step.host && *instance == spec.id && *address == spec.address;
                let asked = own && !checks.is_empty();
                (!asked).then_some("its gate asks another instance, or nothing")
            }
            Gate::StaysUp { host, instance, .. } | Gate::Finishes { host, instance, .. } => {
                let own = *host == step.host && *instance == spec.id;
                (!own).then_some("its gate watches another instance")
            }
        };
        if let Some(why) = why {
            found.push(Violation::new(Rule::Gates, &step.id.0, why));
        }
    }
}

fn started(step: &Step) -> Option<(&Step, &InstanceSpec)> {
    match &step.act {
        Act::StartInstance { instance } => Some((step, instance)),
        _ => None,
    }
}

/// No wave stops more healthy slots, to start them anew, than may be down at once.
pub(super) fn budget(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for rollout in &walk.plan.rollouts {
        let Some(choice) = &rollout.strategy else { continue };
        let limit = match choice.strategy {
            Strategy::Rolling | Strategy::Canary => choice.max_unavailable,
            // All at once is what they are for; bluegreen has a second set up by then.
            Strategy::Immediate | Strategy::Bluegreen => continue,
        };
        let returning = returning(rollout);
        for wave in &rollout.waves {
            let down: BTreeSet<&SlotId> = wave
                .lanes
                .iter()
                .flat_map(|lane| taken_down(lane, world))
                .filter(|slot| returning.contains(slot))
                .collect();
            if down.len() > limit.max(1) {
                let why = format!(
                    "wave {:?} takes down {} healthy slots, {limit} may be down",
                    wave.title,
                    down.len()
                );
                found.push(Violation::new(Rule::Budget, &rollout.id.0, why));
            }
        }
    }
}

/// Slots that the rollout starts a main instance of.
fn returning(rollout: &Rollout) -> BTreeSet<&SlotId> {
    let lanes = rollout.waves.iter().flat_map(|wave| &wave.lanes);
    let specs = lanes.flat_map(|lane| lane.steps.iter().filter_map(started));
    specs.filter(|(_, spec)| spec.role == Role::Main).map(|(_, spec)| &spec.slot).collect()
}

/// Slots whose running, not unhealthy, main instance the lane stops.
fn taken_down<'a>(lane: &'a Lane, world: &World<'a>) -> Vec<&'a SlotId> {
    let stopped = lane.steps.iter().filter_map(|step| match &step.act {
        Act::StopInstance { instance, slot } => {
            let view = world.reading(&step.host)?.instances.get(instance)?;
            let up = view.role == Role::Main
                && view.state == InstanceState::Running
                && view.healthy != Some(false);
            up.then_some(slot)
        }
        _ => None,
    });
    stopped.collect()
}

/// What is started for the time of a rollout is stopped when all went well and when it did not.
pub(super) fn temporary(walk: &Walk<'_>, _: &World<'_>, found: &mut Vec<Violation>) {
    for (placed, spec) in walk.started() {
        match spec.role {
            Role::Canary | Role::Green => {}
            // A release command keeps its exit status; the rest stays.
            Role::Main | Role::Release | Role::Run => continue,
        }
        let mut stops = (false, false);
        for stop in walk.steps.iter().filter(|stop| stop.rollout == placed.rollout) {
            let Act::StopInstance { instance, .. } = &stop.step.act else { continue };
            if *instance != spec.id || stop.step.host != placed.step.host {
                continue;
            }
            match stop.path {
                Path::Main => stops.0 |= walk.before(placed, stop),
                Path::LaneFailed | Path::WentBack => {}
                Path::RolloutFailed => stops.1 = true,
            }
        }
        let why = match stops {
            (true, true) => continue,
            (false, _) => "it is not removed when all went well",
            (true, false) => "it is not removed when the rollout fails",
        };
        let rollout = &walk.rollout(placed).id.0;
        let why = format!("{why} (rollout {rollout})");
        found.push(Violation::new(Rule::Temporary, &placed.step.id.0, why));
    }
    clones(walk, found);
}

/// The same of clones; and what is started on one has no network.
fn clones(walk: &Walk<'_>, found: &mut Vec<Violation>) {
    let copied = walk.copied().map(|(placed, _, spec)| (placed, spec));
    for (placed, spec) in copied.filter(|(_, spec)| spec.kind == VolumeKind::Clone) {
        let removed = |path: Path| {
            walk.on_volume(&spec.id).any(|step| {
                let removes = matches!(step.step.act, Act::RemoveClone { .. });
                removes && step.rollout == placed.rollout && step.path == path
            })
        };
        if !(removed(Path::Main) && removed(Path::RolloutFailed)) {
            let why = "the clone is not removed however the rollout ends";
            found.push(Violation::new(Rule::Temporary, &placed.step.id.0, why));
        }
        let on = |started: &&InstanceSpec| started.binds.iter().any(|bind| bind.volume == spec.id);
        if walk.started().map(|(_, spec)| spec).filter(on).any(|spec| !spec.alone) {
            let why = "what is started on the clone can reach out";
            found.push(Violation::new(Rule::Temporary, &placed.step.id.0, why));
        }
    }
}
