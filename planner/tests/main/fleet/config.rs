//! The few lines that a fleet is written in, with a default for everything.

use planner::model::name::{
    AppName, FleetName, GroupName, HostName, Region, SecretName, SourceName,
};
use planner::model::policy::{DriftPolicy, Fullness, MaxLoss, Policy, Spread};
use planner::model::slot::SlotId;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) hosts: BTreeMap<HostName, HostConfig>,
    pub(crate) apps: BTreeMap<AppName, AppConfig>,
    pub(crate) policy: PolicyConfig,
    pub(crate) permits: Vec<String>,
    pub(crate) left_out: Vec<AppName>,
    /// How the commit relates to the one applied last, where it does not descend from it.
    pub(crate) lineage: BTreeMap<AppName, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostConfig {
    pub(crate) region: Region,
    pub(crate) zone: Option<String>,
    pub(crate) state: String,
    pub(crate) was: Option<HostName>,
    /// A size, or `absent`.
    pub(crate) pool: String,
    pub(crate) make_pool: Option<String>,
    /// Whether volumes grow while they are used.
    pub(crate) grows_online: bool,
    pub(crate) subnet: Option<String>,
    pub(crate) unread: Option<String>,
    /// How many seconds its clock is ahead of everybody else's.
    pub(crate) clock: i64,
    pub(crate) memory: String,
    pub(crate) cpus: u32,
    pub(crate) runs: Vec<String>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            region: "ewr".parse().unwrap(),
            zone: None,
            state: "active".to_string(),
            was: None,
            pool: "100GB".to_string(),
            make_pool: None,
            grows_online: true,
            subnet: None,
            unread: None,
            clock: 0,
            memory: "64GB".to_string(),
            cpus: 16,
            runs: vec!["tree".to_string(), "image".to_string()],
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AppConfig {
    /// What it runs, as a word that its digest is made of.
    pub(crate) runs: String,
    /// Why what it runs is not there.
    pub(crate) missing: Option<String>,
    pub(crate) moved: Vec<String>,
    pub(crate) not_acted_on: Vec<String>,
    /// Runs in the place of the app's first group.
    pub(crate) release_command: Option<String>,
    pub(crate) groups: BTreeMap<GroupName, GroupConfig>,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            runs: "v1".to_string(),
            missing: None,
            moved: Vec::new(),
            not_acted_on: Vec::new(),
            release_command: None,
            groups: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GroupConfig {
    /// Absent: the manifest lists no number.
    pub(crate) scale: Option<BTreeMap<Region, u32>>,
    pub(crate) mounts: BTreeMap<SourceName, MountConfig>,
    pub(crate) env: BTreeMap<String, String>,
    /// Versions of those that are set.
    pub(crate) secrets: BTreeMap<SecretName, u64>,
    /// Paths of files, and the secrets that they are.
    pub(crate) secret_files: BTreeMap<String, SecretName>,
    pub(crate) services: bool,
    pub(crate) checks: bool,
    pub(crate) strategy: Option<String>,
    pub(crate) on_clones: bool,
    /// What a slot goes back to: `off`, `release` or `snapshot`.
    pub(crate) revert: String,
    /// A share below 1, a count from 1.
    pub(crate) max_unavailable: Option<f64>,
    pub(crate) memory: String,
    pub(crate) restart: String,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            scale: None,
            mounts: BTreeMap::new(),
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            secret_files: BTreeMap::new(),
            services: false,
            checks: false,
            strategy: None,
            on_clones: false,
            revert: "off".to_string(),
            max_unavailable: None,
            memory: "256MiB".to_string(),
            restart: "always".to_string(),
        }
    }
}

/// A size, or all that can be said of a mount.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum MountConfig {
    Size(String),
    Full(FullMount),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FullMount {
    pub(crate) size: String,
    pub(crate) destination: Option<String>,
    pub(crate) on_remove: String,
    pub(crate) retention_days: u64,
    pub(crate) protect: bool,
    pub(crate) adopt: Option<String>,
    pub(crate) fresh: bool,
}

impl Default for FullMount {
    fn default() -> Self {
        Self {
            size: "10GB".to_string(),
            destination: None,
            on_remove: "retain".to_string(),
            retention_days: 7,
            protect: false,
            adopt: None,
            fresh: false,
        }
    }
}

impl MountConfig {
    pub(crate) fn full(&self) -> FullMount {
        match self {
            Self::Size(size) => FullMount { size: size.clone(), ..FullMount::default() },
            Self::Full(full) => full.clone(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyConfig {
    pub(crate) overcommit_thousandths: u32,
    pub(crate) spread: Spread,
    pub(crate) max_loss: u32,
    pub(crate) drift: DriftPolicy,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            overcommit_thousandths: 1000,
            spread: Spread::Host,
            max_loss: 3,
            drift: DriftPolicy::default(),
        }
    }
}

impl Config {
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            full: Fullness::default(),
            auto: planner::model::policy::Auto::Safe,
            overcommit_thousandths: self.policy.overcommit_thousandths,
            spread: self.policy.spread,
            drift: self.policy.drift,
            max_loss: MaxLoss { count: self.policy.max_loss, share_thousandths: 100 },
        }
    }
}

/// Something that nobody planned.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// The main instance's supervisor was killed.
    Died(SlotId),
    /// The supervisor of the release command that ran beside it was killed.
    CommandDied(SlotId),
    /// Its checks fail.
    Unhealthy(SlotId),
    /// No trace of its instances is left.
    Vanished(SlotId),
    /// A volume was removed behind our back.
    VolumeLost {
        slot: SlotId,
        source: SourceName,
    },
    /// All instances of the host died.
    Rebooted(HostName),
    PoolGone(HostName),
    PoolSwapped(HostName),
    PoolOfFleet {
        host: HostName,
        fleet: FleetName,
    },
    Foreign {
        host: HostName,
        name: String,
        size: String,
        /// Whether it can become a volume.
        #[serde(default)]
        adoptable: bool,
    },
    CatalogLost,
    /// A person repairs it.
    Held(SlotId),
    Unheld(SlotId),
}
