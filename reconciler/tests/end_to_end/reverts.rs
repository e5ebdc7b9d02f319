//! A slot whose new release does not come up goes back to the one before, on the same volumes.

use super::fleet::{Fleet, PROGRAM, eventually, store_manifest};

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
