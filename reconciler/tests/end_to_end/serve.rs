//! A daemon that follows a branch: hosts follow every push, drift is set right or told as the
//! policy says, what takes something away waits, and of two daemons one acts.

mod daemon;
mod remote;
mod setback;
mod soak;

use super::fleet::{Fleet, eventually, kill_9, store_manifest};
use daemon::Daemon;
use std::fs;
use std::time::{Duration, Instant};

/// The fleet's own repository is followed; `extra` is added to its tiedown.toml.
fn followed(net: u8, extra: &str) -> Fleet {
    let fleet = Fleet::new(net);
    let settings = fleet.settings(&[("ewr-1", "ewr"), ("ord-1", "ord")]);
    fleet.write("tiedown.toml", &settings.replacen("[policy]\n", &format!("{extra}[policy]\n"), 1));
    fleet
}

fn version(fleet: &Fleet, address: &str) -> String {
    // A slot that is only just being made has none yet.
    let env = match address.is_empty() {
        true => String::new(),
        false => fleet.http(address, "GET", "/env", "").unwrap_or_default(),
    };
    let line = env.lines().find_map(|line| line.strip_prefix("VERSION="));
    line.unwrap_or_default().to_owned()
}

#[test]
fn hosts_follow_the_branch_and_drift_is_set_right() {
    let fleet = followed(173, "");
    fleet.store("one", "{ ewr = 1, ord = 1 }");
    fleet.commit("two stores");
    let daemon = Daemon::start(&fleet, 173, &[]);
    daemon.settled("the first commit");
    assert_eq!(fleet.slots().len(), 2);
    fleet.post_everywhere("kept");

    // From the push to the first step.
    let before = daemon.steps();
    fleet.store("two", "{ ewr = 1, ord = 1 }");
    let pushed = Instant::now();
    fleet.commit("a new release");
    daemon.until("the first step", |log| log.matches("step begins").count() > before);
    let took = pushed.elapsed();
    println!("from commit to first step: {took:?}");
    // Of other tests at the same time the machine has its share.
    assert!(took < Duration::from_secs(5), "{took:?}");
    daemon.settled("the second commit");
    for (slot, address, _) in fleet.slots() {
        assert_eq!(version(&fleet, &address), "two");
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }

    // Somebody kills an instance and its supervisor: the next look sets it right.
    let address = fleet.slots()[0].1.clone();
    fleet.processes().iter().filter(|pid| **pid != daemon.pid()).for_each(|pid| kill_9(*pid));
    daemon.look_again(&fleet);
    eventually("it serves again", || version(&fleet, &address) == "two");
    daemon.end();
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn drift_that_is_not_to_be_healed_is_told() {
    let fleet = followed(174, "");
    let path = fleet.repo().join("tiedown.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("[policy]\n", "[policy]\ndrift = { state = \"warn\" }\n", 1))
        .unwrap();
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store");
    let daemon = Daemon::start(&fleet, 174, &[]);
    daemon.settled("the first commit");
    fleet.processes().iter().filter(|pid| **pid != daemon.pid()).for_each(|pid| kill_9(*pid));
    daemon.look_again(&fleet);
    daemon.until("it is told", |log| log.contains("drift object=\"slot store/app/ewr/1\""));
    let metrics = daemon.get("/metrics").1;
    assert!(metrics.contains("tiedown_drift_objects 1"), "{metrics}");
    let ill = "tiedown_app_info{app=\"store\",sync=\"synced\",health=\"ill\"} 1";
    assert!(metrics.contains(ill), "{metrics}");
    daemon.end();
    assert_eq!(fleet.run(&["drift"]).code, 2, "it was left as it is");
}

#[test]
fn what_takes_something_away_waits_until_it_is_approved_and_pauses_hold() {
    let fleet = followed(175, "");
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("two stores");
    let daemon = Daemon::start(&fleet, 175, &[]);
    daemon.settled("the first commit");
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store");
    daemon.settled("the second commit");
    assert_eq!(fleet.slots().len(), 2);
    let waiting = daemon.json("/api/v1/report")["waiting"].clone();
    assert_eq!(waiting[0]["app"], "store", "{waiting}");
    let digest = waiting[0]["digest"].as_str().unwrap().to_owned();

    // Paused, not even what was approved is done.
    let said = fleet.run(&["pause", "store", "--why", "a migration"]);
    assert_eq!(said.code, 0, "{said}");
    let said = fleet.run(&["approve", &digest[..12]]);
    assert_eq!(said.code, 0, "{said}");
    daemon.until("it is paused", |log| log.contains("it is paused by"));
    assert_eq!(fleet.slots().len(), 2);
    assert_eq!(fleet.run(&["unpause", "stroe"]).code, 1);
    assert_eq!(fleet.run(&["unpause", "store"]).code, 0);
    eventually("it is done", || fleet.slots().len() == 1);

    // The approval is used up: the same again waits again.
    daemon.settled("the approval");
    let said = fleet.run(&["approve"]);
    assert_eq!(said.out, "Nothing waits for a person.\n", "{said}");
    daemon.end();
    fleet.assert_one_to_one();
}

#[test]
fn other_rules_wait_and_a_freeze_stops_everything() {
    let fleet = followed(176, "");
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store");
    let pass = |fleet: &Fleet| fleet.run(&["serve", "--once"]);
    assert_eq!(pass(&fleet).code, 0);
    // A commit that lets everything happen, and takes something away.
    let path = fleet.repo().join("tiedown.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("[policy]\n", "[policy]\nauto = \"all\"\n", 1)).unwrap();
    fleet.store("one", "{ ewr = 0 }");
    fleet.commit("all at once");
    let said = pass(&fleet);
    assert_eq!(said.code, 8, "{said}");
    assert!(said.out.contains("other rules") && said.out.contains("it removes"), "{said}");
    assert_eq!(fleet.slots().len(), 1);
    let said = fleet.run(&["approve", "--format", "json"]);
    let waiting: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let digest = waiting["waiting"][0]["digest"].as_str().unwrap();
    assert_eq!(fleet.run(&["approve", digest]).code, 0);
    let said = pass(&fleet);
    assert_eq!((said.code, fleet.slots().len()), (0, 0), "{said}");
    // A freeze, in force from the first commit of another fleet.
    let frozen = followed(177, "[serve]\nfreezes = [\"daily 00:00-00:00\"]\n");
    frozen.store("one", "{ ewr = 1 }");
    frozen.commit("one store");
    let said = pass(&frozen);
    assert!(said.code == 8 && said.out.contains("there is a freeze"), "{said}");
    assert_eq!(frozen.slots().len(), 0);
}

#[test]
fn a_broken_manifest_stops_no_other_app_and_removes_nothing() {
    let fleet = followed(178, "");
    let write = |app: &str, env: &str| {
        fleet.write(&format!("{app}/run.pl"), super::fleet::PROGRAM);
        fleet.write(&format!("{app}/fly.toml"), &store_manifest(app, env, "{ ewr = 1 }"));
    };
    for app in ["cart", "shop", "web"] {
        write(app, "one");
    }
    fleet.commit("three apps");
    assert_eq!(fleet.run(&["serve", "--once"]).code, 0);
    let by_app = |fleet: &Fleet| {
        let slots = fleet.slots().into_iter();
        let of = |(slot, address, _): (String, String, String)| {
            (slot.split('/').next().unwrap().to_owned(), version(fleet, &address))
        };
        slots.map(of).collect::<Vec<_>>()
    };
    // One is broken, one goes, one is new: the broken one is left as it is.
    let broken = store_manifest("cart", "two", "{ ewr = 1 }").replace("\"/data\"", "\"data\"");
    fleet.write("cart/fly.toml", &broken);
    write("shop", "two");
    fleet.commit("a mistake in one");
    let said = fleet.run(&["serve", "--once"]);
    assert_eq!(said.code, 7, "{said}");
    assert!(said.out.contains("its manifest has mistakes"), "{said}");
    let pair = |app: &str, version: &str| (app.to_owned(), version.to_owned());
    assert_eq!(by_app(&fleet), [pair("cart", "one"), pair("shop", "two"), pair("web", "one")]);
    // One that does not say which app it is of: nothing is removed, also what was deleted.
    fleet.write("cart/fly.toml", "app = \n");
    fs::remove_dir_all(fleet.repo().join("web")).unwrap();
    write("shop", "three");
    fleet.commit("no name, and one deleted");
    let said = fleet.run(&["serve", "--once"]);
    assert!(said.out.contains("does not say which app it is of"), "{said}");
    assert_eq!(by_app(&fleet), [pair("cart", "one"), pair("shop", "three"), pair("web", "one")]);
    let said = fleet.run(&["approve"]);
    assert_eq!(said.out, "Nothing waits for a person.\n", "a removal is not even offered: {said}");
}

#[test]
fn nothing_is_done_before_every_host_was_read_once() {
    let fleet = followed(179, "");
    fleet.store("one", "{ ewr = 1, ord = 1 }");
    fleet.commit("two stores");
    assert_eq!(fleet.run(&["serve", "--once"]).code, 0);
    // The other host's pool is not there: that it is empty is not believed.
    let pool = fleet.state().join("hosts/ord-1/pool.json");
    let away = fleet.state().join("hosts/ord-1/pool.away");
    fs::rename(&pool, &away).unwrap();
    fleet.store("one", "{ ewr = 2, ord = 1 }");
    fleet.commit("one more, on the host that answers");
    let daemon = Daemon::start(&fleet, 179, &[]);
    daemon.until("it waits", |log| log.contains("nothing is done before every host was read once"));
    assert_eq!((daemon.get("/readyz").0, daemon.steps()), (503, 0));
    fs::rename(&away, &pool).unwrap();
    daemon.look_again(&fleet);
    daemon.settled("the host is back");
    assert_eq!((daemon.get("/readyz").0, fleet.slots().len()), (200, 3));
    daemon.end();
}

#[test]
fn of_two_daemons_one_acts_and_the_other_takes_over() {
    let fleet = followed(180, "");
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store");
    let first = Daemon::start(&fleet, 180, &[]);
    first.settled("the first commit");
    let second = Daemon::start(&fleet, 181, &["--log-format", "json"]);
    second.until("it stands by", |log| log.contains("answering"));
    eventually("it says why", || second.get("/readyz").1.contains("runs the passes"));
    let said = fleet.run(&["down", "--purge", "--auto-approve"]);
    assert_eq!(said.code, 5, "nobody takes the fleet down meanwhile: {said}");
    let last = first.json("/api/v1/status")["serve"]["last_pass"].clone();
    kill_9(first.pid());
    fleet.store("two", "{ ewr = 1 }");
    fleet.commit("a new release");
    second.settled("it took over");
    assert!(second.steps() > 0);
    assert_eq!(version(&fleet, &fleet.slots()[0].1), "two");
    let log = second.log();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begins = lines.iter().find(|line| line["fields"]["message"] == "step begins").unwrap();
    let spans = begins["spans"].as_array().unwrap().iter().map(|span| span["name"].as_str());
    assert_eq!(spans.collect::<Vec<_>>(), [Some("pass"), Some("rollout")], "{begins}");
    // What was is known to whoever comes later.
    second.end();
    let third = Daemon::start(&fleet, 180, &[]);
    third.settled("the third one");
    let runs = third.json("/api/v1/history")["runs"].as_array().unwrap().len();
    assert_eq!(runs, 2, "both releases");
    assert!(last["at"].is_string(), "{last}");
    third.end();
    drop(first);
}
