//! A slot whose new release does not come up goes back to the one before, on the same volumes or on
//! what they held just before.

use super::fleet::{Fleet, PROGRAM, Said, eventually, store_manifest};
use super::snapshots::{id_of, volumes};

fn going_back(version: &str) -> String {
    store_manifest("store", version, "{ ewr = 2 }").replace("20s", "10s")
        + "[tiedown]\nrevert = \"release\"\n"
}

fn versions(fleet: &Fleet) -> Vec<String> {
    let version = |address: &str| {
        let env = fleet.http(address, "GET", "/env", "").unwrap_or_default();
        let line = env.lines().find_map(|line| line.strip_prefix("VERSION=").map(str::to_owned));
        line.unwrap_or_default()
    };
    fleet.slots().iter().map(|(_, address, _)| version(address)).collect()
}

#[test]
fn a_slot_goes_back_to_the_tree_and_the_environment_that_it_had() {
    let fleet = Fleet::new(146);
    fleet.write("store/run.pl", PROGRAM);
    fleet.write("store/fly.toml", &going_back("one"));
    fleet.commit("good");
    fleet.apply();
    fleet.post_everywhere("kept");
    let before = fleet.slots();

    // Another tree, whose program does not come up in the second slot.
    let fails = "use strict; use warnings;\ndie \"not here\\n\" if $ENV{TIEDOWN_SLOT} =~ m{/2$};\n";
    fleet.write("store/run.pl", &format!("{fails}{PROGRAM}"));
    fleet.write("store/fly.toml", &going_back("two"));
    fleet.commit("fails in the middle");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert!(said.out.contains("if it does not come up, the slot goes back to release "), "{said}");
    eventually("an answer", || versions(&fleet) == ["two", "one"]);
    let after = fleet.slots();
    assert_eq!((&after[1].1, &after[1].2), (&before[1].1, &before[1].2), "as it was");
    for (slot, address, _) in &after {
        assert_eq!(fleet.lines(address), format!("kept {slot}\n"));
    }
    fleet.assert_one_to_one();
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "it is remembered, and not tried again by itself: {said}");
    assert_eq!(versions(&fleet), ["two", "one"]);

    fleet.write("store/run.pl", PROGRAM);
    fleet.write("store/fly.toml", &going_back("three"));
    fleet.commit("good again");
    fleet.apply();
    assert_eq!(versions(&fleet), ["three", "three"]);
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

/// Three slots, one after another, that go back to their data.
fn going_back_to_data(version: &str) -> String {
    store_manifest("store", version, "{ ewr = 2, ord = 1 }").replace("20s", "10s")
        + "[tiedown]\nrevert = \"snapshot\"\n"
}

/// What is said of slots that a failed release keeps where they are.
fn assert_kept_back(said: &Said) {
    assert_eq!(said.code, 8, "it is remembered, and not tried again by itself: {said}");
    let why = "failed on store/app/ewr/2";
    assert!(said.out.contains(why), "{said}");
    assert!(said.out.contains("ewr/2 and ord/1 stay as they are"), "{said}");
}

#[test]
fn a_slot_goes_back_to_the_data_that_it_had_and_the_others_wait_for_a_new_commit() {
    let fleet = Fleet::new(170);
    fleet.write("store/run.pl", PROGRAM);
    fleet.write("store/fly.toml", &going_back_to_data("one"));
    fleet.commit("good");
    fleet.apply();
    fleet.post_everywhere("kept");
    let (before, had) = (fleet.slots(), volumes(&fleet));

    // What fails in the second slot has written by then, and what was there is gone.
    let fails = "use strict; use warnings;\nif ($ENV{TIEDOWN_SLOT} =~ m{ewr/2$}) {\n\
                 open(my $o, '>', '/data/lines') or die $!; print {$o} \"spoilt\\n\"; close $o;\n\
                 die \"not here\\n\" }\n";
    fleet.write("store/run.pl", &format!("{fails}{PROGRAM}"));
    fleet.write("store/fly.toml", &going_back_to_data("two"));
    fleet.commit("spoils the data in the middle");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert!(said.out.contains("and its data changes: to copies of snapshots"), "{said}");
    eventually("an answer", || versions(&fleet) == ["two", "one", "one"]);
    let after = fleet.slots();
    assert_eq!(after[1..], before[1..], "as they were");
    for (slot, address, _) in &after {
        assert_eq!(fleet.lines(address), format!("kept {slot}\n"));
    }
    fleet.assert_one_to_one();
    let of_others = |volumes: &[serde_json::Value]| -> Vec<String> {
        let others = volumes.iter().filter(|volume| volume["slot"] != "store/app/ewr/2");
        let own = others.filter(|volume| volume["kind"] == "own");
        own.map(|volume| volume["id"].to_string()).collect()
    };
    assert_eq!(of_others(&volumes(&fleet)), of_others(&had));

    // The slots are healthy: the snapshots go, and nothing else is done.
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_kept_back(&said);
    assert!(said.out.contains("its slot is healthy"), "{said}");
    assert!(volumes(&fleet).iter().all(|volume| volume["kind"] == "own"));
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_kept_back(&said);
    assert_eq!(fleet.slots(), after);

    fleet.write("store/run.pl", PROGRAM);
    fleet.write("store/fly.toml", &going_back_to_data("three"));
    fleet.commit("good again");
    fleet.apply();
    assert_eq!(versions(&fleet), ["three", "three", "three"]);
    assert!(volumes(&fleet).iter().all(|volume| volume["kind"] == "own"));
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();

    // What the one that failed wrote is not lost.
    let retired = id_of(&fleet, |volume| volume["state"] == "retired");
    let said = fleet.run(&["volumes", "restore", &retired, "--auto-approve"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(fleet.lines(&after[1].1), "spoilt\n");
}
