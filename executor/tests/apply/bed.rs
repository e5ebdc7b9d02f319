//! A fleet in memory: three hosts, a catalog, and manifests as text.

use executor::apply::{ApplyError, Options, Outcome, World, apply};
use executor::event::Event;
use executor::fake::catalog::FakeCatalog;
use executor::fake::host::FakeHost;
use executor::host::Host;
use executor::observe::{Checks, observe};
use planner::Planned;
use planner::check;
use planner::manifest;
use planner::manifest::resolve::{Context, resolve};
use planner::model::artifact::{Artifact, Artifacts, Resolved};
use planner::model::claim::Claims;
use planner::model::desired::{Desired, Lineage};
use planner::model::host::{HostSpec, HostState};
use planner::model::id::MachineId;
use planner::model::name::{FleetName, HostName, Region};
use planner::model::observed::{HostView, Observed};
use planner::model::permit::Permits;
use planner::model::policy::Policy;
use planner::model::size::Size;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Bed {
    pub(crate) hosts: BTreeMap<HostName, Arc<FakeHost>>,
    pub(crate) catalog: Arc<FakeCatalog>,
    specs: BTreeMap<HostName, HostSpec>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) permits: Permits,
}

/// A store with volumes and a web group without, with this text in their environment.
pub(crate) fn manifests(version: &str, slots: u32) -> Vec<String> {
    let store = format!(
        "app = \"store\"\n[processes]\napp = \"serve\"\n[env]\nVERSION = \"{version}\"\n[[mounts]]\nsource = \"data\"\n\
         destination = \"/data\"\n[http_service]\ninternal_port = 80\nprocesses = [\"app\"]\n\
         [[http_service.checks]]\npath = \"/\"\n[deploy]\nwait_timeout = \"1s\"\n\
         [tiedown.scale]\napp = {{ ewr = {slots}, ord = 1 }}\n"
    );
    let web = format!(
        "app = \"web\"\n[processes]\napp = \"serve\"\n[env]\nVERSION = \"{version}\"\n[http_service]\n\
         internal_port = 80\nprocesses = [\"app\"]\n[[http_service.checks]]\npath = \"/\"\n\
         [deploy]\nwait_timeout = \"1s\"\n[tiedown.scale]\napp = {{ ewr = 2 }}\n"
    );
    vec![store, web]
}

impl Bed {
    pub(crate) fn new() -> Self {
        let fleet: FleetName = "bed".parse().unwrap();
        let names = [("ewr-1", "ewr"), ("ewr-2", "ewr"), ("ord-1", "ord")];
        let (mut hosts, mut specs) = (BTreeMap::new(), BTreeMap::new());
        for (index, (name, region)) in names.into_iter().enumerate() {
            let name: HostName = name.parse().unwrap();
            let machine = MachineId::parse("0123456789abcdef").unwrap();
            let host = FakeHost::new(fleet.clone(), name.clone(), machine);
            let spec = HostSpec {
                name: name.clone(),
                region: region.parse().unwrap(),
                zone: None,
                state: HostState::Active,
                was: None,
                subnet: format!("10.9.{index}.0/24").parse().unwrap(),
                memory: Size::from_gb(8),
                cpus: 16,
                pool_size: Some(Size::from_gb(100)),
            };
            hosts.insert(name.clone(), Arc::new(host));
            specs.insert(name, spec);
        }
        Self {
            hosts,
            catalog: Arc::default(),
            specs,
            events: Arc::default(),
            permits: Permits::NONE,
        }
    }

    pub(crate) fn desired(&self, manifests: &[String]) -> Desired {
        let regions: BTreeSet<Region> = self.specs.values().map(|s| s.region.clone()).collect();
        let mut apps = BTreeMap::new();
        for text in manifests {
            let read = manifest::read("fly.toml", text.as_bytes());
            assert!(!read.has_errors(), "{:#?}", read.problems);
            let context = Context { path: "fly.toml", text, regions: &regions, file: &|_| None };
            let resolved = resolve(&read.manifest.unwrap(), &context);
            let app = resolved.app.unwrap_or_else(|| panic!("{:#?}", resolved.problems));
            apps.insert(app.name.clone(), app);
        }
        let lineages = apps.keys().map(|app| (app.clone(), Lineage::Descends)).collect();
        Desired {
            fleet: "bed".parse().unwrap(),
            hosts: self.specs.clone(),
            commit: None,
            apps,
            left_out: BTreeSet::new(),
            lineages,
        }
    }

    pub(crate) async fn observed(&self, desired: &Desired) -> Observed {
        let mut checks = Checks::new();
        for app in desired.apps.values() {
            for group in app.groups.values() {
                checks.insert((app.name.clone(), group.name.clone()), group.checks.clone());
            }
        }
        observe(&self.world().hosts, &checks).await
    }

    pub(crate) fn claims(&self) -> Claims {
        use executor::catalog::Catalog;
        self.catalog.claims().unwrap()
    }

    pub(crate) async fn plan(
        &self,
        manifests: &[String],
    ) -> (Planned, check::Checked<planner::plan::Plan>) {
        let desired = self.desired(manifests);
        let artifacts = artifacts(&desired);
        let (observed, claims) = (self.observed(&desired).await, self.claims());
        let policy = Policy::default();
        let planned =
            planner::plan(&desired, &artifacts, &observed, &claims, &policy, &self.permits);
        let world = check::World {
            observed: &observed,
            claims: &claims,
            policy: &policy,
            permits: self.permits,
            hosts: &desired.hosts,
        };
        let checked = check::check(&planned.plan, &world)
            .unwrap_or_else(|violations| panic!("{violations:#?}\n{:#?}", planned.plan));
        (planned, checked)
    }

    pub(crate) fn world(&self) -> World {
        let hosts = self.hosts.iter();
        let hosts = hosts.map(|(name, host)| (name.clone(), Arc::clone(host) as Arc<dyn Host>));
        let events = Arc::clone(&self.events);
        World {
            hosts: hosts.collect(),
            catalog: self.catalog.clone(),
            journal: self.catalog.clone(),
            say: Box::new(move |event| events.lock().unwrap().push(event)),
            front: None,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    pub(crate) async fn apply(&self, manifests: &[String]) -> Result<Outcome, ApplyError> {
        let (_, checked) = self.plan(manifests).await;
        let options = Options {
            parallelism: 4,
            lock_wait: Duration::ZERO,
            purpose: "test".to_owned(),
            by: "test".to_owned(),
        };
        apply(&checked, &self.world(), &options).await
    }

    /// What the fleet looks like: all that hosts have and the catalog remembers, without moments.
    pub(crate) async fn picture(&self, manifests: &[String]) -> String {
        let observed = self.observed(&self.desired(manifests)).await;
        let mut claims = self.claims();
        claims.losses.clear();
        let hosts: BTreeMap<_, _> = observed
            .iter()
            .map(|(name, view)| match view {
                HostView::Read(reading) => {
                    (name, (&reading.pool, &reading.volumes, &reading.instances))
                }
                HostView::Unread { why, .. } => panic!("{name}: {why}"),
            })
            .collect();
        format!(
            "{}\n{}",
            serde_json::to_string_pretty(&hosts).unwrap(),
            serde_json::to_string_pretty(&claims).unwrap()
        )
    }
}

fn artifacts(desired: &Desired) -> Artifacts {
    let tree = || Resolved::Found(Artifact::Tree { digest: "ab".repeat(32).into() });
    desired.apps.keys().map(|app| (app.clone(), tree())).collect()
}
