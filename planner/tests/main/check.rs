//! The judge: plans that keep every promise pass, and for every promise a plan that breaks it and
//! is otherwise whole does not.

mod apart;
mod copies;

use crate::by_hand::{
    NOW, Owned, change, claim, deploy, destroy, fleet, host, instance, lane, pool, purge, redeploy,
    release, retire, rollout, scale_down, slot, start, stop, volume, volume_change,
};
use planner::check::{Rule, check};
use planner::model::desired::Strategy;
use planner::model::host::HostState;
use planner::model::id::{Incarnation, InstanceId, PoolId, VolumeId};
use planner::model::instance::Role;
use planner::model::object::Object;
use planner::model::observed::{HostView, PoolView};
use planner::model::permit::{Permit, Permits};
use planner::model::size::Size;
use planner::model::time::{Millis, Timestamp};
use planner::plan::change::Verb;
use planner::plan::predicate::Predicate;
use planner::plan::step::{Act, Marks};
use planner::plan::{ClaimAct, Gate, Lane, Plan, RolloutId};

/// The world before the plan, and the plan.
struct Case {
    world: Owned,
    plan: Plan,
}

impl Case {
    fn deploy() -> Self {
        Self { world: Owned::new(), plan: deploy() }
    }

    fn redeploy() -> Self {
        Self { world: Owned::new().after(&deploy()), plan: redeploy() }
    }

    fn scale_down() -> Self {
        Self { world: Owned::new().after(&deploy()), plan: scale_down() }
    }

    fn purge() -> Self {
        let mut world = Owned::new().after(&deploy()).after(&scale_down());
        (world.reading().at, world.reading().asked_at) = (days_later(8), days_later(8));
        world.permits = Permits::NONE.grant(Permit::Destroy);
        Self { world, plan: purge() }
    }

    fn lane(&mut self, wave: usize, lane: usize) -> &mut Lane {
        &mut self.plan.rollouts[0].waves[wave].lanes[lane]
    }

    fn broken(&self) -> Vec<Rule> {
        let found = check(&self.plan, &self.world.world()).err().unwrap_or_default();
        let mut rules: Vec<Rule> = found.iter().map(|violation| violation.rule).collect();
        rules.dedup();
        rules
    }

    /// The plan breaks this promise, which it kept before `change`.
    fn breaks(mut self, rule: Rule, change: impl FnOnce(&mut Self)) {
        assert_eq!(self.broken(), [], "the plan was whole before");
        change(&mut self);
        let broken = self.broken();
        assert!(broken.contains(&rule), "{rule:?} is not among {broken:?}");
    }
}

#[test]
fn whole_plans_pass_and_come_out_as_they_went_in() {
    for case in [Case::deploy(), Case::redeploy(), Case::scale_down(), Case::purge()] {
        let checked = check(&case.plan, &case.world.world()).unwrap();
        assert_eq!(*checked.plan(), case.plan);
    }
}

#[test]
fn a_plan_passes_again_when_it_was_applied() {
    for mut case in [Case::deploy(), Case::redeploy(), Case::scale_down(), Case::purge()] {
        case.world = case.world.after(&case.plan);
        assert_eq!(case.broken(), [], "{:?}", case.plan.rollouts);
    }
}

#[test]
fn step_ids_are_unique_and_say_what_the_step_does() {
    Case::deploy().breaks(Rule::StepIds, |case| {
        let step = case.lane(0, 0).steps[0].clone();
        case.lane(0, 0).steps.push(step);
    });
    Case::deploy().breaks(Rule::StepIds, |case| {
        case.lane(0, 0).steps[0].id.0 = "destroy-volume everything".to_string();
    });
}

#[test]
fn hosts_are_read_and_ours_and_not_lost() {
    Case::deploy().breaks(Rule::Hosts, |case| {
        let view = HostView::Unread { why: "no answer".to_string(), hint: String::new() };
        case.world.observed.insert(host(), view);
    });
    Case::deploy().breaks(Rule::Hosts, |case| {
        case.world.hosts.get_mut(&host()).unwrap().state = HostState::Lost;
    });
    Case::deploy().breaks(Rule::Hosts, |case| {
        case.world.hosts.clear();
    });
    Case::deploy().breaks(Rule::Hosts, |case| {
        let PoolView::Present(pool) = &mut case.world.reading().pool else { unreachable!() };
        pool.fleet = "other".parse().unwrap();
    });
    Case::redeploy().breaks(Rule::Hosts, |case| {
        let PoolView::Present(pool) = &mut case.world.reading().pool else { unreachable!() };
        pool.id = PoolId::parse("ffffffff-89ab-4cde-8f01-23456789abcd").unwrap();
    });
    Case::redeploy().breaks(Rule::Hosts, |case| {
        case.world.reading().pool = PoolView::Absent;
    });
}

#[test]
fn what_is_not_ours_is_not_touched() {
    Case::scale_down().breaks(Rule::OwnObjects, |case| {
        case.world.reading().volumes.remove(&volume(2).id);
    });
    Case::scale_down().breaks(Rule::OwnObjects, |case| {
        let view = case.world.reading().instances.get_mut(&instance(2, "a").id).unwrap();
        view.slot = slot(9);
    });
}

#[test]
fn predicates_are_about_the_step_and_pin_it() {
    Case::deploy().breaks(Rule::Predicates, |case| case.lane(0, 0).steps[0].before.clear());
    Case::deploy().breaks(Rule::Predicates, |case| case.lane(0, 0).steps[0].after.clear());
    Case::deploy().breaks(Rule::Predicates, |case| {
        case.lane(0, 0).steps[1].before.push(Predicate::SlotIdle { slot: slot(2) });
    });
    Case::deploy().breaks(Rule::Predicates, |case| {
        let other = Size::parse("11GB").unwrap();
        let volume = volume(1).id;
        case.lane(0, 0).steps[0].after = vec![Predicate::VolumeAttached { volume, size: other }];
    });
}

#[test]
fn nothing_is_oversold() {
    Case::deploy().breaks(Rule::Room, |case| {
        let PoolView::Present(pool) = &mut case.world.reading().pool else { unreachable!() };
        pool.size = Size::parse("19GB").unwrap();
    });
    Case::deploy().breaks(Rule::Room, |case| {
        let PoolView::Present(pool) = &mut case.world.reading().pool else { unreachable!() };
        pool.size = Size::parse("20GB").unwrap();
        pool.header = Size::parse("16MiB").unwrap();
    });
    Case::deploy().breaks(Rule::Room, |case| case.world.policy.overcommit_thousandths = 199);
    Case::redeploy().breaks(Rule::Room, |case| {
        let (volume, to) = (volume(1).id, Size::parse("95GB").unwrap());
        let size = Size::parse("10GB").unwrap();
        let before = vec![Predicate::VolumeAttached { volume: volume.clone(), size }];
        let after = vec![Predicate::VolumeAttached { volume: volume.clone(), size: to }];
        let grow = crate::by_hand::step(Act::GrowVolume { volume, to }, before, after);
        case.lane(0, 0).steps.insert(0, grow);
    });
}

#[test]
fn a_slot_has_one_main_instance_and_a_volume_one_holder() {
    // The old one is not stopped.
    Case::redeploy().breaks(Rule::OneToOne, |case| {
        case.lane(0, 0).steps.remove(0);
    });
    // It is stopped too late.
    Case::redeploy().breaks(Rule::OneToOne, |case| case.lane(0, 0).steps.reverse());
    // Somebody else holds the volume.
    Case::redeploy().breaks(Rule::OneToOne, |case| {
        let mut bind = instance(2, "a").binds[0].clone();
        bind.volume = volume(1).id;
        let reading = case.world.reading();
        let view = reading.instances.get_mut(&instance(2, "a").id).unwrap();
        view.volumes.insert(bind.volume);
    });
}

#[test]
fn an_instance_is_started_on_volumes_that_are_there() {
    Case::deploy().breaks(Rule::Binds, |case| {
        case.lane(0, 0).steps.remove(0);
    });
    Case::deploy().breaks(Rule::Binds, |case| case.lane(0, 0).steps.reverse());
    Case::deploy().breaks(Rule::Binds, |case| {
        let Act::StartInstance { instance } = &mut case.lane(0, 0).steps[1].act else { return };
        instance.binds[0].volume = volume(2).id;
    });
    // In the same wave, another lane's volume may come later.
    Case::redeploy().breaks(Rule::Binds, |case| {
        let reading = case.world.reading();
        reading.volumes.get_mut(&volume(1).id).unwrap().spec.slot = slot(7);
    });
}

#[test]
fn a_volume_is_retired_after_its_instance_was_stopped() {
    Case::scale_down().breaks(Rule::Idle, |case| case.lane(0, 0).steps.reverse());
    Case::scale_down().breaks(Rule::Idle, |case| {
        case.lane(0, 0).steps.remove(0);
    });
}

fn days_later(days: u64) -> Timestamp {
    Timestamp(NOW.0 + days * 86_400)
}

#[test]
fn data_goes_only_when_all_say_so() {
    // A clock that jumped, the host's or ours.
    Case::purge().breaks(Rule::Destroy, |case| case.world.reading().at.0 += 301);
    Case::purge().breaks(Rule::Destroy, |case| case.world.reading().asked_at.0 += 301);
    Case::purge().breaks(Rule::Destroy, |case| case.world.permits = Permits::NONE);
    Case::purge().breaks(Rule::Destroy, |case| {
        let reading = case.world.reading();
        (reading.at, reading.asked_at) = (days_later(6), days_later(6));
    });
    Case::purge().breaks(Rule::Destroy, |case| {
        let view = case.world.reading().volumes.get_mut(&volume(2).id).unwrap();
        view.spec.keeping.protect = true;
    });
    Case::purge().breaks(Rule::Destroy, |case| {
        let view = case.world.reading().volumes.get_mut(&volume(2).id).unwrap();
        view.spec.keeping.on_remove = planner::model::volume::OnRemove::Retain;
    });
    Case::purge().breaks(Rule::Destroy, |case| {
        let view = case.world.reading().volumes.get_mut(&volume(2).id).unwrap();
        view.spec.keeping.retention = Millis::from_days(30);
    });
    // Retired at another time: another retirement than the plan saw.
    Case::purge().breaks(Rule::Destroy, |case| {
        case.lane(0, 0).steps[0] = destroy(2, Timestamp(NOW.0 - 1));
    });
    // Protection is lifted and the volume destroyed in one plan.
    Case::purge().breaks(Rule::Destroy, |case| {
        let steps = &mut case.lane(0, 0).steps;
        steps.insert(0, retire(2));
    });
    // It is still attached.
    Case::redeploy().breaks(Rule::Destroy, |case| {
        case.world.permits = Permits::NONE.grant(Permit::Destroy);
        case.plan.rollouts[0].waves[0].lanes.push(lane(2, vec![destroy(2, NOW)]));
    });
}

#[test]
fn no_more_is_lost_in_a_day_than_may_be() {
    Case::scale_down().breaks(Rule::MaxLoss, |case| {
        case.world.policy.max_loss.count = 0;
    });
    Case::scale_down().breaks(Rule::MaxLoss, |case| {
        let recent = ("web".parse().unwrap(), Timestamp(NOW.0 - 86_399));
        case.world.claims.losses = vec![recent; 3];
    });
    let mut earlier = Case::scale_down();
    earlier.world.claims.losses = vec![("web".parse().unwrap(), Timestamp(NOW.0 - 86_400)); 3];
    assert_eq!(earlier.broken(), []);
}

#[test]
fn no_slot_starts_empty_in_place_of_data() {
    let again = |case: &mut Case| {
        let mut spec = volume(1);
        spec.incarnation = Incarnation(2);
        spec.id = VolumeId::derive(&fleet(), &spec.slot, &spec.source, &pool(), spec.incarnation);
        let steps = vec![stop(&instance(1, "a")), retire(1), crate::by_hand::make(spec.clone())];
        let mut claim = claim(1, Some("a"));
        let claimed = claim.volumes.get_mut(&spec.source).unwrap();
        (claimed.id, claimed.incarnation) = (spec.id.clone(), spec.incarnation);
        case.plan.changes = vec![volume_change(Verb::Retire, 1), change(Verb::Redeploy, 1)];
        let mut made = volume_change(Verb::Create, 1);
        let (slot, source) = (slot(1), spec.source.clone());
        made.object = Object::Volume { slot, source, volume: spec.id.clone() };
        case.plan.changes.push(made);
        case.plan.rollouts[0].waves = rollout(vec![vec![Lane {
            claims_before: vec![ClaimAct::Write(claim)],
            ..lane(1, steps)
        }]])
        .waves;
    };
    Case::redeploy().breaks(Rule::Replace, again);
    let mut allowed = Case::redeploy();
    allowed.world.permits = Permits::NONE.grant(Permit::Empty);
    again(&mut allowed);
    assert_eq!(allowed.broken(), []);
}

#[test]
fn volumes_never_shrink() {
    Case::deploy().breaks(Rule::Shrink, |case| {
        case.world = case.world.after(&deploy());
        let view = case.world.reading().volumes.get_mut(&volume(1).id).unwrap();
        view.spec.size = Size::parse("11GB").unwrap();
    });
    Case::redeploy().breaks(Rule::Shrink, |case| {
        let mut claim = claim(1, Some("b"));
        claim.volumes.values_mut().next().unwrap().size = Size::parse("9GB").unwrap();
        case.lane(0, 0).claims_after = vec![ClaimAct::Write(claim)];
    });
}

#[test]
fn claims_are_written_before_and_removed_after() {
    Case::deploy().breaks(Rule::Claims, |case| case.lane(0, 0).claims_before.clear());
    Case::deploy().breaks(Rule::Claims, |case| {
        let mut claim = claim(1, None);
        claim.volumes.clear();
        case.lane(0, 0).claims_before = vec![ClaimAct::Write(claim)];
    });
    Case::deploy().breaks(Rule::Claims, |case| {
        let mut claim = claim(1, None);
        claim.host = "ewr-2".parse().unwrap();
        case.lane(0, 0).claims_before = vec![ClaimAct::Write(claim)];
    });
    Case::deploy().breaks(Rule::Claims, |case| {
        let mut claim = claim(1, None);
        claim.address = crate::by_hand::address(9);
        case.lane(0, 0).claims_before = vec![ClaimAct::Write(claim)];
    });
    Case::scale_down().breaks(Rule::Claims, |case| {
        let lane = case.lane(0, 0);
        core::mem::swap(&mut lane.claims_before, &mut lane.claims_after);
    });
}

#[test]
fn ids_are_derived_and_incarnations_only_grow() {
    Case::deploy().breaks(Rule::Ids, |case| {
        let Act::MakeVolume { volume } = &mut case.lane(0, 0).steps[0].act else { return };
        volume.id = VolumeId::parse("vol_0123456789abcdef").unwrap();
    });
    Case::deploy().breaks(Rule::Ids, |case| {
        let Act::StartInstance { instance } = &mut case.lane(0, 0).steps[1].act else { return };
        instance.id = InstanceId::parse("0123456789abcd").unwrap();
    });
    Case::deploy().breaks(Rule::Incarnations, |case| {
        let key = (slot(1), crate::by_hand::source());
        case.world.claims.incarnations.insert(key, Incarnation(1));
    });
    Case::redeploy().breaks(Rule::Incarnations, |case| {
        let claim = case.world.claims.slots.get_mut(&slot(1)).unwrap();
        claim.volumes.values_mut().next().unwrap().incarnation = Incarnation(3);
        let claim = crate::by_hand::claim(1, Some("a"));
        case.lane(0, 0).claims_before.push(ClaimAct::Write(claim));
    });
}

#[test]
fn addresses_are_the_hosts_and_nobody_elses() {
    Case::deploy().breaks(Rule::Addresses, |case| {
        let Act::StartInstance { instance } = &mut case.lane(0, 0).steps[1].act else { return };
        instance.address = std::net::Ipv4Addr::new(10, 99, 1, 2);
    });
    Case::deploy().breaks(Rule::Addresses, |case| {
        let Act::StartInstance { instance } = &mut case.lane(0, 0).steps[1].act else { return };
        instance.address = crate::by_hand::address(2);
    });
}

#[test]
fn rollouts_wait_for_what_exists_and_never_for_each_other() {
    Case::deploy().breaks(Rule::Order, |case| {
        case.plan.rollouts[0].after.push(RolloutId("nobody".to_string()));
    });
    Case::deploy().breaks(Rule::Order, |case| {
        case.plan.rollouts[0].after.push(RolloutId("b".to_string()));
        let mut other = rollout(Vec::new());
        other.id = RolloutId("b".to_string());
        other.after.push(RolloutId("web/app".to_string()));
        case.plan.rollouts.push(other);
    });
    Case::deploy().breaks(Rule::Order, |case| case.plan.rollouts.push(rollout(Vec::new())));
}

#[test]
fn what_is_started_is_watched() {
    Case::deploy().breaks(Rule::Gates, |case| case.lane(0, 0).gate = Gate::Open);
    Case::deploy().breaks(Rule::Gates, |case| {
        case.lane(0, 0).gate = crate::by_hand::healthy(2, "a");
    });
    let mut immediate = Case::deploy();
    immediate.plan.rollouts[0].strategy.as_mut().unwrap().strategy = Strategy::Immediate;
    immediate.lane(0, 0).gate = Gate::Open;
    assert_eq!(immediate.broken(), []);
}

#[test]
fn no_wave_takes_down_too_many() {
    Case::redeploy().breaks(Rule::Budget, |case| {
        let lanes = case.plan.rollouts[0].waves.remove(1).lanes;
        case.plan.rollouts[0].waves[0].lanes.extend(lanes);
    });
    // An unhealthy one is down already.
    let mut free = Case::redeploy();
    let lanes = free.plan.rollouts[0].waves.remove(1).lanes;
    free.plan.rollouts[0].waves[0].lanes.extend(lanes);
    let view = free.world.reading().instances.get_mut(&instance(2, "a").id).unwrap();
    view.healthy = Some(false);
    assert_eq!(free.broken(), []);
}

#[test]
fn a_canary_is_removed_however_it_ends() {
    let canary = |case: &mut Case, all_well: bool, failed: bool| {
        let mut spec = instance(1, "b");
        spec.role = Role::Canary;
        spec.id = InstanceId::derive(&fleet(), &slot(1), Role::Canary, &release("b"));
        spec.binds.clear();
        spec.address = crate::by_hand::address(9);
        let gate = Gate::StaysUp {
            host: host(),
            instance: spec.id.clone(),
            ports: Vec::new(),
            span: Millis::from_secs(10),
        };
        let first = Lane { gate, ..lane(1, vec![start(spec.clone())]) };
        let rollout = &mut case.plan.rollouts[0];
        let mut waves = crate::by_hand::rollout(vec![vec![first]]).waves;
        waves.append(&mut rollout.waves);
        if all_well {
            let last = vec![vec![lane(1, vec![stop(&spec)])]];
            waves.append(&mut crate::by_hand::rollout(last).waves);
        }
        if failed {
            let mut removal = stop(&spec);
            removal.id.0 += " after a failure";
            rollout.on_failure.push(removal);
        }
        rollout.waves = waves;
    };
    Case::redeploy().breaks(Rule::Temporary, |case| canary(case, false, true));
    Case::redeploy().breaks(Rule::Temporary, |case| canary(case, true, false));
    let mut whole = Case::redeploy();
    canary(&mut whole, true, true);
    assert_eq!(whole.broken(), []);
}

#[test]
fn marks_may_not_name_what_is_not_there() {
    Case::redeploy().breaks(Rule::OwnObjects, |case| {
        let marks =
            Marks { slot: slot(1), source: crate::by_hand::source(), keeping: volume(1).keeping };
        let volume = VolumeId::parse("vol_0123456789abcdef").unwrap();
        let facts = vec![Predicate::VolumeMarked { volume: volume.clone(), marks: marks.clone() }];
        let act = Act::MarkVolume { volume, marks };
        case.lane(0, 0).steps.push(crate::by_hand::step(act, facts.clone(), facts));
    });
}
