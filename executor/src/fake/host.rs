//! A host in memory. It refuses what a real host refuses, remembers what was done, and fails when
//! told to.

use crate::ensure::Ensured;
use crate::host::{Answer, Host, Resumed, StepError};
use async_trait::async_trait;
use planner::model::artifact::ArtifactKind;
use planner::model::health::Check;
use planner::model::id::{InstanceId, MachineId, PoolId};
use planner::model::instance::InstanceSpec;
use planner::model::name::{FleetName, HostName};
use planner::model::observed::{
    HostView, InstanceState, InstanceView, Pool, PoolView, Reading, VolumeView,
};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{VolumeKind, VolumeState};
use planner::plan::predicate::{Judgement, judge};
use planner::plan::step::{Act, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A host in memory.
pub struct FakeHost {
    name: HostName,
    fleet: FleetName,
    inner: Mutex<Inner>,
}

struct Inner {
    reading: Reading,
    unread: Option<String>,
    /// Step ids that begin with the key fail, so many times, with the message.
    faults: BTreeMap<String, (usize, String)>,
    sick: BTreeSet<Ipv4Addr>,
    acts: Vec<String>,
    asks: usize,
}

impl FakeHost {
    /// A host without a pool, that can run trees.
    #[must_use]
    pub fn new(fleet: FleetName, name: HostName, machine: MachineId) -> Self {
        let reading = Reading {
            at: Timestamp(1_000_000),
            asked_at: Timestamp::default(),
            machine,
            runs: BTreeSet::from([ArtifactKind::Tree]),
            shared_ports: false,
            isolates: true,
            images: BTreeSet::new(),
            pool: PoolView::Absent,
            volumes: BTreeMap::new(),
            instances: BTreeMap::new(),
            foreign: Vec::new(),
        };
        let inner = Inner {
            reading,
            unread: None,
            faults: BTreeMap::new(),
            sick: BTreeSet::new(),
            acts: Vec::new(),
            asks: 0,
        };
        Self { name, fleet, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it does not answer; `None`: it does again.
    pub fn unread(&self, why: Option<&str>) {
        self.inner().unread = why.map(str::to_owned);
    }

    /// The next `times` steps whose id begins so fail.
    pub fn fail(&self, step: &str, times: usize, why: &str) {
        self.inner().faults.insert(step.to_owned(), (times, why.to_owned()));
    }

    /// Checks of this address fail, or pass again.
    pub fn sicken(&self, address: Ipv4Addr, sick: bool) {
        let mut inner = self.inner();
        if sick {
            inner.sick.insert(address);
        } else {
            inner.sick.remove(&address);
        }
    }

    /// Changes what is there, as somebody's hand would.
    pub fn meddle(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut self.inner().reading);
    }

    /// What is there.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.inner().reading.clone()
    }

    /// How often checks were asked.
    #[must_use]
    pub fn asks(&self) -> usize {
        self.inner().asks
    }

    /// Ids of steps that changed something, in order.
    #[must_use]
    pub fn acts(&self) -> Vec<String> {
        self.inner().acts.clone()
    }
}

#[async_trait]
impl Host for FakeHost {
    fn name(&self) -> &HostName {
        &self.name
    }

    async fn observe(&self) -> HostView {
        let inner = self.inner();
        match &inner.unread {
            None => HostView::Read(inner.reading.clone()),
            Some(why) => HostView::Unread { why: why.clone(), hint: "wait".to_owned() },
        }
    }

    async fn act(&self, step: &Step) -> Result<Ensured, StepError> {
        let failed = |why: &str| StepError::Failed {
            what: step.id.0.clone(),
            retryable: true,
            source: why.to_owned().into(),
        };
        let mut inner = self.inner();
        if let Some(why) = &inner.unread {
            return Err(failed(why));
        }
        match judge(step, &inner.reading) {
            Judgement::After => return Ok(Ensured::AlreadySo),
            Judgement::Stale { found } => return Err(StepError::Stale { found }),
            Judgement::Before => {}
        }
        let fault = inner.faults.iter_mut().find(|(prefix, _)| step.id.0.starts_with(*prefix));
        if let Some((_, (times, why))) = fault
            && *times > 0
        {
            *times -= 1;
            return Err(failed(why));
        }
        inner.acts.push(step.id.0.clone());
        let changed = perform(&mut inner.reading, &step.act, &self.fleet, &self.name);
        Ok(if changed { Ensured::Changed } else { Ensured::Made })
    }

    async fn instance(&self, id: &InstanceId) -> Result<Option<InstanceView>, StepError> {
        Ok(self.inner().reading.instances.get(id).cloned())
    }

    async fn ask(&self, _: &InstanceId, address: Ipv4Addr, _check: &Check) -> Answer {
        let mut inner = self.inner();
        inner.asks += 1;
        match inner.sick.contains(&address) {
            true => Answer::Failing { seen: "status 500".to_owned() },
            false => Answer::Passing,
        }
    }

    async fn resume(&self) -> Result<Vec<Resumed>, StepError> {
        let mut inner = self.inner();
        let died = |view: &&mut InstanceView| matches!(view.state, InstanceState::Died { .. });
        let died = inner.reading.instances.values_mut().filter(died);
        let resumed = died.map(|view| {
            view.state = InstanceState::Running;
            Resumed { instance: view.clone(), result: Ok(Ensured::Made) }
        });
        Ok(resumed.collect())
    }

    async fn purge(&self) -> Result<(), StepError> {
        let reading = &mut self.inner().reading;
        reading.pool = PoolView::Absent;
        reading.volumes.clear();
        Ok(())
    }

    async fn exec(&self, instance: &InstanceId, _: &[OsString]) -> Result<i32, StepError> {
        let view = self.instance(instance).await?;
        Ok(if view.is_some_and(|view| view.state.is_alive()) { 0 } else { 126 })
    }

    fn log(&self, _id: &InstanceId) -> Option<PathBuf> {
        None
    }
}

/// Does it; whether something that was there is different now.
fn perform(reading: &mut Reading, act: &Act, fleet: &FleetName, host: &HostName) -> bool {
    let at = reading.at;
    match act {
        Act::MakePool { pool, size } => {
            reading.pool = PoolView::Present(new_pool(pool, *size, fleet, host, reading));
            false
        }
        Act::MakeVolume { volume } | Act::AdoptVolume { volume, .. } => {
            adopted(reading, act);
            let view = VolumeView {
                spec: volume.clone(),
                state: VolumeState::Attached,
                allocated: Size::ZERO,
                formatted: true,
            };
            reading.volumes.insert(volume.id.clone(), view);
            false
        }
        Act::CopyVolume { of, volume } => {
            let origin = reading.volumes.get(of);
            let view = VolumeView {
                spec: volume.clone(),
                state: match volume.kind {
                    VolumeKind::Snapshot => VolumeState::Retired { since: at },
                    VolumeKind::Own | VolumeKind::Clone => VolumeState::Attached,
                },
                allocated: origin.map_or(Size::ZERO, |origin| origin.allocated),
                formatted: true,
            };
            reading.volumes.insert(volume.id.clone(), view);
            false
        }
        Act::FetchImage { digest, .. } => {
            reading.images.insert(digest.clone());
            false
        }
        Act::StartInstance { instance } => {
            reading.instances.insert(instance.id.clone(), started(instance));
            false
        }
        Act::StopInstance { instance, .. } => reading.instances.remove(instance).is_none(),
        Act::SuperviseInstance { instance, supervision } => {
            if let Some(view) = reading.instances.get_mut(instance) {
                view.supervision = supervision.clone();
            }
            true
        }
        Act::DestroyVolume { volume, .. }
        | Act::RemoveClone { volume }
        | Act::RemoveSnapshot { volume } => reading.volumes.remove(volume).is_none(),
        Act::GrowVolume { volume, .. }
        | Act::MarkVolume { volume, .. }
        | Act::RetireVolume { volume, .. }
        | Act::TakeBackVolume { volume, .. } => {
            if let Some(view) = reading.volumes.get_mut(volume) {
                change(view, act, at);
            }
            true
        }
    }
}

fn new_pool(
    id: &PoolId,
    size: Size,
    fleet: &FleetName,
    host: &HostName,
    reading: &Reading,
) -> Pool {
    Pool {
        id: id.clone(),
        fleet: fleet.clone(),
        host: host.clone(),
        machine: reading.machine.clone(),
        size,
        used: Size::ZERO,
        extent: Size::from_mib(4),
        header: Size::ZERO,
        cap_enforced: true,
        grows_online: true,
        copies_online: true,
        fill: None,
    }
}

/// What was adopted is foreign no more.
fn adopted(reading: &mut Reading, act: &Act) {
    if let Act::AdoptVolume { name, .. } = act {
        reading.foreign.retain(|foreign| foreign.name != *name);
    }
}

fn change(view: &mut VolumeView, act: &Act, at: Timestamp) {
    match act {
        Act::GrowVolume { to, .. } => view.spec.size = *to,
        Act::RetireVolume { keeping, .. } => {
            view.spec.keeping = *keeping;
            view.state = VolumeState::Retired { since: at };
        }
        Act::MarkVolume { marks, .. } | Act::TakeBackVolume { marks, .. } => {
            view.spec.slot = marks.slot.clone();
            view.spec.source = marks.source.clone();
            view.spec.keeping = marks.keeping;
            view.state = VolumeState::Attached;
        }
        Act::MakePool { .. }
        | Act::MakeVolume { .. }
        | Act::AdoptVolume { .. }
        | Act::CopyVolume { .. }
        | Act::RemoveClone { .. }
        | Act::RemoveSnapshot { .. }
        | Act::DestroyVolume { .. }
        | Act::FetchImage { .. }
        | Act::StartInstance { .. }
        | Act::StopInstance { .. }
        | Act::SuperviseInstance { .. } => {}
    }
}

fn started(instance: &InstanceSpec) -> InstanceView {
    InstanceView {
        id: instance.id.clone(),
        slot: instance.slot.clone(),
        role: instance.role,
        release: instance.release.clone(),
        state: InstanceState::Running,
        healthy: None,
        said: Vec::new(),
        up_since: None,
        address: instance.address,
        ports: instance.ports.clone(),
        volumes: instance.binds.iter().map(|bind| bind.volume.clone()).collect(),
        supervision: instance.supervision.clone(),
        checks: Vec::new(),
        memory: instance.guest.memory,
        cpus: instance.guest.cpus,
        restarts: 0,
    }
}
