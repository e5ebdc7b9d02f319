//! Fleets to plan for, written as a few lines of configuration: what manifests ask for, what hosts
//! have, what the catalog remembers, and how all that changes when a plan is applied.

pub(crate) mod config;
mod desired;
pub(crate) mod tell;

use config::{Config, Event, HostConfig};
use planner::check::{Checked, World as Judged, check};
use planner::model::artifact::ArtifactKind;
use planner::model::claim::Claims;
use planner::model::id::{MachineId, PoolId, digest_of};
use planner::model::instance::Role;
use planner::model::name::HostName;
use planner::model::observed::{
    Foreign, HostView, InstanceState, InstanceView, Observed, Pool, PoolView, Reading,
};
use planner::model::permit::{Permit, Permits};
use planner::model::policy::Policy;
use planner::model::size::Size;
use planner::model::slot::SlotId;
use planner::model::time::Timestamp;
use planner::plan::Plan;
use planner::plan::predicate::{Judgement, judge};
use planner::plan::step::Act;
use planner::simulate::{in_order, moments, simulate_failing, simulate_until};
use planner::{Planned, plan};
use std::collections::{BTreeMap, BTreeSet};

/// A fleet at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) config: Config,
    /// What is on the machines, whether they answer or not.
    pub(crate) machines: BTreeMap<HostName, Reading>,
    /// Hosts that were taken out of the fleet's file.
    pub(crate) unlisted: BTreeMap<HostName, HostConfig>,
    pub(crate) claims: Claims,
    pub(crate) now: Timestamp,
}

impl Fleet {
    pub(crate) fn new(config: Config) -> Self {
        let mut fleet = Self {
            config,
            machines: BTreeMap::new(),
            unlisted: BTreeMap::new(),
            claims: Claims { complete: true, ..Claims::default() },
            now: Timestamp(1_800_000_000),
        };
        fleet.settle();
        fleet
    }

    /// Gives hosts that are new a machine, and renamed ones the machine they had.
    pub(crate) fn settle(&mut self) {
        for (name, host) in &self.config.hosts {
            if self.machines.contains_key(name) {
                continue;
            }
            let had = host.was.as_ref().filter(|was| !self.config.hosts.contains_key(*was));
            let last = had.map(|was| self.made_as(was));
            let machine = last.and_then(|last| self.machines.remove(&last));
            self.machines.insert(name.clone(), machine.unwrap_or_else(|| machine_of(name, host)));
        }
    }

    /// The last name of the machine that was called so, or else whose pool was made under that name,
    /// of those that no host of the fleet is called by.
    fn made_as(&self, name: &HostName) -> HostName {
        if self.machines.contains_key(name) {
            return name.clone();
        }
        let made = |machine: &Reading| matches!(&machine.pool, PoolView::Present(pool) if pool.host == *name);
        let mut left =
            self.machines.iter().filter(|(last, _)| !self.config.hosts.contains_key(*last));
        let found = left.find(|(_, machine)| made(machine));
        found.map_or(name, |(last, _)| last).clone()
    }

    /// What hosts of the fleet say now.
    pub(crate) fn observed(&self) -> Observed {
        let view = |(name, host): (&HostName, &HostConfig)| {
            let view = match &host.unread {
                Some(why) => HostView::Unread { why: why.clone(), hint: String::new() },
                None => {
                    let mut reading = self.machines[name].clone();
                    reading.at = Timestamp(self.now.0.saturating_add_signed(host.clock));
                    reading.asked_at = self.now;
                    HostView::Read(reading)
                }
            };
            (name.clone(), view)
        };
        self.config.hosts.iter().map(view).collect()
    }

    pub(crate) fn permits(&self) -> Permits {
        self.config.permits.iter().fold(Permits::NONE, |permits, word| {
            permits.grant(match word.as_str() {
                "destroy" => Permit::Destroy,
                "retained" => Permit::Retained,
                "empty" => Permit::Empty,
                "retry" => Permit::Retry,
                other => panic!("no permit is called {other}"),
            })
        })
    }

    /// The plan that is made now.
    pub(crate) fn plan(&self) -> Planned {
        let desired = self.desired();
        let (observed, policy) = (self.observed(), self.config.policy());
        plan(&desired, &self.artifacts(), &observed, &self.claims, &policy, &self.permits())
    }

    /// The plan, as the judge lets it pass.
    ///
    /// # Panics
    /// If it does not: the message says which promises it would break.
    pub(crate) fn checked(&self, plan: &Plan) -> Checked<Plan> {
        let (observed, policy): (Observed, Policy) = (self.observed(), self.config.policy());
        let hosts = self.desired().hosts;
        let world = Judged {
            hosts: &hosts,
            observed: &observed,
            claims: &self.claims,
            policy: &policy,
            permits: self.permits(),
        };
        check(plan, &world).unwrap_or_else(|found| {
            let found: Vec<_> = found.iter().map(|v| format!("{:?}: {v}", v.rule)).collect();
            panic!("the plan would break promises:\n  {}\n{plan:#?}", found.join("\n  "))
        })
    }

    /// The fleet after the plan, of which everything that `fails` names fails.
    pub(crate) fn apply(&mut self, plan: &Plan, fails: &BTreeSet<SlotId>) {
        let failing: BTreeSet<_> = plan
            .steps()
            .filter_map(|step| match &step.act {
                Act::StartInstance { instance } => Some(instance),
                _ => None,
            })
            .filter(|instance| fails.contains(&instance.slot))
            .map(|instance| instance.id.clone())
            .collect();
        let (observed, claims) =
            simulate_failing(&self.observed(), &self.claims, plan, self.now, &|instance| {
                failing.contains(instance)
            });
        self.become_(observed, claims);
    }

    /// The fleet after so many moments of the plan's apply.
    pub(crate) fn apply_until(&mut self, plan: &Plan, moments: usize) {
        let (observed, claims) =
            simulate_until(&self.observed(), &self.claims, plan, self.now, moments);
        self.become_(observed, claims);
    }

    fn become_(&mut self, observed: Observed, claims: Claims) {
        for (host, view) in observed {
            match view {
                HostView::Read(reading) => {
                    self.machines.insert(host, reading);
                }
                HostView::Unread { .. } => {}
            }
        }
        self.claims = claims;
    }

    /// Every step's precondition holds when its turn comes, and its result after it.
    pub(crate) fn follow_steps(&self, plan: &Plan) {
        let observed = self.observed();
        let at = |n| simulate_until(&observed, &self.claims, plan, self.now, n).0;
        let lanes = in_order(&plan.rollouts).into_iter().flat_map(|rollout| &rollout.waves);
        let mut moment = 0;
        for lane in lanes.flat_map(|wave| &wave.lanes) {
            moment += 1;
            let mut now = at(moment);
            for step in &lane.steps {
                let judged = |now: &Observed| match &now[&step.host] {
                    HostView::Read(reading) => judge(step, reading),
                    HostView::Unread { why, .. } => panic!("{} is unread: {why}", step.host),
                };
                let before = judged(&now);
                let stale = matches!(before, Judgement::Stale { .. });
                assert!(!stale, "before {}: {before:?}", step.id.0);
                moment += 1;
                now = at(moment);
                assert_eq!(judged(&now), Judgement::After, "after {}", step.id.0);
            }
            moment += 1;
        }
        assert_eq!(moment, moments(plan));
    }

    /// Something that nobody planned.
    pub(crate) fn happen(&mut self, event: &Event) {
        match event {
            Event::Died(slot) => self.main(slot, |state, healthy| {
                *state = InstanceState::Died { why: "killed by signal 9".to_string() };
                *healthy = Some(false);
            }),
            Event::CommandDied(slot) => {
                let instances = self.machines.values_mut().flat_map(|m| m.instances.values_mut());
                for view in instances.filter(|v| v.slot == *slot && v.role == Role::Release) {
                    view.state = InstanceState::Died { why: "killed by signal 9".to_string() };
                }
            }
            Event::Unhealthy(slot) => self.main(slot, |_, healthy| *healthy = Some(false)),
            Event::Vanished(slot) => {
                for machine in self.machines.values_mut() {
                    machine.instances.retain(|_, view| view.slot != *slot);
                }
            }
            Event::VolumeLost { slot, source } => {
                for machine in self.machines.values_mut() {
                    machine.volumes.retain(|_, v| v.spec.slot != *slot || v.spec.source != *source);
                }
            }
            Event::Rebooted(host) => {
                let machine = self.machines.get_mut(host).unwrap();
                let alive = |view: &&mut InstanceView| view.state.is_alive();
                for view in machine.instances.values_mut().filter(alive) {
                    view.state = InstanceState::Died { why: "the machine was restarted".into() };
                    view.healthy = Some(false);
                }
            }
            Event::PoolGone(host) => {
                let machine = self.machines.get_mut(host).unwrap();
                machine.pool = PoolView::Absent;
                machine.volumes.clear();
            }
            Event::PoolSwapped(host) => {
                let machine = self.machines.get_mut(host).unwrap();
                machine.volumes.clear();
                let PoolView::Present(pool) = &mut machine.pool else { panic!("no pool") };
                pool.id = PoolId::parse(&digest_of(&[b"another disk"])[..16]).unwrap();
            }
            Event::PoolOfFleet { host, fleet } => {
                let machine = self.machines.get_mut(host).unwrap();
                let PoolView::Present(pool) = &mut machine.pool else { panic!("no pool") };
                pool.fleet = fleet.clone();
            }
            Event::Foreign { host, name, size, adoptable } => {
                let machine = self.machines.get_mut(host).unwrap();
                machine.foreign.push(Foreign {
                    name: name.clone(),
                    size: Size::parse(size).unwrap(),
                    whose: if *adoptable {
                        "a copy of vol_0123456789abcdef of fleet old"
                    } else {
                        "libvirt"
                    }
                    .to_string(),
                    cannot: (!adoptable).then(|| "it is no copy of a volume".to_string()),
                });
            }
            Event::CatalogLost => self.claims = Claims::default(),
            Event::Held(slot) => self.claims.slots.get_mut(slot).unwrap().held = true,
            Event::Unheld(slot) => self.claims.slots.get_mut(slot).unwrap().held = false,
        }
    }

    fn main(&mut self, slot: &SlotId, change: impl Fn(&mut InstanceState, &mut Option<bool>)) {
        let instances = self.machines.values_mut().flat_map(|m| m.instances.values_mut());
        let mut found = false;
        for view in instances.filter(|v| v.slot == *slot && v.role == Role::Main) {
            change(&mut view.state, &mut view.healthy);
            found = true;
        }
        assert!(found, "{slot} has no main instance");
    }
}

fn machine_of(name: &HostName, host: &HostConfig) -> Reading {
    let machine =
        MachineId::parse(&digest_of(&[b"machine", name.as_str().as_bytes()])[..32]).unwrap();
    let id = digest_of(&[b"pool", name.as_str().as_bytes()]);
    let pool = match host.pool.as_str() {
        "absent" => PoolView::Absent,
        size => PoolView::Present(Pool {
            id: PoolId::parse(&id[..16]).unwrap(),
            fleet: "prod".parse().unwrap(),
            host: name.clone(),
            machine: machine.clone(),
            size: Size::parse(size).unwrap(),
            used: Size::ZERO,
            extent: Size::from_mib(4),
            header: Size::ZERO,
            cap_enforced: true,
            grows_online: host.grows_online,
            copies_online: true,
            fill: None,
        }),
    };
    let kinds = host.runs.iter().map(|word| match word.as_str() {
        "tree" => ArtifactKind::Tree,
        "image" => ArtifactKind::Image,
        other => panic!("nothing is called {other}"),
    });
    Reading {
        at: Timestamp::default(),
        asked_at: Timestamp::default(),
        machine,
        runs: kinds.collect(),
        shared_ports: false,
        isolates: true,
        images: BTreeSet::new(),
        pool,
        volumes: BTreeMap::new(),
        instances: BTreeMap::new(),
        foreign: Vec::new(),
    }
}
