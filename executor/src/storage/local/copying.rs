//! A volume made with the data of another one: while nobody uses that, or, if it is a file system
//! that is mounted, while that is frozen.

use super::hold::{self, Idle};
use super::life::{self, conflict, whole_extents};
use super::record::VolumeRecord;
use super::{LocalKind, LocalStorage, directory, image, io};
use crate::ensure::Ensured;
use crate::names::VolumeDir;
use crate::storage::StorageError;
use planner::model::id::VolumeId;
use planner::model::time::Timestamp;
use planner::model::volume::{VolumeKind, VolumeSpec, VolumeState};

impl LocalStorage {
    pub(super) async fn ensure_copied(
        &self,
        of: &VolumeId,
        spec: &VolumeSpec,
        now: Timestamp,
    ) -> Result<Ensured, StorageError> {
        whole_extents(&spec.id, spec.size)?;
        let (from, origin) = self.get(of)?;
        let state = match spec.kind {
            VolumeKind::Snapshot => VolumeState::Retired { since: now },
            VolumeKind::Own | VolumeKind::Clone => VolumeState::Attached,
        };
        let begun = match self.find(&spec.id)? {
            None => None,
            Some((dir, record)) => match (record.state, state) {
                (VolumeState::Attached, VolumeState::Attached)
                | (VolumeState::Retired { .. }, VolumeState::Retired { .. })
                    if record.spec == *spec =>
                {
                    self.measure(&dir, &record)?;
                    return Ok(Ensured::AlreadySo);
                }
                (VolumeState::Making, _) if !record.ever_attached && !record.formatted => {
                    Some((dir, record))
                }
                _ => return Err(conflict(&spec.id, &record)),
            },
        };
        self.can_be_copied(&from, &origin, spec)?;
        let (dir, mut record) = match begun {
            Some((dir, record)) => (dir, record),
            None => self.begin(spec)?,
        };
        let _idle = hold::idle(&spec.id, &dir, self.kind).await?;
        record.spec = spec.clone();
        record.write(&dir)?;
        let origin = match hold::idle(of, &from, self.kind).await {
            Ok(idle) => Some(idle),
            Err(StorageError::Held { .. }) if self.kind == LocalKind::Image => None,
            Err(error) => return Err(error),
        };
        self.copy_data(&from, &dir, origin).await?;
        record.state = state;
        record.formatted = true;
        record.ever_attached = state == VolumeState::Attached;
        record.write(&dir)?;
        Ok(Ensured::Made)
    }

    /// Whether the other volume is whole and as large.
    fn can_be_copied(
        &self,
        from: &VolumeDir,
        origin: &VolumeRecord,
        spec: &VolumeSpec,
    ) -> Result<(), StorageError> {
        let whole = match origin.state {
            VolumeState::Attached | VolumeState::Retired { .. } => origin.formatted,
            VolumeState::Making | VolumeState::Erasing => false,
        };
        if !whole || origin.spec.size != spec.size {
            return Err(conflict(&origin.spec.id, origin));
        }
        self.measure(from, origin).map(drop)
    }

    /// Copies everything, in place of what an interrupted copy left. `origin`: nobody uses it;
    /// else it is a mounted file system.
    async fn copy_data(
        &self,
        from: &VolumeDir,
        to: &VolumeDir,
        origin: Option<Idle>,
    ) -> Result<(), StorageError> {
        match (self.kind, &origin) {
            (LocalKind::Image, Some(_)) => image::copy_idle(from, to).await?,
            (LocalKind::Image, None) => image::copy_mounted(from, to).await?,
            (LocalKind::Directory, _) => directory::copy(from, to).await?,
        }
        drop(origin);
        crate::durable::sync_dir(to.path()).map_err(io("syncing", to.path()))
    }

    pub(super) async fn ensure_clone_removed(
        &self,
        id: &VolumeId,
    ) -> Result<Ensured, StorageError> {
        let Some((dir, record)) = self.find(id)? else {
            super::listing::remove_remnant(&self.dir.volume_going(id))?;
            return Ok(Ensured::AlreadySo);
        };
        if record.spec.kind != VolumeKind::Clone {
            return Err(conflict(id, &record));
        }
        life::erase(self, id, &dir, record).await
    }
}
