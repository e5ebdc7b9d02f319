//! Views as they are written, each in one piece. The words that say what kind a view is of stand
//! among the rest; the ways that serde has for that keep a whole host in memory as loose values
//! first, and a fleet has many of them.

use super::{Foreign, HostView, InstanceState, InstanceView, PoolView, Reading, VolumeView};
use crate::model::artifact::ArtifactKind;
use crate::model::health::{Check, Said};
use crate::model::id::{InstanceId, MachineId, VolumeId};
use crate::model::instance::{Role, Supervision};
use crate::model::network::Port;
use crate::model::release::Release;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::time::Timestamp;
use crate::model::volume::{VolumeSpec, VolumeState};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::Deserialize;

/// A field that this kind has and that is not there.
#[derive(Debug, thiserror::Error)]
#[error("missing field `{0}`")]
pub(super) struct Missing(&'static str);

fn need<T>(field: Option<T>, name: &'static str) -> Result<T, Missing> {
    field.ok_or(Missing(name))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ViewWord {
    Read,
    Unread,
}

#[derive(Deserialize)]
pub(super) struct WrittenHost {
    view: ViewWord,
    why: Option<String>,
    hint: Option<String>,
    at: Option<Timestamp>,
    #[serde(default)]
    asked_at: Timestamp,
    machine: Option<MachineId>,
    runs: Option<BTreeSet<ArtifactKind>>,
    shared_ports: Option<bool>,
    #[serde(default)]
    isolates: bool,
    pool: Option<PoolView>,
    volumes: Option<BTreeMap<VolumeId, VolumeView>>,
    instances: Option<BTreeMap<InstanceId, InstanceView>>,
    #[serde(default)]
    images: BTreeSet<String>,
    foreign: Option<Vec<Foreign>>,
}

impl TryFrom<WrittenHost> for HostView {
    type Error = Missing;

    fn try_from(host: WrittenHost) -> Result<Self, Missing> {
        match host.view {
            ViewWord::Read => Ok(Self::Read(Reading {
                at: need(host.at, "at")?,
                asked_at: host.asked_at,
                machine: need(host.machine, "machine")?,
                runs: need(host.runs, "runs")?,
                shared_ports: need(host.shared_ports, "shared_ports")?,
                isolates: host.isolates,
                pool: need(host.pool, "pool")?,
                volumes: need(host.volumes, "volumes")?,
                instances: need(host.instances, "instances")?,
                images: host.images,
                foreign: need(host.foreign, "foreign")?,
            })),
            ViewWord::Unread => {
                Ok(Self::Unread { why: need(host.why, "why")?, hint: need(host.hint, "hint")? })
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum VolumeWord {
    Making,
    Attached,
    Retired,
    Erasing,
}

#[derive(Deserialize)]
pub(super) struct WrittenVolume {
    spec: VolumeSpec,
    state: VolumeWord,
    since: Option<Timestamp>,
    allocated: Size,
    formatted: bool,
}

impl TryFrom<WrittenVolume> for VolumeView {
    type Error = Missing;

    fn try_from(volume: WrittenVolume) -> Result<Self, Missing> {
        let WrittenVolume { spec, state, since, allocated, formatted } = volume;
        let state = match state {
            VolumeWord::Making => VolumeState::Making,
            VolumeWord::Attached => VolumeState::Attached,
            VolumeWord::Retired => VolumeState::Retired { since: need(since, "since")? },
            VolumeWord::Erasing => VolumeState::Erasing,
        };
        Ok(Self { spec, state, allocated, formatted })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum InstanceWord {
    Running,
    Restarting,
    Finished,
    Failed,
    Died,
    Stopped,
}

#[derive(Deserialize)]
pub(super) struct WrittenInstance {
    id: InstanceId,
    slot: SlotId,
    role: Role,
    release: Release,
    state: InstanceWord,
    why: Option<String>,
    healthy: Option<bool>,
    #[serde(default)]
    said: Vec<Said>,
    up_since: Option<Timestamp>,
    address: Ipv4Addr,
    ports: Vec<Port>,
    volumes: BTreeSet<VolumeId>,
    supervision: Supervision,
    #[serde(default)]
    checks: Vec<Check>,
    memory: Size,
    cpus: u32,
    restarts: u32,
}

impl TryFrom<WrittenInstance> for InstanceView {
    type Error = Missing;

    fn try_from(instance: WrittenInstance) -> Result<Self, Missing> {
        let why = instance.why;
        let state = match instance.state {
            InstanceWord::Running => InstanceState::Running,
            InstanceWord::Restarting => InstanceState::Restarting,
            InstanceWord::Finished => InstanceState::Finished,
            InstanceWord::Failed => InstanceState::Failed { why: need(why, "why")? },
            InstanceWord::Died => InstanceState::Died { why: need(why, "why")? },
            InstanceWord::Stopped => InstanceState::Stopped,
        };
        Ok(Self {
            id: instance.id,
            slot: instance.slot,
            role: instance.role,
            release: instance.release,
            state,
            healthy: instance.healthy,
            said: instance.said,
            up_since: instance.up_since,
            address: instance.address,
            ports: instance.ports,
            volumes: instance.volumes,
            supervision: instance.supervision,
            checks: instance.checks,
            memory: instance.memory,
            cpus: instance.cpus,
            restarts: instance.restarts,
        })
    }
}
