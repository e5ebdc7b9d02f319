//! How commands end, and what they leave: locks, signals, saved plans, taking down, bringing
//! back, following a log.

use super::fleet::{Fleet, eventually, kill_9, store_manifest};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn signal(which: &str, pid: u32) {
    assert!(Command::new("kill").args([which, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_second_apply_finds_the_lock_and_an_interrupted_one_is_taken_up() {
    let fleet = Fleet::new(111);
    let sick =
        store_manifest("store", "one", "{ ewr = 2 }").replace("[env]\n", "[env]\nSICK = \"yes\"\n");
    fleet.store("one", "{ ewr = 2 }");
    fleet.write("store/fly.toml", &sick);
    fleet.commit("never healthy");
    let mut first = fleet.spawn(&["apply", "--auto-approve"]);
    eventually("the first apply has begun", || {
        let said = fleet.run(&["status", "--format", "json"]);
        said.out.contains("\"running\"")
    });
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 5, "{said}");
    assert!(said.err.contains("is locked by apply of commit"), "{said}");
    assert!(said.err.contains("--lock-timeout"), "{said}");
    signal("-INT", first.id());
    assert_eq!(first.wait().unwrap().code(), Some(130), "the signal decides the exit code");

    fleet.store("two", "{ ewr = 2 }");
    fleet.commit("healthy");
    fleet.apply();
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
    let said = fleet.run(&["history"]);
    assert!(said.out.contains("stopped") && said.out.contains("done"), "{said}");
}

#[test]
fn a_saved_plan_is_applied_as_it_was_or_not_at_all() {
    let fleet = Fleet::new(112);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    let saved = fleet.repo().join("../plan.json");
    let saved = saved.to_str().unwrap();
    assert_eq!(fleet.run(&["plan", "-o", saved]).code, 0);
    fleet.store("two", "{ ewr = 1 }");
    fleet.commit("another meaning");
    let said = fleet.run(&["apply", saved]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.err.contains("means something else for app store than the plan"), "{said}");

    fleet.git(&["reset", "-q", "--hard", "HEAD~1"]);
    fleet.write("README.md", "A commit that means the same.\n");
    fleet.commit("readme");
    let said = fleet.run(&["apply", saved]);
    assert_eq!(said.code, 0, "{said}");
    fleet.assert_fixpoint();
    let said = fleet.run(&["apply", saved]);
    assert_eq!(said.code, 0, "it was done already: {said}");
    assert!(said.err.contains("nothing is left to do"), "{said}");
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn down_stops_everything_and_keeps_the_data() {
    let fleet = Fleet::new(113);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("first");
    fleet.apply();
    fleet.post_everywhere("kept");
    let said = fleet.run(&["down"]);
    assert_eq!((said.code, said.out.as_str()), (0, "2 stopped.\n"), "{said}");
    assert_eq!(fleet.processes(), Vec::<u32>::new());
    std::fs::write(fleet.state().join("notes"), "somebody's").unwrap();
    let said = fleet.run(&["down", "--purge", "--auto-approve"]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.err.contains("notes"), "{said}");
    std::fs::remove_file(fleet.state().join("notes")).unwrap();
    fleet.apply();
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn resume_brings_back_what_ran_and_deploys_nothing() {
    let fleet = Fleet::new(114);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("first");
    fleet.apply();
    fleet.post_everywhere("kept");
    let before = fleet.slots();
    fleet.store("two", "{ ewr = 3 }");
    fleet.commit("not to be deployed by resume");
    for pid in fleet.processes() {
        kill_9(pid);
    }
    eventually("everything is down", || fleet.processes().is_empty());
    let said = fleet.run(&["resume"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("2 resumed, 0 failed."), "{said}");
    assert_eq!(fleet.slots(), before);
    for (slot, address, _) in fleet.slots() {
        eventually("it serves", || fleet.http(&address, "GET", "/health", "").is_ok());
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
    let said = fleet.run(&["resume"]);
    assert!(said.out.contains("0 resumed, 0 failed."), "{said}");
}

#[test]
fn a_log_is_followed_and_a_state_directory_that_is_gone_is_noticed() {
    let fleet = Fleet::new(115);
    fleet.write(
        "say/fly.toml",
        "app = \"say\"\nprimary_region = \"ewr\"\n[processes]\napp = \"perl say.pl\"\n",
    );
    fleet.write(
        "say/say.pl",
        "$| = 1; for (1..600) { print \"tick $_\\n\"; select undef, undef, undef, 0.2 }\n",
    );
    fleet.commit("ticks");
    fleet.apply();
    let mut command = fleet.command(&["logs", "say", "-f", "-n", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ticks: Vec<String> = lines.map(Result::unwrap).take(3).collect();
    assert!(ticks.iter().all(|line| line.starts_with("tick ")), "{ticks:?}");
    // Not INT: whoever runs the tests may have been told to ignore that.
    signal("-TERM", child.id());
    let ended = child.wait().unwrap();
    assert!(!ended.success(), "it ends by the signal");

    assert_eq!(fleet.run(&["down"]).code, 0);
    let aside = fleet.state().with_file_name("aside");
    std::fs::rename(fleet.state(), &aside).unwrap();
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.err.contains("--allow-empty") && !fleet.state().exists(), "{said}");
    std::fs::rename(&aside, fleet.state()).unwrap();
    fleet.apply();
    fleet.assert_fixpoint();
}
