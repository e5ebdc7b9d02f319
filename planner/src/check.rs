//! An independent judge of finished plans. It shares no code with what makes plans: it reads the
//! plan, the observations and the claims, and says which promises the plan would break. Only what
//! passed here can be applied.

mod claims;
mod copies;
mod held;
mod loss;
mod rollouts;
mod room;
mod slots;
mod steps;
mod told;
mod unknown;
mod walk;
mod way_back;

use crate::model::claim::Claims;
use crate::model::host::HostSpec;
use crate::model::name::HostName;
use crate::model::observed::{HostView, Observed, PoolView, Reading};
use crate::model::permit::Permits;
use crate::model::policy::Policy;
use crate::plan::Plan;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use walk::Walk;

/// What the judge is told beside the plan. Manifests are no part of it: what is wanted is the
/// plan's affair, what must never happen is the judge's.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// Hosts of the fleet.
    pub hosts: &'a BTreeMap<HostName, HostSpec>,
    /// What they said.
    pub observed: &'a Observed,
    /// What the catalog remembers.
    pub claims: &'a Claims,
    /// What may be done.
    pub policy: &'a Policy,
    /// What a person has allowed.
    pub permits: Permits,
}

/// Something that passed [`check`]; it cannot be made anywhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<T>(T);

impl Checked<Plan> {
    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.0
    }
}

/// A promise that a plan must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Every step has a name of its own, which says what it does.
    StepIds,
    /// Steps are for hosts that were read, whose pool is ours, and that are not given up.
    Hosts,
    /// Only objects that carry our mark, or that the plan makes, are touched.
    OwnObjects,
    /// Preconditions and results are about the step's own object, and pin what the act does.
    Predicates,
    /// No pool promises more than it may, at any moment.
    Room,
    /// No host gets more memory or cpus to reserve than it has.
    Guests,
    /// A slot has one main instance at most, and no volume has two.
    OneToOne,
    /// What may be on a host that could not be read is not brought up elsewhere.
    Unknown,
    /// What an instance is started on exists by then, on its host, for its slot.
    Binds,
    /// A volume is retired or taken only when no instance holds it.
    Idle,
    /// Data goes only when all say so.
    Destroy,
    /// No more volumes are retired and destroyed in a day than the policy allows.
    MaxLoss,
    /// No slot starts empty in place of data without a permit.
    Replace,
    /// Volumes never shrink.
    Shrink,
    /// Copies say what they are of, and only they go without a permit.
    Copies,
    /// What a slot goes back to is what it had just before, and none of that goes before the slot is
    /// healthy.
    WayBack,
    /// A slot that a person holds is left alone.
    Held,
    /// Claims are written before the first act and removed after the last.
    Claims,
    /// Ids are derived from what they name.
    Ids,
    /// Incarnations only grow.
    Incarnations,
    /// Addresses are their host's, and no two slots share one.
    Addresses,
    /// Rollouts wait for rollouts that exist, and never for each other.
    Order,
    /// What is started is watched before the plan goes on.
    Gates,
    /// No wave takes down more than the group can bear.
    Budget,
    /// What is started for the time of a rollout is removed, however it ends.
    Temporary,
    /// What is shown is what is done.
    Told,
}

/// A promise that a plan would break.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{subject}: {why}")]
pub struct Violation {
    /// Which promise.
    pub rule: Rule,
    /// The step, rollout, host or slot that breaks it.
    pub subject: String,
    /// How, in words.
    pub why: String,
}

impl Violation {
    fn new(rule: Rule, subject: &impl Display, why: impl Into<String>) -> Self {
        Self { rule, subject: subject.to_string(), why: why.into() }
    }
}

/// Judges a finished plan.
///
/// # Errors
/// Everything that is wrong with it, sorted by rule. Such a plan is a fault of whoever made it and
/// must not be applied, not even in part.
pub fn check(plan: &Plan, world: &World<'_>) -> Result<Checked<Plan>, Vec<Violation>> {
    let walk = Walk::new(plan);
    let mut found = Vec::new();
    for rule in RULES {
        rule(&walk, world, &mut found);
    }
    found.sort();
    found.dedup();
    if found.is_empty() { Ok(Checked(plan.clone())) } else { Err(found) }
}

type Judge = fn(&Walk<'_>, &World<'_>, &mut Vec<Violation>);

const RULES: [Judge; 28] = [
    steps::ids,
    steps::hosts,
    steps::own_objects,
    steps::predicates,
    room::room,
    room::guests,
    slots::one_to_one,
    slots::binds,
    slots::holders,
    slots::idle,
    unknown::unknown,
    held::held,
    loss::destroy,
    loss::max_loss,
    loss::replace,
    loss::shrink,
    copies::copies,
    way_back::way_back,
    claims::before_acts,
    claims::removals,
    claims::ids,
    claims::incarnations,
    claims::addresses,
    rollouts::order,
    rollouts::gates,
    rollouts::budget,
    rollouts::temporary,
    told::told,
];

impl<'a> World<'a> {
    /// The full answer of a host, if it gave one.
    fn reading(&self, host: &HostName) -> Option<&'a Reading> {
        match self.observed.get(host)? {
            HostView::Read(reading) => Some(reading),
            HostView::Unread { .. } => None,
        }
    }

    fn readings(&self) -> impl Iterator<Item = (&'a HostName, &'a Reading)> {
        self.observed.iter().filter_map(|(host, view)| match view {
            HostView::Read(reading) => Some((host, reading)),
            HostView::Unread { .. } => None,
        })
    }

    /// The pool that a host has or that the plan makes on it.
    fn pool(&self, walk: &Walk<'a>, host: &HostName) -> Option<&'a crate::model::id::PoolId> {
        match &self.reading(host)?.pool {
            PoolView::Present(pool) => Some(&pool.id),
            PoolView::Absent => walk.made_pool(host).map(|(pool, _)| pool),
        }
    }
}
