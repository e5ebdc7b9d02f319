//! What is removed only for good reasons: lineage, empties, the limit on loss, returning slots,
//! destruction.

use super::world::{World, add_mount, changes, mount, report};
use planner::model::desired::Lineage;
use planner::model::name::{AppName, SourceName};
use planner::model::permit::Permit;
use planner::model::release::CommitId;
use planner::model::time::Millis;
use planner::model::volume::OnRemove;

fn commit() -> CommitId {
    CommitId::parse(&"c".repeat(40)).unwrap()
}

fn deployed(slots: u32) -> World {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", slots)]);
    world.apply();
    world
}

#[test]
fn a_smaller_count_removes_the_highest_and_keeps_its_volume() {
    let mut world = deployed(3);
    world.scale("web", &[("ewr", 2)]);
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        ["retire volume data of web/app/ewr/3 on ewr-1", "remove slot web/app/ewr/3 on ewr-1",]
    );
    assert_eq!(planned.plan.summary().to_string(), "Plan: 0 to add, 2 to change, 0 to destroy.");
    assert_eq!(world.claims.slots.len(), 2);
    assert!(report(&world.plan())[0].starts_with("note volume data of web/app/ewr/3: retired on"));
}

#[test]
fn an_older_commit_leaves_the_whole_app_alone() {
    let mut world = deployed(2);
    world.scale("web", &[("ewr", 1)]);
    world.change("web", "2");
    world.lineage = Some(Lineage::Older { applied: commit() });
    let planned = world.plan();
    assert!(planned.plan.is_empty() && planned.plan.records.is_empty());
    assert_eq!(
        report(&planned),
        ["refused app web: this commit is older than cccccccc, which was applied last"]
    );
}

#[test]
fn a_commit_from_elsewhere_changes_and_removes_nothing() {
    for lineage in [
        Some(Lineage::Sideways { applied: commit() }),
        Some(Lineage::Unknown { why: "the commit is not in this repository".into() }),
        None,
    ] {
        let mut world = deployed(2);
        world.scale("web", &[("ewr", 1)]);
        world.change("web", "2");
        world.lineage = lineage;
        let planned = world.plan();
        assert_eq!(changes(&planned), ["redeploy slot web/app/ewr/1 on ewr-1"]);
        assert!(report(&planned)[0].starts_with("refused slot web/app/ewr/2: not removed: "));
        assert!(planned.plan.records.is_empty(), "it is asked again");
    }
}

#[test]
fn an_app_goes_only_when_its_manifest_was_deleted() {
    let mut world = deployed(2);
    world.app("other", &[("ewr", 1)]);
    world.apply();
    world.remove("web");
    let mut sideways = world.clone();
    sideways.lineage = Some(Lineage::Sideways { applied: commit() });
    assert!(sideways.plan().plan.is_empty());
    let mut left_out = world.clone();
    left_out.desired.left_out.insert("web".parse().unwrap());
    let planned = left_out.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(report(&planned), [""; 0]);
    let mut empty = world.clone();
    empty.remove("other");
    let planned = empty.plan();
    assert!(planned.plan.is_empty());
    assert!(report(&planned)[0].contains("the source is empty"), "{:?}", report(&planned));
    assert_eq!(world.apply().plan.summary().change, 4);
    assert_eq!(world.reading("ewr-1").instances.len() + world.reading("ewr-2").instances.len(), 1);
}

#[test]
fn a_removal_on_a_host_that_cannot_be_read_is_asked_again() {
    let mut world = deployed(2);
    let read = world.observed.clone();
    world.unread("ewr-2");
    world.scale("web", &[("ewr", 1)]);
    let planned = world.apply();
    assert!(planned.plan.is_empty());
    assert!(report(&planned).iter().any(|l| l.starts_with("unknown slot web/app/ewr/2: not")));
    world.observed = read;
    assert_eq!(changes(&world.apply())[1], "remove slot web/app/ewr/2 on ewr-2");
}

#[test]
fn no_app_starts_empty_while_one_with_data_is_put_away() {
    let mut world = deployed(1);
    world.host("ord", 1);
    world.scale("web", &[("ord", 1)]);
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    assert!(report(&planned)[0].starts_with("refused app web: app/data would start empty"));
    assert!(planned.report.lines[0].hint.as_ref().unwrap().contains("until volumes can move"));
    world.permit(Permit::Empty);
    assert_eq!(
        world.apply().plan.summary().to_string(),
        "Plan: 2 to add, 2 to change, 0 to destroy."
    );
}

#[test]
fn a_renamed_mount_is_asked_about() {
    let mut world = deployed(1);
    let group = world.group("web");
    group.mounts.remove(&"data".parse::<SourceName>().unwrap());
    add_mount(group, "store", "10GB");
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    let hint = planned.report.lines[0].hint.as_ref().unwrap();
    assert!(hint.contains("moved = [\"source:data=store\"]"), "{hint}");
}

#[test]
fn a_renamed_app_is_asked_about() {
    let mut world = deployed(1);
    world.remove("web");
    world.mounted("site", &[("ewr", 1)]);
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    let lines = report(&planned);
    assert!(lines[0].starts_with("refused app site: app web goes with its data"), "{lines:?}");
    assert!(lines[1].starts_with("refused app web: "), "{lines:?}");
    assert!(planned.report.lines[0].hint.as_ref().unwrap().contains("moved = [\"web\"]"));
}

#[test]
fn more_than_the_policy_allows_is_not_lost_in_a_day() {
    let mut world = deployed(5);
    world.scale("web", &[("ewr", 1)]);
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert!(report(&planned)[0].starts_with(
        "refused app web: the app would lose 4 volumes within 24 hours, and max_loss allows 3"
    ));
    world.scale("web", &[("ewr", 2)]);
    assert_eq!(world.apply().plan.summary().change, 6);
    world.scale("web", &[("ewr", 1)]);
    assert!(world.plan().plan.is_empty());
    world.pass(Millis::from_days(1));
    assert_eq!(world.apply().plan.summary().change, 2);
}

#[test]
fn a_slot_that_returns_takes_back_its_own_after_down_and_up() {
    let mut world = deployed(2);
    let id = world.volume("web/app/ewr/2").spec.id.clone();
    world.scale("web", &[("ewr", 1)]);
    world.apply();
    world.pass(Millis::from_days(2));
    world.scale("web", &[("ewr", 2)]);
    mount(world.group("web"), "data").size = super::sizes::size("20GB");
    let planned = world.apply();
    let lines = changes(&planned);
    assert!(lines.contains(&"takeback volume data of web/app/ewr/2 on ewr-2".into()), "{lines:?}");
    let back = planned.plan.changes.iter().find(|c| c.object.to_string().contains(id.as_str()));
    assert!(back.unwrap().reasons[0].ends_with("retired 2d ago"));
    assert_eq!(world.volume("web/app/ewr/2").spec.id, id);
    assert!(world.volume("web/app/ewr/2").spec.size >= super::sizes::size("20GB"));
}

#[test]
fn a_slot_that_returns_otherwise_is_asked_about() {
    let mut world = deployed(1);
    world.app("other", &[("ewr", 1)]);
    world.apply();
    let app = world.remove("web");
    world.apply();
    world.claims.apps.remove(&"web".parse::<AppName>().unwrap());
    world.desired.apps.insert(app.name.clone(), app);
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    let line = &report(&planned)[0];
    assert!(line.starts_with("refused slot web/app/ewr/1: a retired volume of it is there"));
    let mut fresh = world.clone();
    mount(fresh.group("web"), "data").fresh = true;
    assert_eq!(fresh.apply().plan.summary().add, 2);
    let id = world.volume("web/app/ewr/1").spec.id.to_string();
    mount(world.group("web"), "data").adopt = Some(id);
    let planned = world.apply();
    assert!(changes(&planned)[1].starts_with("adopt volume data of web/app/ewr/1"));
}

#[test]
fn destroying_takes_the_mark_the_time_and_a_permit() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 2)]);
    mount(world.group("web"), "data").keeping.on_remove = OnRemove::Destroy;
    world.apply();
    world.scale("web", &[("ewr", 1)]);
    world.apply();
    world.permit(Permit::Destroy);
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "its retention has not passed");
    assert!(report(&planned)[0].ends_with("may be destroyed in 7d"), "{:?}", report(&planned));
    world.pass(Millis::from_days(7));
    let mut unpermitted = world.clone();
    unpermitted.permits = planner::model::permit::Permits::NONE;
    let planned = unpermitted.plan();
    assert!(planned.plan.is_empty() && !planned.report.leaves_wanting());
    assert!(report(&planned)[0].ends_with("may be destroyed now"));
    let mut protected = world.clone();
    protected.volume("web/app/ewr/2").spec.keeping.protect = true;
    assert!(protected.plan().plan.is_empty());
    let planned = world.apply();
    assert_eq!(changes(&planned), ["destroy volume data of web/app/ewr/2 on ewr-1"]);
    assert_eq!(planned.plan.summary().to_string(), "Plan: 0 to add, 0 to change, 1 to destroy.");
    // The id never returns.
    world.scale("web", &[("ewr", 2)]);
    world.apply();
    let claim = &world.claims.slots[&"web/app/ewr/2".parse().unwrap()];
    assert_eq!(claim.volumes.values().next().unwrap().incarnation.0, 2);
}

#[test]
fn what_returns_while_its_app_cannot_run_still_counts_as_returning() {
    let mut world = deployed(2);
    world.scale("web", &[("ewr", 1)]);
    world.apply();
    world.scale("web", &[("ewr", 2)]);
    let found = world.artifacts.clone();
    let missing = planner::model::artifact::Resolved::Missing { why: "x".into(), hint: "y".into() };
    world.artifacts.insert("web".parse().unwrap(), missing);
    assert!(world.apply().plan.is_empty());
    world.artifacts = found;
    let lines = changes(&world.apply());
    assert!(lines.contains(&"takeback volume data of web/app/ewr/2 on ewr-2".into()), "{lines:?}");
}

#[test]
fn a_returning_slot_whose_host_is_closed_waits_for_it() {
    let mut world = deployed(2);
    world.scale("web", &[("ewr", 1)]);
    world.apply();
    world.scale("web", &[("ewr", 2)]);
    world.spec("ewr-2").state = planner::model::host::HostState::Cordoned;
    let planned = world.apply();
    assert!(planned.plan.is_empty());
    assert!(report(&planned).contains(
        &"blocked slot web/app/ewr/2: its retired volume is on ewr-2, which is cordoned".into()
    ));
    world.spec("ewr-2").state = planner::model::host::HostState::Active;
    assert_eq!(changes(&world.apply()).len(), 2);
}

#[test]
fn an_app_that_was_removed_does_not_return_by_a_larger_count() {
    for before in [0, 2] {
        let mut world = deployed(2);
        world.app("other", &[("ewr", 1)]);
        world.scale("web", &[("ewr", before)]);
        world.apply();
        let mut app = world.remove("web");
        world.apply();
        app.groups.values_mut().next().unwrap().scale = super::world::listed(&[("ewr", 3)]);
        world.desired.apps.insert(app.name.clone(), app);
        let planned = world.plan();
        let refused = report(&planned).iter().filter(|line| line.starts_with("refused")).count();
        assert_eq!(refused, 2, "{:?}", report(&planned));
        assert_eq!(planned.plan.summary().add, 2, "slot 3 never was");
    }
}
