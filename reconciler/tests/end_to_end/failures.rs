//! What goes wrong by itself or by hand: releases that fail, processes that die, hands that help.

use super::fleet::{Fleet, eventually, kill_9, processes_naming, store_manifest};
use std::fs;
use std::process::Command;

#[test]
fn a_failing_release_stops_its_rollout_and_is_not_tried_again_by_itself() {
    let fleet = Fleet::new(91);
    fleet.store("one", "{ ewr = 3 }");
    fleet.commit("good");
    fleet.apply();
    fleet.post_everywhere("kept");
    let sick = store_manifest("store", "two", "{ ewr = 3 }")
        .replace("[env]\n", "[env]\nSICK = \"yes\"\n")
        .replace("20s", "3s");
    fleet.write("store/fly.toml", &sick);
    fleet.commit("sick");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    let status = fleet.status();
    let versions: Vec<String> = status["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| {
            let address = slot["instance"]["address"].as_str().unwrap();
            fleet.http(address, "GET", "/env", "").unwrap()
        })
        .collect();
    let old = versions.iter().filter(|env| env.contains("VERSION=one")).count();
    assert_eq!(old, 2, "one of three failed, the others were not tried");
    fleet.assert_one_to_one();

    let again = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(again.code, 8, "a failed release is remembered: {again}");
    assert!(again.out.contains("--retry") || again.err.contains("--retry"), "{again}");

    fleet.store("three", "{ ewr = 3 }");
    fleet.commit("good again");
    fleet.apply();
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
    fleet.assert_fixpoint();
}

#[test]
fn drift_is_named_and_healed() {
    let fleet = Fleet::new(92);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("good");
    fleet.apply();
    fleet.post_everywhere("kept");
    let said = fleet.run(&["drift"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "quiet when clean: {said}");

    // A supervisor killed the hard way takes its instance with it.
    let supervisor = fleet.processes()[0];
    kill_9(supervisor);
    eventually("drift", || fleet.run(&["drift"]).code == 2);
    let said = fleet.run(&["drift"]);
    assert!(said.out.contains("died"), "{said}");
    fleet.apply();
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
}

#[test]
fn what_hands_did_is_named_whatever_it_was() {
    let fleet = Fleet::new(94);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("good");
    fleet.apply();
    fleet.post_everywhere("kept");
    let hosts = fleet.state().join("hosts");

    let (slot, _, instance) = fleet.slots().remove(0);
    let of_instance = || processes_naming(&hosts.join("ewr-1/instances").join(&instance));
    of_instance().into_iter().for_each(kill_9);
    eventually("it is gone", || of_instance().is_empty());
    fs::remove_dir_all(hosts.join("ewr-1/instances").join(&instance)).unwrap();
    let said = fleet.run(&["drift"]);
    assert_eq!(said.code, 2, "{said}");
    assert!(said.out.starts_with(&format!("slot {slot}: instance: runs ")), "{said}");
    assert!(said.out.ends_with(" -> absent\n"), "{said}");
    fleet.apply();

    let marks = hosts.join("ewr-2/pool.json");
    let written = fs::read_to_string(&marks).unwrap();
    fs::write(&marks, "half of it").unwrap();
    let said = fleet.run(&["drift"]);
    assert_eq!((said.code, said.out.as_str()), (7, ""), "{said}");
    assert!(said.err.contains("host ewr-2 could not be read"), "{said}");
    let said = fleet.run(&["status"]);
    assert_eq!(said.code, 7, "{said}");
    assert!(said.out.contains("unknown: its host was not read"), "{said}");
    fs::write(&marks, written).unwrap();

    let volume = fleet.status()["slots"][0]["volumes"][0]["id"].as_str().unwrap().to_owned();
    let image = hosts.join("ewr-1/volumes").join(&volume).join("image");
    if image.exists() {
        assert_eq!(fleet.run(&["down"]).code, 0);
        for program in [&["e2fsck", "-f", "-p"][..], &["resize2fs"]] {
            let size = (program[0] == "resize2fs").then_some("2G");
            let mut command = Command::new(program[0]);
            let done = command.args(&program[1..]).arg(&image).args(size).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        }
        let said = fleet.run(&["drift"]);
        assert_eq!(said.code, 2, "{said}");
        let line = format!("volume data of {slot} ({volume}): size: 1GB -> 2GiB\n");
        assert!(said.out.ends_with(&line), "{said}");
    } else {
        crate::skipped("a volume grown by hand: volumes are directories here, without a size");
    }
    fleet.apply();
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
}

#[test]
fn a_program_that_dies_is_restarted_by_its_supervisor() {
    let fleet = Fleet::new(93);
    fleet.store("one", "{ ewr = 1 }");
    let manifest =
        store_manifest("store", "one", "{ ewr = 1 }") + "\n[[restart]]\npolicy = \"always\"\n";
    fleet.write("store/fly.toml", &manifest);
    fleet.commit("good");
    fleet.apply();
    let (_, address, _) = fleet.slots().remove(0);
    let serving = || fleet.http(&address, "GET", "/health", "").is_ok();
    assert!(serving());
    let program = perl_of(&fleet);
    kill_9(program);
    eventually("another program", || {
        let now = perl_of_any(&fleet);
        now.is_some_and(|pid| pid != program) && serving()
    });
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

fn perl_of(fleet: &Fleet) -> u32 {
    perl_of_any(fleet).expect("the program runs")
}

/// The program: the child of the init of the instance, found by its environment.
fn perl_of_any(fleet: &Fleet) -> Option<u32> {
    let instance = fleet.slots().first().map(|slot| slot.2.clone())?;
    let marker = format!("FLY_MACHINE_ID={instance}");
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let env = fs::read(entry.path().join("environ")).ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let says = |bytes: &[u8], word: &str| String::from_utf8_lossy(bytes).contains(word);
        (says(&env, &marker) && says(&command, "run.pl")).then_some(pid)
    })
}
