//! A fleet to plan for, built in a few words; and plans as lines of text.

use planner::check::{World as Judged, check};
use planner::model::artifact::{Artifact, ArtifactKind, Artifacts, Resolved};
use planner::model::claim::Claims;
use planner::model::desired::{
    App, Deploy, Desired, Group, Lineage, MaxUnavailable, Mount, Revert, Scale,
};
use planner::model::few::Few;
use planner::model::guest::Guest;
use planner::model::health::{Check, Probe};
use planner::model::host::{HostSpec, HostState};
use planner::model::id::{InstanceId, MachineId, PoolId};
use planner::model::instance::{Restart, Supervision};
use planner::model::name::{AppName, HostName};
use planner::model::network::Port;
use planner::model::observed::{
    HostView, InstanceView, Observed, Pool, PoolView, Reading, VolumeView,
};
use planner::model::permit::{Permit, Permits};
use planner::model::policy::Policy;
use planner::model::release::Env;
use planner::model::size::Size;
use planner::model::slot::SlotId;
use planner::model::time::{Millis, Timestamp};
use planner::model::volume::Keeping;
use planner::plan::change::Change;
use planner::plan::{Lane, Wave};
use planner::simulate::{simulate, simulate_failing};
use planner::{Planned, plan};
use std::collections::{BTreeMap, BTreeSet};

/// When the first reading was taken.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000);

/// All that a plan is made from.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) desired: Desired,
    pub(crate) artifacts: Artifacts,
    pub(crate) observed: Observed,
    pub(crate) claims: Claims,
    pub(crate) policy: Policy,
    pub(crate) permits: Permits,
    pub(crate) now: Timestamp,
    /// How the commit relates to the last one, for every app; `None`: nothing is said.
    pub(crate) lineage: Option<Lineage>,
}

impl World {
    /// Hosts `ewr-1` … with pools of 100GB, memory of 8GiB and 16 cpus.
    pub(crate) fn new(hosts: u8) -> Self {
        let mut world = Self {
            desired: Desired {
                fleet: "prod".parse().unwrap(),
                hosts: BTreeMap::new(),
                commit: None,
                apps: BTreeMap::new(),
                left_out: BTreeSet::new(),
                lineages: BTreeMap::new(),
            },
            artifacts: BTreeMap::new(),
            observed: BTreeMap::new(),
            claims: Claims { complete: true, ..Claims::default() },
            policy: Policy::default(),
            permits: Permits::NONE,
            now: START,
            lineage: Some(Lineage::Descends),
        };
        for n in 1..=hosts {
            world.host("ewr", n);
        }
        world
    }

    /// One more host, `REGION-N`.
    pub(crate) fn host(&mut self, region: &str, n: u8) {
        let name: HostName = format!("{region}-{n}").parse().unwrap();
        let net = if region == "ewr" { n } else { 100 + n };
        let machine = MachineId::parse(&format!("{net:02x}").repeat(8)).unwrap();
        let pool = Pool {
            id: PoolId::parse(&format!("0000{net:04x}-89ab-4cde-8f01-23456789abcd")).unwrap(),
            fleet: "prod".parse().unwrap(),
            host: name.clone(),
            machine: machine.clone(),
            size: Size::parse("100GB").unwrap(),
            used: Size::ZERO,
            extent: Size::from_mib(4),
            header: Size::from_mib(16),
            cap_enforced: true,
            grows_online: true,
            copies_online: true,
            fill: None,
        };
        let reading = Reading {
            at: START,
            asked_at: START,
            machine,
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
            name: name.clone(),
            region: region.parse().unwrap(),
            zone: None,
            state: HostState::Active,
            was: None,
            subnet: format!("10.77.{net}.0/24").parse().unwrap(),
            memory: Size::parse("8GiB").unwrap(),
            cpus: 16,
            pool_size: None,
        };
        self.desired.hosts.insert(name.clone(), spec);
        self.observed.insert(name, HostView::Read(reading));
    }

    pub(crate) fn spec(&mut self, host: &str) -> &mut HostSpec {
        self.desired.hosts.get_mut(&host.parse::<HostName>().unwrap()).unwrap()
    }

    pub(crate) fn reading(&mut self, host: &str) -> &mut Reading {
        match self.observed.get_mut(&host.parse::<HostName>().unwrap()).unwrap() {
            HostView::Read(reading) => reading,
            HostView::Unread { .. } => panic!("{host} is unread"),
        }
    }

    pub(crate) fn unread(&mut self, host: &str) {
        let view = HostView::Unread { why: "no answer".into(), hint: "is it up?".into() };
        self.observed.insert(host.parse().unwrap(), view);
    }

    pub(crate) fn pool(&mut self, host: &str) -> &mut Pool {
        match &mut self.reading(host).pool {
            PoolView::Present(pool) => pool,
            PoolView::Absent => panic!("{host} has no pool"),
        }
    }

    /// An app with one group, `app`, of a source tree; scale per region.
    pub(crate) fn app(&mut self, name: &str, scale: &[(&str, u32)]) -> &mut Group {
        let app: AppName = name.parse().unwrap();
        let found = Resolved::Found(Artifact::Tree { digest: "a".repeat(64).into() });
        self.artifacts.insert(app.clone(), found);
        let value = App {
            name: app.clone(),
            manifest: format!("{name}/fly.toml"),
            groups: Few::from([("app".parse().unwrap(), group("app", scale))]),
            moved: Vec::new(),
            not_acted_on: Vec::new(),
            release_command: None,
        };
        self.desired.apps.insert(app, value);
        self.group(name)
    }

    /// Such an app with a mount `data` of 10GB on `/data`.
    pub(crate) fn mounted(&mut self, name: &str, scale: &[(&str, u32)]) -> &mut Group {
        let group = self.app(name, scale);
        add_mount(group, "data", "10GB");
        group
    }

    pub(crate) fn group(&mut self, app: &str) -> &mut Group {
        let app: AppName = app.parse().unwrap();
        self.desired.apps.get_mut(&app).unwrap().groups.values_mut().next().unwrap()
    }

    pub(crate) fn scale(&mut self, app: &str, scale: &[(&str, u32)]) {
        self.group(app).scale = listed(scale);
    }

    pub(crate) fn remove(&mut self, app: &str) -> App {
        self.desired.apps.remove(&app.parse::<AppName>().unwrap()).unwrap()
    }

    pub(crate) fn permit(&mut self, permit: Permit) {
        self.permits = self.permits.grant(permit);
    }

    /// A new release of every app: its environment changes.
    pub(crate) fn change(&mut self, app: &str, value: &str) {
        self.group(app).env.insert("VERSION".into(), value.into());
    }

    /// The plan; judged, and the same when it is made again.
    pub(crate) fn plan(&mut self) -> Planned {
        self.desired.lineages = match &self.lineage {
            None => BTreeMap::new(),
            Some(lineage) => {
                self.claims.apps.keys().map(|app| (app.clone(), lineage.clone())).collect()
            }
        };
        let Self { desired, artifacts, observed, claims, policy, permits, .. } = self;
        let planned = plan(desired, artifacts, observed, claims, policy, permits);
        let again = plan(desired, artifacts, observed, claims, policy, permits);
        assert_eq!(planned, again, "the same inputs give the same plan");
        let world = Judged { hosts: &desired.hosts, observed, claims, policy, permits: *permits };
        if let Err(violations) = check(&planned.plan, &world) {
            panic!("the judge refuses the plan: {violations:#?}\n{planned:#?}");
        }
        planned
    }

    /// Plans, carries it out, and makes sure that nothing is left to be done.
    pub(crate) fn apply(&mut self) -> Planned {
        let planned = self.plan();
        (self.observed, self.claims) =
            simulate(&self.observed, &self.claims, &planned.plan, self.now);
        let permits = std::mem::replace(&mut self.permits, Permits::NONE);
        let next = self.plan();
        self.permits = permits;
        assert!(next.plan.is_empty(), "not a fixpoint: {:#?}", next.plan.changes);
        assert!(next.plan.corrections.is_empty(), "{:#?}", next.plan.corrections);
        assert!(next.plan.changes.is_empty(), "{:#?}", next.plan.changes);
        planned
    }

    /// Plans and carries it out, while every instance of the release that `fails` names does not
    /// come up.
    pub(crate) fn apply_failing(&mut self, fails: &dyn Fn(&InstanceId) -> bool) -> Planned {
        let planned = self.plan();
        (self.observed, self.claims) =
            simulate_failing(&self.observed, &self.claims, &planned.plan, self.now, fails);
        planned
    }

    /// Time passes for everybody.
    pub(crate) fn pass(&mut self, span: Millis) {
        self.now = Timestamp(self.now.0 + span.0 / 1000);
        for view in self.observed.values_mut() {
            match view {
                HostView::Read(reading) => {
                    reading.at = self.now;
                    reading.asked_at = self.now;
                }
                HostView::Unread { .. } => {}
            }
        }
    }

    /// The main instance of a slot, wherever it is.
    pub(crate) fn instance(&mut self, slot: &str) -> &mut InstanceView {
        let slot: SlotId = slot.parse().unwrap();
        let readings = self.observed.values_mut().filter_map(|view| match view {
            HostView::Read(reading) => Some(reading),
            HostView::Unread { .. } => None,
        });
        let mut instances = readings.flat_map(|reading| reading.instances.values_mut());
        instances.find(|view| view.slot == slot).unwrap()
    }

    /// The volume of a slot, wherever it is.
    pub(crate) fn volume(&mut self, slot: &str) -> &mut VolumeView {
        let slot: SlotId = slot.parse().unwrap();
        let readings = self.observed.values_mut().filter_map(|view| match view {
            HostView::Read(reading) => Some(reading),
            HostView::Unread { .. } => None,
        });
        let mut volumes = readings.flat_map(|reading| reading.volumes.values_mut());
        volumes.find(|view| view.spec.slot == slot).unwrap()
    }
}

pub(crate) fn listed(scale: &[(&str, u32)]) -> Scale {
    Scale::Listed(scale.iter().map(|(r, n)| (r.parse().unwrap(), *n)).collect())
}

pub(crate) fn group(name: &str, scale: &[(&str, u32)]) -> Group {
    Group {
        name: name.parse().unwrap(),
        scale: listed(scale),
        mounts: Few::new(),
        argv: vec!["./run".into()],
        replaces_entrypoint: false,
        env: Env::new(),
        files: Vec::new(),
        secret_files: Vec::new(),
        secrets: BTreeMap::new(),
        primary_region: Some("ewr".parse().unwrap()),
        guest: Guest::DEFAULT,
        has_services: false,
        ports: Vec::new(),
        checks: Vec::new(),
        supervision: Supervision {
            restart: Restart::Always,
            kill_signal: "SIGINT".into(),
            kill_timeout: Millis::from_secs(5),
        },
        deploy: Deploy {
            on_clones: false,
            revert: Revert::Off,
            strategy: None,
            max_unavailable: MaxUnavailable::DEFAULT,
            wait_timeout: Millis::from_secs(300),
        },
    }
}

pub(crate) fn add_mount(group: &mut Group, source: &str, size: &str) {
    let mount = Mount {
        source: source.parse().unwrap(),
        destination: format!("/{source}").into(),
        size: Size::parse(size).unwrap(),
        keeping: Keeping::DEFAULT,
        adopt: None,
        fresh: false,
    };
    group.mounts.insert(mount.source.clone(), mount);
}

pub(crate) fn mount<'g>(group: &'g mut Group, source: &str) -> &'g mut Mount {
    let source: planner::model::name::SourceName = source.parse().unwrap();
    group.mounts.get_mut(&source).unwrap()
}

/// A check on port 8080.
pub(crate) fn tcp() -> Check {
    Check {
        name: "services:8080".into(),
        port: Port(8080),
        probe: Probe::Tcp,
        interval: Millis::from_secs(15),
        timeout: Millis::from_secs(2),
        grace_period: Millis(0),
    }
}

/// `VERB OBJECT on HOST` for each change, ids of volumes and instances left out.
pub(crate) fn changes(planned: &Planned) -> Vec<String> {
    let line = |change: &Change| {
        let verb = format!("{:?}", change.verb).to_lowercase();
        format!("{verb} {} on {}", anonymous(&change.object.to_string()), change.host)
    };
    planned.plan.changes.iter().map(line).collect()
}

/// `KIND OBJECT: why` for each line of the report.
pub(crate) fn report(planned: &Planned) -> Vec<String> {
    let line = |line: &planner::report::Line| {
        format!("{} {}: {}", line.kind.as_str(), anonymous(&line.object.to_string()), line.why)
    };
    planned.report.lines.iter().map(line).collect()
}

/// `OBJECT FIELD: before -> after (healed)` for each drift.
pub(crate) fn drift(planned: &Planned) -> Vec<String> {
    let line = |drift: &planner::report::Drift| {
        let healed = if drift.healed { " (healed)" } else { "" };
        let object = anonymous(&drift.object.to_string());
        format!("{object} {}: {} -> {}{healed}", drift.field, drift.before, drift.after)
    };
    planned.report.drift.iter().map(line).collect()
}

/// Wave titles with their lanes' acts, one line per wave.
pub(crate) fn waves(planned: &Planned, rollout: &str) -> Vec<String> {
    let rollout = planned.plan.rollouts.iter().find(|r| r.id.0 == rollout);
    let rollout = rollout.unwrap_or_else(|| panic!("no such rollout: {:#?}", planned.plan));
    let lane = |lane: &Lane| {
        let verbs = lane.steps.iter().map(|step| step.id.0.split(' ').next().unwrap().to_string());
        verbs.collect::<Vec<_>>().join("+")
    };
    let wave = |wave: &Wave| {
        let lanes: Vec<String> = wave.lanes.iter().map(lane).collect();
        format!("{}: {}", wave.title, lanes.join(", "))
    };
    rollout.waves.iter().map(wave).collect()
}

fn anonymous(text: &str) -> String {
    match text.split_once(" (vol_") {
        Some((head, _)) => head.to_string(),
        None => text.to_string(),
    }
}
