//! The last stage: what waits for what, what is shown first, what the catalog records; and step
//! names that are unique in their plan.

mod records;

use crate::diff::Diff;
use crate::model::guest::Guest;
use crate::model::host::HostState;
use crate::model::instance::{InstanceSpec, Role};
use crate::model::name::{AppName, HostName};
use crate::model::object::Object;
use crate::model::observed::PoolView;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::plan::change::{Change, Verb};
use crate::plan::step::{Act, Step, StepId};
use crate::plan::{ClaimAct, Plan, Rollout, RolloutId};
use crate::recover::{Ground, Trusted};
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
    link(&mut rollouts, &changes, &ground);
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
    let slot = |act: &ClaimAct| match act {
        ClaimAct::Write(claim) => Some(claim.slot.clone()),
        ClaimAct::Remove { .. }
        | ClaimAct::Hold { .. }
        | ClaimAct::Failed { .. }
        | ClaimAct::Loss { .. } => None,
    };
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

/// Volumes wait for the pool they are made in; new slots on a host wait for removals there, whose
/// memory they may take, and so does whatever takes more on a host that has no more without them;
/// a slot's instance waits until copies of it elsewhere are stopped; all of an app waits for its
/// release command.
fn link(rollouts: &mut [Rollout], changes: &[Change], ground: &Ground<'_>) {
    let tight = tight(ground, rollouts);
    let created = changes.iter().filter(|change| change.verb == Verb::Create);
    let created: BTreeSet<&Object> = created.map(|change| &change.object).collect();
    let mut pools: BTreeMap<HostName, RolloutId> = BTreeMap::new();
    let mut stops: BTreeMap<HostName, BTreeSet<RolloutId>> = BTreeMap::new();
    let mut cleared: BTreeMap<SlotId, BTreeSet<RolloutId>> = BTreeMap::new();
    let released: BTreeMap<AppName, RolloutId> = rollouts
        .iter()
        .filter(|rollout| rollout.id.is_release_command())
        .filter_map(|rollout| Some((rollout.app.clone()?, rollout.id.clone())))
        .collect();
    let apps = rollouts.iter().filter_map(|r| Some((r.id.clone(), r.app.clone()?)));
    let apps: BTreeMap<RolloutId, AppName> = apps.collect();
    let is_removal = |rollout: &Rollout| rollout.id.0.ends_with("/remove");
    for rollout in rollouts.iter() {
        for step in steps(rollout) {
            match &step.act {
                Act::MakePool { .. } => {
                    pools.insert(step.host.clone(), rollout.id.clone());
                }
                Act::StopInstance { slot, .. } if is_removal(rollout) => {
                    stops.entry(step.host.clone()).or_default().insert(rollout.id.clone());
                    cleared.entry(slot.clone()).or_default().insert(rollout.id.clone());
                }
                Act::MakeVolume { .. }
                | Act::CopyVolume { .. }
                | Act::RemoveClone { .. }
                | Act::GrowVolume { .. }
                | Act::MarkVolume { .. }
                | Act::RetireVolume { .. }
                | Act::TakeBackVolume { .. }
                | Act::AdoptVolume { .. }
                | Act::DestroyVolume { .. }
                | Act::FetchImage { .. }
                | Act::StartInstance { .. }
                | Act::StopInstance { .. }
                | Act::SuperviseInstance { .. } => {}
            }
        }
    }
    for rollout in rollouts.iter_mut() {
        let mut after: BTreeSet<RolloutId> = BTreeSet::new();
        for step in steps(rollout) {
            match &step.act {
                Act::MakeVolume { .. } => after.extend(pools.get(&step.host).cloned()),
                Act::StartInstance { instance } => {
                    after.extend(cleared.get(&instance.slot).into_iter().flatten().cloned());
                    let takes = tight.contains(&step.host)
                        && more(ground, &step.host, instance) != Guest::new(Size::ZERO, 0);
                    if takes || created.contains(&Object::Slot { slot: instance.slot.clone() }) {
                        after.extend(stops.get(&step.host).into_iter().flatten().cloned());
                    }
                }
                Act::MakePool { .. }
                | Act::CopyVolume { .. }
                | Act::RemoveClone { .. }
                | Act::GrowVolume { .. }
                | Act::MarkVolume { .. }
                | Act::RetireVolume { .. }
                | Act::TakeBackVolume { .. }
                | Act::AdoptVolume { .. }
                | Act::DestroyVolume { .. }
                | Act::FetchImage { .. }
                | Act::StopInstance { .. }
                | Act::SuperviseInstance { .. } => {}
            }
        }
        let first = rollout.app.as_ref().and_then(|app| released.get(app));
        if first == Some(&rollout.id) {
            // What is removed of apps that have one waits for it, so it waits for none of that.
            after.retain(|id| !apps.get(id).is_some_and(|app| released.contains_key(app)));
        }
        after.extend(first.filter(|first| **first != rollout.id).cloned());
        rollout.after = after.into_iter().collect();
    }
}

/// Hosts that have not the memory and processors for all that is there and all that is started.
fn tight(ground: &Ground<'_>, rollouts: &[Rollout]) -> BTreeSet<HostName> {
    let mut needs: BTreeMap<&HostName, Guest> = BTreeMap::new();
    for step in rollouts.iter().flat_map(steps) {
        if let Act::StartInstance { instance } = &step.act {
            let guest = more(ground, &step.host, instance);
            let sum = needs.entry(&step.host).or_insert(Guest::new(Size::ZERO, 0));
            *sum = Guest::new(sum.memory.plus(guest.memory), sum.cpus.saturating_add(guest.cpus));
        }
    }
    let lacks = |(host, needs): (&HostName, Guest)| {
        let Trusted { spec, reading } = ground.trusted.get(host)?;
        let memory: Size = reading.instances.values().map(|view| view.memory).sum();
        let cpus = reading.instances.values().map(|view| view.cpus).sum::<u32>();
        let lacks =
            memory.plus(needs.memory) > spec.memory || cpus.saturating_add(needs.cpus) > spec.cpus;
        lacks.then(|| host.clone())
    };
    needs.into_iter().filter_map(lacks).collect()
}

/// What an instance takes beyond what the one in its place has.
fn more(ground: &Ground<'_>, host: &HostName, instance: &InstanceSpec) -> Guest {
    let mains = ground.seen.mains.get(&instance.slot).into_iter().flatten();
    let mut here = mains.filter(|at| at.host == host && instance.role == Role::Main);
    let guest = instance.guest;
    here.next().map_or(guest, |at| {
        let memory = guest.memory.minus(at.view.memory);
        Guest::new(memory, guest.cpus.saturating_sub(at.view.cpus))
    })
}

fn steps(rollout: &Rollout) -> impl Iterator<Item = &Step> {
    rollout.waves.iter().flat_map(|wave| &wave.lanes).flat_map(|lane| &lane.steps)
}

/// Makes step names unique: the same act on another host, or as the answer to a failure, says so.
fn name_steps(rollouts: &mut [Rollout]) {
    let mut names: BTreeSet<StepId> = BTreeSet::new();
    let mut name = |step: &mut Step, suffix: &str| {
        let plain = step.id.0.clone();
        let mut candidates = core::iter::once(plain.clone())
            .chain([format!("{plain}{suffix}"), format!("{plain} on {}", step.host)])
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
