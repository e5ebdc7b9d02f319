//! Volumes as they are, with what becomes of those that are no slot's any more. Decides nothing.

use crate::history::moment;
use crate::status::readings;
use planner::model::claim::Claims;
use planner::model::name::HostName;
use planner::model::observed::{Observed, PoolView, Reading, VolumeView};
use planner::model::size::Size;
use planner::model::time::{Millis, Timestamp};
use planner::model::volume::{OnRemove, VolumeState};
use serde::Serialize;
use std::fmt::Write;

/// One volume with the fleet's mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Its identity.
    pub id: String,
    /// The app it is or was of.
    pub app: String,
    /// Its name.
    pub source: String,
    /// The slot it is or was of.
    pub slot: String,
    /// Where it is.
    pub host: String,
    /// Its cap.
    pub size_bytes: u64,
    /// Whether it cannot outgrow that.
    pub size_enforced: bool,
    /// How much of it is written.
    pub allocated_bytes: u64,
    /// `making`, `attached`, `retired` or `erasing`.
    pub state: String,
    /// `own`, `snapshot` or `clone`.
    pub kind: String,
    /// The volume whose data it had when it was made, if it was not made empty.
    pub origin: Option<String>,
    /// What a person calls it, if it is a snapshot.
    pub name: Option<String>,
    /// Which life of the slot's volume of that name.
    pub incarnation: u32,
    /// The slot whose own it is, as the catalog remembers.
    pub claimed_by: Option<String>,
    /// The instance that holds it.
    pub instance: Option<String>,
    /// `retain` or `destroy`.
    pub on_remove: String,
    /// How long it is kept after it was retired, at least.
    pub retention_seconds: u64,
    /// Whether it is never destroyed.
    pub protected: bool,
    /// When it was retired, in seconds since 1970, by its host's clock.
    pub retired_at: Option<u64>,
    /// How long ago that was.
    pub retired_seconds: Option<u64>,
    /// How much of the retention is left; 0: it has passed.
    pub retention_left_seconds: Option<u64>,
}

/// All volumes of hosts that answered, in order of hosts and ids.
#[must_use]
pub fn volumes(observed: &Observed, claims: &Claims) -> Vec<Volume> {
    let all = readings(observed).flat_map(|(host, reading)| {
        reading.volumes.values().map(move |view| volume(host, reading, view, claims))
    });
    all.collect()
}

fn volume(host: &HostName, reading: &Reading, view: &VolumeView, claims: &Claims) -> Volume {
    let (spec, keeping) = (&view.spec, view.spec.keeping);
    let since = match view.state {
        VolumeState::Retired { since } => Some(since),
        VolumeState::Making | VolumeState::Attached | VolumeState::Erasing => None,
    };
    let age = since.map(|since| reading.at.since(since));
    let claimed = |claim: &&planner::model::claim::Claim| {
        claim.volumes.values().any(|volume| volume.id == spec.id)
    };
    let holder = reading.instances.values().find(|instance| instance.volumes.contains(&spec.id));
    Volume {
        id: spec.id.to_string(),
        app: spec.slot.app.to_string(),
        source: spec.source.to_string(),
        slot: spec.slot.to_string(),
        host: host.to_string(),
        size_bytes: spec.size.bytes(),
        size_enforced: match &reading.pool {
            PoolView::Present(pool) => pool.cap_enforced,
            PoolView::Absent => false,
        },
        allocated_bytes: view.allocated.bytes(),
        state: view.state.as_str().to_owned(),
        kind: spec.kind.as_str().to_owned(),
        origin: spec.origin.as_ref().map(ToString::to_string),
        name: spec.name.as_ref().map(ToString::to_string),
        incarnation: spec.incarnation.0,
        claimed_by: claims.slots.values().find(claimed).map(|claim| claim.slot.to_string()),
        instance: holder.map(|instance| instance.id.to_string()),
        on_remove: match keeping.on_remove {
            OnRemove::Retain => "retain".to_owned(),
            OnRemove::Destroy => "destroy".to_owned(),
        },
        retention_seconds: keeping.retention.0 / 1000,
        protected: keeping.protect,
        retired_at: since.map(|since| since.0),
        retired_seconds: age.map(|age| age.0 / 1000),
        retention_left_seconds: age.map(|age| keeping.retention.0.saturating_sub(age.0) / 1000),
    }
}

impl Volume {
    /// A row of a table: id, app, source, slot, host, size, state, and what becomes of it.
    #[must_use]
    pub fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.source.clone(),
            self.slot.clone(),
            self.host.clone(),
            Size::from_bytes(self.size_bytes).to_string(),
            self.state(),
            self.end(),
        ]
    }

    /// Its state, with how long ago it was retired; or what it is a copy of, since when.
    #[must_use]
    pub fn state(&self) -> String {
        let age = self.retired_seconds.map(|age| format!(" {} ago", Millis::from_secs(age)));
        let age = age.unwrap_or_default();
        match (self.kind.as_str(), &self.name, &self.origin) {
            ("own", ..) | (_, _, None) => format!("{}{age}", self.state),
            (kind, Some(name), Some(of)) => format!("{kind} {name} of {of}{age}"),
            (kind, None, Some(of)) => format!("{kind} of {of}{age}"),
        }
    }

    /// What becomes of it once it is no slot's, or now that it is not.
    fn end(&self) -> String {
        if self.protected {
            return "protected".to_owned();
        }
        if self.kind == "clone" {
            return "until its deploy ends".to_owned();
        }
        let by = match self.on_remove.as_str() {
            "destroy" => "destroyed with --allow-destroy",
            _ => "kept until destroyed by hand",
        };
        match self.retention_left_seconds {
            None => String::new(),
            Some(0) => format!("retention passed; {by}"),
            Some(left) => format!("{} left; then {by}", Millis::from_secs(left)),
        }
    }

    /// All that is known of it, a line for each thing.
    #[must_use]
    pub fn whole(&self) -> String {
        let size = |bytes| Size::from_bytes(bytes).to_string();
        let none = || "-".to_owned();
        let enforced = if self.size_enforced { "" } else { ", not enforced" };
        let mut lines = vec![
            ("volume", self.id.clone()),
            ("source", self.source.clone()),
            ("slot", self.slot.clone()),
            ("host", self.host.clone()),
            ("size", size(self.size_bytes) + enforced),
            ("written", size(self.allocated_bytes)),
            ("state", self.state()),
            ("kind", self.kind.clone()),
            ("name", self.name.clone().unwrap_or_else(none)),
            ("made of", self.origin.clone().unwrap_or_else(none)),
            ("life", self.incarnation.to_string()),
            ("own of", self.claimed_by.clone().unwrap_or_else(none)),
            ("instance", self.instance.clone().unwrap_or_else(none)),
            ("on_remove", self.on_remove.clone()),
            ("retention", Millis::from_secs(self.retention_seconds).to_string()),
            ("protected", if self.protected { "yes" } else { "no" }.to_owned()),
        ];
        if let (Some(at), Some(left)) = (self.retired_at, self.retention_left_seconds) {
            lines.push(("retired", moment(Timestamp(at))));
            lines.push(("left", Millis::from_secs(left).to_string()));
        }
        lines.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name:<11}{value}");
            text
        })
    }
}
