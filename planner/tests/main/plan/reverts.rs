//! Slots that go back to the release before when a new one does not come up.

use super::world::{World, report, tcp};
use planner::model::desired::{MaxUnavailable, Revert};
use planner::model::id::InstanceId;
use planner::plan::step::Act;
use planner::render::{Plain, text};

/// Three slots on one host, one at a time, that go back.
fn world() -> World {
    let mut world = World::new(1);
    let group = world.mounted("web", &[("ewr", 3)]);
    group.checks = vec![tcp()];
    group.deploy.revert = Revert::Release;
    group.deploy.max_unavailable = MaxUnavailable::Count(1);
    world.apply();
    world
}

fn instance(world: &mut World, slot: &str) -> InstanceId {
    world.instance(slot).id.clone()
}

#[test]
fn a_slot_whose_release_fails_goes_back_and_those_that_came_up_stay() {
    let mut world = world();
    let before = ["web/app/ewr/1", "web/app/ewr/2", "web/app/ewr/3"]
        .map(|slot| (slot, instance(&mut world, slot)));
    let volume = world.volume("web/app/ewr/2").spec.id.clone();
    world.change("web", "2");
    let planned = world.plan();
    let told = text::plan(&planned.plan, &planned.report, &Plain);
    let back = "if it does not come up, the slot goes back to release ";
    assert_eq!(told.matches(back).count(), 1, "said once for all slots alike: {told}");
    assert!(told.contains("on the same volumes: what the new one wrote to them by then stays"));
    let starts = |slot: &str| {
        planned.plan.steps().find_map(|step| match &step.act {
            Act::StartInstance { instance } if instance.slot.to_string() == slot => {
                Some(instance.id.clone())
            }
            _ => None,
        })
    };
    let second = starts("web/app/ewr/2").unwrap();
    world.apply_failing(&|id| *id == second);
    assert_ne!(instance(&mut world, before[0].0), before[0].1, "the first slot came up");
    for (slot, id) in &before[1..] {
        assert_eq!(instance(&mut world, slot), *id, "{slot}");
    }
    assert_eq!(world.volume("web/app/ewr/2").spec.id, volume);
    let next = world.plan();
    assert!(next.plan.is_empty(), "{:#?}", next.plan.changes);
    let why = "failed on web/app/ewr/2: its gate was not passed; ewr/2 and ewr/3 stay as they are";
    assert!(report(&next)[0].contains(why), "{:?}", report(&next));
    world.change("web", "3");
    let planned = world.apply();
    assert_eq!(planned.plan.summary().to_string(), "Plan: 0 to add, 3 to change, 0 to destroy.");
}

#[test]
fn what_goes_back_is_as_it_was() {
    let mut world = world();
    let first = world.plan();
    assert!(first.plan.is_empty());
    let group = world.group("web");
    group.argv = vec!["./other".into()];
    group.guest.cpus += 1;
    group.supervision.kill_signal = "SIGTERM".into();
    let planned = world.plan();
    let lanes = planned.plan.rollouts.iter().flat_map(|rollout| &rollout.waves);
    for lane in lanes.flat_map(|wave| &wave.lanes) {
        let [stop, start] = &lane.on_failure[..] else { panic!("{lane:#?}") };
        let Act::StartInstance { instance } = &start.act else { panic!("{start:#?}") };
        assert!(matches!(stop.act, Act::StopInstance { .. }));
        assert_eq!(instance.argv, ["./run"]);
        assert_eq!(instance.supervision.kill_signal, "SIGINT");
        assert_eq!(instance.binds.len(), 1);
        assert_eq!(instance.id, world.instance(&instance.slot.to_string()).id);
    }
}

#[test]
fn without_a_release_before_there_is_no_way_back() {
    let mut world = world();
    world.scale("web", &[("ewr", 4)]);
    let planned = world.plan();
    let lanes = planned.plan.rollouts.iter().flat_map(|rollout| &rollout.waves);
    assert!(lanes.flat_map(|wave| &wave.lanes).all(|lane| lane.on_failure.is_empty()));
}
