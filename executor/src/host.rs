//! The seam: what can be asked of a host and what it can be told. Today a host is this machine;
//! later it is an agent somewhere else, behind the same trait.

pub mod local;
mod probe;

pub use probe::verifying_connector;

use crate::ensure::Ensured;
use async_trait::async_trait;
use planner::model::health::Check;
use planner::model::id::InstanceId;
use planner::model::name::HostName;
use planner::model::observed::{HostView, InstanceView};
use planner::plan::step::Step;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// One host of a fleet.
#[async_trait]
pub trait Host: Send + Sync {
    /// Its name.
    fn name(&self) -> &HostName;

    /// Looks at everything. Never an error: what cannot be read in full is [`HostView::Unread`].
    async fn observe(&self) -> HostView;

    /// Carries out one step: judges its predicates under the host's lock, acts, and verifies
    /// that what should be so afterwards is so. Safe to repeat.
    ///
    /// # Errors
    /// [`StepError::Stale`] if the host is neither as before nor as after the step; nothing was
    /// done. [`StepError::Failed`] if the act failed; it may have been half done, and can be
    /// repeated.
    async fn act(&self, step: &Step) -> Result<Ensured, StepError>;

    /// Looks at one instance.
    ///
    /// # Errors
    /// [`StepError::Failed`] if the host could not look.
    async fn instance(&self, id: &InstanceId) -> Result<Option<InstanceView>, StepError>;

    /// Asks one check once, from the host, of an instance's own address. What another program
    /// answers there is no pass.
    async fn ask(&self, instance: &InstanceId, address: Ipv4Addr, check: &Check) -> Answer;

    /// Starts again what ran here before the machine went down, from what the host itself
    /// remembers; never what a person or a plan stopped. Says what became of each.
    ///
    /// # Errors
    /// [`StepError::Failed`] if the host could not look.
    async fn resume(&self) -> Result<Vec<Resumed>, StepError>;

    /// Removes everything of the fleet from this host: its pool with all data in it, source
    /// trees, networks. Refused while an instance is left, or where something foreign is.
    ///
    /// # Errors
    /// [`StepError::Failed`].
    async fn purge(&self) -> Result<(), StepError>;

    /// Runs one more program in an instance of this machine, on this process's standard streams,
    /// and gives its status.
    ///
    /// # Errors
    /// [`StepError::Failed`].
    async fn exec(&self, instance: &InstanceId, argv: &[OsString]) -> Result<i32, StepError>;

    /// The file that an instance's output goes to, if it has one here.
    fn log(&self, id: &InstanceId) -> Option<PathBuf>;
}

/// What became of one instance after a reboot.
#[derive(Debug)]
pub struct Resumed {
    /// Which.
    pub instance: InstanceView,
    /// What happened.
    pub result: Result<Ensured, StepError>,
}

/// What a check answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It passed.
    Passing,
    /// It did not.
    Failing {
        /// What was seen instead, such as `connection refused` or `status 503`.
        seen: String,
    },
}

/// Why a step was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The world moved since the plan was made.
    #[error("stale: {found}")]
    Stale {
        /// What was found instead.
        found: String,
    },
    /// The act failed.
    #[error("{what}")]
    Failed {
        /// What was being done.
        what: String,
        /// Whether doing the same again may help.
        retryable: bool,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
