//! What a plan changes, for people and machines to read.

use crate::model::name::HostName;
use crate::model::object::Object;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// One object that will be different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What.
    pub object: Object,
    /// How.
    pub verb: Verb,
    /// Where.
    pub host: HostName,
    /// What of it: before and after.
    pub fields: Vec<Field>,
    /// Why so and why there, in words; full sentences without a full stop.
    pub reasons: Vec<String>,
}

/// How an object changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// A volume and its data go.
    Destroy,
    /// A volume is detached and kept.
    Retire,
    /// A slot's instance is stopped and the slot is no more.
    Remove,
    /// Something new.
    Create,
    /// A retired volume becomes its slot's again.
    TakeBack,
    /// A volume that a person names, retired or foreign, becomes a slot's: an import.
    Adopt,
    /// An instance is replaced by one of another release, on the same volumes.
    Redeploy,
    /// An instance of the same release is started again.
    Restart,
    /// Changed in place.
    Update,
    /// An instance is started that is to end by itself.
    Run,
}

/// One thing of an object that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What it is called in the manifest or in our words.
    pub name: String,
    /// What it was; nothing if it was not known or not there.
    pub before: Option<String>,
    /// What it becomes; nothing if it goes.
    pub after: Option<String>,
}

/// How many objects are added, changed, destroyed: slots and volumes are counted, a redeploy is
/// one change, destroy counts volumes whose data goes. Pools and hosts are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Volumes that a person names and that become a slot's.
    #[serde(default)]
    pub import: usize,
    /// New slots and volumes.
    pub add: usize,
    /// Slots and volumes that stay and differ, or that are put away and kept.
    pub change: usize,
    /// Volumes whose data goes.
    pub destroy: usize,
}

impl Summary {
    /// Counts.
    #[must_use]
    pub fn of(changes: &[Change]) -> Self {
        let mut summary = Self::default();
        for change in changes.iter().filter(|change| counted(&change.object)) {
            match change.verb {
                Verb::Adopt => summary.import += 1,
                Verb::Create => summary.add += 1,
                Verb::Destroy => summary.destroy += 1,
                Verb::Retire
                | Verb::Remove
                | Verb::TakeBack
                | Verb::Redeploy
                | Verb::Restart
                | Verb::Update => summary.change += 1,
                // An instance that is gone afterwards is none of what there is.
                Verb::Run => {}
            }
        }
        summary
    }
}

const fn counted(object: &Object) -> bool {
    match object {
        Object::Slot { .. } | Object::Volume { .. } => true,
        Object::Fleet
        | Object::Host { .. }
        | Object::Pool { .. }
        | Object::App { .. }
        | Object::Group { .. }
        | Object::Instance { .. }
        | Object::Foreign { .. } => false,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { import, add, change, destroy } = self;
        f.write_str("Plan: ")?;
        if *import > 0 {
            write!(f, "{import} to import, ")?;
        }
        write!(f, "{add} to add, {change} to change, {destroy} to destroy.")
    }
}
