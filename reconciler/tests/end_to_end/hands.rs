//! What people do by hand: hold a slot, restart, look at volumes, destroy one, give one to a slot.

use super::fleet::{Fleet, eventually, store_manifest};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn json(fleet: &Fleet, args: &[&str]) -> Value {
    let said = fleet.run(&[args, &["--format", "json"]].concat());
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What is done by hand, told line by line as an apply is: the plan first, a summary last.
#[test]
fn what_is_done_by_hand_is_told_line_by_line() {
    let fleet = Fleet::new(97);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    fleet.apply();
    let told = |args: &[&str]| {
        let said = fleet.run(&[args, &["store/app/ewr/1", "--format", "json"]].concat());
        let lines = said.out.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        assert_eq!(lines[0]["event"], "plan", "{said}");
        assert_eq!(lines[lines.len() - 1]["event"], "summary", "{said}");
        assert_eq!(lines[lines.len() - 1]["exit"], said.code, "{said}");
        said.code
    };
    assert_eq!(told(&["hold"]), 0);
    assert_eq!(told(&["hold"]), 0, "it is so already");
    assert_eq!(told(&["restart"]), 8, "it is held");
    assert_eq!(told(&["unhold"]), 0);
    assert_eq!(told(&["restart"]), 0);
    // The slot has its own volume, so nothing else becomes it.
    assert_eq!(told(&["volumes", "adopt", "old-notes"]), 8);
}

/// Ids of retired volumes with the slots that they were of.
fn retired(fleet: &Fleet) -> Vec<(String, String)> {
    let listed = json(fleet, &["volumes", "list"]);
    let volumes = listed["volumes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let retired = volumes.filter(|volume| volume["state"] == "retired");
    retired.map(|volume| (text(&volume["id"]), text(&volume["slot"]))).collect()
}

#[test]
fn a_held_slot_is_left_alone_and_says_so_everywhere() {
    let fleet = Fleet::new(116);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    fleet.apply();
    let before = fleet.slots();
    fleet.store("two", "{ ewr = 1 }");
    fleet.commit("second");
    let saved = fleet.repo().join("../plan.json");
    let saved = saved.to_str().unwrap();
    assert_eq!(fleet.run(&["plan", "-o", saved]).code, 0);

    let said = fleet.run(&["hold", "store/app/ewr/1"]);
    assert_eq!(said.code, 0, "{said}");
    let said = fleet.run(&["hold", "store/app/ewr/1"]);
    assert_eq!((said.code, said.out.as_str()), (0, "Nothing to do: it is so already.\n"), "{said}");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "{said}");
    assert!(said.out.contains("it is held, so it is left alone"), "{said}");
    let said = fleet.run(&["apply", saved]);
    assert_eq!(said.code, 3, "a plan from before: {said}");
    assert!(said.err.contains("slot store/app/ewr/1: it is held"), "{said}");
    let said = fleet.run(&["restart", "store/app/ewr/1"]);
    assert_eq!(said.code, 8, "{said}");
    assert_eq!(fleet.slots(), before, "nothing was touched");
    assert_eq!(fleet.status()["slots"][0]["held"], true);
    assert!(fleet.run(&["status"]).out.contains("held; running"));
    let said = fleet.run(&["drift"]);
    assert_eq!(said.out, "slot store/app/ewr/1: held, so it is not compared\n", "{said}");
    let said = fleet.run(&["history"]);
    assert!(said.out.contains("by hand: hold store/app/ewr/1"), "{said}");

    let said = fleet.run(&["unhold", "store/app/ewr/1"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(fleet.status()["slots"][0]["held"], false);
    fleet.apply();
    assert_ne!(fleet.slots(), before);
    fleet.assert_fixpoint();
}

#[test]
fn a_restart_brings_back_the_release_that_runs_on_the_same_volumes() {
    let fleet = Fleet::new(117);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("first");
    fleet.apply();
    fleet.post_everywhere("kept");
    let (slots, old) = (fleet.slots(), fleet.processes());
    let said = fleet.run(&["restart", "store"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("rolling, at most 1 of 2 slots down at once"), "{said}");
    assert_eq!(fleet.slots(), slots, "the same instances");
    let new = fleet.processes();
    assert!(!new.is_empty() && new.iter().all(|pid| !old.contains(pid)), "{old:?} {new:?}");
    for (slot, address, _) in &slots {
        assert_eq!(fleet.lines(address), format!("kept {slot}\n"));
    }
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
    let told = json(&fleet, &["why", "store/app/ewr/1"]);
    let held: Vec<&str> =
        told["why"]["held"].as_array().unwrap().iter().map(|h| h["is"].as_str().unwrap()).collect();
    assert_eq!(held, ["claim", "instance", "volume"], "{told:#}");
    assert_eq!(told["lock"], Value::Null);

    fleet.store("two", "{ ewr = 2 }");
    fleet.commit("second");
    let said = fleet.run(&["restart", "store/app/ewr/1"]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.out.contains("which would be a deploy"), "{said}");
    let said = fleet.run(&["restart", "store/app/ewr/1", "--rev", "HEAD~1"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(fleet.slots(), slots);
    let said = fleet.run(&["restart", "nobody"]);
    assert_eq!(said.code, 4, "{said}");
}

#[test]
fn a_retired_volume_is_listed_and_destroyed_when_all_say_so() {
    let fleet = Fleet::new(118);
    let manifest = |scale: &str, retention: &str| {
        store_manifest("store", "one", scale) + &format!("[tiedown]\nretention = {retention:?}\n")
    };
    fleet.store("one", "{ ewr = 2 }");
    fleet.write("store/fly.toml", &manifest("{ ewr = 2 }", "7d"));
    fleet.commit("two");
    fleet.apply();
    fleet.write("store/fly.toml", &manifest("{ ewr = 1 }", "7d"));
    fleet.commit("one");
    fleet.apply();
    let (long, slot) = retired(&fleet).remove(0);
    let listed = fleet.run(&["volumes", "list"]);
    assert!(listed.out.contains("then kept until destroyed by hand"), "{listed}");
    let shown = fleet.run(&["volumes", "show", &long]);
    assert!(shown.out.contains(&format!("slot       {slot}\n")), "{shown}");
    assert!(shown.out.contains("retention  7d\n"), "{shown}");
    let said = fleet.run(&["volumes", "destroy", &long]);
    assert_eq!(said.code, 1, "nobody can be asked: {said}");
    let allowed = ["--auto-approve", "--allow-destroy"];
    let said = fleet.run(&[&["volumes", "destroy", &long], &allowed[..]].concat());
    assert_eq!(said.code, 4, "{said}");
    assert!(said.out.contains("it is kept for 7d"), "{said}");

    fleet.write("store/fly.toml", &manifest("{ ewr = 2 }", "1s"));
    fleet.commit("two, kept for a moment");
    fleet.apply();
    let attached = fleet.status()["volumes"][0]["id"].as_str().unwrap().to_owned();
    let said = fleet.run(&[&["volumes", "destroy", &attached], &allowed[..]].concat());
    assert_eq!(said.code, 4, "{said}");
    fleet.write("store/fly.toml", &manifest("{ ewr = 1 }", "1s"));
    fleet.commit("one");
    fleet.apply();
    let (short, _) = retired(&fleet).remove(0);
    eventually("its retention has passed", || {
        json(&fleet, &["volumes", "show", &short])["retention_left_seconds"] == 0
    });
    let said = fleet.run(&["volumes", "destroy", &short, "--auto-approve"]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.out.contains("allow it with --allow-destroy"), "{said}");
    let said = fleet.run(&[&["volumes", "destroy", &short], &allowed[..]].concat());
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("Plan: 0 to add, 0 to change, 1 to destroy."), "{said}");
    assert_eq!(retired(&fleet), []);
    fleet.assert_fixpoint();
}

/// A fleet with one slot in `ord` and, beside its volume, `old-notes`: a copy of the volume of
/// another fleet, with what was written there.
fn beside_old_notes(old: u8, new: u8) -> (Fleet, PathBuf) {
    let old = Fleet::new(old);
    old.store("one", "{ ewr = 1 }");
    old.commit("first");
    old.apply();
    old.post_everywhere("kept");
    assert_eq!(old.run(&["down"]).code, 0);
    let fleet = Fleet::new(new);
    fleet.store("one", "{ ord = 1 }");
    fleet.commit("makes the pool of ord-1");
    fleet.apply();
    let found = std::fs::read_dir(old.state().join("hosts/ewr-1/volumes")).unwrap();
    let volume = found.map(|entry| entry.unwrap().path()).next().unwrap();
    let place = fleet.state().join("hosts/ord-1/volumes/old-notes");
    let copied = Command::new("cp").arg("-a").arg(&volume).arg(&place).status().unwrap();
    assert!(copied.success());
    (fleet, place)
}

/// The second slot has what the other fleet's volume had.
fn assert_has_old_notes(fleet: &Fleet, place: &Path) {
    let slots = fleet.slots();
    let (_, address, _) = slots.iter().find(|(slot, ..)| slot == "store/app/ord/2").unwrap();
    assert_eq!(fleet.lines(address), "kept store/app/ewr/1\n");
    assert!(!place.exists());
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn a_volume_of_another_fleet_is_adopted_by_hand_with_its_data() {
    let (fleet, place) = beside_old_notes(60, 61);
    fleet.store("one", "{ ord = 2 }");
    fleet.commit("a second slot");
    let said = fleet.run(&["volumes", "adopt", "old-notes", "store/app/ord/2"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("Plan: 1 to import, 1 to add, 0 to change, 0 to destroy."), "{said}");
    assert_has_old_notes(&fleet, &place);
    let said = fleet.run(&["volumes", "adopt", "old-notes", "store/app/ord/2"]);
    assert_eq!(said.code, 8, "{said}");
    assert!(said.out.contains("old-notes is not adopted: no readable host has it"), "{said}");
}

#[test]
fn a_volume_of_another_fleet_is_adopted_by_a_line_with_its_data() {
    let (fleet, place) = beside_old_notes(218, 219);
    let said = fleet.run(&["plan"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("old-notes on ord-1: it seems to be a copy of vol_"), "{said}");
    assert!(said.out.contains("of fleet t218, slot store/app/ewr/1"), "{said}");
    assert!(said.out.contains("say adopt = \"old-notes\""), "{said}");

    fleet.store("one", "{ ord = 2 }");
    let manifest = std::fs::read_to_string(fleet.repo().join("store/fly.toml")).unwrap();
    let line = "[tiedown.volumes.data]\nadopt = \"old-notes\"\n";
    fleet.write("store/fly.toml", &format!("{manifest}{line}"));
    fleet.commit("a second slot, on what the other fleet left");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("Plan: 1 to import, 1 to add, 0 to change, 0 to destroy."), "{said}");
    assert!(said.out.contains("Applied: 1 imported, 1 added, 0 changed, 0 destroyed."), "{said}");
    assert_has_old_notes(&fleet, &place);
}

#[test]
fn a_slot_that_waits_for_its_volume_is_given_it_by_hand() {
    let fleet = Fleet::new(119);
    fleet.store("one", "{ ewr = 1 }");
    let program = std::fs::read_to_string(fleet.repo().join("store/run.pl")).unwrap();
    fleet.write("other/run.pl", &program);
    fleet.write("other/fly.toml", &store_manifest("other", "one", "{ ord = 1 }"));
    fleet.commit("two apps");
    fleet.apply();
    fleet.post_everywhere("mine");
    fleet.git(&["rm", "-rq", "store"]);
    fleet.commit("one app");
    fleet.apply();
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("two apps again");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 4, "{said}");
    let (volume, _) = retired(&fleet).remove(0);
    let said = fleet.run(&["volumes", "adopt", &volume, "other/app/ord/1"]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.out.contains("the slot has its own already"), "{said}");
    let said = fleet.run(&["volumes", "adopt", &volume, "store/app/ewr/1"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(retired(&fleet), []);
    let slots = fleet.slots();
    let (_, address, _) = slots.iter().find(|(slot, ..)| slot == "store/app/ewr/1").unwrap();
    assert_eq!(fleet.lines(address), "mine store/app/ewr/1\n");
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}
