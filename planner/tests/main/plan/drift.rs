//! What moved by itself, and whether the plan sets it right.

use super::world::{World, changes, drift, waves};
use planner::model::observed::InstanceState;
use planner::model::size::Size;
use planner::model::volume::VolumeState;

fn deployed() -> World {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    world
}

#[test]
fn an_instance_that_died_is_started_again() {
    let mut world = deployed();
    world.instance("web/app/ewr/1").state = InstanceState::Died { why: "killed".into() };
    let planned = world.apply();
    assert_eq!(changes(&planned), ["restart slot web/app/ewr/1 on ewr-1"]);
    assert_eq!(waves(&planned, "web/app"), ["start instances: stop-instance+start-instance"]);
    assert_eq!(drift(&planned), ["slot web/app/ewr/1 state: running -> died: killed (healed)"]);
    assert_eq!(drift(&world.plan()), [""; 0]);
}

#[test]
fn an_instance_that_was_removed_is_started_again() {
    let mut world = deployed();
    world.reading("ewr-1").instances.clear();
    let planned = world.apply();
    assert_eq!(changes(&planned), ["restart slot web/app/ewr/1 on ewr-1"]);
    assert!(drift(&planned)[0].ends_with("-> absent (healed)"));
}

#[test]
fn an_instance_that_finished_is_left() {
    let mut world = deployed();
    world.instance("web/app/ewr/1").state = InstanceState::Finished;
    let planned = world.apply();
    assert!(planned.plan.is_empty());
    assert_eq!(drift(&planned), [""; 0]);
}

#[test]
fn a_second_main_instance_is_stopped() {
    let mut world = World::new(2);
    world.app("web", &[("ewr", 1)]);
    world.apply();
    let copy = world.instance("web/app/ewr/1").clone();
    world.reading("ewr-2").instances.insert(copy.id.clone(), copy);
    let planned = world.apply();
    assert!(changes(&planned)[0].starts_with("remove instance"), "{:?}", changes(&planned));
    assert_eq!(world.reading("ewr-1").instances.len(), 1);
    assert_eq!(world.reading("ewr-2").instances.len(), 0);
}

#[test]
fn a_volume_that_grew_by_hand_is_kept_and_one_that_shrank_grows_back() {
    let mut world = deployed();
    let applied = world.volume("web/app/ewr/1").spec.size;
    world.volume("web/app/ewr/1").spec.size = applied.plus(Size::from_mib(1024));
    let planned = world.apply();
    assert!(planned.plan.is_empty());
    assert_eq!(drift(&planned).len(), 1);
    assert_eq!(drift(&world.plan()), [""; 0], "it is remembered");
    world.volume("web/app/ewr/1").spec.size = applied;
    let planned = world.apply();
    assert!(drift(&planned)[0].ends_with("(healed)"), "{:?}", drift(&planned));
    assert_eq!(world.volume("web/app/ewr/1").spec.size, applied.plus(Size::from_mib(1024)));
}

#[test]
fn a_volume_that_was_retired_by_hand_is_taken_back() {
    let mut world = deployed();
    world.reading("ewr-1").instances.clear();
    world.volume("web/app/ewr/1").state = VolumeState::Retired { since: super::world::START };
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        ["restart slot web/app/ewr/1 on ewr-1", "takeback volume data of web/app/ewr/1 on ewr-1"]
    );
    assert_eq!(drift(&planned).len(), 2);
}

#[test]
fn an_instance_of_a_release_that_nobody_applied_is_replaced() {
    let mut world = deployed();
    let mut other = World::new(1);
    other.mounted("web", &[("ewr", 1)]).env.insert("X".into(), "1".into());
    other.apply();
    let foreign = other.instance("web/app/ewr/1").clone();
    world.reading("ewr-1").instances.clear();
    world.reading("ewr-1").instances.insert(foreign.id.clone(), foreign);
    let planned = world.apply();
    assert_eq!(changes(&planned), ["redeploy slot web/app/ewr/1 on ewr-1"]);
    assert!(drift(&planned)[0].starts_with("slot web/app/ewr/1 release: "));
}

#[test]
fn a_restart_that_fails_is_not_tried_for_ever() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 2)]);
    world.apply();
    world.instance("web/app/ewr/1").state = InstanceState::Failed { why: "exit 1".into() };
    world.apply_failing(&|_| true);
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    assert!(super::world::report(&planned)[0].starts_with("waiting group web/app: release "));
    // Another slot of the release, which never failed, is healed all the same.
    world.instance("web/app/ewr/2").state = InstanceState::Died { why: "killed".into() };
    assert_eq!(changes(&world.apply()), ["restart slot web/app/ewr/2 on ewr-1"]);
    world.permit(planner::model::permit::Permit::Retry);
    assert_eq!(changes(&world.apply()), ["restart slot web/app/ewr/1 on ewr-1"]);
}

#[test]
fn an_instance_that_runs_without_its_volume_is_started_anew() {
    let mut world = deployed();
    world.reading("ewr-1").volumes.clear();
    super::world::mount(world.group("web"), "data").fresh = true;
    let planned = world.apply();
    assert_eq!(
        waves(&planned, "web/app"),
        ["start instances: make-volume+stop-instance+start-instance"]
    );
}
