//! What users do: deploy, look, scale, redeploy, and find their data where they left it.

use super::fleet::{Fleet, eventually, store_manifest};

/// An id that no account of a test machine has.
pub(crate) const ORDINARY_USER: u32 = 61_234;

#[test]
fn a_commit_becomes_running_slots_and_data_outlives_a_redeploy() {
    deploy_and_redeploy(&Fleet::new(81));
}

#[test]
fn the_same_as_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        crate::skipped("another user: only root can become one; all other tests run as this one");
        return;
    }
    deploy_and_redeploy(&Fleet::of_user(82, Some(ORDINARY_USER)));
}

fn deploy_and_redeploy(fleet: &Fleet) {
    fleet.store("one", "{ ewr = 2, ord = 1 }");
    fleet.commit("first");
    let said = fleet.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(said.code, 2, "{said}");
    assert!(said.out.contains("Plan: 6 to add, 0 to change, 0 to destroy."), "{said}");
    let applied = fleet.apply();
    fleet.assert_fixpoint();
    fleet.assert_one_to_one();
    let loose = fleet.run(&["doctor"]).out.contains("size is not enforced");
    for said in [applied, fleet.run(&["status"]), fleet.run(&["volumes", "list"])] {
        let note = "Sizes of volumes are not enforced on ewr-1, ewr-2, ord-1.";
        assert_eq!(said.out.contains(note), loose, "every listing says so: {said}");
    }
    fleet.post_everywhere("before");
    let before = fleet.slots();
    assert_eq!(before.len(), 3);
    let env = fleet.http(&before[0].1, "GET", "/env", "").unwrap();
    for line in ["FLY_APP_NAME=store", "FLY_REGION=ewr", "PRIMARY_REGION=ewr", "VERSION=one"] {
        assert!(env.contains(line), "{line} is not in\n{env}");
    }

    fleet.write("README.md", "A commit that changes nothing that runs.\n");
    fleet.commit("readme");
    fleet.assert_fixpoint();

    fleet.store("two", "{ ewr = 2, ord = 1 }");
    fleet.commit("second");
    let said = fleet.apply();
    assert!(said.out.contains("Plan: 0 to add, 3 to change, 0 to destroy."), "{said}");
    let after = fleet.slots();
    for ((slot, address, old), (_, address_after, new)) in before.iter().zip(&after) {
        assert_eq!(address, address_after, "an address is stable per slot");
        assert_ne!(old, new, "a new release is a new instance");
        assert_eq!(fleet.lines(address), format!("before {slot}\n"));
        assert!(fleet.http(address, "GET", "/env", "").unwrap().contains("VERSION=two"));
    }
    fleet.assert_fixpoint();
    fleet.assert_one_to_one();
}

#[test]
fn scale_up_adds_as_many_volumes_as_instances_and_back_takes_them_back() {
    let fleet = Fleet::new(83);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one");
    fleet.apply();
    fleet.store("one", "{ ewr = 3 }");
    fleet.commit("three");
    let said = fleet.apply();
    assert!(said.out.contains("Plan: 4 to add, 0 to change, 0 to destroy."), "{said}");
    fleet.assert_one_to_one();
    fleet.post_everywhere("kept");

    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one again");
    fleet.apply();
    fleet.assert_one_to_one();
    assert_eq!(fleet.slots().len(), 1);
    let retired = |fleet: &Fleet| {
        let status = fleet.status();
        let volumes = status["volumes"].as_array().unwrap();
        volumes.iter().filter(|volume| volume["state"] == "retired").count()
    };
    assert_eq!(retired(&fleet), 2);

    fleet.store("one", "{ ewr = 3 }");
    fleet.commit("three again");
    fleet.apply();
    fleet.assert_one_to_one();
    assert_eq!(retired(&fleet), 0);
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
    fleet.assert_fixpoint();
}

#[test]
fn a_removed_app_keeps_its_volumes_and_an_older_commit_changes_nothing() {
    let fleet = Fleet::new(84);
    fleet.store("one", "{ ewr = 1 }");
    fleet.write(
        "other/run.pl",
        &std::fs::read_to_string(fleet.repo().join("store/run.pl")).unwrap(),
    );
    fleet.write("other/fly.toml", &store_manifest("other", "one", "{ ord = 1 }"));
    fleet.commit("two apps");
    fleet.apply();
    fleet.git(&["rm", "-rq", "other"]);
    fleet.commit("one app");
    let said = fleet.apply();
    assert!(said.out.contains("0 to destroy"), "{said}");
    assert_eq!(fleet.slots().len(), 1);
    fleet.assert_one_to_one();

    let said = fleet.run(&["apply", "--auto-approve", "--rev", "HEAD~1"]);
    assert_eq!(said.code, 4, "{said}");
    assert_eq!(fleet.slots().len(), 1);
    fleet.assert_fixpoint();
}

#[test]
fn a_volume_grows_while_it_is_used_and_never_shrinks() {
    let fleet = Fleet::new(85);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("1 GB");
    fleet.apply();
    fleet.post_everywhere("before");
    let instance = fleet.slots()[0].2.clone();
    for (size, bytes) in [("2gb", 2_000_683_008_u64), ("1gb", 2_000_683_008)] {
        let manifest = store_manifest("store", "one", "{ ewr = 1 }").replace("1gb", size);
        fleet.write("store/fly.toml", &manifest);
        fleet.commit(size);
        fleet.apply();
        let volume = fleet.status()["volumes"][0].clone();
        assert_eq!(volume["size_bytes"].as_u64().unwrap(), bytes, "{volume}");
    }
    assert_eq!(fleet.slots()[0].2, instance, "growing restarts nothing");
    let lines = fleet.lines(&fleet.slots()[0].1);
    assert_eq!(lines, "before store/app/ewr/1\n");
}

#[test]
fn logs_and_history_tell_what_was_said_and_done() {
    let fleet = Fleet::new(86);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one");
    fleet.apply();
    let said = fleet.run(&["history"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("done"), "{said}");
    fleet.write("store/run.pl", "print STDERR \"said by the program\\n\"; sleep 1000;\n");
    fleet.commit("says something and does not serve");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    eventually("the log", || {
        fleet.run(&["logs", "store/app/ewr/1"]).out.contains("said by the program")
    });
}

#[test]
fn a_host_takes_another_name_and_another_and_nothing_moves() {
    let fleet = Fleet::new(88);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("first");
    fleet.apply();
    fleet.post_everywhere("kept");
    let before = fleet.slots();
    let settings = std::fs::read_to_string(fleet.repo().join("tiedown.toml")).unwrap();
    for name in ["east-2", "east-3"] {
        let renamed = format!("name = {name:?}\nwas = \"ewr-2\"\n");
        fleet.write("tiedown.toml", &settings.replace("name = \"ewr-2\"\n", &renamed));
        fleet.commit(name);
        let said = fleet.apply();
        assert!(said.out.contains("No changes."), "{said}");
        assert_eq!(fleet.slots(), before);
        let hosts = fleet.status()["hosts"].as_array().unwrap().clone();
        assert!(hosts.iter().any(|host| host["name"] == name), "{hosts:?}");
        fleet.assert_one_to_one();
    }
    fleet.store("two", "{ ewr = 2 }");
    fleet.commit("second");
    fleet.apply();
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
    fleet.assert_fixpoint();
}

#[test]
fn instances_can_have_the_network_of_their_machine() {
    let fleet = Fleet::new(87);
    let hosts = fleet.settings(&[("ewr-1", "ewr"), ("ewr-2", "ewr")]);
    let hosts = hosts.replace("\"process\" }", "\"process\", network = \"host\" }");
    fleet.write("tiedown.toml", &hosts.replace("\"10.87.", "\"127.87."));
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("one");
    let said = fleet.apply();
    assert!(said.out.contains("FLY_PRIVATE_IP"), "the plan names who could meet: {said}");
    fleet.post_everywhere("kept");
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}
