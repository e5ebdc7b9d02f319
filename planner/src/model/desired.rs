//! What the repository asks for, with all defaults filled in: manifests as meant.

use super::claim::Shape;
use super::few::Few;
use super::guest::Guest;
use super::health::Check;
use super::host::HostSpec;
use super::instance::{GuestFile, SecretFile, Supervision};
use super::name::{AppName, FleetName, GroupName, HostName, Region, SourceName};
use super::network::Port;
use super::release::{CommitId, Env, SecretVersions};
use super::size::Size;
use super::time::Millis;
use super::volume::Keeping;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What one commit asks of one fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The fleet.
    pub fleet: FleetName,
    /// Its hosts.
    pub hosts: BTreeMap<HostName, HostSpec>,
    /// Where this was read; `None`: from disk, not from a commit.
    pub commit: Option<CommitId>,
    /// Apps whose manifest could be read.
    pub apps: BTreeMap<AppName, App>,
    /// Apps that this pass is not about (`--app`, `--exclude-app`): not touched, not reported.
    pub left_out: alloc::collections::BTreeSet<AppName>,
    /// For each app that the catalog knows: how this commit relates to the one applied last.
    pub lineages: BTreeMap<AppName, Lineage>,
}

/// How the planned commit relates to the one that was applied last for an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "lineage")]
pub enum Lineage {
    /// It is that commit or descends from it: what its manifest no longer asks for was deleted.
    Descends,
    /// It is an ancestor of it: an old job was run again.
    Older {
        /// The commit applied last.
        applied: CommitId,
    },
    /// Neither: another branch, or history was rewritten.
    Sideways {
        /// The commit applied last.
        applied: CommitId,
    },
    /// It descends from it, and the app's manifest is still there, where nothing selects it any
    /// more: nobody deleted the app.
    Unselected {
        /// The manifest, from the root of the tree.
        manifest: String,
    },
    /// Nothing is known: the commit applied last is not in this repository, or what was or is to
    /// be applied is no commit.
    Unknown {
        /// Why.
        why: String,
    },
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// Where its manifest is in the repository.
    pub manifest: String,
    /// Its groups.
    pub groups: Few<GroupName, Group>,
    /// What it was called before.
    pub moved: Vec<Move>,
    /// What runs once before each release.
    #[serde(default)]
    pub release_command: Option<ReleaseCommand>,
    /// What is in the manifest and not acted on; named once in the plan.
    pub not_acted_on: Vec<String>,
}

impl App {
    /// What a later commit can delete from it.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let groups = self.groups.iter().map(|(name, group)| (name.clone(), group.shape()));
        Shape { groups: groups.collect() }
    }
}

/// `[deploy] release_command`: what runs once for each release, before anything else of the app
/// changes. It has no volumes, no services and no checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseCommand {
    /// The group whose environment and files it sees: the default one.
    pub group: GroupName,
    /// Program and arguments, behind the group's entrypoint if it has one.
    pub argv: Vec<String>,
    /// Memory and cpus.
    pub guest: Guest,
    /// How long it may take.
    pub timeout: Millis,
}

/// One line of `moved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "moved")]
pub enum Move {
    /// The app had another name.
    App {
        /// The name it had.
        from: AppName,
    },
    /// A group had another name.
    Group {
        /// The name it had.
        from: GroupName,
        /// The name it has.
        to: GroupName,
    },
    /// A volume had another name.
    Source {
        /// The name it had.
        from: SourceName,
        /// The name it has.
        to: SourceName,
    },
}

/// One process group of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// How many slots where.
    pub scale: Scale,
    /// Its mounts by source.
    pub mounts: Few<SourceName, Mount>,
    /// Program and arguments; empty: the image's own.
    pub argv: Vec<String>,
    /// Whether they take the place of an image's entrypoint, and do not follow it.
    pub replaces_entrypoint: bool,
    /// Environment of the manifest.
    pub env: Env,
    /// Files of the manifest.
    pub files: Vec<GuestFile>,
    /// Files of the manifest whose content is a secret.
    pub secret_files: Vec<SecretFile>,
    /// Versions of its app's secrets.
    pub secrets: SecretVersions,
    /// `primary_region`, which the instance sees as `PRIMARY_REGION`.
    pub primary_region: Option<Region>,
    /// Memory and cpus of a slot.
    pub guest: Guest,
    /// Whether it has services; without any, an extra instance proves nothing.
    pub has_services: bool,
    /// Ports its services and checks name.
    pub ports: Vec<Port>,
    /// Its checks.
    pub checks: Vec<Check>,
    /// How its instances are kept running.
    pub supervision: Supervision,
    /// How it is deployed.
    pub deploy: Deploy,
}

impl Group {
    /// What a later commit can delete from it.
    #[must_use]
    pub fn shape(&self) -> super::claim::GroupShape {
        super::claim::GroupShape {
            sources: self.mounts.keys().cloned().collect(),
            scale: match &self.scale {
                Scale::Listed(counts) => Some(counts.clone()),
                Scale::Unlisted { .. } => None,
            },
        }
    }
}

/// How many slots of a group where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// `[tiedown.scale]` lists the group: this, and nothing else.
    Listed(Few<Region, u32>),
    /// It does not: what is there is kept; a new group gets one slot here.
    Unlisted {
        /// `primary_region`, or the fleet's only region.
        first: Region,
    },
}

/// One `[[mounts]]` entry of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The volume's name.
    pub source: SourceName,
    /// Absolute path inside the instance.
    pub destination: SmolStr,
    /// `initial_size`: a floor. Larger than the volume: it grows.
    pub size: Size,
    /// What becomes of the volume at its end.
    pub keeping: Keeping,
    /// The retired volume that a slot takes instead of an empty one, by id.
    pub adopt: Option<String>,
    /// Whether a returning slot starts empty instead of being refused.
    pub fresh: bool,
}

/// `[deploy]` and what it means for a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The strategy that the manifest names.
    pub strategy: Option<Strategy>,
    /// How many slots of the group may be down at once.
    pub max_unavailable: MaxUnavailable,
    /// How long an instance has to become healthy.
    pub wait_timeout: Millis,
    /// Whether a release of a group with mounts is tried on clones of one slot's volumes first.
    #[serde(default)]
    pub on_clones: bool,
    /// What a slot goes back to whose new release does not come up.
    #[serde(default)]
    pub revert: Revert,
}

/// What a slot goes back to whose new release does not come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Revert {
    /// Nothing: it stays as it is.
    #[default]
    Off,
    /// The release before, on the same volumes.
    Release,
    /// The release before, on what snapshots of its volumes hold that were taken before the new
    /// release was started on them.
    Snapshot,
}

/// How a new release replaces an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Some slots at a time.
    Rolling,
    /// All slots at once, without waiting.
    Immediate,
    /// One extra instance first, then rolling.
    Canary,
    /// A whole second set, then the first is removed.
    Bluegreen,
}

impl Strategy {
    /// The strategy's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Immediate => "immediate",
            Self::Canary => "canary",
            Self::Bluegreen => "bluegreen",
        }
    }
}

/// `max_unavailable`: below 1 a share of the slots, from 1 a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaxUnavailable {
    /// Thousandths of the slots, rounded up.
    Thousandths(u32),
    /// That many.
    Count(u32),
}

impl MaxUnavailable {
    /// Fly's default: 0.33.
    pub const DEFAULT: Self = Self::Thousandths(330);

    /// How many of `slots` may be down at once; at least 1.
    #[must_use]
    pub const fn of(self, slots: usize) -> usize {
        let count = match self {
            Self::Thousandths(share) => (slots * share as usize).div_ceil(1000),
            Self::Count(count) => count as usize,
        };
        if count == 0 { 1 } else { count }
    }
}
