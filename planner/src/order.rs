//! The last stage: what waits for what, what is shown first, what the catalog records; and step
//! names that are unique in their plan.

mod link;
mod records;

use crate::diff::Diff;
use crate::model::host::HostState;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::PoolView;
use crate::plan::change::{Change, Verb};
use crate::plan::step::{Act, Step, StepId};
use crate::plan::{ClaimAct, Plan, Rollout};
use crate::recover::Ground;
use crate::report::{Kind, Report};
use crate::rollout::Rolled;
use crate::{Inputs, Planned};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Puts the plan together.
pub(crate) fn finish(
    inputs: &Inputs<'_>,
    ground: Ground<'_>,
    diff: &Diff<'_>,
    rolled: Rolled,
    mut report: Report,
) -> Planned {
    report_full(inputs, &ground, &mut report);
    let Rolled { mut rollouts, mut changes } = rolled;
    report_foreign(inputs, &ground, &rollouts, &mut report);
    link::link(&mut rollouts, &changes, &ground);
    rollouts.sort_by(|a, b| a.id.cmp(&b.id));
    name_steps(&mut rollouts);
    changes.sort_by(|a, b| rank(a).cmp(&rank(b)));
    report.lines.sort();
    report.lines.dedup();
    report.drift.sort();
    report.drift.dedup();
    let first_records = records::first(inputs, &ground, &rollouts);
    let records = records::last(inputs, &ground, diff, &rollouts, &report);
    let corrections = corrections(ground.corrections, &diff.corrections);
    let mut plan = Plan {
        fleet: inputs.desired.fleet.clone(),
        commit: inputs.desired.commit.clone(),
        changes,
        remembered: BTreeMap::new(),
        corrections,
        rollouts,
        first_records,
        records,
        completes_catalog: ground.all_read,
    };
    let claims = &inputs.claims.slots;
    let remembered = plan.slots().into_iter().filter_map(|slot| claims.get(slot));
    plan.remembered = remembered.map(|claim| (claim.slot.clone(), claim.clone())).collect();
    Planned { plan, report }
}

/// One correction per slot: what was compared later is made of what was recovered before.
fn corrections(recovered: Vec<ClaimAct>, compared: &[ClaimAct]) -> Vec<ClaimAct> {
    let slot = |act: &ClaimAct| act.written().map(|claim| claim.slot.clone());
    let written: BTreeSet<_> = compared.iter().filter_map(slot).collect();
    let mut corrections = recovered;
    corrections.retain(|act| slot(act).is_none_or(|slot| !written.contains(&slot)));
    corrections.extend(compared.iter().cloned());
    corrections
}

/// Data loss first, then what is put away, then what runs before the rest, which is by object.
fn rank(change: &Change) -> (u8, &Object, Verb) {
    let loss = match change.verb {
        Verb::Destroy => 0,
        Verb::Retire => 1,
        Verb::Remove => 2,
        Verb::Run => 3,
        Verb::Create
        | Verb::TakeBack
        | Verb::Adopt
        | Verb::Redeploy
        | Verb::Restart
        | Verb::Update => 4,
    };
    (loss, &change.object, change.verb)
}

fn steps(rollout: &Rollout) -> impl Iterator<Item = &Step> {
    rollout.waves.iter().flat_map(|wave| &wave.lanes).flat_map(|lane| &lane.steps)
}

/// Makes step names unique: the same act on another host, or as the answer to a failure, says so.
fn name_steps(rollouts: &mut [Rollout]) {
    let mut names: BTreeSet<StepId> = BTreeSet::new();
    let mut name = |step: &mut Step, suffix: &str| {
        if names.insert(step.id.clone()) {
            return;
        }
        let plain = step.id.0.clone();
        let mut candidates = [format!("{plain}{suffix}"), format!("{plain} on {}", step.host)]
            .into_iter()
            .chain((2..).map(|n| format!("{plain} ({n})")))
            .map(StepId);
        if let Some(free) = candidates.find(|id| !names.contains(id)) {
            names.insert(free.clone());
            step.id = free;
        }
    };
    for rollout in rollouts {
        for lane in rollout.waves.iter_mut().flat_map(|wave| &mut wave.lanes) {
            lane.steps.iter_mut().for_each(|step| name(step, ""));
            lane.on_failure.iter_mut().for_each(|step| name(step, " on failure"));
            let restore = lane.restore.iter_mut();
            let steps = restore.flat_map(|way| way.steps.iter_mut().chain(&mut way.start));
            steps.for_each(|step| name(step, " to go back"));
        }
        rollout.on_failure.iter_mut().for_each(|step| name(step, " on failure"));
    }
}

/// Pools that take nothing more, and those that soon will not.
fn report_full(inputs: &Inputs<'_>, ground: &Ground<'_>, report: &mut Report) {
    for (host, trusted) in &ground.trusted {
        let PoolView::Present(pool) = &trusted.reading.pool else { continue };
        let Some(fill) = pool.fill else { continue };
        let full = inputs.policy.full;
        if let Some(why) = full.excess(fill).or_else(|| full.nearly(fill)) {
            let hint = "make the pool larger with lvextend (data: -L, metadata: \
                        --poolmetadatasize), or destroy snapshots and retired volumes";
            report.say(Kind::Note, Object::Pool { host: (*host).clone() }, why, hint);
        }
    }
}

fn report_foreign(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    rollouts: &[Rollout],
    report: &mut Report,
) {
    let adopted: BTreeSet<(&HostName, &str)> = rollouts
        .iter()
        .flat_map(steps)
        .filter_map(|step| match &step.act {
            Act::AdoptVolume { name, .. } => Some((&step.host, name.as_str())),
            _ => None,
        })
        .collect();
    for (host, trusted) in &ground.trusted {
        let foreign = trusted.reading.foreign.iter();
        for foreign in foreign.filter(|f| !adopted.contains(&(*host, f.name.as_str()))) {
            let object = Object::Foreign { host: (*host).clone(), name: foreign.name.clone() };
            let why = match foreign.whose.as_str() {
                "" => {
                    format!("without a mark of fleet {}; it is not touched", inputs.desired.fleet)
                }
                whose => format!("it seems to be {whose}; it is not touched"),
            };
            let hint = match foreign.cannot {
                Some(_) => String::new(),
                None => format!(
                    "to give it to a slot with its data, say adopt = \"{}\" in \
                     [tiedown.volumes.SOURCE] of a manifest",
                    foreign.name
                ),
            };
            report.say(Kind::Foreign, object, why, &hint);
        }
        if trusted.spec.state == HostState::Cordoned
            && ground.claims.values().any(|claim| claim.host == **host)
        {
            let object = Object::Host { host: (*host).clone() };
            report.say(Kind::Note, object, "it is cordoned: nothing new is placed there", "");
        }
    }
}
