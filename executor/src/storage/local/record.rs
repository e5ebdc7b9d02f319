//! What is written down of a pool and of each volume, and how it is read: understood in full, or
//! an error. Never guesses.

use super::{LocalKind, io};
use crate::durable;
use crate::names::VolumeDir;
use crate::storage::StorageError;
use planner::model::id::{MachineId, PoolId};
use planner::model::name::{FleetName, HostName};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{VolumeSpec, VolumeState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The format of both records. A record of a newer one is not touched.
pub(super) const VERSION: u32 = 1;

/// A pool's marks: `pool.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolRecord {
    pub(super) version: u32,
    pub(super) id: PoolId,
    pub(super) fleet: FleetName,
    pub(super) host: HostName,
    pub(super) machine: MachineId,
    pub(super) kind: LocalKind,
    /// The user whose it is; nobody else writes into it, so that no file becomes unusable to it.
    pub(super) owner_uid: u32,
    pub(super) size_bytes: Size,
    pub(super) made_at: Timestamp,
}

/// A volume's marks and state: `volume.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VolumeRecord {
    pub(super) version: u32,
    pub(super) fleet: FleetName,
    pub(super) pool: PoolId,
    pub(super) spec: VolumeSpec,
    #[serde(flatten)]
    pub(super) state: VolumeState,
    /// Whether a file system was ever finished in it.
    pub(super) formatted: bool,
    /// Whether it was ever given to a slot: from then on it is never made again.
    pub(super) ever_attached: bool,
}

impl VolumeRecord {
    /// Writes it in place of what was there.
    pub(super) fn write(&self, dir: &VolumeDir) -> Result<(), StorageError> {
        write(&dir.record(), self)
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads a record; nothing only if the file is certainly not there.
pub(in crate::storage) fn read<R: DeserializeOwned>(
    path: &Path,
) -> Result<Option<R>, StorageError> {
    let unreadable =
        |why: String| StorageError::Unreadable { what: path.display().to_string(), why };
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(unreadable("it is not a plain file".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("looking at", path)(error)),
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("reading", path)(error)),
    };
    let Version { version } =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if version != VERSION {
        return Err(unreadable(format!(
            "it has format {version}, this tiedown knows format {VERSION}"
        )));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(error.to_string()))
}

/// Writes a record in place of what was there.
pub(in crate::storage) fn write(path: &Path, record: &impl Serialize) -> Result<(), StorageError> {
    let mut bytes = serde_json::to_vec_pretty(record)
        .map_err(|error| io("writing", path)(std::io::Error::other(error)))?;
    bytes.push(b'\n');
    durable::replace(path, &bytes).map_err(io("writing", path))
}
