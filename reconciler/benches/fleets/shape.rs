//! A fleet of a given shape: a git repository with its manifests, and what its hosts say before
//! and after the first apply.

use planner::document::ObservedDocument;
use planner::model::artifact::ArtifactKind;
use planner::model::claim::Claims;
use planner::model::id::{PoolId, digest_of};
use planner::model::observed::{HostView, Observed, Pool, PoolView, Reading};
use planner::model::permit::Permits;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::simulate::simulate;
use reconciler::fleet::{Abilities, Records};
use reconciler::pass::{Ask, Looked};
use reconciler::prepare::selection::Selection;
use reconciler::repository::{Place, Repository};
use reconciler::settings::load::load;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// When everything was observed.
const NOW: Timestamp = Timestamp(1_800_000_000);

/// What a fleet looks like.
pub(crate) struct Shape {
    pub(crate) apps: usize,
    /// Slots of each app, each with one volume.
    pub(crate) slots: usize,
    pub(crate) hosts: usize,
    /// Of each host's pool.
    pub(crate) pool: Size,
    /// As in `[policy]`.
    pub(crate) spread: &'static str,
    /// The size of an app's volumes, in GB.
    pub(crate) gigabytes: fn(usize) -> usize,
}

impl Shape {
    /// One app, two volumes and two instances each.
    pub(crate) fn of_apps(apps: usize) -> Self {
        Self {
            apps,
            slots: 2,
            hosts: (apps * 2).div_ceil(200).max(2),
            pool: Size::parse("10TB").unwrap(),
            spread: "host",
            gigabytes: |_| 10,
        }
    }
}

/// A fleet in a directory of its own.
pub(crate) struct Made {
    root: tempfile::TempDir,
}

impl Made {
    pub(crate) fn new(shape: &Shape) -> Self {
        let made = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(made.path("repo")).unwrap();
        fs::write(made.path("repo/tiedown.toml"), made.settings(shape)).unwrap();
        for app in 0..shape.apps {
            let directory = made.path("repo").join(format!("app-{app:05}"));
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("fly.toml"), manifest(shape, app)).unwrap();
            fs::write(directory.join("serve"), "#!/bin/sh\nexec sleep infinity\n").unwrap();
        }
        made.git(&["init", "-q", "-b", "main"]);
        made.git(&["add", "-A"]);
        made.git(&["commit", "-q", "-m", "all of it"]);
        made
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn settings(&self, shape: &Shape) -> String {
        let state = self.path("state");
        let mut text = format!("fleet = \"bench\"\nstate_dir = {state:?}\n");
        write!(text, "[policy]\nspread = {:?}\n", shape.spread).unwrap();
        for host in 0..shape.hosts {
            // More addresses than the smallest volumes fit into the largest pool.
            let net = format!("10.{}.{}.0/20", host / 16, host % 16 * 16);
            write!(
                text,
                "[[hosts]]\nname = \"ewr-{host:04}\"\nregion = \"ewr\"\nsubnet = {net:?}\n\
                 memory = \"512GB\"\ncpus = 1024\nruntime = {{ driver = \"process\" }}\n\
                 storage = {{ driver = \"local\", capacity = \"10TB\" }}\n"
            )
            .unwrap();
        }
        text
    }

    fn git(&self, args: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
        command.args(["-c", "commit.gpgsign=false", "-c", "gc.auto=0"]).args(args);
        assert!(command.current_dir(self.path("repo")).status().unwrap().success(), "git {args:?}");
    }

    /// The program with these arguments, on this fleet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiedown"));
        command.args(args).arg("-C").arg(self.path("repo"));
        command
    }

    /// Writes what hosts say that have nothing, and what they say when all was applied.
    pub(crate) fn observe(&self, empty: &Path, full: &Path) {
        let document =
            |text: &ObservedDocument, path: &Path| fs::write(path, text.to_json()).unwrap();
        let (mut said, looked) = self.planned(Size::parse("10TB").unwrap());
        document(&said, empty);
        (said.observed, said.claims) = simulate(&said.observed, &said.claims, &looked.plan, NOW);
        document(&said, full);
    }

    /// What hosts with nothing but pools of this size say, and what is planned for them.
    pub(crate) fn planned(&self, pool: Size) -> (ObservedDocument, Looked) {
        let place = Place { dir: self.path("repo"), git_dir: None };
        let repository = Repository::open(&place).unwrap();
        let snapshot = repository.at(&repository.commit("HEAD").unwrap()).unwrap();
        let abilities = Abilities::probe().unwrap();
        let settings = load(&snapshot, &abilities.machine()).unwrap();
        let records = Records::look(&settings).unwrap();
        let specs = settings.hosts.iter().map(|(name, host)| (name.clone(), host.spec.clone()));
        let hosts: BTreeMap<_, _> = specs.collect();
        let said = ObservedDocument {
            fleet: settings.fleet.clone(),
            observed: observed(&settings.fleet, hosts.keys(), pool),
            hosts,
            claims: Claims { complete: true, ..Claims::default() },
            policy: settings.policy,
            secrets: BTreeMap::new(),
        };
        let ask = Ask {
            snapshot: &snapshot,
            settings: &settings,
            abilities: &abilities,
            records: &records,
            selection: &Selection::default(),
            permits: Permits::NONE,
        };
        let looked = ask.look_at(said.clone()).unwrap();
        (said, looked)
    }
}

fn manifest(shape: &Shape, app: usize) -> String {
    let Shape { slots, gigabytes, .. } = shape;
    let gigabytes = gigabytes(app);
    format!(
        "app = \"app-{app:05}\"\nprimary_region = \"ewr\"\n[processes]\napp = \"./serve\"\n\
         [env]\nLOG_LEVEL = \"info\"\n[[mounts]]\nsource = \"data\"\ndestination = \"/data\"\n\
         initial_size = \"{gigabytes}gb\"\n[http_service]\ninternal_port = 8080\nprocesses = [\"app\"]\n\
         [[http_service.checks]]\nmethod = \"GET\"\npath = \"/health\"\n\
         [tiedown.scale]\napp = {{ ewr = {slots} }}\n"
    )
}

fn observed<'a>(
    fleet: &planner::model::name::FleetName,
    hosts: impl Iterator<Item = &'a planner::model::name::HostName>,
    size: Size,
) -> Observed {
    let reading = |host: &planner::model::name::HostName| {
        let digest = digest_of(&[b"machine", host.as_str().as_bytes()]);
        let machine = planner::model::id::MachineId::parse(&digest[..32]).unwrap();
        let pool = Pool {
            id: PoolId::parse(&digest[..16]).unwrap(),
            fleet: fleet.clone(),
            host: host.clone(),
            machine: machine.clone(),
            size,
            used: Size::ZERO,
            extent: Size::from_mib(4),
            header: Size::from_mib(16),
            cap_enforced: true,
            grows_online: true,
            copies_online: true,
            fill: None,
        };
        HostView::Read(Reading {
            at: NOW,
            asked_at: NOW,
            machine,
            runs: BTreeSet::from([ArtifactKind::Tree]),
            isolates: true,
            images: BTreeSet::new(),
            shared_ports: false,
            pool: PoolView::Present(pool),
            volumes: BTreeMap::new(),
            instances: BTreeMap::new(),
            foreign: Vec::new(),
        })
    };
    hosts.map(|host| (host.clone(), reading(host))).collect()
}
