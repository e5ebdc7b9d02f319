//! `kill -9` at any moment: of tiedown while it applies, of supervisors and what is under them.
//! The next apply ends in the same place, with nothing lost, leaked or doubled.

use super::fleet::{Fleet, eventually, kill_9};
use super::stories::ORDINARY_USER;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

/// A small deterministic generator: the seed is printed, and a failure can be run again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var("TIEDOWN_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or(0x5eed_0001);
        eprintln!("TIEDOWN_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn apply_killed_at_any_moment_ends_in_the_same_place() {
    let fleet = Fleet::new(101);
    let mut dice = Dice::seeded();
    let scales = ["{ ewr = 2 }", "{ ewr = 3, ord = 1 }", "{ ewr = 1, ord = 1 }"];
    for round in 0..6 {
        fleet.store(&format!("round {round}"), scales[round % scales.len()]);
        fleet.commit("round");
        for _ in 0..2 {
            let mut apply = fleet.spawn(&["apply", "--auto-approve"]);
            // Not a wait for a state: the moment of the cut is what is random here.
            std::thread::sleep(Duration::from_millis(dice.below(1500)));
            let _ = apply.kill();
            let _ = apply.wait();
        }
        fleet.apply();
        fleet.assert_one_to_one();
        fleet.assert_fixpoint();
        for (slot, address, _) in fleet.slots() {
            let lines = fleet.lines(&address);
            assert!(
                lines.lines().all(|line| line.ends_with(&slot)),
                "another slot's data: {lines}"
            );
            let line = format!("round {round}");
            fleet.http(&address, "POST", "/", &format!("{line} {slot}")).unwrap();
        }
        let first = fleet.slots().remove(0);
        assert_eq!(first.0, "store/app/ewr/1");
        let lines = fleet.lines(&first.1);
        assert_eq!(lines.lines().count(), round + 1, "a line was lost: {lines}");
    }
}

/// Boundaries that are tried if nobody says otherwise; `TIEDOWN_BOUNDARIES=all` tries each.
const BOUNDARIES: usize = 3;

/// All that a fleet has, without what only shows while something runs.
fn picture(fleet: &Fleet) -> Value {
    let mut status = fleet.status();
    for host in status["hosts"].as_array_mut().unwrap() {
        host["used_bytes"].take();
    }
    for slot in status["slots"].as_array_mut().unwrap() {
        slot["instance"]["healthy"].take();
        slot["instance"]["restarts"].take();
    }
    status
}

/// Applies, and kills it once it has told so many of its events. How many there were.
fn apply_until(fleet: &Fleet, boundary: usize) -> usize {
    let mut command = fleet.command(&["apply", "--auto-approve", "--format", "json"]);
    let mut apply = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let events = BufReader::new(apply.stdout.take().unwrap()).lines();
    let told = events.map_while(Result::ok).take(boundary).count();
    let _ = apply.kill();
    apply.wait().unwrap();
    told
}

#[test]
fn apply_killed_at_a_boundary_ends_as_one_that_was_not() {
    let root = rustix::process::geteuid().is_root();
    // Directories instead of images: what is compared is the same, and it is done sooner.
    let fleet = Fleet::of_user(103, root.then_some(ORDINARY_USER));
    let settings = fs::read_to_string(fleet.repo().join("tiedown.toml")).unwrap();
    fleet.write("tiedown.toml", &settings.replace("count = 100", "count = 100000"));
    let versions = [("one", "{ ewr = 2, ord = 1 }"), ("two", "{ ewr = 1 }")];
    let ask = |(env, scale): (&str, &str)| {
        fleet.store(env, scale);
        fleet.commit(env);
    };
    let mut ends: Vec<(Value, usize)> = Vec::new();
    // From the second time on each version takes its own volumes back.
    for version in [0, 1, 0, 1] {
        ask(versions[version]);
        let events = apply_until(&fleet, usize::MAX);
        fleet.assert_fixpoint();
        ends.push((picture(&fleet), events));
    }
    let mut dice = Dice::seeded();
    let most = ends[2].1.max(ends[3].1);
    let all = std::env::var("TIEDOWN_BOUNDARIES").is_ok_and(|text| text == "all");
    let drawn = |_| usize::try_from(dice.below(most as u64)).unwrap();
    let boundaries: Vec<usize> =
        if all { (0..most).collect() } else { (0..BOUNDARIES).map(drawn).collect() };
    for boundary in boundaries {
        for (version, (end, _)) in versions.into_iter().zip(&ends[2..]) {
            ask(version);
            apply_until(&fleet, boundary);
            fleet.apply();
            assert_eq!(picture(&fleet), *end, "killed at {boundary} on the way to {version:?}");
            fleet.assert_one_to_one();
            fleet.assert_fixpoint();
        }
    }
}

/// What the fleet's supervisors have under them, and they themselves.
fn family(fleet: &Fleet) -> Vec<u32> {
    let mut family = fleet.processes();
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let new = children.split_whitespace().filter_map(|child| child.parse().ok());
        let new: Vec<u32> = new.filter(|child| !family.contains(child)).collect();
        family.extend(new);
        next += 1;
    }
    family
}

#[test]
fn supervisors_and_their_children_killed_at_random_leave_no_doubled_instance() {
    let fleet = Fleet::new(102);
    let mut dice = Dice::seeded();
    fleet.store("one", "{ ewr = 2, ord = 1 }");
    fleet.commit("good");
    fleet.apply();
    fleet.post_everywhere("kept");
    for _ in 0..5 {
        let processes = family(&fleet);
        let victim = processes[usize::try_from(dice.below(processes.len() as u64)).unwrap()];
        kill_9(victim);
        eventually("apply heals", || fleet.run(&["apply", "--auto-approve"]).code == 0);
        fleet.assert_one_to_one();
        for (slot, address, _) in fleet.slots() {
            eventually("it serves", || fleet.http(&address, "GET", "/health", "").is_ok());
            assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
        }
    }
    fleet.assert_fixpoint();
}
