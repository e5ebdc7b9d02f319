//! Volumes: their states, their marks, and what becomes of one that is no longer wanted.

use super::id::{Incarnation, VolumeId};
use super::name::{SnapshotName, SourceName};
use super::size::Size;
use super::slot::SlotId;
use super::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// What happens to a volume that is no longer wanted, when its retention has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRemove {
    /// Kept until a person destroys it.
    Retain,
    /// Destroyed, if a permit is there.
    Destroy,
}

/// How a volume wants to be treated at its end. Marked on the volume, so it outlives the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// Retain or destroy.
    pub on_remove: OnRemove,
    /// How long it is kept after it was retired, at least.
    pub retention: Millis,
    /// Protected volumes are never destroyed; lifting it and destroying are never in one plan.
    pub protect: bool,
}

impl Keeping {
    /// Seven days, retained, not protected.
    pub const DEFAULT: Self =
        Self { on_remove: OnRemove::Retain, retention: Millis::from_days(7), protect: false };
}

/// Where a volume is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum VolumeState {
    /// Begun, never attached: may be made again from nothing.
    Making,
    /// A slot's own.
    Attached,
    /// Detached and kept.
    Retired {
        /// When, by the host's clock.
        since: Timestamp,
    },
    /// Its destruction has begun and will be finished.
    Erasing,
}

impl VolumeState {
    /// The state's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Attached => "attached",
            Self::Retired { .. } => "retired",
            Self::Erasing => "erasing",
        }
    }
}

/// What a volume is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum VolumeKind {
    /// Data of a slot, or what once was.
    #[default]
    Own,
    /// A volume as it was at one moment. It is made retired, dated with that moment, and nothing
    /// is ever started on it.
    Snapshot,
    /// A writable copy for an instance beside the slot's own. It holds nothing that is not also
    /// elsewhere, and goes without a permit.
    Clone,
}

impl VolumeKind {
    /// The kind's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Snapshot => "snapshot",
            Self::Clone => "clone",
        }
    }

    /// Whether it is data of a slot, or once was.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Snapshot | Self::Clone => false,
        }
    }
}

/// The marks that a volume carries: whose it is and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Its identity.
    pub id: VolumeId,
    /// The slot it was made for, or has moved to.
    pub slot: SlotId,
    /// Its name within the slot.
    pub source: SourceName,
    /// Which life.
    pub incarnation: Incarnation,
    /// Its cap, a multiple of the pool's extent.
    pub size: Size,
    /// Its end.
    pub keeping: Keeping,
    /// What it is for.
    #[serde(default, skip_serializing_if = "VolumeKind::is_own")]
    pub kind: VolumeKind,
    /// The volume whose data it had when it was made; `None`: it was made empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<VolumeId>,
    /// What a person calls it, if it is a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SnapshotName>,
}

impl VolumeSpec {
    /// Whether it is a snapshot or clone of that volume: both keep the key that its data is
    /// encrypted by.
    #[must_use]
    pub fn copies(&self, of: &VolumeId) -> bool {
        !self.kind.is_own() && self.origin.as_ref() == Some(of)
    }

    /// Whether it is a snapshot that a deploy took for a slot to go back to: it is gone when the
    /// slot is healthy. One that a person took wants to be retained.
    #[must_use]
    pub fn is_way_back(&self) -> bool {
        self.kind == VolumeKind::Snapshot && self.keeping.on_remove == OnRemove::Destroy
    }
}
