//! A step: one idempotent act on one host, with what must be so before it and what is so after.

use super::predicate::Predicate;
use crate::model::id::{InstanceId, PoolId, VolumeId};
use crate::model::instance::{InstanceSpec, Supervision};
use crate::model::name::{HostName, SourceName};
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::time::Timestamp;
use crate::model::volume::{Keeping, VolumeKind, VolumeSpec};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The name of a step within its plan: what it does and to what, such as
/// `make-volume vol_0123456789abcdef`. Unique in a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub String);

/// One act on one host. Self-contained: a host needs nothing else to carry it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub id: StepId,
    /// The only host it touches.
    pub host: HostName,
    /// All of these hold: act.
    pub before: Vec<Predicate>,
    /// All of these hold: already so. They hold after the act.
    pub after: Vec<Predicate>,
    /// What is done.
    pub act: Act,
}

/// What a volume is marked with and can be marked anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The slot it is of.
    pub slot: SlotId,
    /// Its name.
    pub source: SourceName,
    /// Its end.
    pub keeping: Keeping,
}

/// What a step does. Every act is "ensure": done twice, it is done once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "act")]
pub enum Act {
    /// Makes the host's pool.
    MakePool {
        /// Its identity.
        pool: PoolId,
        /// Its size.
        size: Size,
    },
    /// Makes, formats and attaches a volume.
    MakeVolume {
        /// Its marks.
        volume: VolumeSpec,
    },
    /// Makes a volume with the data of another one that is there and stays as it is: a snapshot,
    /// which is retired from the first and dated by the host's clock; a clone, which is attached;
    /// or a slot's own, attached, which shares nothing with what it was made from.
    CopyVolume {
        /// Of which.
        of: VolumeId,
        /// Its marks; the size is that of the other one.
        volume: VolumeSpec,
    },
    /// Removes a clone with all that was written to it.
    RemoveClone {
        /// Which.
        volume: VolumeId,
    },
    /// Removes a snapshot that a deploy took to go back to.
    RemoveSnapshot {
        /// Which.
        volume: VolumeId,
    },
    /// Grows a volume, online where the storage can.
    GrowVolume {
        /// Which.
        volume: VolumeId,
        /// To this cap.
        to: Size,
    },
    /// Marks an attached volume anew.
    MarkVolume {
        /// Which.
        volume: VolumeId,
        /// With what.
        marks: Marks,
    },
    /// Detaches a volume and keeps it, dated by the host's clock.
    RetireVolume {
        /// Which.
        volume: VolumeId,
        /// How it is kept.
        keeping: Keeping,
    },
    /// Attaches a retired volume again.
    TakeBackVolume {
        /// Which.
        volume: VolumeId,
        /// For whom.
        marks: Marks,
    },
    /// Makes something in the pool that is not ours a volume of ours, with what is in it.
    AdoptVolume {
        /// How the host calls it.
        name: String,
        /// Its marks from now on; it has this size.
        volume: VolumeSpec,
    },
    /// Destroys a retired volume and its data.
    DestroyVolume {
        /// Which.
        volume: VolumeId,
        /// When it was retired, as the plan saw it.
        retired: Timestamp,
    },
    /// Has an image on the host, whole, to be started from.
    FetchImage {
        /// What the manifest calls it.
        reference: String,
        /// What it is.
        digest: String,
    },
    /// Starts an instance under supervision.
    StartInstance {
        /// All of it.
        instance: Box<InstanceSpec>,
    },
    /// Stops an instance: its tree is empty, its volumes are unmounted, its record is gone.
    StopInstance {
        /// Which.
        instance: InstanceId,
        /// The slot it is of.
        slot: SlotId,
    },
    /// Changes how a running instance is kept running.
    SuperviseInstance {
        /// Which.
        instance: InstanceId,
        /// How.
        supervision: Supervision,
    },
}

impl Act {
    /// The volume that it is about, if it is about one.
    #[must_use]
    pub const fn volume(&self) -> Option<&VolumeId> {
        match self {
            Self::MakeVolume { volume: VolumeSpec { id: volume, .. } }
            | Self::AdoptVolume { volume: VolumeSpec { id: volume, .. }, .. }
            | Self::CopyVolume { volume: VolumeSpec { id: volume, .. }, .. }
            | Self::RemoveClone { volume }
            | Self::RemoveSnapshot { volume }
            | Self::GrowVolume { volume, .. }
            | Self::MarkVolume { volume, .. }
            | Self::RetireVolume { volume, .. }
            | Self::TakeBackVolume { volume, .. }
            | Self::DestroyVolume { volume, .. } => Some(volume),
            Self::MakePool { .. }
            | Self::FetchImage { .. }
            | Self::StartInstance { .. }
            | Self::StopInstance { .. }
            | Self::SuperviseInstance { .. } => None,
        }
    }

    /// The act's verb and object, as in [`StepId`].
    #[must_use]
    pub fn id(&self, host: &HostName) -> StepId {
        StepId(match self {
            Self::MakePool { .. } => alloc::format!("make-pool {host}"),
            Self::MakeVolume { volume } => alloc::format!("make-volume {}", volume.id),
            Self::CopyVolume { volume, .. } => match volume.kind {
                VolumeKind::Own => alloc::format!("restore-volume {}", volume.id),
                VolumeKind::Snapshot => alloc::format!("snapshot-volume {}", volume.id),
                VolumeKind::Clone => alloc::format!("clone-volume {}", volume.id),
            },
            Self::RemoveClone { volume } => alloc::format!("remove-clone {volume}"),
            Self::RemoveSnapshot { volume } => alloc::format!("remove-snapshot {volume}"),
            Self::GrowVolume { volume, .. } => alloc::format!("grow-volume {volume}"),
            Self::MarkVolume { volume, .. } => alloc::format!("mark-volume {volume}"),
            Self::RetireVolume { volume, .. } => alloc::format!("retire-volume {volume}"),
            Self::TakeBackVolume { volume, .. } => alloc::format!("take-back-volume {volume}"),
            Self::AdoptVolume { volume, .. } => alloc::format!("adopt-volume {}", volume.id),
            Self::DestroyVolume { volume, .. } => alloc::format!("destroy-volume {volume}"),
            Self::FetchImage { reference, .. } => alloc::format!("fetch-image {reference} {host}"),
            Self::StartInstance { instance } => alloc::format!("start-instance {}", instance.id),
            Self::StopInstance { instance, .. } => alloc::format!("stop-instance {instance}"),
            Self::SuperviseInstance { instance, .. } => {
                alloc::format!("supervise-instance {instance}")
            }
        })
    }
}
