//! Small plans written by hand, so that what judges, simulates and shows plans is tested without
//! what makes them: two slots with a volume each, on one host.

use planner::check::World;
use planner::model::artifact::{Artifact, ArtifactKind};
use planner::model::claim::{Claim, ClaimedVolume, Claims};
use planner::model::desired::Strategy;
use planner::model::few::Few;
use planner::model::guest::Guest;
use planner::model::health::{Check, Probe};
use planner::model::host::{HostSpec, HostState};
use planner::model::id::{Incarnation, InstanceId, MachineId, PoolId, VolumeId};
use planner::model::instance::{Bind, InstanceSpec, Restart, Role, Supervision};
use planner::model::name::{FleetName, HostName, SourceName};
use planner::model::network::Port;
use planner::model::object::Object;
use planner::model::observed::{HostView, Observed, Pool, PoolView, Reading};
use planner::model::permit::Permits;
use planner::model::policy::Policy;
use planner::model::release::{Env, Release, ReleaseSpec};
use planner::model::size::Size;
use planner::model::slot::SlotId;
use planner::model::time::{Millis, Timestamp};
use planner::model::volume::{Keeping, OnRemove, VolumeKind, VolumeSpec};
use planner::plan::change::{Change, Field, Verb};
use planner::plan::predicate::Predicate;
use planner::plan::step::{Act, Step};
use planner::plan::{Choice, ClaimAct, Gate, Lane, Plan, Rollout, RolloutId, Wave};
use planner::simulate::simulate;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

/// What [`World`] borrows.
#[derive(Clone)]
pub(crate) struct Owned {
    pub(crate) hosts: BTreeMap<HostName, HostSpec>,
    pub(crate) observed: Observed,
    pub(crate) claims: Claims,
    pub(crate) policy: Policy,
    pub(crate) permits: Permits,
}

impl Owned {
    /// One host with an empty pool of 100GB.
    pub(crate) fn new() -> Self {
        let pool = Pool {
            id: pool(),
            fleet: fleet(),
            host: host(),
            machine: machine(),
            size: Size::parse("100GB").unwrap(),
            used: Size::ZERO,
            extent: Size::ZERO,
            header: Size::ZERO,
            cap_enforced: true,
            grows_online: true,
            copies_online: true,
            fill: None,
        };
        let reading = Reading {
            at: NOW,
            asked_at: NOW,
            machine: machine(),
            runs: BTreeSet::from([ArtifactKind::Tree]),
            shared_ports: false,
            isolates: true,
            images: BTreeSet::new(),
            pool: PoolView::Present(pool),
            volumes: BTreeMap::new(),
            instances: BTreeMap::new(),
            foreign: Vec::new(),
        };
        let spec = HostSpec {
            name: host(),
            region: "ewr".parse().unwrap(),
            zone: None,
            state: HostState::Active,
            was: None,
            subnet: "10.77.1.0/24".parse().unwrap(),
            memory: Size::parse("64GB").unwrap(),
            cpus: 16,
            pool_size: None,
        };
        Self {
            hosts: BTreeMap::from([(host(), spec)]),
            observed: BTreeMap::from([(host(), HostView::Read(reading))]),
            claims: Claims { complete: true, ..Claims::default() },
            policy: Policy::default(),
            permits: Permits::NONE,
        }
    }

    /// The same after the plan.
    pub(crate) fn after(&self, plan: &Plan) -> Self {
        let (observed, claims) = simulate(&self.observed, &self.claims, plan, NOW);
        Self { observed, claims, ..self.clone() }
    }

    pub(crate) fn world(&self) -> World<'_> {
        World {
            hosts: &self.hosts,
            observed: &self.observed,
            claims: &self.claims,
            policy: &self.policy,
            permits: self.permits,
        }
    }

    pub(crate) fn reading(&mut self) -> &mut Reading {
        match self.observed.get_mut(&host()).unwrap() {
            HostView::Read(reading) => reading,
            HostView::Unread { .. } => panic!("the host is unread"),
        }
    }
}

pub(crate) fn fleet() -> FleetName {
    "prod".parse().unwrap()
}

pub(crate) fn host() -> HostName {
    "ewr-1".parse().unwrap()
}

pub(crate) fn machine() -> MachineId {
    MachineId::parse("0123456789abcdef").unwrap()
}

pub(crate) fn pool() -> PoolId {
    PoolId::parse("01234567-89ab-4cde-8f01-23456789abcd").unwrap()
}

pub(crate) fn source() -> SourceName {
    "data".parse().unwrap()
}

pub(crate) fn slot(n: u32) -> SlotId {
    format!("web/app/ewr/{n}").parse().unwrap()
}

pub(crate) fn release(version: &str) -> Release {
    let spec = ReleaseSpec {
        app: "web".parse().unwrap(),
        group: "app".parse().unwrap(),
        artifact: Artifact::Tree { digest: version.repeat(64).into() },
        argv: Vec::new(),
        replaces_entrypoint: false,
        env: Env::new(),
        files: Vec::new(),
        mounts: Few::from([(source(), "/data".into())]),
        guest: Guest::DEFAULT,
        secrets: BTreeMap::new(),
        secret_files: Vec::new(),
    };
    spec.release()
}

pub(crate) fn volume(n: u32) -> VolumeSpec {
    VolumeSpec {
        id: VolumeId::derive(&fleet(), &slot(n), &source(), &pool(), Incarnation::FIRST),
        slot: slot(n),
        source: source(),
        incarnation: Incarnation::FIRST,
        size: Size::parse("10GB").unwrap(),
        keeping: Keeping { on_remove: OnRemove::Destroy, ..Keeping::DEFAULT },
        kind: VolumeKind::Own,
        origin: None,
        name: None,
    }
}

pub(crate) fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 1, 10 + u8::try_from(n).unwrap())
}

pub(crate) fn instance(n: u32, version: &str) -> InstanceSpec {
    let release = release(version);
    InstanceSpec {
        id: InstanceId::derive(&fleet(), &slot(n), Role::Main, &release),
        slot: slot(n),
        role: Role::Main,
        release,
        artifact: Artifact::Tree { digest: version.repeat(64).into() },
        argv: Vec::new(),
        replaces_entrypoint: false,
        env: Env::new(),
        files: Vec::new(),
        secret_files: Vec::new(),
        secrets: BTreeMap::new(),
        binds: vec![Bind { volume: volume(n).id, source: source(), destination: "/data".into() }],
        guest: Guest::DEFAULT,
        address: address(n),
        ports: vec![Port(8080)],
        supervision: Supervision {
            restart: Restart::Always,
            kill_signal: "SIGINT".into(),
            kill_timeout: Millis::from_secs(5),
        },
        ends_within: None,
        alone: false,
    }
}

pub(crate) fn claim(n: u32, applied: Option<&str>) -> Claim {
    let volume = volume(n);
    let claimed = ClaimedVolume {
        id: volume.id,
        incarnation: volume.incarnation,
        size: volume.size,
        keeping: None,
    };
    Claim {
        slot: slot(n),
        host: host(),
        pool: Some(pool()),
        volumes: Few::from([(source(), claimed)]),
        address: address(n),
        applied: applied.map(release),
        applied_spec: None,
        failed: None,
        supervision: None,
        held: false,
    }
}

pub(crate) fn step(act: Act, before: Vec<Predicate>, after: Vec<Predicate>) -> Step {
    Step { id: act.id(&host()), host: host(), before, after, act }
}

pub(crate) fn make(spec: VolumeSpec) -> Step {
    let volume = spec.id.clone();
    let before = vec![
        Predicate::PoolIs { pool: pool() },
        Predicate::VolumeUnmade { volume: volume.clone() },
        Predicate::Room { size: spec.size, overcommit_thousandths: 1000 },
    ];
    let after = vec![Predicate::VolumeAttached { volume, size: spec.size }];
    step(Act::MakeVolume { volume: spec }, before, after)
}

/// Makes a copy of whatever it says that it is of.
pub(crate) fn copying(copy: VolumeSpec) -> Step {
    let (volume, of, kind) = (copy.id.clone(), copy.origin.clone().unwrap(), copy.kind);
    let before = vec![
        Predicate::PoolIs { pool: pool() },
        Predicate::VolumeUnmade { volume: volume.clone() },
        Predicate::VolumeWhole { volume: of.clone(), size: copy.size },
    ];
    let after = vec![Predicate::VolumeCopied { volume, of: of.clone(), kind }];
    step(Act::CopyVolume { of, volume: copy }, before, after)
}

/// Removes a clone.
pub(crate) fn removing(volume: VolumeId) -> Step {
    let before = vec![Predicate::VolumeIsClone { volume: volume.clone() }];
    let after = vec![Predicate::VolumeAbsent { volume: volume.clone() }];
    step(Act::RemoveClone { volume }, before, after)
}

pub(crate) fn start(spec: InstanceSpec) -> Step {
    let before = vec![Predicate::SlotIdle { slot: spec.slot.clone() }];
    let after =
        vec![Predicate::InstanceRuns { instance: spec.id.clone(), release: spec.release.clone() }];
    step(Act::StartInstance { instance: Box::new(spec) }, before, after)
}

pub(crate) fn stop(spec: &InstanceSpec) -> Step {
    let (instance, slot) = (spec.id.clone(), spec.slot.clone());
    let before = vec![Predicate::InstancePresent { instance: instance.clone() }];
    let after = vec![Predicate::InstanceAbsent { instance: instance.clone() }];
    step(Act::StopInstance { instance, slot }, before, after)
}

pub(crate) fn retire(n: u32) -> Step {
    let VolumeSpec { id: volume, keeping, .. } = volume(n);
    let before = vec![Predicate::VolumeIdle { volume: volume.clone() }];
    let after = vec![Predicate::VolumeRetired { volume: volume.clone(), since: None }];
    step(Act::RetireVolume { volume, keeping }, before, after)
}

pub(crate) fn destroy(n: u32, retired: Timestamp) -> Step {
    let volume = volume(n).id;
    let before = vec![Predicate::VolumeErasable { volume: volume.clone(), retired }];
    let after = vec![Predicate::VolumeAbsent { volume: volume.clone() }];
    step(Act::DestroyVolume { volume, retired }, before, after)
}

pub(crate) fn lane(n: u32, steps: Vec<Step>) -> Lane {
    Lane {
        object: Object::Slot { slot: slot(n) },
        claims_before: Vec::new(),
        steps,
        gate: Gate::Open,
        claims_after: Vec::new(),
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: Vec::new(),
    }
}

pub(crate) fn healthy(n: u32, version: &str) -> Gate {
    let spec = instance(n, version);
    let check = Check {
        name: "services:8080".into(),
        port: Port(8080),
        probe: Probe::Tcp,
        interval: Millis::from_secs(1),
        timeout: Millis::from_secs(1),
        grace_period: Millis(0),
    };
    Gate::Healthy {
        host: host(),
        instance: spec.id,
        address: spec.address,
        checks: vec![check],
        within: Millis::from_secs(60),
    }
}

pub(crate) fn rollout(waves: Vec<Vec<Lane>>) -> Rollout {
    let wave = |(n, lanes)| Wave { title: format!("wave {n}"), lanes };
    Rollout {
        id: RolloutId("web/app".to_string()),
        app: Some("web".parse().unwrap()),
        group: Some("app".parse().unwrap()),
        strategy: Some(Choice {
            strategy: Strategy::Rolling,
            why: "the group has mounts".to_string(),
            max_unavailable: 1,
            slots: 2,
        }),
        after: Vec::new(),
        waves: waves.into_iter().enumerate().map(wave).collect(),
        on_failure: Vec::new(),
        claims_on_failure: Vec::new(),
    }
}

pub(crate) fn plan(rollouts: Vec<Rollout>) -> Plan {
    Plan {
        fleet: fleet(),
        commit: None,
        changes: Vec::new(),
        remembered: BTreeMap::new(),
        corrections: Vec::new(),
        rollouts,
        first_records: Vec::new(),
        records: Vec::new(),
        completes_catalog: true,
    }
}

/// Both slots are created, with release `a`.
pub(crate) fn deploy() -> Plan {
    let lane = |n| Lane {
        claims_before: vec![ClaimAct::Write(claim(n, None))],
        gate: healthy(n, "a"),
        claims_after: vec![ClaimAct::Write(claim(n, Some("a")))],
        claims_on_failure: vec![ClaimAct::Failed { slot: slot(n), release: release("a") }],
        ..lane(n, vec![make(volume(n)), start(instance(n, "a"))])
    };
    let mut plan = plan(vec![rollout(vec![vec![lane(1), lane(2)]])]);
    plan.changes =
        [1, 2].map(|n| [change(Verb::Create, n), volume_change(Verb::Create, n)]).concat();
    plan
}

/// Both slots go to release `b`, one after the other.
pub(crate) fn redeploy() -> Plan {
    let lane = |n| Lane {
        gate: healthy(n, "b"),
        claims_after: vec![ClaimAct::Write(claim(n, Some("b")))],
        claims_on_failure: vec![ClaimAct::Failed { slot: slot(n), release: release("b") }],
        ..lane(n, vec![stop(&instance(n, "a")), start(instance(n, "b"))])
    };
    let mut plan = plan(vec![rollout(vec![vec![lane(1)], vec![lane(2)]])]);
    plan.changes = vec![change(Verb::Redeploy, 1), change(Verb::Redeploy, 2)];
    plan
}

/// Slot 2 goes, its volume is retired.
pub(crate) fn scale_down() -> Plan {
    let lane = Lane {
        claims_after: vec![ClaimAct::Remove { slot: slot(2) }],
        ..lane(2, vec![stop(&instance(2, "a")), retire(2)])
    };
    let mut plan = plan(vec![rollout(vec![vec![lane]])]);
    plan.changes = vec![volume_change(Verb::Retire, 2), change(Verb::Remove, 2)];
    plan
}

/// The volume of slot 2 is destroyed.
pub(crate) fn purge() -> Plan {
    let mut plan = plan(vec![rollout(vec![vec![lane(2, vec![destroy(2, NOW)])]])]);
    plan.changes = vec![volume_change(Verb::Destroy, 2)];
    plan
}

pub(crate) fn change(verb: Verb, n: u32) -> Change {
    Change {
        object: Object::Slot { slot: slot(n) },
        verb,
        host: host(),
        fields: Vec::new(),
        reasons: Vec::new(),
    }
}

/// The same of the slot's volume.
pub(crate) fn volume_change(verb: Verb, n: u32) -> Change {
    let VolumeSpec { slot, source, id: volume, .. } = volume(n);
    Change { object: Object::Volume { slot, source, volume }, ..change(verb, n) }
}

pub(crate) fn field(name: &str, before: Option<&str>, after: Option<&str>) -> Field {
    Field {
        name: name.to_string(),
        before: before.map(str::to_string),
        after: after.map(str::to_string),
    }
}
