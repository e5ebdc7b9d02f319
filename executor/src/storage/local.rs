//! Volumes in a directory of this machine: as root a file with ext4 each, whose length is its cap;
//! as an ordinary user a directory each, whose cap nothing enforces.
//!
//! Every volume has a directory with its record. The directory gets its name only when the record
//! is in it and loses it before the record goes, so a volume's directory without a record is
//! damage, and is answered with an error, never with "absent".

mod adopt;
mod copying;
mod directory;
pub(super) mod hold;
pub(super) mod image;
mod life;
pub(super) mod listing;
mod pool;
pub(super) mod record;

use super::{Attachment, Contents, Medium, PoolMarks, Storage, StorageError};
use crate::ensure::Ensured;
use crate::names::{HostDir, VolumeDir};
use async_trait::async_trait;
use planner::model::id::VolumeId;
use planner::model::name::{FleetName, HostName};
use planner::model::observed::PoolView;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeSpec, VolumeState};
use planner::plan::step::Marks;
use record::{PoolRecord, VolumeRecord};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Sizes of volumes are multiples of this, as with LVM's default extent.
pub const EXTENT: Size = Size::from_mib(4);

/// What a volume is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalKind {
    /// A sparse file with ext4, mounted through a loop device: needs root.
    Image,
    /// A directory; its cap is not enforced.
    Directory,
}

impl LocalKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "images",
            Self::Directory => "directories",
        }
    }
}

/// One host's pool in a directory.
#[derive(Debug)]
pub struct LocalStorage {
    fleet: FleetName,
    host: HostName,
    dir: HostDir,
    kind: LocalKind,
}

impl LocalStorage {
    /// The pool of a host in `directory`, whether it exists or not.
    #[must_use]
    pub fn new(
        fleet: FleetName,
        host: HostName,
        directory: impl Into<PathBuf>,
        kind: LocalKind,
    ) -> Self {
        Self { fleet, host, dir: HostDir::at(directory), kind }
    }

    /// The volume's record if the volume is there and ours.
    fn find(&self, id: &VolumeId) -> Result<Option<(VolumeDir, VolumeRecord)>, StorageError> {
        let pool = self.our_pool()?;
        let dir = self.dir.volume(id);
        let Some(record) = listing::volume_record(id, &dir)? else { return Ok(None) };
        if !self.is_ours(&record, &pool) {
            return Err(StorageError::Conflict {
                what: format!("volume {id}"),
                found: format!("is of {}", listing::whose(&record)),
            });
        }
        Ok(Some((dir, record)))
    }

    fn get(&self, id: &VolumeId) -> Result<(VolumeDir, VolumeRecord), StorageError> {
        self.find(id)?.ok_or_else(|| StorageError::Absent { what: format!("volume {id}") })
    }

    fn is_ours(&self, record: &VolumeRecord, pool: &PoolRecord) -> bool {
        record.fleet == self.fleet && record.pool == pool.id
    }
}

#[async_trait]
impl Storage for LocalStorage {
    async fn pool(&self) -> Result<PoolView, StorageError> {
        self.look_at_pool()
    }

    async fn contents(&self) -> Result<Contents, StorageError> {
        self.list()
    }

    async fn make_pool(&self, marks: &PoolMarks, size: Size) -> Result<Ensured, StorageError> {
        self.ensure_pool(marks, size)
    }

    async fn make(&self, volume: &VolumeSpec) -> Result<Ensured, StorageError> {
        self.ensure_made(volume).await
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
        self.ensure_marked(volume, marks)
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
        self.ensure_taken_back(volume, marks)
    }

    async fn adopt(&self, name: &str, volume: &VolumeSpec) -> Result<Ensured, StorageError> {
        self.ensure_adopted(name, volume).await
    }

    async fn destroy(&self, volume: &VolumeId) -> Result<Ensured, StorageError> {
        self.ensure_destroyed(volume).await
    }

    async fn attachment(&self, volume: &VolumeId) -> Result<Attachment, StorageError> {
        let (dir, record) = self.get(volume)?;
        match record.state {
            VolumeState::Attached => {}
            VolumeState::Making | VolumeState::Retired { .. } | VolumeState::Erasing => {
                return Err(life::conflict(volume, &record));
            }
        }
        self.measure(&dir, &record)?;
        let medium = match self.kind {
            LocalKind::Image => {
                image::unmount_growing(&dir)?;
                Medium::Image(dir.image())
            }
            LocalKind::Directory => Medium::Directory(dir.data()),
        };
        crate::flock::open(&dir.hold()).map_err(io("opening", &dir.hold()))?;
        Ok(Attachment { volume: volume.clone(), medium, hold: dir.hold() })
    }
}

/// Whether a directory of ours is there: a real one, of this user. Nothing only if there
/// certainly is none.
fn own_directory(path: &Path) -> Result<bool, StorageError> {
    use std::os::unix::fs::MetadataExt;
    let unreadable =
        |why: String| Err(StorageError::Unreadable { what: path.display().to_string(), why });
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io("looking at", path)(error)),
    };
    let me = rustix::process::geteuid().as_raw();
    if metadata.is_symlink() {
        return unreadable("it is a symbolic link and should be a directory".to_owned());
    }
    if !metadata.is_dir() {
        return unreadable("it is not a directory".to_owned());
    }
    if metadata.uid() != me {
        let owner = metadata.uid();
        return unreadable(format!("it belongs to user {owner}, and this is user {me}"));
    }
    Ok(true)
}

fn io<'a>(act: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> StorageError + 'a {
    move |source| StorageError::Io { act: format!("{act} {}", path.display()), source }
}
