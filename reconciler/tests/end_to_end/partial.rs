//! Applies that do not end as planned: what they say, for people and line by line for programs,
//! and that the next plan has just what is left.

use super::fleet::{Fleet, eventually, store_manifest};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn sick(fleet: &Fleet, scale: &str) {
    let manifest = store_manifest("store", "two", scale)
        .replace("[env]\n", "[env]\nSICK = \"yes\"\n")
        .replace("20s", "2s");
    fleet.write("store/fly.toml", &manifest);
    fleet.commit("sick");
}

fn lines(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(line).collect()
}

#[test]
fn a_partly_applied_plan_says_what_was_done_what_failed_what_was_not_tried_and_what_next() {
    let fleet = Fleet::new(125);
    fleet.store("one", "{ ewr = 3 }");
    fleet.write("steady/fly.toml", &store_manifest("steady", "one", "{ ord = 1 }"));
    let program = std::fs::read_to_string(fleet.repo().join("store/run.pl")).unwrap();
    fleet.write("steady/run.pl", &program);
    fleet.commit("good");
    fleet.apply();
    let instances = fleet.slots();
    sick(&fleet, "{ ewr = 3 }");
    fleet.write("steady/fly.toml", &store_manifest("steady", "two", "{ ord = 1 }"));
    fleet.commit("one of two is good");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    let start = said.out.find("Done\n").unwrap_or_else(|| panic!("{said}"));
    let end = said.out.find("were done.").unwrap_or_else(|| panic!("{said}"));
    let mut told = said.out[start..end].to_owned();
    for (slot, _, id) in instances.iter().chain(&fleet.slots()) {
        told = told.replace(id.as_str(), &format!("({slot})"));
    }
    let expected = "\
Done
  slot steady/app/ord/1: stop-instance (steady/app/ord/1), start-instance (steady/app/ord/1)
  slot store/app/ewr/1: stop-instance (store/app/ewr/1), start-instance (store/app/ewr/1)

Failed
  slot store/app/ewr/1 did not come up: not healthy within 2s: check GET /health on 8080: status 500

Not tried
  slot store/app/ewr/2, slot store/app/ewr/3: an earlier wave of its rollout failed

Next
  see what it said: tiedown logs store/app/ewr/1
  commit what puts it right and apply that; the same release is tried again only with tiedown apply --retry
  tiedown plan shows just what is left

Partly applied: 4 of 8 steps ";
    assert_eq!(told, expected, "{said}");

    fleet.store("three", "{ ewr = 3 }");
    fleet.commit("good again");
    let said = fleet.run(&["plan"]);
    assert!(said.out.contains("Plan: 0 to add, 3 to change, 0 to destroy."), "{said}");
    assert!(!said.out.contains("App steady"), "just what is left: {said}");
    fleet.apply();
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn json_comes_line_by_line_and_a_summary_last_whatever_happens() {
    let fleet = Fleet::new(126);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("good");
    let said = fleet.run(&["apply", "--auto-approve", "--format", "json"]);
    assert_eq!(said.code, 0, "{said}");
    let events = lines(&said.out);
    assert_eq!(events[0]["event"], "plan", "{said}");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["exit"]), (&"summary".into(), &0.into()), "{said}");
    assert_eq!(last["summary"]["add"], 4);
    let done = events.iter().filter(|event| event["event"] == "step-done").count();
    assert_eq!(done, last["outcome"]["done"].as_array().unwrap().len());

    sick(&fleet, "{ ewr = 2 }");
    let said = fleet.run(&["apply", "--auto-approve", "--format", "json"]);
    assert_eq!(said.code, 6, "{said}");
    let events = lines(&said.out);
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["exit"]), (&"summary".into(), &6.into()), "{said}");
    assert_eq!(last["outcome"]["failures"].as_array().unwrap().len(), 1, "{last}");
    assert_eq!(last["outcome"]["skipped"].as_array().unwrap().len(), 1, "{last}");

    let manifest = std::fs::read_to_string(fleet.repo().join("store/fly.toml")).unwrap();
    fleet.write("store/fly.toml", &manifest.replace("\"2s\"\n[tiedown", "\"50s\"\n[tiedown"));
    fleet.write("store/more", "another tree");
    fleet.commit("sick for longer");
    let mut command = fleet.command(&["apply", "--auto-approve", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|line: &String| line.contains("gate-waits")) {
        seen.push(reader.next().expect("it goes on").unwrap());
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    // Twice: at once, without waiting for the gate.
    eventually("it ends", || {
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(130));
    seen.extend(reader.map(Result::unwrap));
    let last: Value = serde_json::from_str(seen.last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["exit"]), (&"summary".into(), &130.into()), "{last}");
    assert_eq!(lines(&seen.join("\n")).iter().filter(|e| e["event"] == "summary").count(), 1);
}
