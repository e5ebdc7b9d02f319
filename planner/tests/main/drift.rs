//! Drift, field by field: what moved by itself is named, and set right where the policy says so;
//! what was asked for is no drift; and without memory nobody knows.

use crate::fleet::Fleet;
use crate::fleet::config::{Config, Event};
use planner::Planned;
use planner::model::instance::Restart;
use planner::model::size::Size;
use planner::render::{Plain, text};
use std::collections::BTreeSet;

const APP: &str = "[hosts.ewr-1]\n[apps.web.groups.app]\nscale = { ewr = 1 }\nmounts = { data = \"10GB\" }\nchecks = true\n";

fn config(policy: &str) -> Config {
    toml_edit::de::from_str(&format!("[policy.drift]\n{policy}\n{APP}")).unwrap()
}

/// A fleet at rest, under this policy.
fn settled(policy: &str) -> Fleet {
    let mut fleet = Fleet::new(config(policy));
    let planned = fleet.plan();
    fleet.apply(&planned.plan, &BTreeSet::new());
    let planned = fleet.plan();
    assert!(planned.plan.is_empty() && planned.plan.corrections.is_empty(), "{}", shown(&planned));
    fleet
}

fn shown(planned: &Planned) -> String {
    text::plan(&planned.plan, &planned.report, &Plain)
}

/// Fields that drifted, and whether the plan heals them.
fn drifted(planned: &Planned) -> Vec<(&str, bool)> {
    planned.report.drift.iter().map(|drift| (drift.field.as_str(), drift.healed)).collect()
}

/// The same thing happens under each policy for the field.
fn under_each(key: &str, field: &str, happens: impl Fn(&mut Fleet)) {
    for (word, expected) in
        [("heal", vec![(field, true)]), ("warn", vec![(field, false)]), ("ignore", vec![])]
    {
        let mut fleet = settled(&format!("{key} = \"{word}\""));
        happens(&mut fleet);
        let planned = fleet.plan();
        fleet.checked(&planned.plan);
        assert_eq!(drifted(&planned), expected, "{key} = {word}:\n{}", shown(&planned));
        assert_eq!(planned.plan.changes.is_empty(), word != "heal", "{word}: {}", shown(&planned));
        if word == "heal" {
            fleet.apply(&planned.plan, &BTreeSet::new());
            let again = fleet.plan();
            assert!(again.plan.is_empty() && again.report.drift.is_empty(), "{}", shown(&again));
        }
    }
}

#[test]
fn an_instance_that_died() {
    under_each("state", "state", |fleet| {
        fleet.happen(&Event::Died("web/app/ewr/1".parse().unwrap()));
    });
}

#[test]
fn an_instance_that_vanished() {
    under_each("state", "instance", |fleet| {
        fleet.happen(&Event::Vanished("web/app/ewr/1".parse().unwrap()));
    });
}

#[test]
fn a_volume_that_shrank() {
    under_each("size", "size", |fleet| resize(fleet, "8GB"));
}

fn resize(fleet: &mut Fleet, size: &str) {
    for machine in fleet.machines.values_mut() {
        for view in machine.volumes.values_mut() {
            view.spec.size = Size::parse(size).unwrap().rounded_up_to(Size::from_mib(4));
        }
    }
}

#[test]
fn a_volume_that_was_grown_by_hand_is_named_and_never_shrinks() {
    for (word, expected) in
        [("heal", vec![("size", false)]), ("warn", vec![("size", false)]), ("ignore", vec![])]
    {
        let mut fleet = settled(&format!("size = \"{word}\""));
        resize(&mut fleet, "12GB");
        let planned = fleet.plan();
        assert_eq!(drifted(&planned), expected, "{word}:\n{}", shown(&planned));
        assert!(planned.plan.changes.is_empty(), "{word}: {}", shown(&planned));
        fleet.apply(&planned.plan, &BTreeSet::new());
        assert!(fleet.plan().plan.changes.is_empty(), "{word}");
    }
}

#[test]
fn an_instance_that_is_kept_running_otherwise() {
    under_each("supervision", "supervision", |fleet| {
        for machine in fleet.machines.values_mut() {
            for view in machine.instances.values_mut() {
                view.supervision.restart = Restart::Never;
            }
        }
    });
}

#[test]
fn a_volume_that_is_marked_otherwise() {
    under_each("marks", "protect", |fleet| {
        for machine in fleet.machines.values_mut() {
            machine.volumes.values_mut().for_each(|view| view.spec.keeping.protect = true);
        }
    });
}

#[test]
fn what_is_asked_for_is_done_whatever_the_policy_says_of_drift() {
    let policy = "state = \"warn\"\nrelease = \"warn\"\nsize = \"warn\"\nsupervision = \"warn\"\nmarks = \"ignore\"";
    for (from, to, change) in [
        ("\"10GB\"", "\"20GB\"", "size: 10GB"),
        ("\"10GB\"", "{ protect = true }", "protect: false → true"),
        ("checks = true", "checks = true\nrestart = \"never\"", "restart: always → never"),
        ("[apps.web.groups.app]", "[apps.web]\nruns = \"v2\"\n[apps.web.groups.app]", "release:"),
    ] {
        let mut fleet = settled(policy);
        let changed = format!("[policy.drift]\n{policy}\n{}", APP.replace(from, to));
        fleet.config = toml_edit::de::from_str(&changed).unwrap();
        let planned = fleet.plan();
        assert!(shown(&planned).contains(change), "{to}:\n{}", shown(&planned));
        assert_eq!(drifted(&planned), [], "{to}:\n{}", shown(&planned));
        fleet.apply(&planned.plan, &BTreeSet::new());
        assert!(fleet.plan().plan.changes.is_empty(), "{to}");
    }
    // Asked to be larger than it ever was, a volume that shrank grows.
    let mut fleet = settled(policy);
    resize(&mut fleet, "8GB");
    let changed = format!("[policy.drift]\n{policy}\n{}", APP.replace("10GB", "20GB"));
    fleet.config = toml_edit::de::from_str(&changed).unwrap();
    assert_eq!(fleet.plan().plan.changes.len(), 1);
}

#[test]
fn without_memory_the_answer_is_that_nobody_knows() {
    let mut fleet = settled("");
    resize(&mut fleet, "8GB");
    fleet.happen(&Event::CatalogLost);
    let planned = fleet.plan();
    assert_eq!(drifted(&planned), []);
    let slots: Vec<_> = planned.report.history_unknown.iter().map(ToString::to_string).collect();
    assert_eq!(slots, ["web/app/ewr/1"], "{}", shown(&planned));
    assert!(shown(&planned).contains("History unknown"), "{}", shown(&planned));
    fleet.apply(&planned.plan, &BTreeSet::new());
    let planned = fleet.plan();
    assert_eq!(planned.report.history_unknown, [], "from now on it is remembered");
}
