//! The journal port: what apply intended and what came of it, written before and after each
//! step. For resuming, and for history.

use crate::catalog::CatalogError;
use planner::model::release::CommitId;
use planner::model::time::Timestamp;
use planner::plan::change::Summary;
use planner::plan::step::Step;
use serde::{Deserialize, Serialize};

/// One apply, from its first step to its last. Sorts by when it began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

/// How an apply began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStart {
    /// When.
    pub at: Timestamp,
    /// The plan's digest.
    pub plan: String,
    /// The commit it was made from.
    pub commit: Option<CommitId>,
    /// What it was to change.
    pub summary: Summary,
    /// Who ran it: a user's name, and the process.
    pub by: String,
}

/// How an apply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunEnd {
    /// All steps were done.
    Done,
    /// Some were not.
    Partly,
    /// None was.
    Failed,
    /// It was asked to stop.
    Stopped,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum StepEnd {
    /// It was done, or was so already.
    Done {
        /// What happened.
        ensured: crate::ensure::Ensured,
    },
    /// The world had moved.
    Stale {
        /// What was found.
        found: String,
    },
    /// It failed.
    Failed {
        /// The chain of causes.
        why: String,
    },
}

/// A step as the journal remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub step: String,
    /// Its host.
    pub host: String,
    /// When it was begun.
    pub at: Timestamp,
    /// How it ended; `None`: nobody knows, the process was killed.
    pub end: Option<StepEnd>,
}

/// An apply as the journal remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Which.
    pub id: RunId,
    /// How it began.
    #[serde(flatten)]
    pub start: RunStart,
    /// How and when it ended; `None`: it runs, or was killed.
    pub end: Option<(RunEnd, Timestamp)>,
    /// Its steps, as they were begun.
    pub steps: Vec<StepRecord>,
}

/// What apply intended and what came of it. What was answered `Ok` survives a loss of power.
pub trait Journal: Send + Sync {
    /// An apply begins.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn begin(&self, start: &RunStart) -> Result<RunId, CatalogError>;

    /// A step is about to be done.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn intend(&self, run: &RunId, step: &Step, at: Timestamp) -> Result<(), CatalogError>;

    /// A step has ended.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn outcome(&self, run: &RunId, step: &Step, end: &StepEnd) -> Result<(), CatalogError>;

    /// An apply has ended.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn end(&self, run: &RunId, end: RunEnd, at: Timestamp) -> Result<(), CatalogError>;

    /// The newest applies, newest first; steps only with `steps`.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn runs(&self, newest: usize, steps: bool) -> Result<Vec<RunRecord>, CatalogError>;
}
