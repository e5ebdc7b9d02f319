//! What the judge holds against a plan beside the plan itself: what a person keeps for himself,
//! what nobody could read, what hosts have to give, and what people were shown.

use super::Case;
use crate::by_hand::{Owned, change, claim, deploy, host, slot, volume_change};
use planner::check::Rule;
use planner::model::guest::Guest;
use planner::model::host::{HostSpec, HostState};
use planner::model::name::HostName;
use planner::model::observed::{Foreign, HostView, PoolView};
use planner::model::permit::{Permit, Permits};
use planner::model::size::Size;
use planner::plan::change::Verb;
use planner::plan::predicate::Predicate;
use planner::plan::step::{Act, Marks};
use planner::plan::{ClaimAct, Lane};

/// Another host, of which nothing was heard.
fn silent(case: &mut Case) -> HostName {
    let name: HostName = "ewr-2".parse().unwrap();
    let spec = HostSpec {
        name: name.clone(),
        subnet: "10.77.2.0/24".parse().unwrap(),
        ..case.world.hosts[&host()].clone()
    };
    case.world.hosts.insert(name.clone(), spec);
    let view = HostView::Unread { why: "no answer".to_string(), hint: String::new() };
    case.world.observed.insert(name.clone(), view);
    name
}

#[test]
fn a_held_slot_is_left_alone() {
    for case in [Case::redeploy(), Case::scale_down()] {
        case.breaks(Rule::Held, |case| {
            for claim in case.world.claims.slots.values_mut() {
                claim.held = true;
            }
        });
    }
    // Growing its volume is no smaller meddling; nor is forgetting it.
    let alone = |case: &mut Case, change: &dyn Fn(&mut Lane)| {
        case.world.claims.slots.get_mut(&slot(1)).unwrap().held = true;
        case.plan.rollouts[0].waves.remove(0);
        change(case.lane(0, 0));
    };
    let mut other = Case::redeploy();
    alone(&mut other, &|_| {});
    assert_eq!(other.broken(), [], "the other slot goes on");
    Case::redeploy().breaks(Rule::Held, |case| {
        alone(case, &|lane| {
            let volume = crate::by_hand::volume(1).id;
            let act = Act::GrowVolume { volume, to: Size::parse("20GB").unwrap() };
            lane.steps.push(crate::by_hand::step(act, Vec::new(), Vec::new()));
        });
    });
    Case::redeploy().breaks(Rule::Held, |case| {
        alone(case, &|lane| lane.claims_after.push(ClaimAct::Remove { slot: slot(1) }));
    });
}

#[test]
fn what_may_be_elsewhere_is_not_brought_up_here() {
    // Claimed on a host that does not answer.
    let claimed_there = |case: &mut Case| {
        let mut claim = claim(1, Some("a"));
        claim.host = silent(case);
        case.world.claims.slots.insert(slot(1), claim);
    };
    Case::deploy().breaks(Rule::Unknown, claimed_there);
    let mut unlisted = Case::deploy();
    claimed_there(&mut unlisted);
    unlisted.world.hosts.remove(&"ewr-2".parse::<HostName>().unwrap());
    assert!(unlisted.broken().contains(&Rule::Unknown), "that it left the file is no reason");
    let mut lost = Case::deploy();
    claimed_there(&mut lost);
    lost.world.hosts.get_mut(&"ewr-2".parse::<HostName>().unwrap()).unwrap().state =
        HostState::Lost;
    assert!(lost.broken().contains(&Rule::Unknown), "nobody permitted it");
    lost.world.permits = Permits::NONE.grant(Permit::Empty);
    assert!(!lost.broken().contains(&Rule::Unknown));
    // Claimed nowhere, while the catalog forgot.
    Case::deploy().breaks(Rule::Unknown, |case| {
        silent(case);
        case.world.claims.complete = false;
    });
    let mut all_read = Case::deploy();
    all_read.world.claims.complete = false;
    assert_eq!(all_read.broken(), []);
    let mut remembered = Case::deploy();
    silent(&mut remembered);
    assert_eq!(remembered.broken(), [], "who remembers all knows that it is new");
}

#[test]
fn no_host_reserves_more_than_it_has() {
    let one = Guest::DEFAULT.memory;
    Case::deploy().breaks(Rule::Guests, |case| {
        case.world.hosts.get_mut(&host()).unwrap().memory = one;
    });
    Case::deploy().breaks(Rule::Guests, |case| case.world.hosts.get_mut(&host()).unwrap().cpus = 1);
    // One after the other, in the same place.
    let mut tight = Case::redeploy();
    tight.world.hosts.get_mut(&host()).unwrap().memory = one.plus(one);
    assert_eq!(tight.broken(), []);
    // A bigger one does not fit there, also if another goes some time.
    Case::redeploy().breaks(Rule::Guests, |case| {
        case.world.hosts.get_mut(&host()).unwrap().memory = one.plus(one);
        let Act::StartInstance { instance } = &mut case.lane(0, 0).steps[1].act else { return };
        instance.guest.memory = one.plus(one);
    });
    // That a host has less than it had is not the plan's doing.
    let mut shrunk = Case::redeploy();
    shrunk.world.hosts.get_mut(&host()).unwrap().memory = one;
    assert_eq!(shrunk.broken(), []);
}

#[test]
fn a_slot_that_makes_way_is_counted_only_until_it_is_stopped() {
    let mut world = Owned::new().after(&deploy());
    world.hosts.get_mut(&host()).unwrap().memory =
        Guest::DEFAULT.memory.plus(Guest::DEFAULT.memory);
    let mut plan = crate::by_hand::scale_down();
    let bigger = |case: &mut Case| {
        let mut redeploy = crate::by_hand::redeploy();
        redeploy.rollouts[0].waves.truncate(1);
        let lane = &mut redeploy.rollouts[0].waves[0].lanes[0];
        let Act::StartInstance { instance } = &mut lane.steps[1].act else { return };
        instance.guest.memory = Guest::DEFAULT.memory.plus(Guest::DEFAULT.memory);
        case.plan.changes.push(change(Verb::Redeploy, 1));
        case.plan.rollouts[0].waves.append(&mut redeploy.rollouts[0].waves);
    };
    plan.rollouts[0].id.0 = "web/app".to_string();
    let mut case = Case { world, plan };
    bigger(&mut case);
    assert_eq!(case.broken(), []);
    case.breaks(Rule::Guests, |case| case.plan.rollouts[0].waves.reverse());
}

/// Slot 1 gets what lies in the pool as `old-notes`.
fn adopting() -> Case {
    let mut case = Case::deploy();
    let spec = crate::by_hand::volume(1);
    case.world.reading().foreign.push(Foreign {
        name: "old-notes".to_string(),
        size: spec.size,
        whose: "fleet old".to_string(),
        cannot: None,
    });
    let (volume, size) = (spec.id.clone(), spec.size);
    let marks =
        Marks { slot: spec.slot.clone(), source: spec.source.clone(), keeping: spec.keeping };
    let name = "old-notes".to_string();
    let before = vec![Predicate::Adoptable { name: name.clone(), size }];
    let after = vec![
        Predicate::VolumeTaken { volume: volume.clone() },
        Predicate::VolumeMarked { volume, marks },
    ];
    let act = Act::AdoptVolume { name, volume: spec };
    case.lane(0, 0).steps[0] = crate::by_hand::step(act, before, after);
    case.plan.changes.push(volume_change(Verb::Adopt, 1));
    case
}

#[test]
fn what_is_not_ours_is_adopted_as_it_is_or_not() {
    let mut twice = adopting();
    twice.world = twice.world.after(&twice.plan);
    assert_eq!(twice.world.reading().foreign, [], "it is a volume now");
    assert_eq!(twice.broken(), []);
    adopting().breaks(Rule::OwnObjects, |case| case.world.reading().foreign.clear());
    adopting().breaks(Rule::OwnObjects, |case| {
        case.world.reading().foreign[0].size = Size::parse("9GB").unwrap();
    });
    adopting().breaks(Rule::OwnObjects, |case| {
        case.world.reading().foreign[0].cannot = Some("it is no volume".to_string());
    });
    adopting().breaks(Rule::Claims, |case| case.lane(0, 0).claims_before.clear());
    adopting().breaks(Rule::Told, |case| {
        case.plan.changes.retain(|change| change.object.app().is_none());
    });
    // It is in the pool already, so it is counted once.
    let mut full = adopting();
    let PoolView::Present(pool) = &mut full.world.reading().pool else { unreachable!() };
    pool.size = Size::parse("20GB").unwrap();
    assert_eq!(full.broken(), []);
}

#[test]
fn what_is_done_is_shown_and_what_is_shown_is_done() {
    for case in [Case::deploy(), Case::redeploy(), Case::scale_down(), Case::purge()] {
        for hidden in 0..case.plan.changes.len() {
            let case = Case { world: case.world.clone(), plan: case.plan.clone() };
            case.breaks(Rule::Told, |case| {
                case.plan.changes.remove(hidden);
            });
        }
    }
    // Said to be put away, and destroyed.
    Case::purge().breaks(Rule::Told, |case| {
        case.plan.changes = vec![volume_change(Verb::Retire, 2)];
    });
    // Said to be destroyed, and not.
    Case::scale_down().breaks(Rule::Told, |case| {
        case.plan.changes.push(volume_change(Verb::Destroy, 1));
    });
    let mut twice = Case::purge();
    twice.world = twice.world.after(&twice.plan);
    assert_eq!(twice.broken(), []);
}

#[test]
fn a_volume_of_another_name_is_not_taken_for_a_new_one() {
    let mut applied = Case::deploy();
    applied.world = applied.world.after(&applied.plan);
    applied.breaks(Rule::OwnObjects, |case| {
        let volume = crate::by_hand::volume(1).id;
        let view = case.world.reading().volumes.get_mut(&volume).unwrap();
        view.spec.source = "files".parse().unwrap();
    });
}
