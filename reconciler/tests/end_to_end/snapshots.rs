//! A volume as it was: kept by hand while it is used, and put back.

use super::fleet::Fleet;
use serde_json::Value;

pub(crate) fn volumes(fleet: &Fleet) -> Vec<Value> {
    let said = fleet.run(&["volumes", "list", "--format", "json"]);
    let listed: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said}"));
    listed["volumes"].as_array().unwrap().clone()
}

pub(crate) fn id_of(fleet: &Fleet, what: impl Fn(&Value) -> bool) -> String {
    let found = volumes(fleet).into_iter().find(|volume| what(volume)).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_slot_goes_back_to_a_snapshot_and_to_what_it_had_before_that() {
    let fleet = Fleet::new(133);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    fleet.apply();
    fleet.post_everywhere("first");
    let own = id_of(&fleet, |volume| volume["state"] == "attached");

    let said = fleet.run(&["volumes", "snapshot", &own, "--name", "monday"]);
    if said.out.contains("cannot copy it meanwhile") {
        eprintln!("SKIPPED snapshots of volumes in use: volumes are directories here");
        return;
    }
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("Plan: 1 to add, 0 to change, 0 to destroy."), "{said}");
    fleet.post_everywhere("second");
    let snapshot = id_of(&fleet, |volume| volume["kind"] == "snapshot");
    let listed = fleet.run(&["volumes", "list"]);
    assert!(listed.out.contains(&format!("snapshot monday of {own}")), "{listed}");
    let shown = fleet.run(&["volumes", "show", &snapshot]);
    assert!(shown.out.contains(&format!("made of    {own}\n")), "{shown}");
    let told = fleet.run(&["why", &snapshot]);
    assert!(told.out.contains("snapshot"), "{told}");
    let said = fleet.run(&["volumes", "snapshot", &own, "--name", "monday"]);
    assert_eq!(said.code, 4, "{said}");
    fleet.assert_fixpoint();

    let said = fleet.run(&["volumes", "restore", &snapshot]);
    assert_eq!(said.code, 1, "nobody can be asked: {said}");
    let slots = fleet.slots();
    let said = fleet.run(&["volumes", "restore", &snapshot, "--auto-approve"]);
    assert_eq!(said.code, 0, "{said}");
    let (slot, address, _) = &slots[0];
    assert_eq!(fleet.lines(address), format!("first {slot}\n"));
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();

    // What was written since is where it was.
    let said = fleet.run(&["volumes", "restore", &own, "--auto-approve"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(fleet.lines(address), format!("first {slot}\nsecond {slot}\n"));
    fleet.assert_one_to_one();

    // The snapshot goes before the volume that it is of.
    let destroy =
        |id: &str| fleet.run(&["volumes", "destroy", id, "--auto-approve", "--allow-destroy"]);
    let said = destroy(&own);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.out.contains("keeps its data readable"), "{said}");
    let said = destroy(&snapshot);
    assert_eq!(said.code, 0, "{said}");
    assert!(volumes(&fleet).iter().all(|volume| volume["kind"] == "own"));
    assert_eq!(fleet.lines(address), format!("first {slot}\nsecond {slot}\n"));
    fleet.assert_fixpoint();
}
