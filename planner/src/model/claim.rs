//! What the catalog remembers. Claims say where to look and what was meant; objects say what
//! exists.

use super::few::Few;
use super::id::{Incarnation, PoolId, VolumeId};
use super::instance::Supervision;
use super::name::{AppName, GroupName, HostName, Region, SourceName};
use super::release::{CommitId, Release, ReleaseSpec};
use super::size::Size;
use super::slot::SlotId;
use super::volume::Keeping;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// A volume as claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedVolume {
    /// Its identity.
    pub id: VolumeId,
    /// Which life.
    pub incarnation: Incarnation,
    /// The size last applied; zero while it has not been made yet, so that a volume that was
    /// never there is told from one that is lost.
    pub size: Size,
    /// How it was marked to be kept last; `None`: not known.
    #[serde(default)]
    pub keeping: Option<Keeping>,
}

/// A release that did not come up; not tried again until it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRelease {
    /// Which.
    pub release: Release,
    /// What was seen.
    pub why: String,
}

/// What the catalog remembers of a slot. Written before the first act on it, removed after the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The slot.
    pub slot: SlotId,
    /// Its host.
    pub host: HostName,
    /// The pool its volumes are in; `None` if it has none.
    pub pool: Option<PoolId>,
    /// Its volumes by name.
    pub volumes: Few<SourceName, ClaimedVolume>,
    /// Its address, for as long as it lives.
    pub address: Ipv4Addr,
    /// The release last brought up in full; `None` before the first.
    pub applied: Option<Release>,
    /// What that release was, to tell in what the next one differs; `None` in catalogs that did
    /// not remember it yet. Slots of a group share it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub applied_spec: Option<Arc<ReleaseSpec>>,
    /// How its instance was set to be kept running last; `None`: not known.
    #[serde(default)]
    pub supervision: Option<Supervision>,
    /// The release that failed last.
    pub failed: Option<FailedRelease>,
    /// Left alone while a person repairs it.
    pub held: bool,
}

/// The shape of an app that a commit asked for: what a later commit can delete.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shape {
    /// Groups with their mounts and counts.
    pub groups: Few<GroupName, GroupShape>,
}

/// One group of a [`Shape`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupShape {
    /// Names of its volumes.
    pub sources: alloc::collections::BTreeSet<SourceName>,
    /// Slots per region. `None`: the manifest gave no number.
    pub scale: Option<Few<Region, u32>>,
}

/// What the catalog remembers of an app: the commit whose manifest was applied in full last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRecord {
    /// The app.
    pub app: AppName,
    /// That commit. `None` if it was applied from disk, not from a commit.
    pub commit: Option<CommitId>,
    /// Where its manifest was.
    pub manifest: String,
    /// What it asked for.
    pub shape: Shape,
    /// The release command that was run for it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Release>,
}

/// All that the catalog remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Whether nothing was forgotten: false for a catalog that was made anew and has not yet seen
    /// every host.
    pub complete: bool,
    /// Claims by slot.
    pub slots: BTreeMap<SlotId, Claim>,
    /// Records by app.
    pub apps: BTreeMap<AppName, AppRecord>,
    /// The highest incarnation ever given, by slot and source; it outlives the claim, so that a
    /// destroyed id never returns.
    #[serde(with = "incarnations")]
    pub incarnations: BTreeMap<(SlotId, SourceName), Incarnation>,
    /// When volumes were retired or destroyed by an apply, for the limit on loss: app and moment.
    pub losses: alloc::vec::Vec<(AppName, super::time::Timestamp)>,
}

mod shared {
    //! What is shared is written as if it were not.
    use super::{Arc, ReleaseSpec};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Spec = Option<Arc<ReleaseSpec>>;

    pub(super) fn serialize<S: Serializer>(spec: &Spec, to: S) -> Result<S::Ok, S::Error> {
        spec.as_deref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Spec, D::Error> {
        Ok(Option::deserialize(from)?.map(Arc::new))
    }
}

mod incarnations {
    //! JSON keys are strings: the pairs are written as a list.
    use super::{BTreeMap, Incarnation, SlotId, SourceName};
    use alloc::vec::Vec;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Map = BTreeMap<(SlotId, SourceName), Incarnation>;

    pub(super) fn serialize<S: Serializer>(map: &Map, to: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
        Ok(Vec::<((SlotId, SourceName), Incarnation)>::deserialize(from)?.into_iter().collect())
    }
}
