//! A volume's life, one act at a time: made, grown, marked, retired, taken back, destroyed. Each
//! act is written down so that it can be repeated after a crash at any moment.

use super::record::{VERSION, VolumeRecord};
use super::{EXTENT, LocalKind, LocalStorage, directory, hold, image, io, listing};
use crate::durable;
use crate::ensure::Ensured;
use crate::names::VolumeDir;
use crate::storage::{StorageError, copied};
use planner::model::id::VolumeId;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeSpec, VolumeState};
use planner::plan::step::Marks;
use std::fs;

impl LocalStorage {
    pub(super) async fn ensure_made(&self, spec: &VolumeSpec) -> Result<Ensured, StorageError> {
        whole_extents(&spec.id, spec.size)?;
        let found = self.find(&spec.id)?;
        let (dir, mut record) = match found {
            None => self.begin(spec)?,
            Some((dir, record)) => match record.state {
                VolumeState::Attached if record.spec == *spec => {
                    self.measure(&dir, &record)?;
                    return Ok(Ensured::AlreadySo);
                }
                VolumeState::Making if !record.ever_attached && !record.formatted => (dir, record),
                VolumeState::Making
                | VolumeState::Attached
                | VolumeState::Retired { .. }
                | VolumeState::Erasing => return Err(conflict(&spec.id, &record)),
            },
        };
        let _idle = hold::idle(&spec.id, &dir, self.kind).await?;
        if record.spec != *spec {
            record.spec = spec.clone();
            record.write(&dir)?;
        }
        match self.kind {
            LocalKind::Image => image::make(&dir, spec.size).await?,
            LocalKind::Directory => directory::make(&dir)?,
        }
        record.state = VolumeState::Attached;
        record.formatted = true;
        record.ever_attached = true;
        record.write(&dir)?;
        Ok(Ensured::Made)
    }

    /// Writes down that a volume is being made, before anything of it is there.
    pub(super) fn begin(
        &self,
        spec: &VolumeSpec,
    ) -> Result<(VolumeDir, VolumeRecord), StorageError> {
        let record = VolumeRecord {
            version: VERSION,
            fleet: self.fleet.clone(),
            pool: self.our_pool()?.id,
            spec: spec.clone(),
            state: VolumeState::Making,
            formatted: false,
            ever_attached: false,
        };
        let (coming, dir) = (self.dir.volume_coming(&spec.id), self.dir.volume(&spec.id));
        listing::remove_remnant(&coming)?;
        listing::remove_remnant(&self.dir.volume_going(&spec.id))?;
        durable::make_dir(coming.path()).map_err(io("making", coming.path()))?;
        record.write(&coming)?;
        fs::rename(coming.path(), dir.path()).map_err(io("naming", dir.path()))?;
        durable::sync_parent(dir.path()).map_err(io("syncing", dir.path()))?;
        Ok((dir, record))
    }

    pub(super) async fn ensure_grown(
        &self,
        id: &VolumeId,
        to: Size,
    ) -> Result<Ensured, StorageError> {
        whole_extents(id, to)?;
        let (dir, mut record) = self.get(id)?;
        match record.state {
            VolumeState::Attached => {}
            VolumeState::Making | VolumeState::Retired { .. } | VolumeState::Erasing => {
                return Err(conflict(id, &record));
            }
        }
        self.measure(&dir, &record)?;
        if record.spec.size > to {
            return Err(larger(id, record.spec.size));
        }
        let begun = match self.kind {
            LocalKind::Image => image::measure(&dir)?.map_or(Size::ZERO, |(length, _)| length),
            LocalKind::Directory => record.spec.size,
        };
        if record.spec.size == to && begun == to {
            return Ok(Ensured::AlreadySo);
        }
        // The record says the new size only when the file system has it: until then the growth
        // can be repeated. A growth that was begun to more is finished, never cut back.
        let grown = match self.kind {
            LocalKind::Image => {
                let idle = match hold::idle(id, &dir, self.kind).await {
                    Ok(idle) => Some(idle),
                    Err(StorageError::Held { .. }) => None,
                    Err(error) => return Err(error),
                };
                image::grow(&dir, to, idle).await?
            }
            LocalKind::Directory => to,
        };
        record.spec.size = grown;
        record.write(&dir)?;
        if grown > to { Err(larger(id, grown)) } else { Ok(Ensured::Changed) }
    }

    pub(super) fn ensure_marked(
        &self,
        id: &VolumeId,
        marks: &Marks,
    ) -> Result<Ensured, StorageError> {
        let (dir, mut record) = self.get(id)?;
        match record.state {
            VolumeState::Attached => {}
            VolumeState::Making | VolumeState::Retired { .. } | VolumeState::Erasing => {
                return Err(conflict(id, &record));
            }
        }
        if !put(&mut record.spec, marks) {
            return Ok(Ensured::AlreadySo);
        }
        record.write(&dir)?;
        Ok(Ensured::Changed)
    }

    pub(super) async fn ensure_retired(
        &self,
        id: &VolumeId,
        keeping: &Keeping,
        now: Timestamp,
    ) -> Result<Ensured, StorageError> {
        let (dir, mut record) = self.get(id)?;
        let since = match record.state {
            VolumeState::Retired { .. } if record.spec.keeping == *keeping => {
                return Ok(Ensured::AlreadySo);
            }
            VolumeState::Retired { since } => since,
            VolumeState::Making | VolumeState::Attached => now,
            VolumeState::Erasing => return Err(conflict(id, &record)),
        };
        let _idle = hold::idle(id, &dir, self.kind).await?;
        record.state = VolumeState::Retired { since };
        record.spec.keeping = *keeping;
        record.write(&dir)?;
        Ok(Ensured::Changed)
    }

    pub(super) fn ensure_taken_back(
        &self,
        id: &VolumeId,
        marks: &Marks,
    ) -> Result<Ensured, StorageError> {
        let (dir, mut record) = self.get(id)?;
        let different = put(&mut record.spec, marks);
        match record.state {
            VolumeState::Attached if !different => return Ok(Ensured::AlreadySo),
            // Only what was once whole can be given to a slot.
            VolumeState::Retired { .. } if record.formatted && record.spec.kind.is_own() => {}
            VolumeState::Retired { .. }
            | VolumeState::Attached
            | VolumeState::Making
            | VolumeState::Erasing => return Err(conflict(id, &record)),
        }
        self.measure(&dir, &record)?;
        record.state = VolumeState::Attached;
        record.write(&dir)?;
        Ok(Ensured::Changed)
    }

    pub(super) async fn ensure_destroyed(&self, id: &VolumeId) -> Result<Ensured, StorageError> {
        let Some((dir, record)) = self.find(id)? else {
            listing::remove_remnant(&self.dir.volume_going(id))?;
            return Ok(Ensured::AlreadySo);
        };
        match record.state {
            VolumeState::Retired { .. } if !record.spec.keeping.protect => {}
            VolumeState::Erasing => {}
            // Nobody ever had it.
            VolumeState::Making if !record.formatted => {}
            VolumeState::Retired { .. } | VolumeState::Making | VolumeState::Attached => {
                return Err(conflict(id, &record));
            }
        }
        if let Some(copy) = self.list()?.volumes.values().find(|view| view.spec.copies(id)) {
            return Err(copied(id, &copy.spec));
        }
        erase(self, id, &dir, record).await
    }
}

/// Removes a volume that nobody uses and its data, for good. The caller has made sure that it may
/// go.
pub(super) async fn erase(
    storage: &LocalStorage,
    id: &VolumeId,
    dir: &VolumeDir,
    mut record: VolumeRecord,
) -> Result<Ensured, StorageError> {
    let _idle = hold::idle(id, dir, storage.kind).await?;
    if record.state != VolumeState::Erasing {
        record.state = VolumeState::Erasing;
        record.write(dir)?;
    }
    image::remove(dir)?;
    directory::remove_tree(&dir.data())?;
    let going = storage.dir.volume_going(id);
    listing::remove_remnant(&going)?;
    fs::rename(dir.path(), going.path()).map_err(io("removing", dir.path()))?;
    durable::sync_parent(going.path()).map_err(io("syncing", going.path()))?;
    listing::remove_remnant(&going)?;
    Ok(Ensured::Made)
}

/// Puts marks on; says whether they were different.
fn put(spec: &mut VolumeSpec, marks: &Marks) -> bool {
    let Marks { slot, source, keeping } = marks;
    if spec.slot == *slot && spec.source == *source && spec.keeping == *keeping {
        return false;
    }
    spec.slot = slot.clone();
    spec.source = source.clone();
    spec.keeping = *keeping;
    true
}

pub(super) fn whole_extents(id: &VolumeId, size: Size) -> Result<(), StorageError> {
    if size > Size::ZERO && size.rounded_up_to(EXTENT) == size {
        return Ok(());
    }
    Err(StorageError::Conflict {
        what: format!("volume {id}"),
        found: format!("cannot have {size}: sizes are multiples of {EXTENT}"),
    })
}

fn larger(id: &VolumeId, size: Size) -> StorageError {
    let found = format!("has {size} already, and volumes never shrink");
    StorageError::Conflict { what: format!("volume {id}"), found }
}

/// That a volume is not in the state that an act needs.
pub(super) fn conflict(id: &VolumeId, record: &VolumeRecord) -> StorageError {
    let protected = if record.spec.keeping.protect { ", protected" } else { "" };
    let unmade = if record.formatted { "" } else { ", never formatted" };
    let VolumeSpec { slot, source, size, .. } = &record.spec;
    let state = record.state.as_str();
    StorageError::Conflict {
        what: format!("volume {id}"),
        found: format!("is {state}{protected}{unmade}: {source} of {slot}, {size}"),
    }
}
