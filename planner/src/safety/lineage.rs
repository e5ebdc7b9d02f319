//! What may be removed: only what the commit that was applied last asked for and the planned one,
//! its descendant, no longer does. Absence alone removes nothing.

use crate::Inputs;
use crate::model::claim::{AppRecord, GroupShape, Shape};
use crate::model::desired::{Group, Lineage, Scale};
use crate::model::name::{AppName, GroupName, SourceName};
use crate::model::slot::SlotId;
use crate::recover::Renames;
use alloc::format;
use alloc::string::{String, ToString};

/// Why something is not removed, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) why: String,
    /// The way out.
    pub(crate) hint: String,
}

impl Refusal {
    fn new(why: impl Into<String>, hint: &str) -> Self {
        Self { why: why.into(), hint: hint.to_string() }
    }
}

/// What the catalog remembers of an app, and how the planned commit relates to it.
pub(crate) struct Memory<'m> {
    app: &'m AppName,
    renames: &'m Renames,
    record: Option<&'m AppRecord>,
    lineage: Option<&'m Lineage>,
    source_is_empty: bool,
}

impl<'m> Memory<'m> {
    /// Looks the app up, also under the names that it had.
    pub(crate) fn of(inputs: &Inputs<'m>, renames: &'m Renames, app: &'m AppName) -> Self {
        let (desired, claims) = (inputs.desired, inputs.claims);
        // What is recorded under a name that was given up before asks for nothing.
        let asks = |record: &&AppRecord| record.shape != Shape::default();
        let before = || renames.apps_before(app).filter_map(|old| claims.apps.get(old)).find(asks);
        let record = claims.apps.get(app).or_else(before);
        let name = record.map_or(app, |record| &record.app);
        Self {
            app,
            renames,
            record,
            lineage: desired.lineages.get(name),
            source_is_empty: desired.apps.is_empty() && desired.left_out.is_empty(),
        }
    }

    /// What the commit applied last is recorded to have asked for.
    pub(crate) const fn record(&self) -> Option<&'m AppRecord> {
        self.record
    }

    /// If the planned commit is an ancestor of the one applied last: nothing of the app is done.
    pub(crate) fn older(&self) -> Option<Refusal> {
        match self.lineage? {
            Lineage::Older { applied } => Some(Refusal::new(
                format!("this commit is older than {applied}, which was applied last"),
                "run from a newer commit; to go back, revert the change in a new commit",
            )),
            Lineage::Descends
            | Lineage::Unselected { .. }
            | Lineage::Sideways { .. }
            | Lineage::Unknown { .. } => None,
        }
    }

    /// Whether anything may be removed at all; the record to compare with.
    fn descends(&self) -> Result<&'m AppRecord, Refusal> {
        if self.source_is_empty {
            let hint = "check that it is the right commit and directory";
            return Err(Refusal::new("the source is empty: no manifest was found", hint));
        }
        let rebase = "apply a commit that descends from the one applied last, or remove it by hand";
        match self.lineage {
            Some(Lineage::Descends) => {}
            Some(Lineage::Older { applied }) => {
                let why = format!("this commit is older than {applied}, which was applied last");
                return Err(Refusal::new(why, "run from a newer commit"));
            }
            Some(Lineage::Sideways { applied }) => {
                let why = format!("this commit does not descend from {applied}, applied last");
                return Err(Refusal::new(why, rebase));
            }
            Some(Lineage::Unselected { manifest }) => {
                let why = format!("{manifest} is still there, and nothing selects it any more");
                let hint = "let [apps] of tiedown.toml select it again; to remove the app, delete \
                            its manifest";
                return Err(Refusal::new(why, hint));
            }
            Some(Lineage::Unknown { why }) => {
                let why = format!("what was applied last cannot be compared with this: {why}");
                return Err(Refusal::new(why, rebase));
            }
            None => {
                let why = "it is not known which commit it was applied from";
                return Err(Refusal::new(why, rebase));
            }
        }
        self.record.ok_or_else(|| {
            let why = "no commit of the app was ever applied in full, so nothing was deleted from \
                       it since";
            Refusal::new(why, "put it back and apply it in full once, then remove it")
        })
    }

    /// What the commit applied last asked of a group, also under the name that it had.
    pub(crate) fn recorded(&self, group: &GroupName) -> Option<&'m GroupShape> {
        let mut groups = self.record?.shape.groups.iter();
        let found = groups.find(|(name, _)| self.renames.group(self.app, name) == group);
        found.map(|(_, shape)| shape)
    }

    /// Whether the whole app may be removed.
    pub(crate) fn allows_app(&self) -> Result<(), Refusal> {
        self.descends().map(|_| ())
    }

    /// Whether a slot may be removed, given what its group is now, if it is.
    pub(crate) fn allows_slot(&self, slot: &SlotId, group: Option<&Group>) -> Result<(), Refusal> {
        self.descends()?;
        let Some(recorded) = self.recorded(&slot.group) else {
            let why = format!("the commit applied last did not ask for group {}", slot.group);
            return Err(Refusal::new(why, "put it back and apply it once, then remove it"));
        };
        let Some(group) = group else { return Ok(()) };
        let now = match &group.scale {
            Scale::Listed(counts) => counts.get(&slot.region).copied().unwrap_or(0),
            Scale::Unlisted { .. } => return Err(unlisted()),
        };
        match &recorded.scale {
            None => Ok(()),
            Some(counts) => {
                let before = counts.get(&slot.region).copied().unwrap_or(0);
                if before > now {
                    return Ok(());
                }
                let why = format!(
                    "the commit applied last asked for {before} in {}, this one for {now}",
                    slot.region
                );
                let hint = "list as many as there are, apply, and then fewer";
                Err(Refusal::new(why, hint))
            }
        }
    }

    /// Whether the volume of a mount that is gone may be retired.
    pub(crate) fn allows_mount(
        &self,
        group: &GroupName,
        source: &SourceName,
    ) -> Result<(), Refusal> {
        self.descends()?;
        let recorded = self.recorded(group);
        if recorded.is_some_and(|shape| shape.sources.contains(source)) {
            return Ok(());
        }
        let why = format!("the commit applied last did not ask for volume {source}");
        Err(Refusal::new(why, "put the mount back and apply it once, then remove it"))
    }
}

fn unlisted() -> Refusal {
    Refusal::new("going down takes an explicit number", "list the group in [tiedown.scale]")
}
