//! Why something is as it is: what wants it, what holds it, why it is where it is and not
//! elsewhere, and what the next plan does with it. As data; it changes nothing.

mod host;
mod slot;
mod volume;

pub use crate::placement::verdict::{Standing, Verdict};

use crate::Inputs;
use crate::diff::{Diff, diff};
use crate::model::artifact::Artifacts;
use crate::model::claim::{Claim, Claims};
use crate::model::desired::Desired;
use crate::model::id::VolumeId;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::{InstanceView, Observed, VolumeView};
use crate::model::permit::Permits;
use crate::model::policy::Policy;
use crate::model::slot::SlotId;
use crate::plan::change::Change;
use crate::recover::{Ground, recover};
use crate::report::{Drift, Line, Report};
use crate::{Planned, plan};
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A slot.
    Slot(SlotId),
    /// A volume, in whatever state.
    Volume(VolumeId),
    /// A host.
    Host(HostName),
}

/// Why it is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What was asked about.
    pub about: String,
    /// Whether anything knows of it.
    pub known: bool,
    /// What wants it, or that nothing does.
    pub wanted: Wanted,
    /// What there is of it, on hosts and in the catalog.
    pub held: Vec<Held>,
    /// Why it is where it is, or goes where it goes; nothing: it is nowhere.
    pub place: Option<String>,
    /// The fleet's hosts as places for it, the chosen one first.
    pub hosts: Vec<Verdict>,
    /// What the next plan does with it.
    pub changes: Vec<Change>,
    /// What is reported about it.
    pub lines: Vec<Line>,
    /// What of it moved by itself.
    pub drift: Vec<Drift>,
}

/// What wants something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "wanted")]
pub enum Wanted {
    /// A line of a file.
    By {
        /// The file.
        file: String,
        /// The line, or what its absence means.
        line: String,
    },
    /// Nothing does.
    Not {
        /// Why, in words.
        why: String,
    },
}

/// Something that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum Held {
    /// The catalog remembers the slot.
    Claim(Claim),
    /// An instance.
    Instance {
        /// Where.
        host: HostName,
        /// How it is.
        instance: InstanceView,
    },
    /// A volume.
    Volume {
        /// Where.
        host: HostName,
        /// How it is.
        volume: VolumeView,
    },
}

/// All that an explanation is made from.
struct Scene<'a, 's> {
    inputs: &'s Inputs<'a>,
    ground: &'s Ground<'a>,
    diff: &'s Diff<'a>,
    planned: &'s Planned,
}

/// Explains. The same inputs as for a plan give the same explanation.
#[must_use]
pub fn why(
    subject: &Subject,
    desired: &Desired,
    artifacts: &Artifacts,
    observed: &Observed,
    claims: &Claims,
    policy: &Policy,
    permits: &Permits,
) -> Explanation {
    let planned = plan(desired, artifacts, observed, claims, policy, permits);
    let inputs = Inputs { desired, artifacts, observed, claims, policy, permits: *permits };
    // The plan's own report says all that is to be said.
    let mut heard = Report::default();
    let ground = recover(&inputs, &mut heard);
    let diff = diff(&inputs, &ground, &mut heard);
    let scene = Scene { inputs: &inputs, ground: &ground, diff: &diff, planned: &planned };
    match subject {
        Subject::Slot(slot) => slot::why(&scene, slot),
        Subject::Volume(volume) => volume::why(&scene, volume),
        Subject::Host(host) => host::why(&scene, host),
    }
}

impl Scene<'_, '_> {
    /// An explanation that has what plan and report say of objects.
    fn told(&self, about: String, concerns: impl Fn(&Object) -> bool) -> Explanation {
        let Planned { plan, report } = self.planned;
        let changes = plan.changes.iter().filter(|change| concerns(&change.object));
        let lines = report.lines.iter().filter(|line| concerns(&line.object));
        let drift = report.drift.iter().filter(|drift| concerns(&drift.object));
        Explanation {
            about,
            known: false,
            wanted: Wanted::Not { why: "nothing asks for it".into() },
            held: Vec::new(),
            place: None,
            hosts: Vec::new(),
            changes: changes.cloned().collect(),
            lines: lines.cloned().collect(),
            drift: drift.cloned().collect(),
        }
    }
}

/// The host that an object is about, if it is about one.
const fn host_of(object: &Object) -> Option<&HostName> {
    match object {
        Object::Host { host } | Object::Pool { host } | Object::Foreign { host, .. } => Some(host),
        Object::Fleet
        | Object::App { .. }
        | Object::Group { .. }
        | Object::Slot { .. }
        | Object::Volume { .. }
        | Object::Instance { .. } => None,
    }
}
