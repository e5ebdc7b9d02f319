//! What plans make of the world, whole, cut short, or with a gate that is not passed.

use crate::by_hand::{
    NOW, Owned, deploy, instance, purge, redeploy, release, scale_down, slot, volume,
};
use planner::model::observed::InstanceState;
use planner::model::volume::VolumeState;
use planner::plan::predicate::{Judgement, judge};
use planner::simulate::{moments, simulate_failing, simulate_until};

#[test]
fn after_a_plan_every_step_finds_its_work_done() {
    let mut world = Owned::new();
    for plan in [deploy(), scale_down(), purge()] {
        world = world.after(&plan);
        for step in plan.steps() {
            assert_eq!(judge(step, world.reading()), Judgement::After, "{:?}", step.id);
        }
    }
    assert_eq!(world.reading().volumes.len(), 1);
    assert_eq!(world.claims.slots.len(), 1);
}

#[test]
fn a_redeploy_keeps_the_volume() {
    let before = Owned::new().after(&deploy());
    let mut after = before.after(&redeploy());
    let reading = after.reading();
    assert_eq!(reading.instances.len(), 2);
    let new = &reading.instances[&instance(1, "b").id];
    assert!(new.volumes.contains(&volume(1).id));
    assert_eq!(after.claims.slots[&slot(1)].applied, Some(release("b")));
}

#[test]
fn the_world_grows_moment_by_moment() {
    let (start, plan) = (Owned::new(), deploy());
    let until = |n| {
        let (observed, claims) = simulate_until(&start.observed, &start.claims, &plan, NOW, n);
        let mut world = Owned { observed, claims, ..start.clone() };
        let reading = world.reading();
        let (volumes, instances) = (reading.volumes.len(), reading.instances.len());
        let applied = world.claims.slots.values().filter(|c| c.applied.is_some()).count();
        (world.claims.slots.len(), volumes, instances, applied)
    };
    let all: Vec<_> = (0..=moments(&plan)).map(until).collect();
    let expected = [
        (0, 0, 0, 0),
        (1, 0, 0, 0),
        (1, 1, 0, 0),
        (1, 1, 1, 0),
        (1, 1, 1, 1),
        (2, 1, 1, 1),
        (2, 2, 1, 1),
        (2, 2, 2, 1),
        (2, 2, 2, 2),
    ];
    assert_eq!(all, expected);
}

#[test]
fn a_gate_that_is_not_passed_ends_the_rollout() {
    let start = Owned::new().after(&deploy());
    let bad = instance(1, "b").id;
    let (observed, claims) =
        simulate_failing(&start.observed, &start.claims, &redeploy(), NOW, &|instance| {
            *instance == bad
        });
    let mut world = Owned { observed, claims, ..start };
    assert_eq!(world.claims.slots[&slot(1)].failed.as_ref().unwrap().release, release("b"));
    assert_eq!(world.claims.slots[&slot(1)].applied, Some(release("a")));
    let reading = world.reading();
    assert!(matches!(reading.instances[&bad].state, InstanceState::Failed { .. }));
    // The second wave was not begun.
    assert!(reading.instances.contains_key(&instance(2, "a").id));
}

#[test]
fn a_retired_volume_is_dated_by_the_host() {
    let mut world = Owned::new().after(&deploy()).after(&scale_down());
    let view = &world.reading().volumes[&volume(2).id];
    assert_eq!(view.state, VolumeState::Retired { since: NOW });
}
