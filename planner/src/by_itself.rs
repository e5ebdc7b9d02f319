//! What of a plan may happen by itself, with nobody there who asked for it: `auto` of `[policy]`,
//! what people approved, and what they paused. A plan is divided rollout by rollout. What waits
//! says why, and under which digest a person approves it.

mod danger;

use crate::model::id::digest_of;
use crate::model::name::{AppName, FleetName};
use crate::model::object::Object;
use crate::model::policy::Auto;
use crate::model::slot::SlotId;
use crate::plan::change::Change;
use crate::plan::{ClaimAct, Lane, Plan, Rollout, RolloutId};
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many digits of a digest are shown; as many are enough to approve it.
pub const SHOWN: usize = 12;

/// What was said about what may happen.
#[derive(Debug, Clone, Default)]
pub struct Leave {
    /// What the policy lets happen.
    pub auto: Auto,
    /// Why nothing may happen now, such as a freeze. No approval changes that.
    pub closed: Option<String>,
    /// Apps that are left alone, and why. No approval changes that.
    pub paused: BTreeMap<AppName, String>,
    /// Digests that people approved.
    pub approved: BTreeSet<String>,
    /// Whether somebody vouched for the whole commit: nothing of it waits for an approval.
    pub vouched: bool,
}

/// A plan in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divided {
    /// What may happen now.
    pub now: Plan,
    /// What waits, by app.
    pub waiting: Vec<Waiting>,
    /// Approvals that `now` makes use of.
    pub used: BTreeSet<String>,
}

/// What waits of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which; `None`: hosts' own.
    pub app: Option<AppName>,
    /// Why, as sentences without a full stop.
    pub why: Vec<String>,
    /// What a person approves; `None`: no approval would change it.
    pub digest: Option<String>,
    /// What would change.
    pub changes: Vec<Change>,
}

/// Why a rollout does not go now.
enum Stop {
    Approval(Vec<String>),
    Always(String),
}

/// Divides a plan. What is left of it is a plan like any other, and is judged like any other.
#[must_use]
pub fn divide(plan: &Plan, leave: &Leave) -> Divided {
    let mut stops: BTreeMap<&RolloutId, Stop> = BTreeMap::new();
    let mut asks: BTreeMap<Option<&AppName>, Vec<&Rollout>> = BTreeMap::new();
    for rollout in &plan.rollouts {
        match stop(plan, rollout, leave) {
            Some(Stop::Approval(why)) => {
                asks.entry(rollout.app.as_ref()).or_default().push(rollout);
                stops.insert(&rollout.id, Stop::Approval(why));
            }
            Some(stop) => {
                stops.insert(&rollout.id, stop);
            }
            None => {}
        }
    }
    let mut used = BTreeSet::new();
    let mut digests = BTreeMap::new();
    for (app, rollouts) in asks {
        let digest = digest(&plan.fleet, &rollouts);
        if leave.vouched || leave.approved.contains(&digest) {
            rollouts.iter().for_each(|rollout| drop(stops.remove(&rollout.id)));
            used.extend(leave.approved.get(&digest).cloned());
        } else {
            digests.insert(app, digest);
        }
    }
    follow(plan, &mut stops);
    let waiting = waiting(plan, &stops, &digests);
    Divided { now: without(plan, &stops, leave), waiting, used }
}

fn stop(plan: &Plan, rollout: &Rollout, leave: &Leave) -> Option<Stop> {
    if let Some(why) = &leave.closed {
        return Some(Stop::Always(why.clone()));
    }
    if let Some(why) = rollout.app.as_ref().and_then(|app| leave.paused.get(app)) {
        return Some(Stop::Always(why.clone()));
    }
    match leave.auto {
        Auto::All => None,
        Auto::None => Some(Stop::Approval(alloc::vec!["nothing happens by itself".to_string()])),
        Auto::Safe => {
            let dangers = danger::of(plan, rollout);
            (!dangers.is_empty()).then_some(Stop::Approval(dangers))
        }
    }
}

/// What waits for something that waits, waits too.
fn follow<'p>(plan: &'p Plan, stops: &mut BTreeMap<&'p RolloutId, Stop>) {
    loop {
        let next = plan.rollouts.iter().find_map(|rollout| {
            let before = rollout.after.iter().find(|id| stops.contains_key(id))?;
            (!stops.contains_key(&rollout.id)).then_some((rollout, before))
        });
        let Some((rollout, before)) = next else { return };
        stops.insert(&rollout.id, Stop::Always(format!("it comes after {}", before.0)));
    }
}

/// Over what is approved: what the rollouts do, and not what they happen to come after.
fn digest(fleet: &FleetName, rollouts: &[&Rollout]) -> String {
    let alone = |rollout: &&Rollout| Rollout { after: Vec::new(), ..(*rollout).clone() };
    let done = (fleet, rollouts.iter().map(alone).collect::<Vec<_>>());
    let json = serde_json::to_vec(&done).expect("a plan has string keys only");
    digest_of(&[b"approval", &json])
}

fn waiting(
    plan: &Plan,
    stops: &BTreeMap<&RolloutId, Stop>,
    digests: &BTreeMap<Option<&AppName>, String>,
) -> Vec<Waiting> {
    let part = |rollout: &Rollout| {
        let stop = stops.get(&rollout.id)?;
        Some((rollout.app.clone(), matches!(stop, Stop::Approval(_))))
    };
    let parts: BTreeSet<_> = plan.rollouts.iter().filter_map(part).collect();
    let waiting = parts.into_iter().map(|this| {
        let theirs =
            || plan.rollouts.iter().filter(|rollout| part(rollout).as_ref() == Some(&this));
        let mut why: Vec<String> = Vec::new();
        for stop in theirs().filter_map(|rollout| stops.get(&rollout.id)) {
            let reasons = match stop {
                Stop::Approval(reasons) => reasons.as_slice(),
                Stop::Always(reason) => core::slice::from_ref(reason),
            };
            for reason in reasons {
                if !why.contains(reason) {
                    why.push(reason.clone());
                }
            }
        }
        let digest = digests.get(&this.0.as_ref()).filter(|_| this.1).cloned();
        Waiting { digest, why, changes: plan.changes_of(theirs()), app: this.0.clone() }
    });
    waiting.collect()
}

/// The plan without what waits, and without what the catalog would learn of that.
fn without(plan: &Plan, stops: &BTreeMap<&RolloutId, Stop>, leave: &Leave) -> Plan {
    let waits = |rollout: &&Rollout| stops.contains_key(&rollout.id);
    let waiting: Vec<&Lane> = plan
        .rollouts
        .iter()
        .filter(waits)
        .flat_map(|rollout| &rollout.waves)
        .flat_map(|wave| &wave.lanes)
        .collect();
    let slots: BTreeSet<&SlotId> = waiting.iter().filter_map(|lane| lane.object.slot()).collect();
    // Also apps that slots would have left for another name.
    let acts = waiting.iter().flat_map(|lane| &lane.claims_after).filter_map(ClaimAct::slot);
    let apps = plan.rollouts.iter().filter(waits).filter_map(|rollout| rollout.app.as_ref());
    let apps: BTreeSet<&AppName> = apps.chain(acts.map(|slot| &slot.app)).collect();
    let is_paused = |app: &AppName| leave.paused.contains_key(app);
    let stays = |act: &&ClaimAct| {
        act.slot().is_none_or(|slot| !slots.contains(slot) && !is_paused(&slot.app))
    };
    let rollouts: Vec<Rollout> = plan.rollouts.iter().filter(|r| !waits(r)).cloned().collect();
    let begun: BTreeSet<&AppName> = rollouts.iter().filter_map(|r| r.app.as_ref()).collect();
    let first = plan.first_records.iter().filter(|record| begun.contains(&record.app));
    let records = plan.records.iter();
    let records = records.filter(|r| !apps.contains(&r.app) && !is_paused(&r.app));
    let remembered = plan.remembered.iter().filter(|(slot, _)| !slots.contains(slot));
    Plan {
        fleet: plan.fleet.clone(),
        commit: plan.commit.clone(),
        changes: plan.changes_of_or_none(&rollouts),
        remembered: remembered.map(|(slot, claim)| (slot.clone(), claim.clone())).collect(),
        corrections: plan.corrections.iter().filter(stays).cloned().collect(),
        first_records: first.cloned().collect(),
        records: records.cloned().collect(),
        completes_catalog: plan.completes_catalog,
        rollouts,
    }
}

impl Divided {
    /// Adds to a report what waits and why.
    pub fn tell(&self, report: &mut Report) {
        for waiting in &self.waiting {
            let object = match &waiting.app {
                Some(app) => Object::App { app: app.clone() },
                None => Object::Fleet,
            };
            let why = waiting.why.join("; ");
            match &waiting.digest {
                Some(digest) => {
                    let hint = format!("tiedown approve {}", &digest[..SHOWN]);
                    report.say(
                        Kind::Waiting,
                        object,
                        format!("{why}; a person approves it"),
                        &hint,
                    );
                }
                None => report.say(Kind::Waiting, object, why, ""),
            }
        }
        report.lines.sort();
    }
}
