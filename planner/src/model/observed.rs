//! What each host said, and when; or that it did not answer. "Absent" and "unknown" are
//! different values.

mod written;

use super::artifact::ArtifactKind;
use super::health::{Check, Said};
use super::id::{InstanceId, MachineId, PoolId, VolumeId};
use super::instance::{Role, Supervision};
use super::name::{FleetName, HostName, SourceName};
use super::network::Port;
use super::release::Release;
use super::size::Size;
use super::slot::SlotId;
use super::time::Timestamp;
use super::volume::{VolumeSpec, VolumeState};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};
use written::{WrittenHost, WrittenInstance, WrittenVolume};

/// What every host said. A host of the fleet that is not here is unread.
pub type Observed = BTreeMap<HostName, HostView>;

/// What one host said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "view", try_from = "WrittenHost")]
#[expect(clippy::large_enum_variant, reason = "nearly every view is a read one")]
pub enum HostView {
    /// It answered in full.
    Read(Reading),
    /// It did not, or only in part: nothing may be concluded from what is missing.
    Unread {
        /// Why.
        why: String,
        /// The way out.
        hint: String,
    },
}

/// A full answer of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When, by the host's clock.
    pub at: Timestamp,
    /// When it answered, by the clock of whoever asked. Where that is not known it is 0, and no
    /// clock agrees with it.
    #[serde(default)]
    pub asked_at: Timestamp,
    /// Which machine answered.
    pub machine: MachineId,
    /// What it can run.
    pub runs: BTreeSet<ArtifactKind>,
    /// Whether instances share the machine's ports: two that bind one port on all addresses meet.
    pub shared_ports: bool,
    /// Whether it can start instances that have no network but for its checks.
    #[serde(default)]
    pub isolates: bool,
    /// Its pool.
    pub pool: PoolView,
    /// Volumes with our fleet's mark, by id.
    pub volumes: BTreeMap<VolumeId, VolumeView>,
    /// Instances with our fleet's mark, by id.
    pub instances: BTreeMap<InstanceId, InstanceView>,
    /// Digests of images that are there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub images: BTreeSet<String>,
    /// What carries no mark of ours. Shown, never touched.
    pub foreign: Vec<Foreign>,
}

/// A host's pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "pool")]
pub enum PoolView {
    /// There is none where one should be.
    Absent,
    /// It is there.
    Present(Pool),
}

/// A pool and the marks it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its identity.
    pub id: PoolId,
    /// The fleet that it says it belongs to.
    pub fleet: FleetName,
    /// The host that it says it belongs to.
    pub host: HostName,
    /// The machine it was made on.
    pub machine: MachineId,
    /// How much can be promised at overcommit 1.
    pub size: Size,
    /// How much is in use.
    pub used: Size,
    /// Sizes of volumes are multiples of this.
    pub extent: Size,
    /// What each volume costs beside its size, such as a LUKS header.
    pub header: Size,
    /// Whether a volume cannot outgrow its cap.
    pub cap_enforced: bool,
    /// Whether a volume can grow while an instance uses it.
    pub grows_online: bool,
    /// Whether a volume can be copied, as it is at one moment, while an instance uses it.
    #[serde(default)]
    pub copies_online: bool,
    /// How full it is, if what is full fails writes of all its volumes at once.
    #[serde(default)]
    pub fill: Option<Fill>,
}

/// How full a pool is, in thousandths, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Of the room for data.
    pub data: u32,
    /// Of the room for what it remembers about data.
    pub metadata: u32,
}

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenVolume")]
pub struct VolumeView {
    /// Its marks. `size` is the size it has.
    pub spec: VolumeSpec,
    /// Where it is in its life.
    #[serde(flatten)]
    pub state: VolumeState,
    /// How much of it is written.
    pub allocated: Size,
    /// Whether it was ever formatted.
    pub formatted: bool,
}

impl VolumeView {
    /// Whether it holds a file system that was finished, and nothing has begun to take that away.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        match self.state {
            VolumeState::Attached | VolumeState::Retired { .. } => self.formatted,
            VolumeState::Making | VolumeState::Erasing => false,
        }
    }

    /// Whether its making was begun and never finished: nobody ever had it.
    #[must_use]
    pub fn is_half_made(&self) -> bool {
        self.state == VolumeState::Making && !self.formatted
    }

    /// The volume's name within its slot.
    #[must_use]
    pub const fn source(&self) -> &SourceName {
        &self.spec.source
    }
}

/// How an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum InstanceState {
    /// Its process lives, or is just being started.
    Running,
    /// Its process ended and its supervisor will start it again.
    Restarting,
    /// It ended with success, and is not to be started again.
    Finished,
    /// It ended, and its supervisor gave up.
    Failed {
        /// What was seen.
        why: String,
    },
    /// Its supervisor is gone: killed, or the machine was restarted.
    Died {
        /// What was seen.
        why: String,
    },
    /// It was stopped on purpose and its tree is empty.
    Stopped,
}

impl InstanceView {
    /// Whether the instance does its work, as far as was seen.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        match self.state {
            InstanceState::Running => self.healthy != Some(false),
            InstanceState::Finished => true,
            InstanceState::Restarting
            | InstanceState::Failed { .. }
            | InstanceState::Died { .. }
            | InstanceState::Stopped => false,
        }
    }
}

impl InstanceState {
    /// Whether a process of it lives or is to be started again.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        match self {
            Self::Running | Self::Restarting => true,
            Self::Finished | Self::Failed { .. } | Self::Died { .. } | Self::Stopped => false,
        }
    }

    /// Whether no process of it is left, as its supervisor has seen. One that died was not seen to
    /// its end.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Finished | Self::Failed { .. } | Self::Stopped => true,
            Self::Running | Self::Restarting | Self::Died { .. } => false,
        }
    }

    /// The state's word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Finished => "finished",
            Self::Failed { .. } => "failed",
            Self::Died { .. } => "died",
            Self::Stopped => "stopped",
        }
    }
}

/// An instance as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenInstance")]
pub struct InstanceView {
    /// Its identity.
    pub id: InstanceId,
    /// The slot it is of.
    pub slot: SlotId,
    /// What for.
    pub role: Role,
    /// What it runs.
    pub release: Release,
    /// How it is.
    #[serde(flatten)]
    pub state: InstanceState,
    /// Whether its checks passed when last asked; `None` if nobody asked, or if they failed so soon
    /// after its start that they do not count yet.
    pub healthy: Option<bool>,
    /// What each of them said then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Said>,
    /// When its process was started last, if it runs and its host knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_since: Option<Timestamp>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Ports its services listen on.
    pub ports: Vec<Port>,
    /// Volumes it holds.
    pub volumes: BTreeSet<VolumeId>,
    /// How it is kept running.
    pub supervision: Supervision,
    /// Checks it was started with.
    pub checks: Vec<Check>,
    /// Memory it reserves.
    pub memory: Size,
    /// Processors it reserves.
    pub cpus: u32,
    /// Times it was started again by its supervisor.
    pub restarts: u32,
}

/// Something that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// How the host calls it.
    pub name: String,
    /// What it promises of the pool.
    pub size: Size,
    /// Whose it seems to be.
    pub whose: String,
    /// Why it cannot become a volume of ours, in words; nothing if it can.
    #[serde(default = "unknown")]
    pub cannot: Option<String>,
}

/// Of a host that did not say.
fn unknown() -> Option<String> {
    Some("its host does not say what is in it".into())
}
