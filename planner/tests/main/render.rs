//! Plans as people and programs read them.

use crate::by_hand::{
    change, deploy, field, fleet, host, plan, redeploy, slot, volume, volume_change,
};
use planner::model::object::Object;
use planner::plan::Plan;
use planner::plan::change::Verb;
use planner::render::text::NO_CHANGES;
use planner::render::{Paint, Plain, Tone, json, text};
use planner::report::{Drift, Kind, Line, Report};

fn line(kind: Kind, object: Object, why: &str, hint: Option<&str>) -> Line {
    Line { kind, object, why: why.to_string(), hint: hint.map(str::to_string) }
}

#[test]
fn no_changes_is_said_only_when_nothing_is_wanting() {
    let nothing = plan(Vec::new());
    let mut report = Report::default();
    let exact = "No changes. Your infrastructure matches the configuration.\n";
    assert_eq!(text::plan(&nothing, &report, &Plain), exact);
    report.lines.push(line(Kind::Blocked, Object::Fleet, "there is no room", Some("add a host")));
    let told = text::plan(&nothing, &report, &Plain);
    assert!(!told.contains(NO_CHANGES));
    let expected = "\
Blocked

  fleet: there is no room
      add a host

Nothing can be done now: 1 blocked.
";
    assert_eq!(told, expected);
}

fn everything() -> (Plan, Report) {
    let mut plan = redeploy();
    for change in &mut plan.changes {
        change.fields = vec![
            field("env.LOG_LEVEL", Some("info"), Some("debug")),
            field("env.API_TOKEN", Some("hunter2"), Some("hunter3")),
            field("release", Some("0123456789ab"), Some("ba9876543210")),
        ];
    }
    let mut destroyed = volume_change(Verb::Destroy, 4);
    destroyed.fields = vec![field("size", Some("10GB"), None)];
    destroyed.reasons = vec!["retired 8d ago, its retention was 7d".to_string()];
    let mut retired = volume_change(Verb::Retire, 3);
    retired.reasons = vec!["the slot is removed".to_string()];
    let mut grown = volume_change(Verb::Update, 1);
    grown.fields = vec![field("size", Some("10GB"), Some("20GB"))];
    plan.changes.extend([retired, destroyed, grown, change(Verb::Remove, 3)]);
    let mut created = change(Verb::Create, 5);
    created.reasons = vec!["ewr-1 has the most room".to_string()];
    plan.changes.push(created);
    let slot = |n| Object::Slot { slot: slot(n) };
    let lines = vec![
        line(Kind::Refused, slot(6), "it would start empty", Some("allow it with --allow-empty")),
        line(Kind::Waiting, slot(7), "it is held", None),
        line(Kind::Waiting, slot(8), "it is held", None),
        line(Kind::Note, Object::Host { host: host() }, "it is cordoned", None),
    ];
    let drift = vec![Drift {
        object: slot(1),
        field: "instance".to_string(),
        before: "running".to_string(),
        after: "died".to_string(),
        healed: true,
    }];
    (plan, Report { lines, drift, ..Report::default() })
}

#[test]
fn a_plan_reads_from_loss_to_notes() {
    let (plan, report) = everything();
    let expected = "\
Data will be lost

    ! retire volume data of web/app/ewr/3 (VOL3) on ewr-1
        the slot is removed
    ! destroy volume data of web/app/ewr/4 (VOL4) on ewr-1
        size: 10GB
        retired 8d ago, its retention was 7d

Refused

  slot web/app/ewr/6: it would start empty
      allow it with --allow-empty

App web

  -/+ redeploy 2 slots of web/app, each on the same volumes
        ewr/1 on ewr-1, ewr/2 on ewr-1
        env.LOG_LEVEL: info → debug
        env.API_TOKEN: (sensitive), changed
        release: 0123456789ab → ba9876543210
    ~ update volume data of web/app/ewr/1 (VOL1) on ewr-1
        size: 10GB → 20GB
    - remove slot web/app/ewr/3 on ewr-1
    + create slot web/app/ewr/5 on ewr-1
        ewr-1 has the most room

Rollouts

  web/app: rolling, at most 1 of 2 slots down at once
      the group has mounts
      ewr/1, then ewr/2

Waiting

  slot web/app/ewr/7, slot web/app/ewr/8: it is held

Note: Objects have changed outside of tiedown

    ~ slot web/app/ewr/1, the plan sets it right
        instance: running → died

Notes

  host ewr-1: it is cordoned

Plan: 1 to add, 5 to change, 1 to destroy. Not in it: 1 refused, 2 waiting.
";
    let mut told = text::plan(&plan, &report, &Plain);
    for n in 1..=4 {
        told = told.replace(volume(n).id.as_str(), &format!("VOL{n}"));
    }
    assert_eq!(told, expected);
}

#[test]
fn longer_values_are_compared_line_by_line() {
    let mut plan = redeploy();
    plan.changes.truncate(1);
    plan.changes[0].fields = vec![field("files./etc/a.conf", Some("a\nb\nc\n"), Some("a\nB\nc\n"))];
    let told = text::plan(&plan, &Report::default(), &Plain);
    assert!(told.contains("files./etc/a.conf:\n          - b\n          + B\n"), "{told}");
}

struct Marked;

impl Paint for Marked {
    fn paint(&self, tone: Tone, text: &str) -> String {
        format!("<{tone:?}>{text}</>")
    }
}

#[test]
fn a_caller_can_colour_it() {
    let told = text::plan(&deploy(), &Report::default(), &Marked);
    assert!(told.contains("<Heading>App web</>"), "{told}");
    assert!(told.contains("<Add>  +</> create 2 slots"), "{told}");
    assert!(told.contains("<Summary>Plan: 4 to add, 0 to change, 0 to destroy.</>"), "{told}");
}

#[test]
fn what_is_adopted_is_an_import() {
    let mut adopting = deploy();
    adopting.changes[1].verb = Verb::Adopt;
    let told = text::plan(&adopting, &Report::default(), &Plain);
    assert!(told.contains("   <= adopt volume data of web/app/ewr/1"), "{told}");
    assert!(told.contains("Plan: 1 to import, 3 to add, 0 to change, 0 to destroy."), "{told}");
    let json = json::plan(&adopting, &Report::default());
    let change = &json["resource_changes"][1]["change"];
    assert_eq!(change["actions"], serde_json::json!(["update"]));
    assert_eq!(change["importing"]["id"], volume(1).id.as_str());
    adopting.changes[1].fields = vec![field("from", None, Some("old-notes"))];
    let json = json::plan(&adopting, &Report::default());
    assert_eq!(json["resource_changes"][1]["change"]["importing"]["id"], "old-notes");
    assert_eq!(json["resource_changes"][0]["change"].get("importing"), None);
}

#[test]
fn json_has_terraforms_shape_and_no_secrets() {
    let (plan, report) = everything();
    let json = json::plan(&plan, &report);
    assert_eq!(json["format_version"], "1.2");
    assert_eq!(json["applyable"], true);
    assert_eq!(json["complete"], false);
    assert_eq!(json["errored"], false);
    assert_eq!(json["tiedown"]["fleet"], fleet().as_str());
    let first = &json["resource_changes"][0];
    assert_eq!(first["address"], "slot.web/app/ewr/1");
    assert_eq!(first["change"]["actions"], serde_json::json!(["update"]));
    assert_eq!(first["change"]["before"]["env.LOG_LEVEL"], "info");
    assert_eq!(first["change"]["after_sensitive"]["env.API_TOKEN"], true);
    assert_eq!(first["action_reason"], "redeploy");
    assert!(!json.to_string().contains("hunter"), "{json}");
    let actions: Vec<_> = json["resource_changes"].as_array().unwrap().iter().collect();
    let of = |reason: &str| {
        let found = actions.iter().find(|change| change["action_reason"] == reason).unwrap();
        found["change"]["actions"][0].as_str().unwrap().to_string()
    };
    assert_eq!((of("destroy").as_str(), of("retire").as_str()), ("delete", "forget"));
    assert_eq!(json["resource_drift"][0]["change"]["after"]["instance"], "died");
}
