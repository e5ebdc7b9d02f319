//! A finished plan: everything the executor gets and everything it needs. Ids, hosts, sizes,
//! argv, digests, addresses and what to do on failure are all here; nothing is left to choose.

pub mod change;
mod part;
pub mod predicate;
mod remembered;
pub mod step;

use crate::model::claim::{AppRecord, Claim};
use crate::model::desired::Strategy;
use crate::model::health::Check;
use crate::model::id::{InstanceId, digest_of};
use crate::model::name::{AppName, FleetName, GroupName, HostName};
use crate::model::network::Port;
use crate::model::object::Object;
use crate::model::release::{CommitId, Release};
use crate::model::slot::SlotId;
use crate::model::time::Millis;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use change::{Change, Summary};
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};
use step::Step;

/// All that is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The fleet it is for.
    pub fleet: FleetName,
    /// The commit it was made from; `None`: from disk.
    pub commit: Option<CommitId>,
    /// What it changes, for people and machines to read. Order: as shown.
    pub changes: Vec<Change>,
    /// What the catalog remembered of the slots that the plan does something to.
    pub remembered: BTreeMap<SlotId, Claim>,
    /// Corrections of what the catalog remembers, before all else and at once: claims rebuilt
    /// from marks, hosts renamed.
    pub corrections: Vec<ClaimAct>,
    /// What is done. Rollouts go side by side, except as `after` says.
    pub rollouts: Vec<Rollout>,
    /// Written before all else for apps that the catalog has no record of: what was asked for
    /// first, so that a commit after a first apply that failed can still take it back.
    pub first_records: Vec<AppRecord>,
    /// Written for each app all of whose rollouts succeeded, or that has none.
    pub records: Vec<AppRecord>,
    /// Whether every host was read, so that the catalog is complete after this.
    pub completes_catalog: bool,
}

impl Plan {
    /// Digest over what is done: rollouts with their steps, predicates and releases. Never over
    /// times, usage, health or the commit.
    #[must_use]
    pub fn digest(&self) -> String {
        let done = (&self.fleet, &self.rollouts);
        let json = serde_json::to_vec(&done).expect("a plan has string keys only");
        digest_of(&[b"plan", &json])
    }

    /// How many objects are added, changed, destroyed.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.changes)
    }

    /// Whether nothing would change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rollouts.is_empty()
    }

    /// All steps, also those for failures, in the order of the plan.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.rollouts.iter().flat_map(|rollout| {
            let lanes = rollout.waves.iter().flat_map(|wave| &wave.lanes);
            let lanes = lanes.flat_map(|lane| lane.steps.iter().chain(lane.failing()));
            lanes.chain(&rollout.on_failure)
        })
    }

    /// Apps that have something to be done, in order: one lock is taken for each.
    #[must_use]
    pub fn apps(&self) -> BTreeSet<&AppName> {
        self.rollouts.iter().filter_map(|rollout| rollout.app.as_ref()).collect()
    }

    /// Hosts that have something to do.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<&HostName> {
        self.steps().map(|step| &step.host).collect()
    }
}

/// The name of a rollout within its plan, such as `web/app` or `host/ewr-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub String);

impl RolloutId {
    /// The rollout that runs the release command, seen by a group of the app.
    pub(crate) fn release_command(app: &AppName, group: &GroupName) -> Self {
        Self(alloc::format!("{app}/{group}/release"))
    }

    /// Whether it is one that runs a release command. No group has a slash in its name.
    pub(crate) fn is_release_command(&self) -> bool {
        self.0.ends_with("/release") && self.0.matches('/').count() == 2
    }
}

/// Waves of lanes for one group of an app, or for hosts. A failed lane or gate: no new wave
/// begins, the running wave ends, what `on_failure` says is done, the rest is skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its name.
    pub id: RolloutId,
    /// The app; `None` for hosts' own.
    pub app: Option<AppName>,
    /// The group, if it is of one.
    pub group: Option<GroupName>,
    /// How a new release is brought out, if one is.
    pub strategy: Option<Choice>,
    /// Rollouts that must have succeeded before this one begins.
    pub after: Vec<RolloutId>,
    /// One after another.
    pub waves: Vec<Wave>,
    /// Done, in this order, when a wave failed.
    pub on_failure: Vec<Step>,
    /// Claims that remember a failed canary, when a wave failed.
    pub claims_on_failure: Vec<ClaimAct>,
}

/// A strategy, and why it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Which.
    pub strategy: Strategy,
    /// Why, in words.
    pub why: String,
    /// How many slots may be down at once.
    pub max_unavailable: usize,
    /// Out of so many.
    pub slots: usize,
}

/// Lanes that go side by side; the next wave begins when all have passed their gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// What it is for, in words.
    pub title: String,
    /// Its lanes.
    pub lanes: Vec<Lane>,
}

/// The steps of one object, one after another, between what the catalog learns before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// What it is about.
    pub object: Object,
    /// Written, all at once, before the first step.
    pub claims_before: Vec<ClaimAct>,
    /// Done in this order; the first that fails or is stale ends the lane.
    pub steps: Vec<Step>,
    /// What must become true after the steps.
    pub gate: Gate,
    /// Written, all at once, after the gate.
    pub claims_after: Vec<ClaimAct>,
    /// Done in this order when a step or the gate failed.
    pub on_failure: Vec<Step>,
    /// Done in place of that when the last step was begun, which may have changed what is in the
    /// volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// Written when the gate failed; `why` is what the gate saw.
    pub claims_on_failure: Vec<ClaimAct>,
}

impl Lane {
    /// Steps for failures of whatever kind, in the order of the plan.
    pub fn failing(&self) -> impl Iterator<Item = &Step> {
        self.on_failure.iter().chain(self.restore.iter().flat_map(Restore::all))
    }
}

/// The way back of a slot to the data that it had before. The first step that fails ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// What was started is stopped, and copies of what was put away before come in place of the
    /// volumes.
    pub steps: Vec<Step>,
    /// Written, all at once, when all of them were done.
    pub claims: Vec<ClaimAct>,
    /// Done after that: the release before is started again.
    pub start: Vec<Step>,
}

impl Restore {
    /// All of its steps.
    pub fn all(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().chain(&self.start)
    }
}

/// Something that the catalog is to remember or forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "claim")]
pub enum ClaimAct {
    /// This, in place of what it remembered of the slot, but for whether the slot is held. Its
    /// incarnations raise the highest ones.
    Write(Claim),
    /// That the slot is left alone, or no longer. Nothing else changes that.
    Hold {
        /// The slot.
        slot: SlotId,
        /// Whether it is left alone.
        held: bool,
    },
    /// Nothing of the slot any more; highest incarnations stay.
    Remove {
        /// The slot.
        slot: SlotId,
    },
    /// That the release failed for the slot; the executor adds what was seen.
    Failed {
        /// The slot.
        slot: SlotId,
        /// The release.
        release: Release,
    },
    /// That a volume of the app was retired or destroyed now, for the limit on loss.
    Loss {
        /// The app.
        app: AppName,
    },
}

/// What must become true before the next wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "gate")]
pub enum Gate {
    /// Nothing.
    Open,
    /// All checks of the instance pass.
    Healthy {
        /// Where it runs.
        host: HostName,
        /// Which.
        instance: InstanceId,
        /// Its own address.
        address: Ipv4Addr,
        /// Its checks, at least one.
        checks: Vec<Check>,
        /// From its start; longer is failed.
        within: Millis,
    },
    /// The instance has no checks: it runs, without a restart, for that long; or it finished.
    StaysUp {
        /// Where it runs.
        host: HostName,
        /// Which.
        instance: InstanceId,
        /// Ports that its services name; shown, not asked.
        ports: Vec<Port>,
        /// How long.
        span: Millis,
    },
    /// The instance is to end by itself: it ends with success. How long it may take is for its
    /// host to enforce.
    Finishes {
        /// Where it runs.
        host: HostName,
        /// Which.
        instance: InstanceId,
        /// What it is called when it fails, such as `the release command`.
        what: String,
    },
}
