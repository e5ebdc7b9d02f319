//! What is in a pool: our volumes, and what is not ours. Complete, or an error.

use super::record::{self, PoolRecord, VolumeRecord};
use super::{LocalKind, LocalStorage, directory, image, io, own_directory};
use crate::names::{VolumeDir, VolumeEntry};
use crate::storage::{Contents, StorageError};
use planner::model::id::VolumeId;
use planner::model::observed::{Foreign, VolumeView};
use planner::model::size::Size;
use planner::model::volume::{VolumeSpec, VolumeState};
use std::ffi::OsString;
use std::{fs, io as std_io};

/// How often a volume that changes while it is looked at is looked at again.
const LOOKS: usize = 5;

impl LocalStorage {
    pub(super) fn list(&self) -> Result<Contents, StorageError> {
        let pool = self.our_pool()?;
        let mut contents = Contents::default();
        for name in self.names()? {
            let path = self.dir.volumes().join(&name);
            match self.dir.volume_entry(&name) {
                VolumeEntry::Volume(id) => self.list_volume(&id, &pool, &mut contents)?,
                VolumeEntry::Remnant(dir) if is_remnant(&dir) => {}
                VolumeEntry::Remnant(_) | VolumeEntry::Other => {
                    contents.foreign.push(self.foreign(&name, &path));
                }
            }
        }
        Ok(contents)
    }

    /// Bytes that all that is in the pool takes.
    pub(super) fn used(&self) -> Result<Size, StorageError> {
        let volumes = self.dir.volumes();
        Ok(self.names()?.iter().map(|name| directory::written(&volumes.join(name))).sum())
    }

    fn names(&self) -> Result<Vec<OsString>, StorageError> {
        let volumes = self.dir.volumes();
        if !own_directory(&volumes)? {
            let why = "the directory of volumes is gone".to_owned();
            return Err(StorageError::Unreadable { what: volumes.display().to_string(), why });
        }
        let entries = fs::read_dir(&volumes).map_err(io("listing", &volumes))?;
        let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|e| e.file_name())).collect();
        let mut names = names.map_err(io("listing", &volumes))?;
        names.sort();
        Ok(names)
    }

    fn list_volume(
        &self,
        id: &VolumeId,
        pool: &PoolRecord,
        contents: &mut Contents,
    ) -> Result<(), StorageError> {
        let dir = self.dir.volume(id);
        let mut looks = 1;
        loop {
            // Destroyed since its name was listed.
            let Some(record) = volume_record(id, &dir)? else { return Ok(()) };
            if !self.is_ours(&record, pool) {
                let cannot = "its directory has a volume's name; give it another name first";
                contents.foreign.push(Foreign {
                    name: id.to_string(),
                    size: record.spec.size,
                    whose: whose(&record),
                    cannot: Some(cannot.to_owned()),
                });
                return Ok(());
            }
            let measured = self.measure(&dir, &record);
            match measured.and_then(|written| Ok((written, self.cap(&dir, &record)?))) {
                Ok((allocated, size)) => {
                    let VolumeRecord { spec, state, formatted, .. } = record;
                    let spec = VolumeSpec { size, ..spec };
                    let view = VolumeView { spec, state, allocated, formatted };
                    contents.volumes.insert(id.clone(), view);
                    return Ok(());
                }
                // Readers take no lock: its destruction may have begun in between.
                Err(error) if looks == LOOKS || volume_record(id, &dir)? == Some(record) => {
                    return Err(error);
                }
                Err(_) => looks += 1,
            }
        }
    }

    /// How much a volume can hold: as written down, or more if its file system was grown by hand.
    fn cap(&self, dir: &VolumeDir, record: &VolumeRecord) -> Result<Size, StorageError> {
        let written_down = record.spec.size;
        if self.kind == LocalKind::Directory || !record.formatted {
            return Ok(written_down);
        }
        Ok(image::file_system(dir)?.map_or(written_down, |size| size.max(written_down)))
    }

    /// How much of a volume is written. An error if its data is not there as it should be.
    pub(super) fn measure(
        &self,
        dir: &VolumeDir,
        record: &VolumeRecord,
    ) -> Result<Size, StorageError> {
        let must_be_there = match record.state {
            VolumeState::Attached => true,
            // Retired before it was ever made in full.
            VolumeState::Retired { .. } => record.formatted,
            VolumeState::Making | VolumeState::Erasing => false,
        };
        let unreadable = |why: String| {
            Err(StorageError::Unreadable { what: format!("volume {}", record.spec.id), why })
        };
        let (length, written) = match self.kind {
            LocalKind::Image => match image::measure(dir)? {
                Some((length, written)) => (length, Some(written)),
                None => (Size::ZERO, None),
            },
            LocalKind::Directory => (record.spec.size, directory::measure(dir)?),
        };
        match written {
            None if must_be_there => unreadable("its data is gone".to_owned()),
            None => Ok(Size::ZERO),
            Some(_) if must_be_there && length < record.spec.size => {
                let size = record.spec.size;
                unreadable(format!("its file was cut: {length} of {size}"))
            }
            Some(written) => Ok(written),
        }
    }
}

/// The record in a volume's directory. Nothing only if there certainly is no such volume.
pub(super) fn volume_record(
    id: &VolumeId,
    dir: &VolumeDir,
) -> Result<Option<VolumeRecord>, StorageError> {
    if !own_directory(dir.path())? {
        return Ok(None);
    }
    let unreadable =
        |why: String| Err(StorageError::Unreadable { what: format!("volume {id}"), why });
    match record::read::<VolumeRecord>(&dir.record())? {
        Some(record) if record.spec.id == *id => Ok(Some(record)),
        Some(record) => unreadable(format!("its record is of {}", record.spec.id)),
        None if !own_directory(dir.path())? => Ok(None),
        None => unreadable(format!("{} has no record (volume.json)", dir.path().display())),
    }
}

/// Whose a volume is that is not ours.
pub(super) fn whose(record: &VolumeRecord) -> String {
    format!("fleet {}, slot {}, pool {}", record.fleet, record.spec.slot, record.pool)
}

/// Whether it holds nothing but what a volume holds outside its data.
fn is_remnant(dir: &VolumeDir) -> bool {
    let Ok(entries) = fs::read_dir(dir.path()) else { return false };
    let known = [dir.record(), crate::names::beside(&dir.record()), dir.hold()];
    entries.flatten().all(|entry| known.contains(&entry.path()))
}

/// Removes what a crash left of volumes that have no name. What is unexpected stays.
pub(in crate::storage) fn remove_remnant(dir: &VolumeDir) -> Result<(), StorageError> {
    if !own_directory(dir.path())? {
        return Ok(());
    }
    if !is_remnant(dir) {
        return Err(StorageError::Conflict {
            what: dir.path().display().to_string(),
            found: "holds files that are not ours".to_owned(),
        });
    }
    for path in [dir.record(), crate::names::beside(&dir.record()), dir.hold()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std_io::ErrorKind::NotFound => {
                return Err(io("removing", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    fs::remove_dir(dir.path()).map_err(io("removing", dir.path()))
}
