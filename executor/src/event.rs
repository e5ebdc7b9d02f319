//! What applying tells its caller as it goes.

use crate::ensure::Ensured;
use planner::model::object::Object;
use planner::plan::RolloutId;
use planner::plan::step::StepId;
use serde::Serialize;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A rollout began.
    RolloutBegan {
        /// Which.
        rollout: RolloutId,
    },
    /// A wave began.
    WaveBegan {
        /// Of which rollout.
        rollout: RolloutId,
        /// Which, from 1.
        wave: usize,
        /// Of how many.
        waves: usize,
        /// What it is for.
        title: String,
    },
    /// A step began.
    StepBegan {
        /// Which.
        step: StepId,
        /// What it is for.
        object: Object,
    },
    /// A step was done, or was so already.
    StepDone {
        /// Which.
        step: StepId,
        /// What it is for.
        object: Object,
        /// What happened.
        ensured: Ensured,
    },
    /// A step failed or was stale.
    StepFailed {
        /// Which.
        step: StepId,
        /// What it is for.
        object: Object,
        /// The chain of causes.
        why: String,
        /// Whether the world had moved.
        stale: bool,
    },
    /// A gate waits: what it last saw.
    GateWaits {
        /// For what.
        object: Object,
        /// Which check and what it answered.
        seen: String,
    },
    /// What an instance wrote that is to end by itself, as it writes.
    Output {
        /// For what.
        object: Object,
        /// One line or more.
        text: String,
    },
    /// A gate was passed.
    GatePassed {
        /// For what.
        object: Object,
    },
    /// A gate was not passed.
    GateFailed {
        /// For what.
        object: Object,
        /// What it saw last.
        why: String,
    },
    /// The proxy in front could not be told where instances answer now; the plan goes on.
    Untold {
        /// Why.
        why: String,
    },
    /// A rollout ended.
    RolloutEnded {
        /// Which.
        rollout: RolloutId,
        /// How.
        end: RolloutEnd,
    },
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum RolloutEnd {
    /// All of it was done.
    Done,
    /// Something failed; the rest was not tried.
    Failed {
        /// What failed, in words.
        why: String,
        /// Objects that were not tried.
        skipped: Vec<Object>,
    },
    /// It was not begun.
    Skipped {
        /// Why.
        why: String,
    },
}
