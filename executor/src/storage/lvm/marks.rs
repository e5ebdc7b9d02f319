//! Marks on logical volumes, as LVM's tags: understood in full, or an error. LVM changes all tags
//! of a volume at once, and they survive a loss of power like the volume itself.

use crate::names::{MARK, mark};
use crate::storage::PoolMarks;
use planner::model::id::{Incarnation, MachineId, PoolId, VolumeId};
use planner::model::name::FleetName;
use planner::model::size::Size;
use planner::model::time::{Millis, Timestamp};
use planner::model::volume::{Keeping, OnRemove, VolumeKind, VolumeSpec, VolumeState};
use std::collections::{BTreeMap, BTreeSet};

/// The format of all marks; what is newer is not touched.
const FORMAT: &str = "1";

/// All that a volume's marks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) fleet: FleetName,
    pub(super) pool: PoolId,
    pub(super) spec: VolumeSpec,
    pub(super) state: VolumeState,
    pub(super) formatted: bool,
    /// Counts the changes of the marks.
    pub(super) generation: u64,
}

impl Label {
    /// As LVM writes them.
    pub(super) fn tags(&self) -> BTreeSet<String> {
        let VolumeSpec { id, slot, source, incarnation, size, keeping, kind, origin, name } =
            &self.spec;
        let state = match self.state {
            VolumeState::Retired { since } => format!("retired:{}", since.0),
            VolumeState::Making | VolumeState::Attached | VolumeState::Erasing => {
                self.state.as_str().to_owned()
            }
        };
        let mut tags = BTreeSet::from([
            mark("fleet", &self.fleet),
            mark("pool", &self.pool.as_str()),
            mark("volume", &id.as_str()),
            mark("app", &slot.app),
            mark("slot", slot),
            mark("source", source),
            mark("incarnation", &incarnation.0),
            mark("size", &size.bytes()),
            mark("keeping", &keeping_text(keeping)),
            mark("state", &state),
            mark("formatted", &self.formatted),
            mark("generation", &self.generation),
        ]);
        if !kind.is_own() {
            tags.insert(mark("kind", &kind.as_str()));
        }
        tags.extend(origin.as_ref().map(|origin| mark("origin", origin)));
        tags.extend(name.as_ref().map(|name| mark("name", name)));
        tags
    }

    /// Reads a volume's marks. The caller knows that there are some.
    pub(super) fn parse(tags: &[String]) -> Result<Self, String> {
        let read = Values::of(tags)?;
        Ok(Self {
            fleet: read.parsed("fleet", |text| text.parse().ok())?,
            pool: read.parsed("pool", |text| PoolId::parse(text).ok())?,
            spec: VolumeSpec {
                id: read.parsed("volume", |text| VolumeId::parse(text).ok())?,
                slot: read.parsed("slot", |text| text.parse().ok())?,
                source: read.parsed("source", |text| text.parse().ok())?,
                incarnation: read
                    .parsed("incarnation", |text| text.parse().ok().map(Incarnation))?,
                size: read.parsed("size", |text| text.parse().ok().map(Size::from_bytes))?,
                keeping: read.parsed("keeping", keeping)?,
                kind: read.optional("kind", kind)?.unwrap_or_default(),
                origin: read.optional("origin", |text| VolumeId::parse(text).ok())?,
                name: read.optional("name", |text| text.parse().ok())?,
            },
            state: read.parsed("state", state)?,
            formatted: read.parsed("formatted", |text| text.parse().ok())?,
            generation: read.parsed("generation", |text| text.parse().ok())?,
        })
    }
}

/// A pool's marks, as LVM writes them.
pub(super) fn pool_tags(marks: &PoolMarks) -> BTreeSet<String> {
    BTreeSet::from([
        mark("format", &FORMAT),
        mark("fleet", &marks.fleet),
        mark("pool", &marks.id.as_str()),
        mark("host", &marks.host),
        mark("machine", &marks.machine.as_str()),
    ])
}

/// Reads a pool's marks; nothing if it has none.
pub(super) fn parse_pool(tags: &[String]) -> Result<Option<PoolMarks>, String> {
    if !has_marks(tags) {
        return Ok(None);
    }
    let read = Values::of(tags)?;
    read.parsed("format", |text| (text == FORMAT).then_some(()))?;
    Ok(Some(PoolMarks {
        id: read.parsed("pool", |text| PoolId::parse(text).ok())?,
        fleet: read.parsed("fleet", |text| text.parse().ok())?,
        host: read.parsed("host", |text| text.parse().ok())?,
        machine: read.parsed("machine", |text| MachineId::parse(text).ok())?,
    }))
}

/// Whether any mark of ours is among the tags.
pub(super) fn has_marks(tags: &[String]) -> bool {
    tags.iter().any(|tag| tag.starts_with(MARK))
}

/// What a mark says, for people; nothing if it is not there.
pub(super) fn value_of<'t>(tags: &'t [String], key: &str) -> Option<&'t str> {
    let marks = tags.iter().filter_map(|tag| tag.strip_prefix(MARK)?.split_once('='));
    marks.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Marks by key.
struct Values<'t>(BTreeMap<&'t str, &'t str>);

impl<'t> Values<'t> {
    fn of(tags: &'t [String]) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for tag in tags.iter().filter_map(|tag| tag.strip_prefix(MARK)) {
            let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
            if values.insert(key, value).is_some() {
                return Err(format!("it has two marks for {key}"));
            }
        }
        Ok(Self(values))
    }

    fn parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        self.optional(key, parse)?.ok_or_else(|| format!("it has no mark for {key}"))
    }

    fn optional<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        parse(value).map(Some).ok_or_else(|| format!("its mark for {key} is {value:?}"))
    }
}

fn keeping_text(keeping: &Keeping) -> String {
    let on_remove = match keeping.on_remove {
        OnRemove::Retain => "retain",
        OnRemove::Destroy => "destroy",
    };
    let protect = if keeping.protect { "protected" } else { "open" };
    format!("{on_remove}:{}:{protect}", keeping.retention.0)
}

fn keeping(text: &str) -> Option<Keeping> {
    let mut words = text.split(':');
    let on_remove = match words.next()? {
        "retain" => OnRemove::Retain,
        "destroy" => OnRemove::Destroy,
        _ => return None,
    };
    let retention = Millis(words.next()?.parse().ok()?);
    let protect = match words.next()? {
        "protected" => true,
        "open" => false,
        _ => return None,
    };
    words.next().is_none().then_some(Keeping { on_remove, retention, protect })
}

fn kind(text: &str) -> Option<VolumeKind> {
    match text {
        "snapshot" => Some(VolumeKind::Snapshot),
        "clone" => Some(VolumeKind::Clone),
        _ => None,
    }
}

fn state(text: &str) -> Option<VolumeState> {
    match text {
        "making" => Some(VolumeState::Making),
        "attached" => Some(VolumeState::Attached),
        "erasing" => Some(VolumeState::Erasing),
        other => {
            let since = other.strip_prefix("retired:")?.parse().ok()?;
            Some(VolumeState::Retired { since: Timestamp(since) })
        }
    }
}
