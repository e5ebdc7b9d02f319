//! Snapshots by hand: taken, put back, destroyed; and clones that were left behind.

use super::{assert_refused, by_hand, config, retired, settled, shown, slot, turn, web};
use crate::fleet::Fleet;
use planner::by_hand::{Given, Request};
use planner::model::id::{InstanceId, VolumeId};
use planner::model::instance::Role;
use planner::model::observed::{Fill, PoolView};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{VolumeKind, VolumeState};
use std::collections::BTreeSet;

#[test]
fn a_snapshot_is_taken_shown_and_goes_before_its_volume() {
    let mount = "{ size = \"10GB\", on_remove = \"destroy\", retention_days = 0 }";
    let mut fleet = settled(&web(1, mount));
    let of = fleet.claims.slots[&slot("web/app/ewr/1")].volumes.values().next().unwrap().id.clone();
    let request =
        |name: &str| Request::Snapshot { volume: of.clone(), name: Some(name.parse().unwrap()) };
    let planned = by_hand(&fleet, &request("monday"));
    assert!(shown(&planned).contains("snapshot"), "{}", shown(&planned));
    assert_eq!(planned.plan.summary().to_string(), "Plan: 1 to add, 0 to change, 0 to destroy.");
    fleet.apply(&planned.plan, &BTreeSet::new());
    assert_refused(&fleet, &request("monday"), "has that name");
    let taken = retired(&fleet);
    let [(_, snapshot)] = &taken[..] else { panic!("{taken:?}") };
    // No pass takes it for the slot's, and every pass says that it is there.
    let planned = fleet.plan();
    assert!(planned.plan.is_empty(), "{}", shown(&planned));
    assert!(shown(&planned).contains("snapshot monday"), "{}", shown(&planned));
    assert_refused(&fleet, &Request::Snapshot { volume: snapshot.clone(), name: None }, "itself");
    let adopt =
        Request::Adopt { given: Given::Retired(snapshot.clone()), slot: slot("web/app/ewr/2") };
    assert_refused(&fleet, &adopt, "not adopted");
    // The volume that it is of is kept while it is.
    fleet.config = config(&web(0, mount));
    turn(&mut fleet);
    fleet.config.permits = vec!["destroy".to_string(), "retained".to_string()];
    turn(&mut fleet);
    assert_eq!(retired(&fleet).len(), 2, "{}", shown(&fleet.plan()));
    assert_refused(&fleet, &Request::Destroy { volume: of.clone() }, "keeps its data readable");
    let planned = by_hand(&fleet, &Request::Destroy { volume: snapshot.clone() });
    fleet.apply(&planned.plan, &BTreeSet::new());
    let planned = by_hand(&fleet, &Request::Destroy { volume: of.clone() });
    fleet.apply(&planned.plan, &BTreeSet::new());
    assert_eq!(retired(&fleet), []);
}

#[test]
fn a_clone_that_was_left_behind_goes() {
    let mut fleet = settled(&web(1, "\"10GB\""));
    let host = fleet.claims.slots[&slot("web/app/ewr/1")].host.clone();
    let machine = fleet.machines.get_mut(&host).unwrap();
    let mut clone = machine.volumes.values().next().unwrap().clone();
    clone.spec.origin = Some(clone.spec.id.clone());
    clone.spec.kind = VolumeKind::Clone;
    clone.spec.id = VolumeId::of_copy(&clone.spec.id, VolumeKind::Clone, "v1", Timestamp(1));
    let mut canary = machine.instances.values().next().unwrap().clone();
    canary.id = InstanceId::parse("0123456789abcd").unwrap();
    (canary.role, canary.address) = (Role::Canary, "10.1.0.99".parse().unwrap());
    canary.volumes = BTreeSet::from([clone.spec.id.clone()]);
    machine.volumes.insert(clone.spec.id.clone(), clone.clone());
    machine.instances.insert(canary.id.clone(), canary);
    let planned = fleet.plan();
    let acts: Vec<String> = planned.plan.steps().map(|step| step.id.0.clone()).collect();
    let removed = format!("remove-clone {}", clone.spec.id);
    assert_eq!(acts, ["stop-instance 0123456789abcd".to_string(), removed], "{}", shown(&planned));
    turn(&mut fleet);
    assert_eq!(fleet.machines[&host].volumes.len(), 1);
    assert!(fleet.plan().plan.is_empty());
}

/// What the slot has, as the catalog remembers.
fn own(fleet: &Fleet) -> VolumeId {
    fleet.claims.slots[&slot("web/app/ewr/1")].volumes.values().next().unwrap().id.clone()
}

/// A fleet with one slot and a snapshot of its volume: that volume, and the snapshot.
fn with_snapshot() -> (Fleet, VolumeId, VolumeId) {
    let mut fleet = settled(&web(1, "\"10GB\""));
    let of = own(&fleet);
    let planned = by_hand(&fleet, &Request::Snapshot { volume: of.clone(), name: None });
    fleet.apply(&planned.plan, &BTreeSet::new());
    let snapshot = retired(&fleet)[0].1.clone();
    (fleet, of, snapshot)
}

#[test]
fn a_slot_goes_back_to_a_snapshot_and_its_volume_is_kept() {
    let (mut fleet, old, snapshot) = with_snapshot();
    // Grown since: the new one is as large.
    fleet.config.apps = config(&web(1, "\"20GB\"")).apps;
    turn(&mut fleet);
    let planned = by_hand(&fleet, &Request::Restore { volume: snapshot.clone() });
    let acts: Vec<String> = planned.plan.steps().map(|step| step.id.0.clone()).collect();
    let words: Vec<&str> = acts.iter().map(|id| id.split(' ').next().unwrap()).collect();
    let expected = ["restore-volume", "grow-volume", "stop-instance", "retire-volume"];
    assert_eq!(words[..4], expected, "{}", shown(&planned));
    assert!(words[4].starts_with("start-instance"), "{words:?}");
    fleet.apply(&planned.plan, &BTreeSet::new());
    let new = own(&fleet);
    assert!(new != old && new != snapshot);
    let host = fleet.claims.slots[&slot("web/app/ewr/1")].host.clone();
    let volumes = &fleet.machines[&host].volumes;
    assert_eq!(volumes[&new].spec.origin, Some(snapshot.clone()));
    assert_eq!(volumes[&new].spec.size, volumes[&old].spec.size);
    assert!(matches!(volumes[&old].state, VolumeState::Retired { .. }));
    let main = fleet.machines[&host].instances.values().next().unwrap();
    assert_eq!(main.volumes, BTreeSet::from([new.clone()]));
    let planned = fleet.plan();
    assert!(planned.plan.is_empty(), "{}", shown(&planned));
    // And back again, from what was retired by that.
    let planned = by_hand(&fleet, &Request::Restore { volume: old });
    fleet.apply(&planned.plan, &BTreeSet::new());
    assert_ne!(own(&fleet), new);
    assert!(fleet.plan().plan.is_empty());
}

#[test]
fn restoring_that_is_cut_short_leaves_the_slot_on_the_old_volume_or_the_new_one() {
    let (fleet, old, snapshot) = with_snapshot();
    let planned = by_hand(&fleet, &Request::Restore { volume: snapshot.clone() });
    let moments = planner::simulate::moments(&planned.plan);
    for moment in 0..=moments {
        let (mut fleet, _, _) = with_snapshot();
        fleet.apply_until(&planned.plan, moment);
        turn(&mut fleet);
        turn(&mut fleet);
        let host = fleet.claims.slots[&slot("web/app/ewr/1")].host.clone();
        let machine = &fleet.machines[&host];
        let attached: Vec<_> =
            machine.volumes.values().filter(|v| v.state == VolumeState::Attached).collect();
        let [volume] = attached[..] else {
            panic!("cut at {moment}: {attached:?}\n{}", shown(&fleet.plan()))
        };
        let restored = volume.spec.origin.as_ref() == Some(&snapshot);
        assert!(restored || volume.spec.id == old, "cut at {moment}: {volume:?}");
        let mains: Vec<_> = machine.instances.values().map(|main| main.volumes.clone()).collect();
        assert_eq!(mains, [BTreeSet::from([volume.spec.id.clone()])], "cut at {moment}");
        // It can be asked for again.
        let again = by_hand(&fleet, &Request::Restore { volume: snapshot.clone() });
        assert!(!again.plan.is_empty(), "cut at {moment}: {}", shown(&again));
    }
}

#[test]
fn what_cannot_be_put_back_is_told() {
    let (mut fleet, old, snapshot) = with_snapshot();
    let restore = |volume: &VolumeId| Request::Restore { volume: volume.clone() };
    assert_refused(&fleet, &restore(&old), "not restored: it is attached");
    let host = fleet.claims.slots[&slot("web/app/ewr/1")].host.clone();
    let PoolView::Present(pool) = &mut fleet.machines.get_mut(&host).unwrap().pool else {
        panic!()
    };
    let had = core::mem::replace(&mut pool.size, Size::parse("20GB").unwrap());
    assert_refused(&fleet, &restore(&snapshot), "has room for");
    let another = Request::Snapshot { volume: old.clone(), name: None };
    assert_refused(&fleet, &another, "has room for");
    let PoolView::Present(pool) = &mut fleet.machines.get_mut(&host).unwrap().pool else {
        panic!()
    };
    (pool.size, pool.copies_online) = (had, false);
    assert_refused(&fleet, &another, "cannot copy it meanwhile");
    let PoolView::Present(pool) = &mut fleet.machines.get_mut(&host).unwrap().pool else {
        panic!()
    };
    (pool.copies_online, pool.fill) = (true, Some(Fill { data: 851, metadata: 0 }));
    let full = "has 85.1 % of its data in use, and takes nothing more from 85 % on";
    assert_refused(&fleet, &another, full);
    assert_refused(&fleet, &restore(&snapshot), full);
    // Nor is anything else made or grown there, and it is told.
    let before = fleet.config.clone();
    fleet.config.apps = config(&web(1, "\"20GB\"")).apps;
    let planned = fleet.plan();
    assert!(planned.plan.is_empty(), "{}", shown(&planned));
    assert!(shown(&planned).contains(&format!("its pool {full}")), "{}", shown(&planned));
    assert!(shown(&planned).contains("pool of ewr-1: has 85.1 %"), "{}", shown(&planned));
    fleet.config = before;
    let PoolView::Present(pool) = &mut fleet.machines.get_mut(&host).unwrap().pool else {
        panic!()
    };
    pool.fill = None;
    fleet.claims.losses = vec![("web".parse().unwrap(), fleet.now); 3];
    assert_refused(&fleet, &restore(&snapshot), "max_loss allows 3");
    fleet.claims.losses.clear();
    fleet.config.apps.values_mut().for_each(|app| app.runs = "v2".to_string());
    assert_refused(&fleet, &restore(&snapshot), "would be a deploy");
    fleet.config = config("");
    assert_refused(&fleet, &restore(&snapshot), "no manifest that was read asks for it");
}

#[test]
fn a_snapshot_that_was_cut_short_goes_when_it_is_allowed() {
    let (fleet, of, snapshot) = with_snapshot();
    let cut = |mut fleet: Fleet| {
        let machine = fleet.machines.values_mut().find(|m| m.volumes.contains_key(&snapshot));
        let view = machine.unwrap().volumes.get_mut(&snapshot).unwrap();
        (view.state, view.formatted) = (VolumeState::Making, false);
        view.spec.keeping.protect = true;
        fleet
    };
    let is_there = |fleet: &Fleet| {
        fleet.machines.values().any(|machine| machine.volumes.contains_key(&snapshot))
    };
    // Nothing is done by itself, and it is told.
    let mut passed = cut(fleet.clone());
    let planned = passed.plan();
    assert!(planned.plan.is_empty(), "{}", shown(&planned));
    assert!(shown(&planned).contains("was begun and not finished"), "{}", shown(&planned));
    passed.config.permits = vec!["destroy".to_string()];
    turn(&mut passed);
    assert!(!is_there(&passed), "{}", shown(&passed.plan()));
    assert!(passed.plan().plan.is_empty());
    // By hand too; and it keeps nobody from taking another one.
    let mut named = cut(fleet);
    let planned = by_hand(&named, &Request::Snapshot { volume: of, name: None });
    assert!(!planned.plan.is_empty(), "{}", shown(&planned));
    named.config.permits = vec!["destroy".to_string(), "retained".to_string()];
    let planned = by_hand(&named, &Request::Destroy { volume: snapshot.clone() });
    named.apply(&planned.plan, &BTreeSet::new());
    assert!(!is_there(&named), "{}", shown(&planned));
}
