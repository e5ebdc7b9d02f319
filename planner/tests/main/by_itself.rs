//! What may happen by itself, and what waits for a person: decided rollout by rollout, and
//! approved by digest.

use crate::fleet::Fleet;
use crate::fleet::config::Config;
use planner::Planned;
use planner::by_itself::{Divided, Leave, SHOWN, divide};
use planner::model::policy::Auto;
use planner::plan::change::Verb;
use planner::plan::step::Act;
use std::collections::{BTreeMap, BTreeSet};

const HOSTS: &str = "[hosts.ewr-1]\n[hosts.ewr-2]\n";

/// A group of `app`, with a volume.
fn group(app: &str, group: &str, scale: u32, mount: &str) -> String {
    format!(
        "[apps.{app}.groups.{group}]\nscale = {{ ewr = {scale} }}\nmounts = {{ {mount} }}\nchecks = true\n"
    )
}

fn config(apps: &str) -> Config {
    toml_edit::de::from_str(&format!("{HOSTS}{apps}")).unwrap()
}

/// A fleet that has applied the first apps, and is asked for the second ones.
fn asked(before: &str, after: &str) -> Fleet {
    let mut fleet = Fleet::new(config(before));
    let planned = fleet.plan();
    fleet.apply(&planned.plan, &BTreeSet::new());
    fleet.config = config(after);
    fleet
}

/// Divides what is planned now; what may happen is judged.
fn divided(fleet: &Fleet, leave: &Leave) -> (Planned, Divided) {
    let planned = fleet.plan();
    let divided = divide(&planned.plan, leave);
    fleet.checked(&divided.now);
    (planned, divided)
}

/// Why things wait, with the app that they are of.
fn waits(divided: &Divided) -> Vec<String> {
    let line = |waiting: &planner::by_itself::Waiting| {
        let app = waiting.app.as_ref().map_or("hosts", |app| app.as_str());
        format!("{app}: {}", waiting.why.join("; "))
    };
    divided.waiting.iter().map(line).collect()
}

#[test]
fn what_takes_nothing_away_goes_by_itself() {
    let web = |scale, mount| group("web", "app", scale, mount);
    for (before, after) in [
        (String::new(), web(2, "data = \"10GB\"")),
        (web(1, "data = \"10GB\""), web(3, "data = \"12GB\"")),
        (web(2, "data = \"10GB\""), web(2, "data = { protect = true, retention_days = 9 }")),
    ] {
        let (planned, divided) = divided(&asked(&before, &after), &Leave::default());
        assert_eq!(waits(&divided), Vec::<String>::new());
        assert!(!planned.plan.is_empty() && divided.now == planned.plan);
    }
}

#[test]
fn what_takes_something_away_waits_for_a_person() {
    let web = |scale, mount| group("web", "app", scale, mount);
    let two = web(2, "data = \"10GB\", logs = \"1GB\"");
    let kept = web(2, "data = { protect = true }");
    for (before, after, why) in [
        (&two, web(1, "data = \"10GB\", logs = \"1GB\""), "it removes web/app/ewr/2"),
        (&two, web(2, "data = \"10GB\""), "it puts volume logs of web/app/ewr/1 away"),
        (&kept, web(2, "data = \"10GB\""), "it makes volume data of web/app/ewr/1 easier to lose"),
        (
            &kept,
            web(2, "data = { protect = true, retention_days = 3 }"),
            "it makes volume data of web/app/ewr/1 easier to lose",
        ),
        (
            &kept,
            web(2, "data = { protect = true, on_remove = \"destroy\" }"),
            "it makes volume data of web/app/ewr/1 easier to lose",
        ),
    ] {
        let (planned, divided) = divided(&asked(before, &after), &Leave::default());
        let told = waits(&divided);
        assert!(told.len() == 1 && told[0].starts_with(&format!("web: {why}")), "{told:?}");
        assert!(divided.now.is_empty() && !planned.plan.is_empty());
        assert_eq!(divided.now.records, [], "it is not recorded as applied");
        assert!(!divided.waiting[0].changes.is_empty());
    }
}

#[test]
fn the_rest_of_an_app_and_other_apps_do_not_wait() {
    let apps = |worker, scale| {
        let web = group("web", "app", 2, "data = \"10GB\"");
        web + &group("web", "worker", worker, "") + &group("blog", "app", scale, "")
    };
    let mut fleet = asked(&apps(2, 1), &apps(1, 1));
    fleet.config.apps.values_mut().for_each(|app| app.runs = "v2".to_owned());
    let (_, divided) = divided(&fleet, &Leave::default());
    let told = waits(&divided);
    assert_eq!(told, ["web: it removes web/worker/ewr/2"]);
    let now: Vec<&str> = divided.now.rollouts.iter().map(|rollout| rollout.id.0.as_str()).collect();
    assert_eq!(now, ["blog/app", "web/app", "web/worker"]);
    let recorded: Vec<&str> =
        divided.now.records.iter().map(|record| record.app.as_str()).collect();
    assert_eq!(recorded, ["blog"], "web is not applied in full");
    // What went by itself leaves what waits as it was, under the same digest.
    let digest = divided.waiting[0].digest.clone().unwrap();
    fleet.apply(&divided.now, &BTreeSet::new());
    let again = divide(&fleet.plan().plan, &Leave::default());
    assert!(again.now.is_empty(), "{:#?}", again.now.changes);
    assert_eq!(again.waiting[0].digest.as_deref(), Some(&*digest));
    // And approved it goes, and is recorded.
    let leave = Leave { approved: [digest.clone()].into(), ..Leave::default() };
    let approved = divide(&fleet.plan().plan, &leave);
    fleet.checked(&approved.now);
    assert_eq!(waits(&approved), Vec::<String>::new());
    assert_eq!(approved.used, [digest].into());
    fleet.apply(&approved.now, &BTreeSet::new());
    assert!(fleet.plan().plan.is_empty());
}

/// Memory and addresses of what is removed may be what the new takes.
#[test]
fn what_is_new_on_a_host_waits_for_what_is_removed_there() {
    let apps = |web, blog| group("web", "app", web, "") + &group("blog", "app", blog, "");
    let (_, divided) = divided(&asked(&apps(2, 1), &apps(1, 2)), &Leave::default());
    assert_eq!(
        waits(&divided),
        ["blog: it comes after web/app/remove", "web: it removes web/app/ewr/2"]
    );
    assert_eq!(divided.waiting[0].digest, None, "approving web is what helps");
}

#[test]
fn an_approval_is_of_one_plan_and_no_other() {
    let web = |scale| group("web", "app", scale, "data = \"10GB\"");
    let fleet = asked(&web(4), &web(3));
    let digest = divide(&fleet.plan().plan, &Leave::default()).waiting[0].digest.clone().unwrap();
    let leave = Leave { approved: [digest].into(), ..Leave::default() };
    assert!(!divided(&fleet, &leave).1.now.is_empty());
    let fewer = asked(&web(4), &web(2));
    let (_, divided) = divided(&fewer, &leave);
    assert!(divided.now.is_empty() && divided.used.is_empty());
    assert_eq!(divided.waiting.len(), 1);
}

#[test]
fn what_a_permit_lets_destroy_is_not_destroyed_by_itself() {
    let web = |scale| {
        group("web", "app", scale, "data = { on_remove = \"destroy\", retention_days = 1 }")
    };
    let mut fleet = asked(&web(2), &web(1));
    let planned = fleet.plan();
    fleet.apply(&planned.plan, &BTreeSet::new());
    fleet.now.0 += 3 * 86_400;
    fleet.config.permits = vec!["destroy".to_owned()];
    let (planned, divided) = divided(&fleet, &Leave::default());
    let destroys = |act: &Act| matches!(act, Act::DestroyVolume { .. });
    assert!(planned.plan.steps().any(|step| destroys(&step.act)));
    assert!(!divided.now.steps().any(|step| destroys(&step.act)));
    assert!(divided.now.changes.iter().all(|change| change.verb != Verb::Destroy));
    assert_eq!(waits(&divided).len(), 1);
}

#[test]
fn what_is_closed_or_paused_waits_whatever_was_approved() {
    let apps =
        |scale| group("web", "app", scale, "data = \"10GB\"") + &group("blog", "app", scale, "");
    let fleet = asked(&apps(2), &apps(1));
    let all = divide(&fleet.plan().plan, &Leave::default());
    let approved: BTreeSet<_> = all.waiting.iter().filter_map(|w| w.digest.clone()).collect();
    assert_eq!(approved.len(), 2);
    let closed = Leave {
        auto: Auto::All,
        closed: Some("there is a freeze".to_owned()),
        approved: approved.clone(),
        ..Leave::default()
    };
    let (_, nothing) = divided(&fleet, &closed);
    assert!(nothing.now.is_empty() && nothing.waiting.iter().all(|w| w.digest.is_none()));
    let paused = BTreeMap::from([("web".parse().unwrap(), "it is paused".to_owned())]);
    let leave = Leave { approved, paused, ..Leave::default() };
    let (planned, without) = divided(&fleet, &leave);
    assert_eq!(waits(&without), ["web: it is paused"]);
    assert!(without.now.records.iter().all(|record| record.app.as_str() == "blog"));
    let mut report = planned.report.clone();
    without.tell(&mut report);
    assert!(report.leaves_wanting());
}

#[test]
fn with_auto_none_all_waits_and_with_auto_all_nothing_does() {
    let web = |scale| group("web", "app", scale, "data = \"10GB\"");
    let fleet = asked(&web(2), &web(1));
    let leave = |auto| Leave { auto, ..Leave::default() };
    let (planned, all) = divided(&fleet, &leave(Auto::All));
    assert!(all.now == planned.plan && all.waiting.is_empty());
    let up = asked(&web(1), &web(2));
    let (planned, none) = divided(&up, &leave(Auto::None));
    assert!(none.now.is_empty());
    let mut report = planned.report.clone();
    none.tell(&mut report);
    let digest = none.waiting[0].digest.clone().unwrap();
    let hint = format!("tiedown approve {}", &digest[..SHOWN]);
    assert!(report.lines.iter().any(|line| line.hint.as_deref() == Some(&*hint)), "{report:#?}");
    let vouched = Leave { vouched: true, ..leave(Auto::None) };
    assert!(divided(&up, &vouched).1.now == planned.plan);
}

#[test]
fn what_is_recorded_of_a_renamed_app_waits_with_it() {
    let renamed = group("site", "app", 2, "data = \"10GB\"");
    let renamed = format!("[apps.site]\nmoved = [\"web\"]\n{renamed}");
    let mut fleet = asked(&group("web", "app", 2, "data = \"10GB\""), &renamed);
    let (_, divided) = divided(&fleet, &Leave::default());
    let why =
        "it renames web/app/ewr/1 to site/app/ewr/1; it renames web/app/ewr/2 to site/app/ewr/2";
    assert_eq!(waits(&divided), [format!("site: {why}")]);
    assert_eq!(divided.now.records, [], "it still says what may be removed");
    fleet.apply(&fleet.plan().plan, &BTreeSet::new());
    let recorded = |app: &str| &fleet.claims.apps[&app.parse().unwrap()].shape.groups;
    assert_eq!((recorded("site").len(), recorded("web").len()), (1, 0));
}
