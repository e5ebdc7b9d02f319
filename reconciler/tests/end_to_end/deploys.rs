//! Strategies and release commands on real processes.

use super::fleet::{Fleet, Said, eventually, store_manifest};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// The store with a release command that says so and ends with a status.
fn released(version: &str, status: u8, timeout: &str) -> String {
    let command = format!(
        "release_command = \"sh -c 'echo migrating to $VERSION; sleep $PAUSE; exit {status}'\"\n\
         release_command_timeout = \"{timeout}\"\n"
    );
    store_manifest("store", version, "{ ewr = 2 }")
        .replace("[env]\n", "[env]\nPAUSE = \"0\"\n")
        .replace("[deploy]\n", &format!("[deploy]\n{command}"))
}

/// Whether the release command ran.
fn ran(said: &Said) -> bool {
    said.err.contains("| migrating to")
}

#[test]
fn a_release_command_runs_once_before_anything_changes() {
    let fleet = Fleet::new(140);
    fleet.store("one", "{ ewr = 2 }");
    fleet.write("store/fly.toml", &released("one", 3, "30s"));
    fleet.commit("a command that fails");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert!(ran(&said), "its output is told: {said}");
    assert!(said.err.contains("the release command failed: its program ended with status 3"));
    assert!(said.err.contains("store/app: not tried"), "{said}");
    assert_eq!(fleet.status()["volumes"].as_array().unwrap().len(), 0, "no volume was made");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!((said.code, ran(&said)), (8, false), "it is not run again by itself: {said}");

    fleet.write("store/fly.toml", &released("one", 0, "30s"));
    fleet.commit("one that does its work");
    let said = fleet.apply();
    assert!(said.out.contains("what it does cannot be undone"), "{said}");
    assert!(ran(&said), "{said}");
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();

    fleet.write("store/fly.toml", &released("one", 0, "30s").replace("ewr = 2", "ewr = 3"));
    fleet.commit("one slot more");
    assert!(!ran(&fleet.apply()), "a new slot is no release");
    fleet.assert_fixpoint();
}

#[test]
fn a_release_command_that_takes_too_long_is_ended_and_fails() {
    let fleet = Fleet::new(141);
    fleet.store("one", "{ ewr = 2 }");
    let slow = released("one", 0, "1s").replace("PAUSE = \"0\"", "PAUSE = \"600\"");
    fleet.write("store/fly.toml", &slow);
    fleet.commit("slow");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert!(said.err.contains("its program did not end within 1s"), "{said}");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "{said}");
    assert!(said.out.contains("run it again with --retry"), "{said}");
}

/// The store without its mount: what needs a second set.
pub(super) fn web(env: &str, scale: &str, strategy: &str) -> String {
    let mounts = "[[mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n";
    store_manifest("store", env, scale)
        .replace(mounts, "")
        .replace("[deploy]\n", &format!("[deploy]\nstrategy = {strategy:?}\n"))
}

#[test]
fn bluegreen_brings_up_a_second_set_first_and_ends_with_one() {
    let fleet = Fleet::new(142);
    fleet.store("one", "{ ewr = 2 }");
    fleet.write("store/fly.toml", &web("one", "{ ewr = 2 }", "bluegreen"));
    fleet.commit("first");
    fleet.apply();
    let before = fleet.slots();
    let sick = web("two", "{ ewr = 2 }", "bluegreen")
        .replace("[env]\n", "[env]\nSICK = \"yes\"\n")
        .replace("20s", "2s");
    fleet.write("store/fly.toml", &sick);
    fleet.commit("sick");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert_eq!(fleet.slots(), before, "the first set was not touched");

    let file = fleet.root_path().join("endpoints.json");
    let settings = fleet.settings(&[("ewr-1", "ewr"), ("ewr-2", "ewr"), ("ord-1", "ord")]);
    fleet.write("tiedown.toml", &format!("{settings}[endpoints]\nfile = {file:?}\n"));
    fleet.write("store/fly.toml", &web("three", "{ ewr = 2 }", "bluegreen"));
    fleet.commit("well");
    let said = fleet.run(&["plan"]);
    assert!(said.out.contains("bluegreen, a second set of 2 first"), "{said}");
    let published = || {
        let json = std::fs::read(&file).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&json).unwrap_or_default()
    };
    let second_set_serves = || {
        let published = published();
        let all = published.as_array().cloned().unwrap_or_default();
        all.iter().filter(|one| one["role"] == "green" && one["healthy"] == true).count() == 2
    };
    let apply = fleet
        .command(&["apply", "--auto-approve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    eventually("the second set in the file", second_set_serves);
    let said = Said::of(&apply.unwrap().wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(published(), fleet.status()["endpoints"]);
    let after = fleet.slots();
    let addresses = |slots: &[(String, String, String)]| -> Vec<String> {
        slots.iter().map(|slot| slot.1.clone()).collect()
    };
    assert_eq!(addresses(&before), addresses(&after), "slots keep their addresses");
    let status = fleet.status();
    let endpoints = status["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 2, "{status:#}");
    for (endpoint, (slot, address, id)) in endpoints.iter().zip(&after) {
        assert_eq!(endpoint["slot"], **slot);
        assert_eq!(
            (&endpoint["address"], &endpoint["port"]),
            (&address.as_str().into(), &8080.into())
        );
        assert_eq!((&endpoint["role"], &endpoint["healthy"]), (&"main".into(), &true.into()));
        assert_eq!(endpoint["instance"], **id);
    }
    for (_, address, _) in &after {
        assert!(fleet.http(address, "GET", "/env", "").unwrap().contains("VERSION=three"));
    }
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

/// A job with a volume: it counts its runs there, and ends with a status.
fn job(status: &str) -> String {
    format!(
        "app = \"jobs\"\nprimary_region = \"ewr\"\n[processes]\njob = \"sh job.sh {status}\"\n\
         [[restart]]\npolicy = \"never\"\nprocesses = [\"job\"]\n\
         [[mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n\
         processes = [\"job\"]\n[tiedown.scale]\njob = {{ ewr = 1 }}\n"
    )
}

#[test]
fn a_job_that_ended_is_done_and_its_volume_is_there_for_runs_on_demand() {
    let fleet = Fleet::new(143);
    fleet.write("jobs/job.sh", "echo run >> /data/runs\ncat /data/runs\nexit $1\n");
    fleet.write("jobs/fly.toml", &job("0"));
    fleet.commit("a job");
    fleet.apply();
    assert_eq!(fleet.status()["slots"][0]["instance"]["state"], "finished");
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();

    let said = fleet.run(&["run", "jobs/job"]);
    assert_eq!((said.code, said.out.as_str()), (0, "run\nrun\n"), "{said}");
    let said = fleet.run_on_demand("jobs/job", &["sh", "-c", "wc -l < /data/runs; exit 7"]);
    assert_eq!((said.code, said.out.trim()), (6, "2"), "{said}");
    assert!(said.err.contains("the run failed: its program ended with status 7"), "{said}");
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();

    // A volume has one user: a second run is refused while the first one has it.
    let mut first = fleet.on_demand("jobs/job", &["sh", "-c", "echo here; sleep 600"]);
    let mut first = first.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "here\n", "what it writes is passed on while it runs");
    let said = fleet.run(&["run", "jobs/job"]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.out.contains("a volume has one user"), "{said}");
    let pid = first.id().to_string();
    let asked = std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(asked.success());
    assert!(!first.wait().unwrap().success(), "it was interrupted");
    let said = fleet.run_on_demand("jobs/job", &["wc", "-l", "/data/runs"]);
    assert_eq!((said.code, said.out.trim()), (0, "2 /data/runs"), "{said}");
    fleet.assert_fixpoint();

    fleet.write("jobs/fly.toml", &job("3"));
    fleet.commit("a job that fails");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert!(said.err.contains("its program ended with status 3"), "{said}");
}

/// The store that is tried on clones, where it says that it is sick if it can reach an address.
fn reaching(version: &str, reach: &str, more: &str) -> String {
    let reach = format!("[env]\nREACH = {reach:?}\n{more}");
    store_manifest("store", version, "{ ewr = 2 }").replace("[env]\n", &reach)
        + "[tiedown]\ncanary = \"clone\"\n"
}

/// Tries to reach out and writes on its volume what it is, before it serves.
const REACHES: &str = r#"use strict; use warnings; use IO::Socket::INET;
my $there = IO::Socket::INET->new(PeerAddr => $ENV{REACH}, PeerPort => 8080, Timeout => 2);
$ENV{SICK} = 'yes' if $there && $ENV{TIEDOWN_CANARY};
my $reached = $there ? 1 : 0;
open(my $o, '>>', '/data/lines') or die $!; print {$o} 'canary ' . ($ENV{TIEDOWN_CANARY} // 'no') . ", reached $reached\n"; close $o;
"#;

#[test]
fn a_release_is_tried_on_clones_that_cannot_reach_out() {
    let fleet = Fleet::new(144);
    fleet.store("one", "{ ewr = 2 }");
    let program = std::fs::read_to_string(fleet.repo().join("store/run.pl")).unwrap();
    fleet.commit("first");
    fleet.apply();
    fleet.post_everywhere("kept");
    let before = fleet.slots();
    let volumes = || fleet.status()["volumes"].as_array().unwrap().len();
    // Its host is the nearest that an instance can reach, and it listens here.
    let (net, _) = before[0].1.rsplit_once('.').unwrap();
    let gateway = format!("{net}.1");
    let _host = std::net::TcpListener::bind(format!("{gateway}:8080")).unwrap();
    fleet.write("store/run.pl", &format!("{REACHES}{program}"));
    let sick = reaching("two", &gateway, "SICK = \"yes\"\n").replace("20s", "3s");
    fleet.write("store/fly.toml", &sick);
    fleet.commit("sick");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert!(said.out.contains("a canary on clones of ewr/1"), "{said}");
    assert_eq!((fleet.slots(), volumes()), (before.clone(), 2), "nothing was touched or is left");
    fleet.assert_one_to_one();

    fleet.write("store/fly.toml", &reaching("three", &gateway, ""));
    fleet.commit("well");
    fleet.apply();
    assert_eq!(volumes(), 2, "the clones are gone");
    // What the canary wrote is gone with its clone; a slot's own instance reaches its host.
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\ncanary no, reached 1\n"));
    }
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}
