//! What is written down of a volume on the host's own disk, beside LVM's marks: what is being
//! done to it, and which generation of marks was the last.

use crate::names::VolumeDir;
use crate::storage::StorageError;
use crate::storage::local::record;
use planner::model::id::PoolId;
use planner::model::name::FleetName;
use planner::model::size::Size;
use planner::model::volume::{VolumeSpec, VolumeState};
use serde::{Deserialize, Serialize};

/// The format, shared with local volumes: a record of a newer one is not touched.
pub(super) const VERSION: u32 = 1;

/// A volume's record: `volume.json`.
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
    /// The generation of its marks.
    pub(super) generation: u64,
    /// Whether the marks are known to be of that generation. If not, a change was begun: they
    /// are of that generation or of the one before.
    pub(super) settled: bool,
    /// The pool's number for it, once LVM is told to remove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thin_id: Option<u64>,
    /// How much of it was written when that could last be seen.
    #[serde(default)]
    pub(super) allocated_bytes: Size,
}

impl VolumeRecord {
    pub(super) fn read(dir: &VolumeDir) -> Result<Option<Self>, StorageError> {
        record::read(&dir.record())
    }

    pub(super) fn write(&self, dir: &VolumeDir) -> Result<(), StorageError> {
        record::write(&dir.record(), self)
    }
}
