//! What a person asks for by hand: it is done by a plan like any other, under the same guards,
//! and nothing else is done with it.

mod snapshots;

use crate::fleet::Fleet;
use crate::fleet::config::{Config, Event};
use planner::Planned;
use planner::by_hand::{Given, Request, plan};
use planner::check::{Rule, World, check};
use planner::model::id::VolumeId;
use planner::model::slot::SlotId;
use planner::model::time::Timestamp;
use planner::model::volume::VolumeState;
use planner::plan::change::Verb;
use planner::plan::step::Act;
use planner::render::{Plain, text};
use std::collections::BTreeSet;

const HOSTS: &str = "[hosts.ewr-1]\n[hosts.ewr-2]\n";
const DAY: u64 = 86_400;

fn config(apps: &str) -> Config {
    toml_edit::de::from_str(&format!("{HOSTS}{apps}")).unwrap()
}

/// A group `web/app` with this scale and mount.
fn web(scale: u32, mount: &str) -> String {
    format!(
        "[apps.web.groups.app]\nscale = {{ ewr = {scale} }}\nmounts = {{ data = {mount} }}\nchecks = true\n"
    )
}

/// A fleet that has applied its configuration.
fn settled(apps: &str) -> Fleet {
    let mut fleet = Fleet::new(config(apps));
    turn(&mut fleet);
    fleet
}

/// Plans, judges and applies once.
fn turn(fleet: &mut Fleet) {
    let planned = fleet.plan();
    fleet.checked(&planned.plan);
    fleet.apply(&planned.plan, &BTreeSet::new());
}

fn slot(text: &str) -> SlotId {
    text.parse().unwrap()
}

fn by_hand(fleet: &Fleet, request: &Request) -> Planned {
    let (observed, policy) = (fleet.observed(), fleet.config.policy());
    let (desired, artifacts) = (fleet.desired(), fleet.artifacts());
    let planned =
        plan(request, &desired, &artifacts, &observed, &fleet.claims, &policy, &fleet.permits());
    fleet.checked(&planned.plan);
    fleet.follow_steps(&planned.plan);
    assert_eq!(planned.plan.records, [], "nothing is recorded as applied");
    planned
}

fn shown(planned: &Planned) -> String {
    text::plan(&planned.plan, &planned.report, &Plain)
}

/// The request is refused, with these words, and nothing is done.
fn assert_refused(fleet: &Fleet, request: &Request, words: &str) {
    let planned = by_hand(fleet, request);
    assert!(planned.plan.is_empty() && planned.plan.corrections.is_empty(), "{}", shown(&planned));
    assert!(shown(&planned).contains(words), "{words} is not in\n{}", shown(&planned));
}

/// Retired volumes, by the slot they were of.
fn retired(fleet: &Fleet) -> Vec<(SlotId, VolumeId)> {
    let volumes = fleet.machines.values().flat_map(|machine| machine.volumes.values());
    let retired = volumes.filter(|v| matches!(v.state, VolumeState::Retired { .. }));
    retired.map(|view| (view.spec.slot.clone(), view.spec.id.clone())).collect()
}

#[test]
fn a_held_slot_is_left_alone_until_it_is_let_go() {
    let mut fleet = settled(&web(2, "\"10GB\""));
    let held = slot("web/app/ewr/1");
    let planned = by_hand(&fleet, &Request::Hold { slot: held.clone() });
    assert_eq!(planned.plan.steps().count(), 0, "nothing is done on a host");
    assert_eq!(planned.plan.apps().len(), 1, "the app is locked for it");
    assert!(shown(&planned).contains("held: false → true"), "{}", shown(&planned));
    fleet.apply(&planned.plan, &BTreeSet::new());
    assert!(fleet.claims.slots[&held].held);
    assert!(by_hand(&fleet, &Request::Hold { slot: held.clone() }).plan.is_empty());

    fleet.config.apps.values_mut().for_each(|app| app.runs = "v2".to_string());
    let planned = fleet.plan();
    let touched = planned.plan.steps().any(|step| format!("{:?}", step.act).contains("ewr/1"));
    assert!(!touched, "{}", shown(&planned));
    turn(&mut fleet);
    assert!(fleet.claims.slots[&held].held, "a pass does not let go of it");

    let planned = by_hand(&fleet, &Request::Unhold { slot: held.clone() });
    fleet.apply(&planned.plan, &BTreeSet::new());
    let planned = fleet.plan();
    let verbs: Vec<_> = planned.plan.changes.iter().map(|change| change.verb).collect();
    assert_eq!(verbs, [Verb::Redeploy], "{}", shown(&planned));
    assert_refused(&fleet, &Request::Hold { slot: slot("web/app/ewr/9") }, "cannot be held");
}

#[test]
fn a_slot_held_on_a_lost_host_does_not_start_elsewhere() {
    let mut fleet = settled(&web(1, "\"10GB\""));
    let held = slot("web/app/ewr/1");
    let planned = by_hand(&fleet, &Request::Hold { slot: held.clone() });
    fleet.apply(&planned.plan, &BTreeSet::new());
    let host = fleet.claims.slots[&held].host.clone();
    let lost = fleet.config.hosts.get_mut(&host).unwrap();
    lost.state = "lost".to_string();
    lost.unread = Some("gone".to_string());
    fleet.config.permits = vec!["empty".to_string()];
    let planned = fleet.plan();
    assert!(planned.plan.is_empty(), "{}", shown(&planned));
    assert!(shown(&planned).contains("it is held"), "{}", shown(&planned));
}

#[test]
fn an_app_is_restarted_some_at_a_time_with_the_release_it_runs() {
    let fleet = settled(&web(3, "\"10GB\""));
    let planned = by_hand(&fleet, &Request::RestartApp { app: "web".parse().unwrap() });
    let [rollout] = &planned.plan.rollouts[..] else { panic!("{}", shown(&planned)) };
    assert_eq!(rollout.waves.len(), 3, "one of three may be down\n{}", shown(&planned));
    for lane in rollout.waves.iter().flat_map(|wave| &wave.lanes) {
        let [stop, start] = &lane.steps[..] else { panic!("{lane:#?}") };
        match (&stop.act, &start.act) {
            (Act::StopInstance { instance, .. }, Act::StartInstance { instance: spec }) => {
                assert_eq!(*instance, spec.id, "the same release");
            }
            other => panic!("{other:?}"),
        }
    }
    let mut after = fleet.clone();
    after.apply(&planned.plan, &BTreeSet::new());
    assert_eq!(after.claims.slots, fleet.claims.slots);
    assert!(after.plan().plan.changes.is_empty());
}

#[test]
fn a_restart_touches_its_slot_only() {
    let mut fleet = settled(&web(2, "\"10GB\""));
    // Much is to be done: growth, a slot more, an app more. None of it is done by a restart.
    let more = "[apps.api]\n[apps.api.groups.app]\nscale = { ewr = 1 }\n";
    fleet.config = config(&(web(3, "\"20GB\"") + more));
    let planned = by_hand(&fleet, &Request::RestartSlot { slot: slot("web/app/ewr/2") });
    let changes: Vec<_> = planned.plan.changes.iter().map(|c| c.object.to_string()).collect();
    assert_eq!(changes, ["slot web/app/ewr/2"], "{}", shown(&planned));
    assert_eq!(planned.plan.steps().count(), 2);
}

#[test]
fn a_restart_spends_the_budget_that_others_already_spend() {
    let mut fleet = settled(&web(2, "\"10GB\""));
    fleet.happen(&Event::Died(slot("web/app/ewr/1")));
    let planned = by_hand(&fleet, &Request::RestartSlot { slot: slot("web/app/ewr/2") });
    assert!(planned.plan.is_empty(), "{}", shown(&planned));
    assert!(shown(&planned).contains("max_unavailable allows 1"), "{}", shown(&planned));
    let planned = by_hand(&fleet, &Request::RestartSlot { slot: slot("web/app/ewr/1") });
    assert_eq!(planned.plan.changes.len(), 1, "one that is down costs nothing");
}

#[test]
fn a_restart_is_no_deploy_and_needs_no_canary() {
    let api =
        "[apps.api]\n[apps.api.groups.app]\nscale = { ewr = 2 }\nservices = true\nchecks = true\n";
    let mut fleet = settled(api);
    let all = Request::RestartApp { app: "api".parse().unwrap() };
    let planned = by_hand(&fleet, &all);
    assert_eq!(planned.plan.rollouts[0].waves.len(), 2, "{}", shown(&planned));
    fleet.config.apps.values_mut().for_each(|app| app.runs = "v2".to_string());
    assert_refused(&fleet, &all, "which would be a deploy");
    let nobody = Request::RestartApp { app: "nobody".parse().unwrap() };
    assert_refused(&fleet, &nobody, "nothing of that name runs here");
    let held = slot("api/app/ewr/1");
    fleet.claims.slots.get_mut(&held).unwrap().held = true;
    assert_refused(&fleet, &Request::RestartSlot { slot: held }, "it is held");
}

#[test]
fn a_retired_volume_is_destroyed_when_all_say_so() {
    let mut fleet = settled(&web(2, "\"10GB\""));
    fleet.config = config(&web(1, "\"10GB\""));
    turn(&mut fleet);
    let (_, volume) = retired(&fleet).remove(0);
    let destroy = Request::Destroy { volume: volume.clone() };
    fleet.config.permits = vec!["destroy".to_string(), "retained".to_string()];
    assert_refused(&fleet, &destroy, "it is kept for 7d, of which 7d are left");
    fleet.now = Timestamp(fleet.now.0 + 8 * DAY);
    fleet.config.permits = vec![];
    assert_refused(&fleet, &destroy, "allow it with --allow-destroy");
    fleet.config.permits = vec!["destroy".to_string()];
    assert!(fleet.plan().plan.is_empty(), "a pass does not destroy what is to be retained");
    fleet.config.permits = vec!["destroy".to_string(), "retained".to_string()];
    let planned = by_hand(&fleet, &destroy);
    assert_eq!(planned.plan.summary().destroy, 1, "{}", shown(&planned));
    let mut unnamed = planned.plan.clone();
    let lane = unnamed.rollouts[0].waves[0].lanes[0].clone();
    let mut twin = lane;
    twin.steps[0].id.0 += " (2)";
    unnamed.rollouts[0].waves[0].lanes.push(twin);
    let (observed, policy) = (fleet.observed(), fleet.config.policy());
    let hosts = fleet.desired().hosts;
    let permits = fleet.permits();
    let world = World {
        hosts: &hosts,
        observed: &observed,
        claims: &fleet.claims,
        policy: &policy,
        permits,
    };
    let found = check(&unnamed, &world).unwrap_err();
    assert!(found.iter().any(|v| v.rule == Rule::Destroy), "one at a time: {found:?}");
    fleet.apply(&planned.plan, &BTreeSet::new());
    assert_eq!(retired(&fleet), []);
    assert_refused(&fleet, &destroy, "no host has a volume");
}

#[test]
fn protection_attachment_and_the_limit_on_loss_forbid_destroying() {
    let mut fleet = settled(&web(3, "{ protect = true }"));
    let attached = fleet.claims.slots.values().next().unwrap().volumes.values().next().unwrap();
    let attached = Request::Destroy { volume: attached.id.clone() };
    fleet.config = config(&web(2, "{ protect = true }"));
    turn(&mut fleet);
    fleet.now = Timestamp(fleet.now.0 + 8 * DAY);
    fleet.config.permits = vec!["destroy".to_string(), "retained".to_string()];
    assert_refused(&fleet, &attached, "it is the own of web/app/ewr/");
    let destroy = Request::Destroy { volume: retired(&fleet).remove(0).1 };
    assert_refused(&fleet, &destroy, "it is protected");
    for machine in fleet.machines.values_mut() {
        machine.volumes.values_mut().for_each(|view| view.spec.keeping.protect = false);
    }
    fleet.config.policy.max_loss = 0;
    assert_refused(&fleet, &destroy, "max_loss allows 0");
}

#[test]
fn a_slot_that_waits_for_its_volume_is_given_it() {
    let mut fleet = settled(&web(2, "\"10GB\""));
    fleet.config.apps.clear();
    // An app that goes needs another one to stay: an empty source removes nothing.
    let other = "[apps.api]\n[apps.api.groups.app]\nscale = { ewr = 1 }\n";
    fleet.config = config(other);
    turn(&mut fleet);
    fleet.config = config(&(web(1, "\"10GB\"") + other));
    assert!(shown(&fleet.plan()).contains("neither taken back nor replaced"));
    let wanted = slot("web/app/ewr/1");
    let all = retired(&fleet);
    let second = all.iter().find(|(was, _)| *was != wanted).unwrap().1.clone();
    let adopt = |volume: &VolumeId, slot: &SlotId| Request::Adopt {
        given: Given::Retired(volume.clone()),
        slot: slot.clone(),
    };
    assert_refused(
        &fleet,
        &adopt(&second, &slot("web/app/ewr/2")),
        "no manifest asks for the slot",
    );
    assert_refused(&fleet, &adopt(&second, &slot("api/app/ewr/1")), "its group has no mount data");
    let planned = by_hand(&fleet, &adopt(&second, &wanted));
    let verbs: Vec<_> = planned.plan.changes.iter().map(|change| change.verb).collect();
    assert_eq!(verbs, [Verb::Create, Verb::Adopt], "{}", shown(&planned));
    assert!(shown(&planned).contains("it was of web/app/ewr/2, 10GB"));
    fleet.apply(&planned.plan, &BTreeSet::new());
    assert_eq!(fleet.claims.slots[&wanted].volumes.values().next().unwrap().id, second);
    let again = fleet.plan();
    assert!(again.plan.changes.is_empty(), "{}", shown(&again));
    let first = all.iter().find(|(was, _)| *was == wanted).unwrap().1.clone();
    assert_refused(&fleet, &adopt(&first, &wanted), "the slot has its own already");
    assert_refused(&fleet, &adopt(&second, &wanted), "it is the own of web/app/ewr/1");
}

#[test]
fn what_is_foreign_is_given_to_a_slot_also_when_that_was_cut_short() {
    let mut fleet = settled(&web(1, "\"10GB\""));
    fleet.config = config(&web(2, "\"10GB\""));
    fleet.happen(&Event::Foreign {
        host: "ewr-2".parse().unwrap(),
        name: "old-notes".to_string(),
        size: "8GB".to_string(),
        adoptable: true,
    });
    fleet.happen(&Event::Foreign {
        host: "ewr-1".parse().unwrap(),
        name: "vm-disk".to_string(),
        size: "1GB".to_string(),
        adoptable: false,
    });
    let (first, second) = (slot("web/app/ewr/1"), slot("web/app/ewr/2"));
    let adopt = |name: &str, slot: &SlotId| Request::Adopt {
        given: Given::Foreign(name.to_string()),
        slot: slot.clone(),
    };
    assert_refused(&fleet, &adopt("new-notes", &second), "no readable host has it");
    assert_refused(&fleet, &adopt("vm-disk", &second), "cannot be adopted: it is no copy");
    assert_refused(&fleet, &adopt("old-notes", &first), "the slot has its own already");
    assert_refused(&fleet, &adopt("old-notes", &slot("web/app/ewr/3")), "no manifest asks for");

    let planned = by_hand(&fleet, &adopt("old-notes", &second));
    let verbs: Vec<_> = planned.plan.changes.iter().map(|change| change.verb).collect();
    assert_eq!(verbs, [Verb::Create, Verb::Adopt], "{}", shown(&planned));
    assert!(shown(&planned).contains("a person names it: a copy of vol_"), "{}", shown(&planned));
    fleet.apply_until(&planned.plan, 1);
    assert!(fleet.claims.slots[&second].applied.is_none(), "only the claim was written");
    // Nobody starts it empty meanwhile, and the way out is told.
    let between = fleet.plan();
    assert!(between.plan.is_empty(), "{}", shown(&between));
    assert!(shown(&between).contains("tiedown volumes adopt"), "{}", shown(&between));

    let planned = by_hand(&fleet, &adopt("old-notes", &second));
    assert!(shown(&planned).contains("its adoption was begun before"), "{}", shown(&planned));
    assert!(planned.plan.changes.iter().all(|change| change.object.slot() == Some(&second)));
    fleet.apply(&planned.plan, &BTreeSet::new());
    assert_eq!(fleet.machines.values().map(|machine| machine.foreign.len()).sum::<usize>(), 1);
    let again = fleet.plan();
    assert!(again.plan.is_empty(), "{}", shown(&again));
}
