//! A change that is applied before it is merged, as it was seen in review.

use super::fleet::{Fleet, store_manifest};
use serde_json::Value;

#[test]
fn a_change_is_applied_as_it_was_seen_and_touches_nothing_else() {
    let fleet = Fleet::new(199);
    fleet.store("one", "{ ewr = 1 }");
    let write = |env: &str| {
        fleet.write("web/run.pl", super::fleet::PROGRAM);
        fleet.write("web/fly.toml", &store_manifest("web", env, "{ ewr = 1 }"));
    };
    write("one");
    fleet.commit("two apps");
    fleet.apply();
    let before = fleet.slots();
    fleet.git(&["checkout", "-q", "-b", "change"]);
    write("two");
    // By its own settings it could do anything.
    let path = fleet.repo().join("tiedown.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("share = 1.0", "share = 0.5")).unwrap();
    fleet.commit("another release of one");
    let of = |args: &[&str]| fleet.run(&[args, &["--base", "main", "--head", "change"]].concat());
    let said = of(&["plan", "--format", "json"]);
    let plan: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(plan["tiedown"]["change"]["apps"], serde_json::json!(["web"]));
    let digest = &plan["tiedown"]["digest"].as_str().unwrap()[..12];
    let said = of(&["apply", "--auto-approve", "--digest", "0123456789ab"]);
    assert!(said.code == 3 && said.err.contains("the plan is"), "{said}");
    let said = of(&["apply", "--auto-approve", "--digest", digest]);
    assert_eq!(said.code, 0, "{said}");
    let after = fleet.slots();
    let env = |address: &str| fleet.http(address, "GET", "/env", "").unwrap();
    assert!(env(&after[1].1).contains("VERSION=two"));
    assert_eq!(before[0], after[0], "the other app is as it was");
    // Done once, it is not that plan any more.
    let said = of(&["apply", "--auto-approve", "--digest", digest]);
    assert_eq!(said.code, 3, "{said}");
    // Merged, there is nothing left to do.
    fleet.git(&["checkout", "-q", "main"]);
    fleet.git(&["merge", "-q", "--no-ff", "-m", "merged", "change"]);
    fleet.assert_fixpoint();
    fleet.assert_one_to_one();
}
