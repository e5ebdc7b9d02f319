//! Marks on containers and networks: labels that say whose they are and what they are of, so that
//! they are known again when nothing else remembers them.

use crate::names::mark;
use planner::model::instance::InstanceSpec;
use planner::model::name::{FleetName, HostName};
use planner::model::release::Env;
use std::collections::BTreeMap;
use std::path::Path;

/// Whose a container is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Whose {
    /// An instance of this very host.
    Ours(Box<InstanceSpec>),
    /// Of another host of this fleet, whose business it is.
    OtherHost,
    /// Somebody else's, in words.
    Foreign(String),
}

/// A host of a fleet, set up in one place of this machine.
pub(super) struct Owner<'a> {
    pub(super) fleet: &'a FleetName,
    /// For people: a host may be called otherwise later.
    pub(super) host: &'a HostName,
    /// The fleet's state directory.
    pub(super) state: &'a Path,
    /// The directory of the host's instances: by it a host knows its own, and a fleet that is set
    /// up twice by mistake does not take the other's containers for its own.
    pub(super) place: &'a Path,
}

const FLEET: &str = "fleet";
const HOST: &str = "host";
const PLACE: &str = "place";
const SPEC: &str = "spec";

impl Owner<'_> {
    /// Marks of what the host keeps for all instances together.
    pub(super) fn marks(&self) -> BTreeMap<String, String> {
        let place = self.place.display().to_string();
        let marks =
            [(FLEET, self.fleet.to_string()), (HOST, self.host.to_string()), (PLACE, place)];
        marks.into_iter().map(|(key, value)| (mark_name(key), value)).collect()
    }

    /// Marks of an instance's container. What only starts it is left out: it is of no use to know
    /// the instance again, and an environment is nobody else's business.
    pub(super) fn marks_of(&self, instance: &InstanceSpec) -> BTreeMap<String, String> {
        let known = InstanceSpec {
            argv: Vec::new(),
            env: Env::new(),
            files: Vec::new(),
            ..instance.clone()
        };
        let mut marks = self.marks();
        let spec = serde_json::to_string(&known).unwrap_or_default();
        for (key, value) in [
            ("slot", instance.slot.to_string()),
            ("role", instance.role.as_str().to_owned()),
            ("release", instance.release.as_str().to_owned()),
            (SPEC, spec),
        ] {
            marks.insert(mark_name(key), value);
        }
        marks
    }

    /// Whether the bearer of these labels is what the host keeps for all instances together.
    pub(super) fn are_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&mark_name(FLEET)).is_some_and(|fleet| fleet == self.fleet.as_str())
            && labels.get(&mark_name(PLACE)).is_some_and(|place| Path::new(place) == self.place)
    }

    /// Whose the bearer of these labels is.
    pub(super) fn whose(&self, labels: &BTreeMap<String, String>) -> Whose {
        let label = |key: &str| labels.get(&mark_name(key)).map_or("", String::as_str);
        let (fleet, place) = (label(FLEET), Path::new(label(PLACE)));
        if fleet.is_empty() {
            return Whose::Foreign("not tiedown's".to_owned());
        }
        if fleet != self.fleet.as_str() {
            return Whose::Foreign(format!("of fleet {fleet}"));
        }
        if place != self.place {
            let elsewhere = place.display();
            return match place.starts_with(self.state) {
                true => Whose::OtherHost,
                false => Whose::Foreign(format!("of another fleet {fleet}, in {elsewhere}")),
            };
        }
        match serde_json::from_str(label(SPEC)) {
            Ok(spec) => Whose::Ours(Box::new(spec)),
            Err(_) => Whose::Foreign("marked as ours, with marks that cannot be read".to_owned()),
        }
    }
}

fn mark_name(key: &str) -> String {
    let mark = mark(key, &"");
    mark.trim_end_matches('=').to_owned()
}
