//! What is left of a plan that was made some time ago, judged object by object against the world
//! as it is now: what is so already is dropped, what the world has left behind is named, the rest
//! stands. It changes nothing of what stands, and chooses nothing.

mod book;

use crate::model::claim::Claims;
use crate::model::instance::{InstanceSpec, Role};
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::{HostView, Observed, Reading};
use crate::model::slot::SlotId;
use crate::model::time::Timestamp;
use crate::plan::predicate::{Judgement, judge};
use crate::plan::step::{Act, Step, StepId};
use crate::plan::{ClaimAct, Lane, Plan, Rollout, RolloutId, Wave};
use crate::simulate::{carry_out, in_order};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use book::Book;

/// A plan after the world was looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// What can still be done, as it was planned.
    pub plan: Plan,
    /// What cannot: its object is neither as the plan saw it nor as the plan wants it.
    pub stale: Vec<Stale>,
    /// What waits for something stale.
    pub skipped: Vec<Skipped>,
    /// How many objects are as the plan wants them.
    pub done: usize,
}

/// An object that the world has left behind the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Which.
    pub object: Object,
    /// The first step that does not fit; `None`: what the catalog remembers of it.
    pub step: Option<StepId>,
    /// What was found instead, in words.
    pub found: String,
}

/// An object that is not touched because of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub object: Object,
    /// Why not, in words.
    pub why: String,
}

/// Judges a plan against the world as it is now. `seen` is what the catalog remembered of the
/// plan's slots and apps when it was made. Of the world as the plan saw it nothing is stale, nor
/// of one in which any part of the plan was carried out.
#[must_use]
pub fn remainder(
    plan: &Plan,
    seen: &Claims,
    observed: &Observed,
    claims: &Claims,
    at: Timestamp,
) -> Remainder {
    let readings = observed.iter().filter_map(|(host, view)| match view {
        HostView::Read(reading) => Some((host.clone(), reading.clone())),
        HostView::Unread { .. } => None,
    });
    let mut judging = Judging {
        plan,
        book: Book::new(plan, seen, claims),
        alone: plan.left_alone(claims),
        observed,
        readings: readings.collect(),
        at,
        ended: BTreeMap::new(),
        removed: BTreeSet::new(),
        left: Remainder { plan: plan.clone(), stale: Vec::new(), skipped: Vec::new(), done: 0 },
    };
    let mut rollouts = Vec::new();
    for rollout in in_order(&plan.rollouts) {
        rollouts.extend(judging.rollout(rollout));
    }
    judging.finish(rollouts, seen, claims)
}

/// How a rollout ends, as far as can be told now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All of it is so already.
    Done,
    /// All of what is left can be done.
    Fresh,
    /// Some of it cannot.
    Stale,
}

struct Judging<'a> {
    plan: &'a Plan,
    book: Book<'a>,
    /// Slots that are held or elsewhere by now, and why they are left alone.
    alone: BTreeMap<SlotId, String>,
    observed: &'a Observed,
    /// Hosts as they will be after all that was judged so far.
    readings: BTreeMap<HostName, Reading>,
    at: Timestamp,
    ended: BTreeMap<&'a RolloutId, End>,
    /// Slots that are removed by now: what the catalog was to learn of them first is past.
    removed: BTreeSet<&'a SlotId>,
    left: Remainder,
}

impl<'a> Judging<'a> {
    /// What is left of a rollout, if anything is.
    fn rollout(&mut self, rollout: &'a Rollout) -> Option<Rollout> {
        let mut stopped = rollout.after.iter().find_map(|id| {
            (self.ended.get(id) == Some(&End::Stale)).then(|| format!("{} is stale", id.0))
        });
        let mut left = Rollout { waves: Vec::new(), ..rollout.clone() };
        let rollout_done = self.is_done(rollout);
        for wave in &rollout.waves {
            if let Some(why) = &stopped {
                let objects = wave.lanes.iter().map(|lane| lane.object.clone());
                let skip = |object| Skipped { object, why: why.clone() };
                self.left.skipped.extend(objects.map(skip));
                continue;
            }
            let mut lanes = Vec::new();
            for lane in &wave.lanes {
                if rollout_done || self.lane_is_done(lane) {
                    self.left.done += 1;
                    self.removed.extend(lane.claims_after.iter().filter_map(ClaimAct::removes));
                } else if let Some(stale) = self.follow(lane) {
                    stopped = Some(format!("it waits for {}, which is stale", stale.object));
                    self.left.stale.push(stale);
                } else {
                    lanes.push(self.book.not_rewritten(lane));
                }
            }
            if !lanes.is_empty() {
                left.waves.push(Wave { title: wave.title.clone(), lanes });
            }
        }
        let end = match (&stopped, left.waves.is_empty()) {
            (Some(_), _) => End::Stale,
            (None, true) => End::Done,
            (None, false) => End::Fresh,
        };
        self.ended.insert(&rollout.id, end);
        (!left.waves.is_empty()).then_some(left)
    }

    /// Whether nothing of a rollout is left: what is there for its time only is gone, the rest
    /// is so.
    fn is_done(&self, rollout: &Rollout) -> bool {
        let lanes = || rollout.waves.iter().flat_map(|wave| &wave.lanes);
        let temporary: BTreeSet<_> = lanes()
            .flat_map(|lane| &lane.steps)
            .filter_map(|step| match &step.act {
                Act::StartInstance { instance } if instance.role != Role::Main => {
                    Some(&instance.id)
                }
                _ => None,
            })
            .collect();
        let is_temporary = |lane: &Lane| {
            !lane.steps.is_empty()
                && lane.steps.iter().all(|step| match &step.act {
                    Act::StartInstance { instance } => temporary.contains(&instance.id),
                    Act::StopInstance { instance, .. } => temporary.contains(instance),
                    _ => false,
                })
        };
        let mut instances = self.readings.values().flat_map(|reading| reading.instances.keys());
        lanes().any(|lane| !is_temporary(lane))
            && lanes().all(|lane| is_temporary(lane) || self.lane_is_done(lane))
            && !instances.any(|id| temporary.contains(id))
    }

    /// Whether hosts and catalog are as the lane leaves them. The catalog learns nothing of an
    /// instance that is tried before others: while it runs nobody knows whether it passed its gate.
    fn lane_is_done(&self, lane: &Lane) -> bool {
        let is_tried = |step: &Step| match &step.act {
            Act::StartInstance { instance } => match instance.role {
                Role::Canary | Role::Green => true,
                Role::Main | Role::Release | Role::Run => false,
            },
            _ => false,
        };
        !lane.steps.iter().any(is_tried)
            && self.book.is_past(lane)
            && lane.steps.iter().enumerate().all(|(index, step)| {
                let so = || {
                    let reading = self.readings.get(&step.host);
                    reading.is_some_and(|reading| judge(step, reading) == Judgement::After)
                };
                is_undone(step, &lane.steps[index + 1..]) || so()
            })
    }

    /// Carries out a lane on the readings, if every step of it fits.
    fn follow(&mut self, lane: &Lane) -> Option<Stale> {
        let stale = |step, found| Some(Stale { object: lane.object.clone(), step, found });
        if let Some(found) = self.book.differs(lane) {
            return stale(None, found);
        }
        if let Object::Slot { slot } = &lane.object
            && let Some(why) = self.alone.get(slot)
        {
            return stale(None, why.clone());
        }
        let hosts: BTreeSet<&HostName> = lane.steps.iter().map(|step| &step.host).collect();
        let read = hosts.iter().filter_map(|host| self.readings.get_key_value(*host));
        let mut trial: BTreeMap<HostName, Reading> =
            read.map(|(host, reading)| (host.clone(), reading.clone())).collect();
        for step in &lane.steps {
            let Some(reading) = trial.get_mut(&step.host) else {
                return stale(Some(step.id.clone()), self.unread(&step.host));
            };
            match judge(step, reading) {
                Judgement::Before => {
                    carry_out(reading, step, &lane.gate, &self.plan.fleet, self.at);
                }
                Judgement::After => {}
                Judgement::Stale { found } => return stale(Some(step.id.clone()), found),
            }
        }
        self.readings.extend(trial);
        None
    }

    fn unread(&self, host: &HostName) -> String {
        match self.observed.get(host) {
            Some(HostView::Unread { why, .. }) => format!("{host} could not be read: {why}"),
            Some(HostView::Read(_)) | None => format!("{host} was not read"),
        }
    }

    /// The plan with what is left, and with what the catalog is to learn of that only.
    fn finish(self, mut rollouts: Vec<Rollout>, seen: &Claims, now: &Claims) -> Remainder {
        let Self { book, ended, removed, mut left, .. } = self;
        let kept: BTreeSet<RolloutId> = rollouts.iter().map(|rollout| rollout.id.clone()).collect();
        for rollout in &mut rollouts {
            rollout.after.retain(|id| kept.contains(id));
        }
        let plan = &mut left.plan;
        let stale: BTreeSet<_> = plan
            .rollouts
            .iter()
            .filter(|rollout| ended.get(&rollout.id) == Some(&End::Stale))
            .filter_map(|rollout| rollout.app.clone())
            .collect();
        plan.corrections.retain(|act| {
            book.is_as_seen(act) && act.slot().is_none_or(|slot| !removed.contains(slot))
        });
        // What another apply has recorded since is newer.
        plan.first_records.retain(|record| !now.apps.contains_key(&record.app));
        plan.records.retain(|record| {
            !stale.contains(&record.app) && now.apps.get(&record.app) == seen.apps.get(&record.app)
        });
        plan.completes_catalog &= !ended.values().any(|end| *end == End::Stale);
        plan.changes = plan.changes_of(&rollouts);
        plan.rollouts = rollouts;
        left
    }
}

/// Whether a later step of the lane takes back what the step does, or makes it of no use: a stop
/// before a start, a snapshot to go back to before the release that came up.
fn is_undone(step: &Step, later: &[Step]) -> bool {
    let starts = |of: &dyn Fn(&InstanceSpec) -> bool| {
        later.iter().any(|step| match &step.act {
            Act::StartInstance { instance } => of(instance),
            _ => false,
        })
    };
    match &step.act {
        Act::StopInstance { instance, .. } => starts(&|spec| spec.id == *instance),
        Act::CopyVolume { volume, .. } if volume.is_way_back() => starts(&|_| true),
        _ => false,
    }
}
