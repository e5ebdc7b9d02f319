//! What a clone remembers of the fleets that were applied from it: where their state directory
//! was and which catalog it held, so that a state directory that is gone is not taken for a new
//! fleet. Kept in git's own directory, per user, never in the work tree.

use super::{Repository, RepositoryError, io_error};
use planner::model::name::FleetName;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// What is remembered of one fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Where its state directory was.
    pub state_dir: PathBuf,
    /// The identity of the catalog in it.
    pub catalog: String,
}

impl Repository {
    fn memory_path(&self, fleet: &FleetName) -> PathBuf {
        let user = rustix::process::geteuid().as_raw();
        self.common_dir().join("tiedown").join(format!("{fleet}.{user}.json"))
    }

    /// What this user's applies remember of the fleet here.
    ///
    /// # Errors
    /// It is there and cannot be understood.
    pub fn recall(&self, fleet: &FleetName) -> Result<Option<Memory>, RepositoryError> {
        let path = self.memory_path(fleet);
        let act = format!("cannot read {}", path.display());
        match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error(act)(e)),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|e| io_error(act)(e.into()))
            }
        }
    }

    /// Remembers where the fleet's records are.
    ///
    /// # Errors
    /// It could not be written.
    pub fn remember(&self, fleet: &FleetName, memory: &Memory) -> Result<(), RepositoryError> {
        let path = self.memory_path(fleet);
        let act = || format!("cannot write {}", path.display());
        let directory = self.common_dir().join("tiedown");
        fs::create_dir_all(&directory).map_err(io_error(act()))?;
        let text = serde_json::to_vec_pretty(memory).map_err(|e| io_error(act())(e.into()))?;
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        let written = fs::File::create(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        let renamed = written.and_then(|()| fs::rename(&fresh, &path));
        renamed.map_err(io_error(act()))
    }

    /// Forgets the fleet.
    ///
    /// # Errors
    /// It could not be removed.
    pub fn forget(&self, fleet: &FleetName) -> Result<(), RepositoryError> {
        let path = self.memory_path(fleet);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(io_error(format!("cannot remove {}", path.display()))(e))
            }
            _ => Ok(()),
        }
    }
}
