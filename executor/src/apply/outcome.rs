//! What became of a plan: what was done, what failed and why, what was not tried.

use crate::ensure::Ensured;
use crate::journal::RunId;
use planner::model::object::Object;
use planner::plan::RolloutId;
use planner::plan::step::StepId;
use serde::Serialize;
use std::collections::BTreeSet;

/// What became of a plan, or of a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[must_use = "an outcome may hold failures"]
pub struct Outcome {
    /// The run in the journal; none if there was nothing to do.
    pub run: Option<RunId>,
    /// Steps that were done, in the order in which they ended.
    pub done: Vec<(StepId, Ensured)>,
    /// Steps and gates that failed or were stale.
    pub failures: Vec<Failure>,
    /// What was not tried because of them.
    pub skipped: Vec<Skipped>,
    /// Rollouts all of which was done.
    pub rollouts_done: BTreeSet<RolloutId>,
    /// Whether it was asked to stop before its end.
    pub stopped: bool,
}

/// Something that was tried and did not come to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// For what.
    pub object: Object,
    /// The step; none: the gate.
    pub step: Option<StepId>,
    /// The chain of causes, or what the gate saw last.
    pub why: String,
    /// Whether the world had moved since the plan was made.
    pub stale: bool,
}

/// Something that was not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What.
    pub object: Object,
    /// Why not.
    pub why: String,
}

impl Outcome {
    /// Whether all of the plan was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.skipped.is_empty() && !self.stopped
    }

    /// Whether nothing is other than it was.
    #[must_use]
    pub fn did_nothing(&self) -> bool {
        self.done.iter().all(|(_, ensured)| *ensured == Ensured::AlreadySo)
    }

    /// The same with what was known before not to be possible.
    pub fn with(mut self, behind: &[Failure], skipped: &[Skipped]) -> Self {
        self.failures.splice(0..0, behind.iter().cloned());
        self.skipped.extend_from_slice(skipped);
        self
    }

    /// Whether nothing was done because the world had moved.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.did_nothing()
            && !self.failures.is_empty()
            && self.failures.iter().all(|failure| failure.stale)
    }

    pub(super) fn add(&mut self, rollout: &RolloutId, part: Self) {
        if part.failures.is_empty() && part.skipped.is_empty() && !part.stopped {
            self.rollouts_done.insert(rollout.clone());
        }
        self.merge(part);
    }

    pub(super) fn merge(&mut self, part: Self) {
        self.done.extend(part.done);
        self.failures.extend(part.failures);
        self.skipped.extend(part.skipped);
        self.stopped |= part.stopped;
    }
}
