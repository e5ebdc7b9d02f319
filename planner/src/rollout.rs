//! Waves for all that is to be done: per group the changes in place, the new release by its
//! strategy, new slots, and what may go after it; removals and pools by themselves.

mod ahead;
mod applied;
mod bluegreen;
mod clones;
mod copying;
mod extra;
mod fetching;
mod immediate;
mod instance;
mod lane;
mod release;
mod removal;
mod restoring;
mod reverting;
mod rolling;
mod run;
mod snapshots;
mod step;
mod strategy;
mod wording;

use crate::Inputs;
use crate::diff::instance::InstanceNeed;
use crate::diff::volume::{VolumeDiff, VolumeNeed};
use crate::diff::{Diff, GroupDiff, Kept};
use crate::model::desired::{Revert, Strategy};
use crate::model::name::{AppName, GroupName, HostName};
use crate::model::object::Object;
use crate::placement::{Account, Ledger};
use crate::plan::change::{Change, Verb};
use crate::plan::step::Act;
use crate::plan::{Choice, Lane, Rollout, RolloutId, Wave};
use crate::recover::Ground;
use crate::report::{Kind, Report};
use crate::safety::Losses;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use instance::Crew;
pub(crate) use run::{Place, run};

pub(crate) use copying::Copying;
pub(crate) use restoring::Restoring;

/// What is done, and what that changes.
#[derive(Default)]
pub(crate) struct Rolled {
    /// What is done, not yet in order.
    pub(crate) rollouts: Vec<Rollout>,
    /// What it changes, not yet in order.
    pub(crate) changes: Vec<Change>,
}

/// Makes rollouts of all that differs and may be done.
pub(crate) fn roll_out<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    diff: &mut Diff<'a>,
    mut ledger: Ledger<'a>,
    report: &mut Report,
) -> Rolled {
    let mut rolled = Rolled::default();
    let mut losses = Losses::with(inputs, ground, diff);
    let mut site = Site { inputs, ground, ledger: &mut ledger, losses: &mut losses, report };
    let first = release::plan(&mut site, diff);
    for group in &mut diff.groups {
        let mut site = Site { inputs, ground, ledger: &mut ledger, losses: &mut losses, report };
        let rollout = site.group(group, &mut rolled.changes);
        rolled.rollouts.extend(rollout.filter(|rollout| !rollout.waves.is_empty()));
    }
    let touched: BTreeSet<AppName> =
        rolled.rollouts.iter().filter_map(|rollout| rollout.app.clone()).collect();
    for first in first {
        if first.rollout.app.as_ref().is_some_and(|app| touched.contains(app)) {
            rolled.changes.push(first.change);
            rolled.rollouts.push(first.rollout);
        }
    }
    removals(diff, &mut rolled);
    let makes = |rollout: &Rollout, host: &HostName| {
        let lanes = rollout.waves.iter().flat_map(|wave| &wave.lanes);
        let mut steps = lanes.flat_map(|lane| &lane.steps);
        steps.any(|step| step.host == *host && matches!(step.act, Act::MakeVolume { .. }))
    };
    for (host, pool, size) in ledger.pools() {
        let name = &host.spec.name;
        if !rolled.rollouts.iter().any(|rollout| makes(rollout, name)) {
            continue;
        }
        rolled.changes.push(wording::pool(name, pool.as_str(), size));
        let lane = Lane {
            object: Object::Pool { host: name.clone() },
            claims_before: Vec::new(),
            steps: vec![step::make_pool(name, pool, size)],
            gate: crate::plan::Gate::Open,
            claims_after: Vec::new(),
            on_failure: Vec::new(),
            restore: None,
            claims_on_failure: Vec::new(),
        };
        let mut rollout = rollout(format!("host/{name}"), None, None);
        rollout.waves.push(Wave { title: "make the pool".to_string(), lanes: vec![lane] });
        rolled.rollouts.push(rollout);
    }
    for rollout in &mut rolled.rollouts {
        applied::remember(rollout);
        fetching::first(ground, rollout);
    }
    rolled
}

fn rollout(id: alloc::string::String, app: Option<&AppName>, group: Option<&GroupName>) -> Rollout {
    Rollout {
        id: RolloutId(id),
        app: app.cloned(),
        group: group.cloned(),
        strategy: None,
        after: Vec::new(),
        waves: Vec::new(),
        on_failure: Vec::new(),
        claims_on_failure: Vec::new(),
    }
}

/// One rollout per group that loses slots or retired volumes.
fn removals(diff: &Diff<'_>, rolled: &mut Rolled) {
    type Lanes = (Vec<Lane>, Vec<Lane>);
    let mut groups: BTreeMap<(AppName, GroupName), Lanes> = BTreeMap::new();
    for doomed in &diff.doomed {
        let slot = &doomed.at.view.spec.slot;
        let lane = removal::destroy(doomed, &mut rolled.changes);
        groups.entry((slot.app.clone(), slot.group.clone())).or_default().0.push(lane);
    }
    // Apart from the rollout of the new release: what is stopped here takes nothing down.
    let strays = diff.groups.iter().flat_map(|group| &group.strays);
    for stray in strays.filter(|stray| removal::is_copy(stray)) {
        let lane = removal::clear(stray, &mut rolled.changes);
        let key = (stray.slot.app.clone(), stray.slot.group.clone());
        groups.entry(key).or_default().1.push(lane);
    }
    for gone in &diff.gone {
        let slot = &gone.claim.slot;
        let lane = removal::remove(gone, &mut rolled.changes);
        groups.entry((slot.app.clone(), slot.group.clone())).or_default().1.push(lane);
    }
    for clone in &diff.clones {
        let slot = &clone.at.view.spec.slot;
        let lane = copying::clear(clone, &mut rolled.changes);
        groups.entry((slot.app.clone(), slot.group.clone())).or_default().1.push(lane);
    }
    for ((app, group), (destroy, remove)) in groups {
        let mut rollout = rollout(format!("{app}/{group}/remove"), Some(&app), Some(&group));
        push(&mut rollout.waves, "remove slots", remove);
        push(&mut rollout.waves, "destroy retired volumes", destroy);
        rolled.rollouts.push(rollout);
    }
}

fn push(waves: &mut Vec<Wave>, title: &str, lanes: Vec<Lane>) {
    if !lanes.is_empty() {
        waves.push(Wave { title: title.to_string(), lanes });
    }
}

/// What the rollout of a group is made with.
struct Site<'a, 's> {
    inputs: &'s Inputs<'a>,
    ground: &'s Ground<'a>,
    ledger: &'s mut Ledger<'a>,
    losses: &'s mut Losses,
    report: &'s mut Report,
}

/// Which slots get an instance, by their place in the group.
#[derive(Default)]
struct Work {
    /// Those that do not serve.
    down: Vec<usize>,
    /// Those that serve.
    up: Vec<usize>,
    /// How the new release is brought out, if there is one.
    choice: Option<Choice>,
}

impl Work {
    /// Nothing that serves is touched, and no new release brought out.
    fn hold_back(&mut self, group: &GroupDiff<'_>) {
        self.up.clear();
        self.down.retain(|i| !is_redeploy(&group.kept[*i]));
        self.choice = None;
    }
}

impl<'a> Site<'a, '_> {
    fn group(&mut self, group: &mut GroupDiff<'a>, changes: &mut Vec<Change>) -> Option<Rollout> {
        let (app, name) = (&group.app.name, &group.group.name);
        let mut rollout = rollout(format!("{app}/{name}"), Some(app), Some(name));
        self.part_addresses(group);
        self.pause_for_growth(group);
        let work = self.work(group);
        let runs = group.runs.clone();
        let crew = runs.as_ref().map(|runs| Crew {
            inputs: self.inputs,
            app: group.app,
            group: group.group,
            runs,
        });
        let (work, ahead) = match &crew {
            Some(crew) => {
                let work = self.ways_back(crew, group, work);
                self.ahead(crew, group, work)
            }
            None => (Work::default(), None),
        };
        let waves = &mut rollout.waves;
        let supervision = &group.group.supervision;
        let over = self.inputs.policy.overcommit_thousandths;
        let left = group.strays.iter().filter(|stray| !removal::is_copy(stray));
        let mut lanes: Vec<Lane> = left.map(|stray| removal::clear(stray, changes)).collect();
        let kept = group.kept.iter_mut();
        lanes.extend(kept.filter_map(|kept| lane::in_place(kept, supervision, over, changes)));
        push(waves, "change in place", lanes);
        let mut create = Vec::new();
        if let Some(crew) = &crew {
            let wanted = group.wanted.iter();
            create.extend(wanted.filter_map(|w| lane::create(crew, self.ground, w, changes)));
        }
        if work.choice.is_none() {
            push(waves, "create slots", core::mem::take(&mut create));
        }
        let mut deployed = vec![false; group.kept.len()];
        if let Some(ahead) = &ahead {
            push(waves, &format!("start a {}", ahead.what), ahead.start.clone());
            if ahead.is_gone_before {
                push(waves, &format!("stop the {}", ahead.what), ahead.stop.clone());
            }
        }
        if let Some(crew) = &crew {
            deploy(crew, self.ground, group, &work, &mut deployed, waves, changes);
        }
        push(waves, "create slots", create);
        let retire = group.kept.iter_mut().zip(&deployed).filter(|(kept, done)| {
            **done || kept.main.is_none_or(|main| !holds_dropped(kept, main))
        });
        let retire: Vec<Lane> =
            retire.filter_map(|(kept, _)| lane::retire_dropped(kept, changes)).collect();
        push(waves, "retire volumes of removed mounts", retire);
        let clear = snapshots::clear(self.ground, group, waves, changes, self.report);
        push(waves, "remove snapshots", clear);
        if let Some(ahead) = ahead {
            if !ahead.is_gone_before {
                push(waves, &format!("stop the {}", ahead.what), ahead.stop);
            }
            rollout.on_failure = ahead.on_failure;
            rollout.claims_on_failure = ahead.claims_on_failure;
        }
        rollout.strategy = work.choice;
        Some(rollout)
    }

    /// Two plans that were made at once may have claimed one address on a host. The slot that has
    /// no instance yet gives way; of two without one, the later.
    fn part_addresses(&mut self, group: &mut GroupDiff<'a>) {
        for kept in group.kept.iter_mut().filter(|kept| kept.main.is_none()) {
            let (slot, host) = (&kept.claim.slot, &kept.claim.host);
            let address = kept.claim.address;
            let used = kept.host.reading.instances.values();
            let mut used = used.filter(|view| view.address == address && view.slot != *slot);
            let claims = self.ground.claims.values();
            let mut earlier = claims.filter(|other| {
                other.host == *host && other.address == address && other.slot < *slot
            });
            if used.next().is_none() && earlier.next().is_none() {
                continue;
            }
            if let Some(free) = self.ledger.account(host).and_then(Account::take_address) {
                kept.claim.address = free;
            }
        }
    }

    /// A volume that cannot grow while it is used grows while its instance is replaced by one of
    /// the same release; that spends the budget of the rollout.
    fn pause_for_growth(&mut self, group: &mut GroupDiff<'a>) {
        let release = group.runs.as_ref().map(|runs| &runs.release);
        for kept in group.kept.iter_mut().filter(|kept| kept.grows_paused) {
            let grows = |volume: &VolumeDiff<'_>| matches!(volume.need, VolumeNeed::Grow { .. });
            if kept.instance != InstanceNeed::Nothing || !kept.volumes.iter().any(grows) {
                continue;
            }
            if kept.main.map(|main| &main.release) == release {
                let why = "a volume of it grows, which its host cannot do while it is used";
                kept.instance = InstanceNeed::Restart { why: why.to_string() };
                kept.supervise = false;
            } else {
                let why = "its volumes grow when its instance is replaced: its host cannot grow \
                           one that is used, and the new release is held back";
                let object = Object::Slot { slot: kept.claim.slot.clone() };
                self.report.say(Kind::Waiting, object, why, "");
            }
        }
    }

    /// Sorts slots by whether they serve, and holds back what the strategy or its budget forbid.
    fn work(&mut self, group: &GroupDiff<'_>) -> Work {
        let mut work = Work::default();
        let mut redeploys = false;
        let mut down_untouched = group.unknown;
        for (i, kept) in group.kept.iter().enumerate() {
            let up = kept.main.is_some_and(|main| main.is_serving());
            match &kept.instance {
                InstanceNeed::Nothing => down_untouched += usize::from(!up),
                InstanceNeed::Start | InstanceNeed::Confirm => work.down.push(i),
                InstanceNeed::Restart { .. } | InstanceNeed::Redeploy { .. } => {
                    redeploys |= up || is_redeploy(kept);
                    if up { work.up.push(i) } else { work.down.push(i) }
                }
            }
        }
        if !redeploys {
            return work;
        }
        let object = Object::Group { app: group.app.name.clone(), group: group.group.name.clone() };
        let choice = match strategy::choose(group) {
            Ok(choice) => choice,
            Err(strategy::Refusal { kind, why, hint }) => {
                let why = format!("the new release is not brought out: {why}");
                self.report.say(kind, object, why, hint);
                work.hold_back(group);
                return work;
            }
        };
        let budget = choice.max_unavailable.saturating_sub(down_untouched);
        if !work.up.is_empty() && budget == 0 {
            let why = format!(
                "{} of its slots are down or cannot be read, and max_unavailable allows {}, so \
                 those that serve are not touched",
                down_untouched, choice.max_unavailable
            );
            let hint = "repair those, or raise max_unavailable";
            self.report.say(Kind::Waiting, object, why, hint);
            work.up.clear();
        }
        if !work.up.is_empty() || work.down.iter().any(|i| is_redeploy(&group.kept[*i])) {
            work.choice = Some(Choice { max_unavailable: budget.max(1), ..choice });
        }
        work
    }

    /// Room for what slots may have to go back to; without it the new release waits.
    fn ways_back(&mut self, crew: &Crew<'a, '_>, group: &GroupDiff<'a>, mut work: Work) -> Work {
        if crew.group.deploy.revert != Revert::Snapshot {
            return work;
        }
        let mut cost = snapshots::Cost::default();
        for wave in split(&work) {
            let kept = wave.into_iter().map(|i| &group.kept[i]);
            let ground = self.ground;
            cost.wave(kept.filter_map(|kept| Some((kept, reverting::plan(crew, ground, kept)?))));
        }
        let app = &crew.app.name;
        let reserved = cost.reserve(self.inputs, app, self.losses, self.ledger);
        if let Err((kind, why, hint)) = reserved {
            let object =
                Object::Group { app: crew.app.name.clone(), group: crew.group.name.clone() };
            let why = format!("the new release is not brought out: {why}");
            self.report.say(kind, object, why, hint);
            work.hold_back(group);
            let goes_back =
                |i: &usize| reverting::plan(crew, self.ground, &group.kept[*i]).is_some();
            work.down.retain(|i| !goes_back(i));
        }
        work
    }

    /// What the strategy has run ahead; without room for it the new release waits.
    fn ahead(
        &mut self,
        crew: &Crew<'a, '_>,
        group: &mut GroupDiff<'a>,
        mut work: Work,
    ) -> (Work, Option<ahead::Ahead>) {
        let Some(strategy) = work.choice.as_ref().map(|choice| choice.strategy) else {
            return (work, None);
        };
        match ahead::plan(crew, group, strategy, self.ledger) {
            Ok(ahead) => (work, ahead),
            Err(why) => {
                let object =
                    Object::Group { app: crew.app.name.clone(), group: crew.group.name.clone() };
                let what = ahead::word(strategy);
                let (kind, hint) = match why.as_str() {
                    ahead::LEFT => (Kind::Waiting, "apply once more"),
                    _ => (Kind::Blocked, "make room, or set [deploy] strategy = \"rolling\""),
                };
                let why = format!("the new release is not brought out: no {what}, {why}");
                self.report.say(kind, object, why, hint);
                work.hold_back(group);
                (work, None)
            }
        }
    }
}

fn is_redeploy(kept: &Kept<'_>) -> bool {
    match kept.instance {
        InstanceNeed::Redeploy { .. } => true,
        InstanceNeed::Nothing
        | InstanceNeed::Start
        | InstanceNeed::Restart { .. }
        | InstanceNeed::Confirm => false,
    }
}

/// Whether the instance holds a volume whose mount is gone.
fn holds_dropped(kept: &Kept<'_>, main: &crate::model::observed::InstanceView) -> bool {
    let mut dropped = kept.volumes.iter().filter(|volume| volume.need == VolumeNeed::Retire);
    dropped.any(|volume| main.volumes.contains(&volume.id))
}

/// Slots that get an instance, wave by wave.
fn split(work: &Work) -> Vec<Vec<usize>> {
    let (down, up) = (work.down.clone(), work.up.clone());
    match work.choice.as_ref().map(|choice| (choice.strategy, choice.max_unavailable)) {
        Some((Strategy::Immediate, _)) => immediate::waves(down, up),
        Some((Strategy::Bluegreen, _)) => bluegreen::waves(down, up),
        Some((Strategy::Rolling | Strategy::Canary, budget)) => rolling::waves(down, up, budget),
        None => rolling::waves(down, up, 0),
    }
}

/// Adds the waves that start and replace instances.
fn deploy(
    crew: &Crew<'_, '_>,
    ground: &Ground<'_>,
    group: &mut GroupDiff<'_>,
    work: &Work,
    deployed: &mut [bool],
    waves: &mut Vec<Wave>,
    changes: &mut Vec<Change>,
) {
    let choice = work.choice.as_ref();
    let immediate = choice.is_some_and(|choice| choice.strategy == Strategy::Immediate);
    for wave in split(work) {
        let first = changes.len();
        let mut lanes = Vec::new();
        for i in wave {
            deployed[i] = true;
            lanes.push(lane::deploy(crew, ground, &mut group.kept[i], !immediate, changes));
        }
        let redeploys =
            changes[first..].iter().filter(|change| change.verb == Verb::Redeploy).count();
        let title = match redeploys {
            0 => "start instances",
            _ => "replace instances",
        };
        push(waves, title, lanes);
    }
}
