//! The catalog port: claims, records and locks. What a fleet remembers beside its hosts.

pub mod embedded;

use planner::model::claim::{AppRecord, Claims};
use planner::model::name::{AppName, HostName};
use planner::model::time::Timestamp;
use planner::plan::ClaimAct;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a fleet remembers. Calls block, and are short but for [`Catalog::lock`].
pub trait Catalog: Send + Sync {
    /// All of it, as of one moment.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn claims(&self) -> Result<Claims, CatalogError>;

    /// Does all of the acts or none. `seen` goes with [`ClaimAct::Failed`]. What was answered
    /// `Ok` survives a loss of power.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn act(&self, acts: &[ClaimAct], at: Timestamp, seen: &str) -> Result<(), CatalogError>;

    /// Remembers that an app was applied in full.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn record(&self, record: &AppRecord) -> Result<(), CatalogError>;

    /// Remembers that every host was read, so that nothing is missing here.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn complete(&self) -> Result<(), CatalogError>;

    /// Takes a lock, waiting at most so long. It is let go when the value is dropped, or when
    /// the process ends however it ends.
    ///
    /// # Errors
    /// [`CatalogError::Locked`] says who has it and since when.
    fn lock(
        &self,
        what: &LockName,
        holder: &Holder,
        wait: Duration,
    ) -> Result<Box<dyn Lock>, CatalogError>;

    /// Who has the lock just now, as far as can be seen without taking it.
    fn holder(&self, what: &LockName) -> Option<Holder>;
}

/// A lock that is held until it is dropped.
pub trait Lock: Send + Sync {}

/// What can be locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockName {
    /// An app, for its rollout.
    App(AppName),
    /// A host, for as long as room is reserved and something is made.
    Host(HostName),
    /// The whole fleet: to take it down.
    Fleet,
    /// Passes that nobody watches: of all who would run them, one does.
    Passes,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// What for, such as `apply of 1a2b3c4d`.
    pub purpose: String,
    /// Its process.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
}

/// Why the catalog did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Somebody else holds the lock.
    #[error("{what} is locked by {} (pid {}) since {}", holder.purpose, holder.pid, holder.since.0)]
    Locked {
        /// What.
        what: String,
        /// Who.
        holder: Holder,
    },
    /// It is of another fleet, or of a newer format.
    #[error("the catalog {place} {found}")]
    NotOurs {
        /// Where it is.
        place: String,
        /// What it says.
        found: String,
    },
    /// It could not be read or written.
    #[error("{act}")]
    Store {
        /// What was being done.
        act: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
