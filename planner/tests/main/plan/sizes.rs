//! Volumes of slots that stay: growth, kept sizes, marks, mounts that come and go.

use super::world::{World, add_mount, changes, mount, report, waves};
use planner::model::size::Size;
use planner::plan::step::Act;

pub(crate) fn size(text: &str) -> Size {
    Size::parse(text).unwrap()
}

#[test]
fn a_volume_grows_live_and_never_shrinks() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    mount(world.group("web"), "data").size = size("20GB");
    let planned = world.apply();
    assert_eq!(changes(&planned), ["update volume data of web/app/ewr/1 on ewr-1"]);
    assert_eq!(waves(&planned, "web/app"), ["change in place: grow-volume"]);
    let fields = &planned.plan.changes[0].fields;
    assert_eq!(fields[0].name, "size");
    mount(world.group("web"), "data").size = size("5GB");
    let planned = world.apply();
    assert!(planned.plan.is_empty());
    assert!(
        report(&planned)[0].starts_with(
            "note volume data of web/app/ewr/1: kept at 20GB, though web/fly.toml asks for 5GB"
        ),
        "{:?}",
        report(&planned)
    );
}

#[test]
fn growth_without_room_is_blocked_and_the_rest_goes_on() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    mount(world.group("web"), "data").size = size("200GB");
    world.change("web", "2");
    let planned = world.apply();
    assert_eq!(changes(&planned), ["redeploy slot web/app/ewr/1 on ewr-1"]);
    assert!(
        report(&planned)[0].starts_with("blocked volume data of web/app/ewr/1: ewr-1 has no room")
    );
}

#[test]
fn marks_are_changed_live() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    mount(world.group("web"), "data").keeping.protect = true;
    let planned = world.apply();
    assert_eq!(waves(&planned, "web/app"), ["change in place: mark-volume"]);
    assert_eq!(planned.plan.changes[0].fields[0].name, "protect");
}

#[test]
fn a_mount_that_is_added_is_made_before_the_old_release_is_stopped() {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    add_mount(world.group("web"), "cache", "10GB");
    let planned = world.apply();
    assert_eq!(
        waves(&planned, "web/app"),
        ["replace instances: make-volume+stop-instance+start-instance"]
    );
    assert!(changes(&planned).contains(&"create volume cache of web/app/ewr/1 on ewr-1".into()));
}

#[test]
fn a_mount_without_room_leaves_the_old_release_running() {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    add_mount(world.group("web"), "cache", "95GB");
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    assert!(report(&planned)[0].starts_with("blocked volume cache of web/app/ewr/1"));
}

#[test]
fn a_mount_that_is_removed_is_retired_after_the_new_release_is_up() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    add_mount(world.group("web"), "cache", "10GB");
    world.apply();
    world.group("web").mounts.remove(&"cache".parse::<planner::model::name::SourceName>().unwrap());
    let planned = world.apply();
    assert_eq!(
        waves(&planned, "web/app"),
        [
            "replace instances: stop-instance+start-instance",
            "retire volumes of removed mounts: retire-volume",
        ]
    );
    assert_eq!(changes(&planned)[0], "retire volume cache of web/app/ewr/1 on ewr-1");
    assert_eq!(world.claims.losses.len(), 1);
}

#[test]
fn a_volume_that_is_being_made_is_made_whole_and_not_counted_twice() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    mount(world.group("web"), "data").size = size("90GB");
    let planned = world.plan();
    let (observed, claims) = planner::simulate::simulate_until(
        &world.observed,
        &world.claims,
        &planned.plan,
        world.now,
        2,
    );
    (world.observed, world.claims) = (observed, claims);
    let view = world.volume("web/app/ewr/1");
    view.state = planner::model::volume::VolumeState::Making;
    view.formatted = false;
    let planned = world.apply();
    assert_eq!(planned.plan.steps().filter(|s| matches!(s.act, Act::MakeVolume { .. })).count(), 1);
    assert_eq!(world.reading("ewr-1").volumes.len(), 1);
}
