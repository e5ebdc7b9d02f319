//! The storage port: a host's pool and the volumes in it.
//!
//! The host calls it one act at a time, under its lock.

pub mod local;
pub mod lvm;

use crate::ensure::Ensured;
use async_trait::async_trait;
use planner::model::id::{MachineId, PoolId, VolumeId};
use planner::model::name::{FleetName, HostName};
use planner::model::observed::{Foreign, PoolView, VolumeView};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeSpec};
use planner::plan::step::Marks;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Who a pool is for: the marks it gets when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolMarks {
    /// Its identity.
    pub id: PoolId,
    /// The fleet.
    pub fleet: FleetName,
    /// The host.
    pub host: HostName,
    /// The machine.
    pub machine: MachineId,
}

/// Everything in a pool, read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Volumes with the fleet's mark.
    pub volumes: BTreeMap<VolumeId, VolumeView>,
    /// The rest.
    pub foreign: Vec<Foreign>,
}

/// How a runtime gets at a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The volume.
    pub volume: VolumeId,
    /// What is mounted or bound.
    pub medium: Medium,
    /// Locked, exclusively, by whoever uses the volume, for as long as any process of it lives.
    pub hold: PathBuf,
}

/// What is mounted or bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// A directory, bound as it is.
    Directory(PathBuf),
    /// An ext4 file system in a file, mounted through a loop device; its directory `data` is bound.
    Image(PathBuf),
    /// An ext4 file system on an open block device; its directory `data` is bound.
    Device(PathBuf),
}

/// A host's pool and the volumes in it. One fleet, one host.
///
/// Promises of every adapter: acts are idempotent; a volume is formatted only if it was never
/// formatted before and holds nothing; a volume that was attached once is never made again; what
/// lacks the fleet's mark is never changed; after a crash at any moment the same act can be
/// repeated; what was answered `Ok` survives a loss of power.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Looks at the pool. `Absent` only if there certainly is none.
    ///
    /// # Errors
    /// [`StorageError::Unreadable`] if there is something that cannot be understood.
    async fn pool(&self) -> Result<PoolView, StorageError>;

    /// Lists all volumes; complete, or an error.
    ///
    /// # Errors
    /// [`StorageError::Unreadable`].
    async fn contents(&self) -> Result<Contents, StorageError>;

    /// The pool and what is in it, of one moment where the adapter can. Nothing is in a pool that
    /// is absent.
    ///
    /// # Errors
    /// As [`pool`](Self::pool) and [`contents`](Self::contents).
    async fn look(&self) -> Result<(PoolView, Contents), StorageError> {
        let pool = self.pool().await?;
        let contents = match &pool {
            PoolView::Present(_) => self.contents().await?,
            PoolView::Absent => Contents::default(),
        };
        Ok((pool, contents))
    }

    /// Makes the pool with these marks.
    ///
    /// # Errors
    /// Any [`StorageError`].
    async fn make_pool(&self, marks: &PoolMarks, size: Size) -> Result<Ensured, StorageError>;

    /// Makes, formats and attaches a volume. The caller has judged the room.
    ///
    /// # Errors
    /// Any [`StorageError`].
    async fn make(&self, volume: &VolumeSpec) -> Result<Ensured, StorageError>;

    /// Makes several volumes as [`make`](Self::make) makes each of them, and answers for each in
    /// the same order. An adapter may do together what it would do for each.
    async fn make_all(&self, volumes: &[VolumeSpec]) -> Vec<Result<Ensured, StorageError>> {
        let mut answers = Vec::new();
        for volume in volumes {
            answers.push(self.make(volume).await);
        }
        answers
    }

    /// Makes a volume with the data that `of` has at one moment during the call: a snapshot,
    /// retired and dated by `now`; or a clone or a slot's own, attached. What was written to `of`
    /// before is in it, synced or not. The caller has judged the room. A snapshot and a clone keep
    /// the key that the data of `of` is encrypted by; a slot's own has one of its own.
    ///
    /// # Errors
    /// [`StorageError::Held`] if `of` is in use and a copy of one moment cannot be made meanwhile;
    /// else any.
    async fn copy(
        &self,
        of: &VolumeId,
        volume: &VolumeSpec,
        now: Timestamp,
    ) -> Result<Ensured, StorageError>;

    /// Removes a clone in whatever state, with all that was written to it.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if it is no clone; [`StorageError::Held`]; else any.
    async fn remove_clone(&self, volume: &VolumeId) -> Result<Ensured, StorageError>;

    /// Grows a volume to a cap; never shrinks.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if it is larger already; else any.
    async fn grow(&self, volume: &VolumeId, to: Size) -> Result<Ensured, StorageError>;

    /// Marks an attached volume anew.
    ///
    /// # Errors
    /// Any [`StorageError`].
    async fn mark(&self, volume: &VolumeId, marks: &Marks) -> Result<Ensured, StorageError>;

    /// Detaches and keeps a volume. `now` dates it; a second retirement keeps the first date.
    ///
    /// # Errors
    /// [`StorageError::Held`] while anybody uses it; else any.
    async fn retire(
        &self,
        volume: &VolumeId,
        keeping: &Keeping,
        now: Timestamp,
    ) -> Result<Ensured, StorageError>;

    /// Attaches a retired volume again.
    ///
    /// # Errors
    /// Any [`StorageError`].
    async fn take_back(&self, volume: &VolumeId, marks: &Marks) -> Result<Ensured, StorageError>;

    /// Makes something in the pool that is not ours a volume of ours, with what is in it, whoever
    /// it was marked for before.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if it cannot be one; [`StorageError::Held`]; else any.
    async fn adopt(&self, name: &str, volume: &VolumeSpec) -> Result<Ensured, StorageError>;

    /// Destroys a retired, unprotected volume or a snapshot, or one whose making was not finished.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if it is none of them, or if there is a snapshot or clone of it;
    /// [`StorageError::Held`]; else any.
    async fn destroy(&self, volume: &VolumeId) -> Result<Ensured, StorageError>;

    /// How a runtime gets at an attached volume; opens it if need be.
    ///
    /// # Errors
    /// Any [`StorageError`].
    async fn attachment(&self, volume: &VolumeId) -> Result<Attachment, StorageError>;

    /// Whether volumes stay when the host's directory is removed, so that their keys must too.
    fn outlives_purge(&self) -> bool {
        false
    }
}

/// That a volume cannot go because a snapshot or clone of it is there.
fn copied(id: &VolumeId, copy: &VolumeSpec) -> StorageError {
    let (kind, copy) = (copy.kind.as_str(), &copy.id);
    StorageError::Conflict {
        what: format!("volume {id}"),
        found: format!("has a {kind}, {copy}, which keeps its data readable: that goes first"),
    }
}

/// Why the storage did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Something is there that cannot be understood; nothing was changed.
    #[error("{what} cannot be understood: {why}")]
    Unreadable {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// There is no such volume or pool.
    #[error("there is no {what}")]
    Absent {
        /// What.
        what: String,
    },
    /// It is not in the state that the act needs.
    #[error("{what} {found}")]
    Conflict {
        /// What.
        what: String,
        /// What it is instead.
        found: String,
    },
    /// Somebody uses it.
    #[error("{what} is in use by {holder}")]
    Held {
        /// What.
        what: String,
        /// Who.
        holder: String,
    },
    /// A program or privilege is missing.
    #[error("{what} is missing; {hint}")]
    Missing {
        /// What.
        what: String,
        /// The way out.
        hint: String,
    },
    /// The volume's key cannot be had.
    #[error("volume {volume} cannot be opened")]
    Key {
        /// Which.
        volume: VolumeId,
        /// Why.
        source: crate::keys::KeyError,
    },
    /// A program failed.
    #[error("{act}")]
    Command {
        /// What was being done.
        act: String,
        /// How the program failed.
        source: crate::command::CommandError,
    },
    /// The operating system refused.
    #[error("{act}")]
    Io {
        /// What was being done, to which file.
        act: String,
        /// Its answer.
        source: std::io::Error,
    },
}
