//! `tiedown.toml` as meant: the fleet, its hosts with all defaults filled in, and the policy.
//!
//! Reading has two halves: [`written`] says what stands in the file and finds all its mistakes;
//! [`meant`] fills in what this machine says. Neither opens a file.

pub mod keys;
pub mod load;
pub mod meant;
pub mod problem;
pub mod schedule;
pub mod section;
pub mod written;

use executor::names::StateDir;
use executor::secrets::sealed::SealedSecrets;
use keys::KeysSettings;
use planner::model::host::HostSpec;
use planner::model::name::{FleetName, HostName, Region};
use planner::model::policy::Policy;
use planner::model::size::Size;
use schedule::Schedule;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file, in the directory that tiedown is pointed at.
pub const FILE: &str = "tiedown.toml";

/// Which manifests belong to a fleet whose `tiedown.toml` does not say.
pub const INCLUDE: [&str; 2] = ["**/fly.toml", "**/fly.*.toml"];

/// A fleet as `tiedown.toml` describes it, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The fleet's name.
    pub fleet: FleetName,
    /// Where the fleet's records and embedded pools are; absolute.
    pub state_dir: PathBuf,
    /// Glob patterns of manifests, relative to the directory of the file.
    pub include: Vec<String>,
    /// Glob patterns of manifests that are not this fleet's.
    pub exclude: Vec<String>,
    /// Its hosts.
    pub hosts: BTreeMap<HostName, HostSettings>,
    /// What may be done.
    pub policy: Policy,
    /// What tells a proxy in front where instances answer.
    pub endpoints: Option<EndpointsSettings>,
    /// How passes that nobody watches are run.
    pub serve: ServeSettings,
    /// What a change under review needs before it is applied.
    pub require: Requirements,
}

/// `[require]`: what the forge must say of a change before it is applied. By default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirements {
    /// How many approve its commit, while nobody who may wants it changed.
    pub approvals: u32,
    /// Whether it descends from where its base is now.
    pub up_to_date: bool,
    /// Checks of its commit that passed, by name.
    pub checks: Vec<String>,
}

impl Requirements {
    /// Whether nothing is required.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.approvals == 0 && !self.up_to_date && self.checks.is_empty()
    }

    /// What whoever has passes run by themselves must know, so that nobody believes them guarded by
    /// this: what is wrong, and the way out. Nothing where nothing is required.
    #[must_use]
    pub const fn unasked(&self) -> Option<(&'static str, &'static str)> {
        if self.is_empty() {
            return None;
        }
        let why = "passes by themselves apply what is in the branch, and do not ask for [require]";
        Some((why, "protect the branch on the forge: approvals, checks, up to date"))
    }
}

/// `[endpoints]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointsSettings {
    /// The file that says where instances answer; absolute.
    pub file: PathBuf,
    /// A program of the system and its arguments, run when the file has changed; empty: none.
    pub command: Vec<String>,
}

/// `[serve]`, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSettings {
    /// A pass is run at least so often.
    pub interval: Duration,
    /// When something may happen by itself.
    pub schedule: Schedule,
}

impl Default for ServeSettings {
    /// Every five minutes, at any time.
    fn default() -> Self {
        Self { interval: Duration::from_secs(300), schedule: Schedule::default() }
    }
}

impl Settings {
    /// The regions that the fleet has hosts in.
    #[must_use]
    pub fn regions(&self) -> BTreeSet<Region> {
        self.hosts.values().map(|host| host.spec.region.clone()).collect()
    }

    /// The fleet's secrets.
    #[must_use]
    pub fn secrets(&self) -> SealedSecrets {
        SealedSecrets::new(self.fleet.clone(), StateDir::at(&self.state_dir))
    }
}

/// One host and how it is got at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// What the planner knows of it.
    pub spec: HostSpec,
    /// Where its volumes are.
    pub storage: StorageSettings,
    /// What runs its instances.
    pub runtime: RuntimeDriver,
    /// What seals its keys.
    pub keys: KeysSettings,
}

/// Where a host's volumes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageSettings {
    /// `local`: files in a directory of this machine.
    Local {
        /// The host's directory; absolute, under `hosts` of `state_dir`.
        path: PathBuf,
    },
    /// `lvm`: an LVM2 thin pool of this machine.
    Lvm {
        /// The host's directory, with its records and keys.
        path: PathBuf,
        /// The volume group.
        group: String,
        /// The thin pool in it.
        pool: String,
    },
}

impl StorageSettings {
    /// The host's directory; absolute, under `hosts` of `state_dir`.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Local { path } | Self::Lvm { path, .. } => path,
        }
    }
}

/// What runs a host's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeDriver {
    /// `process`: supervised processes of this machine.
    Process {
        /// What network they have.
        network: ProcessNetwork,
    },
    /// `docker`: containers of a Docker Engine of this machine.
    Docker {
        /// The engine's socket; absolute.
        socket: PathBuf,
    },
}

/// What network instances of the process runtime have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessNetwork {
    /// `own`: each its own, where the machine allows it; else the machine's.
    Own,
    /// `host`: the machine's. Instances reach what the machine reaches, and share its ports.
    Host,
}

/// What this machine and its user say, for what the file leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Memory in all.
    pub memory: Size,
    /// Processors in all.
    pub cpus: u32,
    /// Whether instances share the machine's ports, for want of the right to make networks.
    pub shares_ports: bool,
    /// Whether tiedown runs as root.
    pub root: bool,
    /// `XDG_STATE_HOME`, if it is set and absolute.
    pub state_home: Option<PathBuf>,
    /// `HOME`, if it is set and absolute.
    pub home: Option<PathBuf>,
}
