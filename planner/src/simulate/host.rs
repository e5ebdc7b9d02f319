//! What one act makes of a host's reading.

use crate::model::id::{InstanceId, VolumeId};
use crate::model::instance::{InstanceSpec, Role};
use crate::model::name::{FleetName, HostName};
use crate::model::observed::{InstanceState, InstanceView, Pool, PoolView, Reading, VolumeView};
use crate::model::size::Size;
use crate::model::time::Timestamp;
use crate::model::volume::{VolumeKind, VolumeSpec, VolumeState};
use crate::plan::Gate;
use crate::plan::step::{Act, Marks, Step};

/// Does the step's act. What is not there is not acted on: an ensure that finds nothing.
pub(super) fn act(
    reading: &mut Reading,
    step: &Step,
    gate: &Gate,
    fleet: &FleetName,
    at: Timestamp,
) {
    let volumes = &mut reading.volumes;
    match &step.act {
        Act::MakePool { pool, size } => {
            if reading.pool == PoolView::Absent {
                let pool = new_pool(pool.clone(), *size, fleet, &step.host, reading);
                reading.pool = PoolView::Present(pool);
            }
        }
        Act::MakeVolume { volume } => make(reading, volume),
        Act::CopyVolume { of, volume } => copy(reading, of, volume, at),
        Act::RemoveClone { volume } => {
            if volumes.get(volume).is_some_and(|view| view.spec.kind == VolumeKind::Clone) {
                volumes.remove(volume);
            }
        }
        Act::RemoveSnapshot { volume } => {
            if volumes.get(volume).is_some_and(|view| view.spec.is_way_back()) {
                volumes.remove(volume);
            }
        }
        Act::GrowVolume { volume, to } => {
            if let Some(view) = volumes.get_mut(volume) {
                view.spec.size = view.spec.size.max(*to);
            }
        }
        Act::MarkVolume { volume, marks } => mark(reading, volume, marks),
        Act::RetireVolume { volume, keeping } => {
            if let Some(view) = volumes.get_mut(volume) {
                view.spec.keeping = *keeping;
                view.state = match view.state {
                    VolumeState::Making | VolumeState::Attached => {
                        VolumeState::Retired { since: at }
                    }
                    VolumeState::Retired { .. } | VolumeState::Erasing => view.state,
                };
            }
        }
        Act::TakeBackVolume { volume, marks } => {
            mark(reading, volume, marks);
            if let Some(view) = reading.volumes.get_mut(volume) {
                view.state = VolumeState::Attached;
            }
        }
        Act::AdoptVolume { name, volume } => {
            reading.foreign.retain(|foreign| foreign.name != *name);
            make(reading, volume);
        }
        Act::DestroyVolume { volume, .. } => {
            volumes.remove(volume);
        }
        Act::FetchImage { digest, .. } => {
            reading.images.insert(digest.clone());
        }
        Act::StartInstance { instance } => start(reading, instance, gate),
        Act::StopInstance { instance, .. } => {
            reading.instances.remove(instance);
        }
        Act::SuperviseInstance { instance, supervision } => {
            if let Some(view) = reading.instances.get_mut(instance) {
                view.supervision = supervision.clone();
                if let Gate::Healthy { instance: watched, checks, .. } = gate
                    && watched == instance
                {
                    view.checks.clone_from(checks);
                }
            }
        }
    }
}

/// The instance did not come up.
pub(super) fn fail(reading: &mut Reading, instance: &InstanceId) {
    if let Some(view) = reading.instances.get_mut(instance) {
        view.state = InstanceState::Failed { why: "its gate was not passed".into() };
        view.healthy = Some(false);
    }
}

/// A pool as the `local` driver makes it: no extents, no headers.
fn new_pool(
    id: crate::model::id::PoolId,
    size: Size,
    fleet: &FleetName,
    host: &HostName,
    reading: &Reading,
) -> Pool {
    Pool {
        id,
        fleet: fleet.clone(),
        host: host.clone(),
        machine: reading.machine.clone(),
        size,
        used: Size::ZERO,
        extent: Size::ZERO,
        header: Size::ZERO,
        cap_enforced: true,
        grows_online: true,
        copies_online: true,
        fill: None,
    }
}

fn make(reading: &mut Reading, spec: &VolumeSpec) {
    let whole = reading.volumes.get(&spec.id).is_some_and(|v| v.state != VolumeState::Making);
    if !whole {
        let view = VolumeView {
            spec: spec.clone(),
            state: VolumeState::Attached,
            allocated: Size::ZERO,
            formatted: true,
        };
        reading.volumes.insert(spec.id.clone(), view);
    }
}

/// A snapshot is retired from the first.
fn copy(reading: &mut Reading, of: &VolumeId, spec: &VolumeSpec, at: Timestamp) {
    let Some(origin) = reading.volumes.get(of) else { return };
    let allocated = origin.allocated;
    make(reading, spec);
    if let Some(view) = reading.volumes.get_mut(&spec.id) {
        view.allocated = view.allocated.max(allocated);
        view.state = match (spec.kind, view.state) {
            (VolumeKind::Snapshot, VolumeState::Attached) => VolumeState::Retired { since: at },
            (_, state) => state,
        };
    }
}

fn mark(reading: &mut Reading, volume: &VolumeId, marks: &Marks) {
    if let Some(view) = reading.volumes.get_mut(volume) {
        view.spec.slot = marks.slot.clone();
        view.spec.source = marks.source.clone();
        view.spec.keeping = marks.keeping;
    }
}

fn start(reading: &mut Reading, spec: &InstanceSpec, gate: &Gate) {
    let checks = match gate {
        Gate::Healthy { instance, checks, .. } if *instance == spec.id => checks.clone(),
        Gate::Healthy { .. } | Gate::Open | Gate::StaysUp { .. } | Gate::Finishes { .. } => {
            alloc::vec![]
        }
    };
    let healthy = (!checks.is_empty()).then_some(true);
    let state = match spec.role {
        Role::Release | Role::Run => InstanceState::Finished,
        Role::Main | Role::Canary | Role::Green => InstanceState::Running,
    };
    let view = InstanceView {
        id: spec.id.clone(),
        slot: spec.slot.clone(),
        role: spec.role,
        release: spec.release.clone(),
        state,
        healthy,
        said: alloc::vec![],
        up_since: None,
        address: spec.address,
        ports: spec.ports.clone(),
        volumes: spec.binds.iter().map(|bind| bind.volume.clone()).collect(),
        supervision: spec.supervision.clone(),
        checks,
        memory: spec.guest.memory,
        cpus: spec.guest.cpus,
        restarts: 0,
    };
    reading.instances.insert(spec.id.clone(), view);
}
