//! What hosts have that was not applied: the drift of a plan's report, and the hosts that could
//! not be asked. Changes nothing.

pub mod metrics;
pub mod news;

use planner::model::claim::Claims;
use planner::model::host::{HostSpec, HostState};
use planner::model::name::HostName;
use planner::model::observed::{HostView, Observed};
use planner::report::{Drift, Report};
use serde::Serialize;
use std::collections::BTreeMap;

/// A host that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Which.
    pub host: String,
    /// Why.
    pub why: String,
    /// The way out.
    pub hint: String,
}

/// All that is not as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drifted {
    /// What differs, sorted by object.
    pub drift: Vec<Drift>,
    /// Slots that are held: what a person does there is not compared.
    pub held: Vec<String>,
    /// Slots of which it is not remembered what was applied.
    pub history_unknown: Vec<String>,
    /// Hosts of which nothing is known; those given up are not missed.
    pub unread: Vec<Unread>,
}

impl Drifted {
    /// From a report and what was observed and claimed.
    #[must_use]
    pub fn of(
        report: &Report,
        observed: &Observed,
        claims: &Claims,
        hosts: &BTreeMap<HostName, HostSpec>,
    ) -> Self {
        let mut unread = Vec::new();
        for (name, host) in hosts {
            match (host.state, observed.get(name)) {
                (HostState::Lost, _) | (_, Some(HostView::Read(_))) => {}
                (HostState::Active | HostState::Cordoned, Some(HostView::Unread { why, hint })) => {
                    unread.push(Unread {
                        host: name.to_string(),
                        why: why.clone(),
                        hint: hint.clone(),
                    });
                }
                (HostState::Active | HostState::Cordoned, None) => unread.push(Unread {
                    host: name.to_string(),
                    why: "it was not asked".to_owned(),
                    hint: "run `tiedown doctor`".to_owned(),
                }),
            }
        }
        let held = claims.slots.values().filter(|claim| claim.held);
        let held = held.map(|claim| claim.slot.to_string()).collect();
        let history_unknown = report.history_unknown.iter().map(ToString::to_string).collect();
        Self { drift: report.drift.clone(), held, history_unknown, unread }
    }

    /// A line for each difference and each held slot; nothing where there is none.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |drift: &Drift| {
            let Drift { object, field, before, after, .. } = drift;
            format!("{object}: {field}: {before} -> {after}\n")
        };
        let held = |slot: &String| format!("slot {slot}: held, so it is not compared\n");
        let unknown = |slot: &String| format!("slot {slot}: history unknown\n");
        let lines = self.drift.iter().map(line).chain(self.held.iter().map(held));
        lines.chain(self.history_unknown.iter().map(unknown)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::model::object::Object;

    #[test]
    fn what_differs_is_a_line_and_hosts_that_were_given_up_are_not_missed() {
        let spec = |state: &str| -> HostSpec {
            serde_json::from_value(serde_json::json!({
                "name": state, "region": "ewr", "zone": null, "state": state, "was": null,
                "subnet": "10.0.0.0/24", "memory": 1, "cpus": 1, "pool_size": null
            }))
            .unwrap()
        };
        let hosts = ["active", "cordoned", "lost"].map(spec);
        let hosts = hosts.into_iter().map(|host| (host.name.clone(), host)).collect();
        let slot = "web/app/ewr/1".parse().unwrap();
        let drift = Drift {
            object: Object::Slot { slot },
            field: "state".into(),
            before: "running".into(),
            after: "died".into(),
            healed: true,
        };
        let report = Report { drift: vec![drift], ..Report::default() };
        let drifted = Drifted::of(&report, &Observed::new(), &Claims::default(), &hosts);
        assert_eq!(drifted.text(), "slot web/app/ewr/1: state: running -> died\n");
        let unread: Vec<&str> = drifted.unread.iter().map(|unread| unread.host.as_str()).collect();
        assert_eq!(unread, ["active", "cordoned"]);
        assert_eq!(
            Drifted::of(&Report::default(), &Observed::new(), &Claims::default(), &hosts).text(),
            ""
        );
    }
}
