//! What is in a pool and not ours: what is known of it, and how it becomes a volume of ours. Only
//! a copy of a volume can: a person has put it there, under a name of its own.

use super::record::{self, VERSION, VolumeRecord};
use super::{EXTENT, LocalStorage, directory, hold, io, listing, own_directory};
use crate::durable;
use crate::ensure::Ensured;
use crate::names::VolumeDir;
use crate::storage::StorageError;
use planner::model::observed::Foreign;
use planner::model::volume::{VolumeSpec, VolumeState};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

impl LocalStorage {
    /// What is known of something without a name of ours. A copy of a volume says so.
    pub(super) fn foreign(&self, name: &OsStr, path: &Path) -> Foreign {
        let unknown = |why: String| Foreign {
            name: name.to_string_lossy().into_owned(),
            size: directory::written(path),
            whose: "nobody that is known".to_owned(),
            cannot: Some(why),
        };
        let Some(dir) = name.to_str().and_then(|name| self.dir.volume_named(name)) else {
            return unknown("its name is none that can be written in a manifest".to_owned());
        };
        let record = match copy(&dir) {
            Ok(record) => record,
            Err(why) => return unknown(why),
        };
        let cannot = self.unfit(&dir, &record);
        let whose = format!("a copy of {} of {}", record.spec.id, listing::whose(&record));
        Foreign { size: record.spec.size, whose, cannot, ..unknown(String::new()) }
    }

    /// Why a copy of a volume cannot become one.
    fn unfit(&self, dir: &VolumeDir, record: &VolumeRecord) -> Option<String> {
        match record.state {
            VolumeState::Attached | VolumeState::Retired { .. } => {}
            VolumeState::Making | VolumeState::Erasing => {
                return Some(format!("it is {}", record.state.as_str()));
            }
        }
        if !record.spec.kind.is_own() {
            return Some(format!("it is a {}", record.spec.kind.as_str()));
        }
        if !(record.formatted && record.ever_attached) {
            return Some("it was never made in full".to_owned());
        }
        if record.spec.size.rounded_up_to(EXTENT) != record.spec.size {
            return Some(format!("its size is no multiple of {EXTENT}"));
        }
        self.measure(dir, record).err().map(|error| error.to_string())
    }

    pub(super) async fn ensure_adopted(
        &self,
        name: &str,
        spec: &VolumeSpec,
    ) -> Result<Ensured, StorageError> {
        let pool = self.our_pool()?;
        if let Some((dir, record)) = self.find(&spec.id)? {
            return match record.state {
                VolumeState::Attached if record.spec == *spec => {
                    self.measure(&dir, &record)?;
                    Ok(Ensured::AlreadySo)
                }
                VolumeState::Attached
                | VolumeState::Making
                | VolumeState::Retired { .. }
                | VolumeState::Erasing => Err(super::life::conflict(&spec.id, &record)),
            };
        }
        let conflict = |found: String| StorageError::Conflict { what: name.to_owned(), found };
        let Some(from) = self.dir.volume_named(name) else {
            return Err(conflict("is no name that can be adopted".to_owned()));
        };
        let record = copy(&from).map_err(conflict)?;
        if let Some(why) = self.unfit(&from, &record) {
            return Err(conflict(format!("cannot be adopted: {why}")));
        }
        if record.spec.size != spec.size {
            return Err(conflict(format!("has {}, not {}", record.spec.size, spec.size)));
        }
        let _idle = hold::idle(&spec.id, &from, self.kind).await?;
        listing::remove_remnant(&self.dir.volume_coming(&spec.id))?;
        listing::remove_remnant(&self.dir.volume_going(&spec.id))?;
        let record = VolumeRecord {
            version: VERSION,
            fleet: self.fleet.clone(),
            pool: pool.id,
            spec: spec.clone(),
            state: VolumeState::Attached,
            formatted: true,
            ever_attached: true,
        };
        // With its new marks and its old name it is still no volume, and can be adopted again.
        record.write(&from)?;
        let to = self.dir.volume(&spec.id);
        fs::rename(from.path(), to.path()).map_err(io("naming", to.path()))?;
        durable::sync_parent(to.path()).map_err(io("syncing", to.path()))?;
        Ok(Ensured::Changed)
    }
}

/// The record of a copy of a volume, or why it is none, in words.
fn copy(dir: &VolumeDir) -> Result<VolumeRecord, String> {
    match own_directory(dir.path()) {
        Ok(true) => {}
        Ok(false) => return Err("it is not there".to_owned()),
        Err(error) => return Err(error.to_string()),
    }
    match record::read::<VolumeRecord>(&dir.record()) {
        Ok(Some(record)) => Ok(record),
        Ok(None) => Err("it is no copy of a volume (it has no volume.json)".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
