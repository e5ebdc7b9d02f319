//! Volumes as encrypted ext4 file systems on an LVM2 thin pool.
//!
//! LVM's marks on a logical volume say what it is; a record beside them, on the host's own disk,
//! says what was intended and which generation of marks was the last. Marks that are older than
//! the record are not believed: the group's metadata came from a backup.

mod copying;
mod disk;
mod ground;
mod header;
mod kernel;
mod life;
mod listing;
mod making;
mod marks;
mod pool;
mod program;
mod queue;
mod record;
pub mod report;
mod signature;
pub mod status;
mod together;
mod verify;

pub use ground::Ground;
pub use verify::KeyCheck;

use super::{Attachment, Contents, Medium, PoolMarks, Storage, StorageError};
use crate::ensure::Ensured;
use crate::keys::Keys;
use crate::names::{HostDir, VolumeDir};
use async_trait::async_trait;
use listing::{Found, Snapshot};
use marks::Label;
use planner::model::id::{PoolId, VolumeId};
use planner::model::name::{FleetName, HostName};
use planner::model::observed::PoolView;
use planner::model::policy::Fullness;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeSpec, VolumeState};
use planner::plan::step::Marks;
use record::VolumeRecord;
use report::LogicalVolume;
use std::path::Path;

/// What a volume costs beside its size: the LUKS2 header, whose length is pinned, so that it is
/// the same under every version of cryptsetup.
pub const HEADER: Size = Size::from_bytes(crate::keys::header::BYTES);

/// One host's pool in a volume group.
pub struct LvmStorage {
    fleet: FleetName,
    host: HostName,
    dir: HostDir,
    /// The volume group.
    group: String,
    /// The thin pool in it.
    pool: String,
    keys: Box<dyn Keys>,
    /// How full the pool may become.
    full: Fullness,
}

/// A volume of ours that is whole: what LVM has, what its marks say, what is written down of it.
struct Volume {
    lv: LogicalVolume,
    label: Label,
    record: VolumeRecord,
    dir: VolumeDir,
}

impl LvmStorage {
    /// The thin pool `group`/`pool`, whether it exists or not.
    #[must_use]
    pub fn new(
        fleet: FleetName,
        host: HostName,
        dir: HostDir,
        group: &str,
        pool: &str,
        keys: Box<dyn Keys>,
    ) -> Self {
        Self {
            fleet,
            host,
            dir,
            group: group.to_owned(),
            pool: pool.to_owned(),
            keys,
            full: Fullness::default(),
        }
    }

    /// The same, with other limits to how full the pool may become.
    #[must_use]
    pub const fn until(mut self, full: Fullness) -> Self {
        self.full = full;
        self
    }

    fn what(&self) -> String {
        format!("pool {}/{}", self.group, self.pool)
    }

    /// Reads everything once; the pool must be ours. What an interrupted command left suspended
    /// or shorter than LVM says is put right.
    async fn ready(&self) -> Result<(Snapshot, PoolId), StorageError> {
        let mut snapshot = self.read().await?;
        let id = self.our_pool(&snapshot)?;
        if self.heal(&snapshot).await? {
            snapshot = self.read().await?;
        }
        Ok((snapshot, id))
    }

    async fn get(&self, id: &VolumeId) -> Result<(Snapshot, Volume), StorageError> {
        let (snapshot, pool) = self.ready().await?;
        match self.find_settled(&snapshot, &pool, id)? {
            Found::Whole(volume) => Ok((snapshot, *volume)),
            Found::Nothing => Err(StorageError::Absent { what: format!("volume {id}") }),
            Found::Begun(record) | Found::Gone(record) => {
                let state = record.state.as_str();
                Err(conflict(id, format!("is {state}, and has no logical volume")))
            }
        }
    }

    async fn get_attached(&self, id: &VolumeId) -> Result<(Snapshot, Volume), StorageError> {
        let (snapshot, volume) = self.get(id).await?;
        match volume.label.state {
            VolumeState::Attached => Ok((snapshot, volume)),
            VolumeState::Making | VolumeState::Retired { .. } | VolumeState::Erasing => {
                Err(life::not_so(&volume.label))
            }
        }
    }
}

#[async_trait]
impl Storage for LvmStorage {
    async fn pool(&self) -> Result<PoolView, StorageError> {
        self.view_of_pool(&self.read_active().await?)
    }

    async fn contents(&self) -> Result<Contents, StorageError> {
        self.list(&self.read().await?)
    }

    async fn look(&self) -> Result<(PoolView, Contents), StorageError> {
        let snapshot = self.read_active().await?;
        match self.view_of_pool(&snapshot)? {
            PoolView::Absent => Ok((PoolView::Absent, Contents::default())),
            view @ PoolView::Present(_) => Ok((view, self.list(&snapshot)?)),
        }
    }

    async fn make_pool(&self, marks: &PoolMarks, size: Size) -> Result<Ensured, StorageError> {
        self.ensure_pool(marks, size).await
    }

    async fn make(&self, volume: &VolumeSpec) -> Result<Ensured, StorageError> {
        self.ensure_made(volume).await
    }

    async fn make_all(&self, volumes: &[VolumeSpec]) -> Vec<Result<Ensured, StorageError>> {
        self.make_together(volumes).await
    }

    async fn copy(
        &self,
        of: &VolumeId,
        volume: &VolumeSpec,
        now: Timestamp,
    ) -> Result<Ensured, StorageError> {
        self.ensure_copied(of, volume, now).await
    }

    async fn remove_clone(&self, volume: &VolumeId) -> Result<Ensured, StorageError> {
        self.ensure_clone_removed(volume).await
    }

    async fn grow(&self, volume: &VolumeId, to: Size) -> Result<Ensured, StorageError> {
        self.ensure_grown(volume, to).await
    }

    async fn mark(&self, volume: &VolumeId, marks: &Marks) -> Result<Ensured, StorageError> {
        self.ensure_marked(volume, marks).await
    }

    async fn retire(
        &self,
        volume: &VolumeId,
        keeping: &Keeping,
        now: Timestamp,
    ) -> Result<Ensured, StorageError> {
        self.ensure_retired(volume, keeping, now).await
    }

    async fn take_back(&self, volume: &VolumeId, marks: &Marks) -> Result<Ensured, StorageError> {
        self.ensure_taken_back(volume, marks).await
    }

    async fn adopt(&self, name: &str, _: &VolumeSpec) -> Result<Ensured, StorageError> {
        let found = "cannot be adopted: the key of what is in it is not here".to_owned();
        Err(StorageError::Conflict { what: name.to_owned(), found })
    }

    async fn destroy(&self, volume: &VolumeId) -> Result<Ensured, StorageError> {
        self.ensure_destroyed(volume).await
    }

    async fn attachment(&self, volume: &VolumeId) -> Result<Attachment, StorageError> {
        let (_, found) = self.get_attached(volume).await?;
        disk::unmount_growing(&found.dir)?;
        let device = self.open(&found).await?;
        let hold = found.dir.hold();
        crate::flock::open(&hold).map_err(io("opening", &hold))?;
        Ok(Attachment { volume: volume.clone(), medium: Medium::Device(device), hold })
    }

    fn outlives_purge(&self) -> bool {
        true
    }
}

fn conflict(id: &VolumeId, found: String) -> StorageError {
    StorageError::Conflict { what: format!("volume {id}"), found }
}

fn conflict_of(path: &Path, found: String) -> StorageError {
    StorageError::Conflict { what: path.display().to_string(), found }
}

fn unreadable(what: String, why: String) -> StorageError {
    StorageError::Unreadable { what, why }
}

fn io<'a>(act: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> StorageError + 'a {
    move |source| StorageError::Io { act: format!("{act} {}", path.display()), source }
}
