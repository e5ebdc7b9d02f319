//! An app that fails is tried again by itself, later, and alone.

use super::daemon::Daemon;
use super::{followed, version};
use crate::end_to_end::fleet::{Fleet, PROGRAM, eventually, store_manifest};
use std::fs;

fn write(fleet: &Fleet, app: &str, region: &str, env: &str) {
    fleet.write(&format!("{app}/run.pl"), &format!("{PROGRAM}# {env}\n"));
    let scale = format!("{{ {region} = 1 }}");
    fleet.write(&format!("{app}/fly.toml"), &store_manifest(app, env, &scale));
}

fn versions(fleet: &Fleet) -> Vec<String> {
    fleet.slots().iter().map(|(_, address, _)| version(fleet, address)).collect()
}

#[test]
fn an_app_that_fails_is_tried_again_alone() {
    let fleet = followed(198, "");
    write(&fleet, "shop", "ewr", "one");
    write(&fleet, "web", "ord", "one");
    fleet.commit("two apps on two hosts");
    let daemon = Daemon::start(&fleet, 198, &[]);
    daemon.settled("the first commit");
    assert_eq!(versions(&fleet), ["one", "one"]);
    // Where one host keeps what it starts there is something else.
    let trees = fleet.state().join("hosts/ewr-1/trees");
    let away = fleet.state().join("hosts/ewr-1/trees.away");
    fs::rename(&trees, &away).unwrap();
    fs::write(&trees, "").unwrap();
    write(&fleet, "shop", "ewr", "two");
    write(&fleet, "web", "ord", "two");
    fleet.commit("a new release of both");
    daemon.until("it failed", |log| log.contains("it failed once and is tried again at"));
    eventually("the other one goes on", || versions(&fleet).last().unwrap() == "two");
    assert_ne!(versions(&fleet)[0], "two");
    let waiting = daemon.json("/api/v1/report")["waiting"].clone();
    assert_eq!((&waiting[0]["app"], waiting.as_array().unwrap().len()), (&"shop".into(), 1));
    // Until then nothing is tried, however often it is looked.
    let failures = |daemon: &Daemon| daemon.log().matches("ERROR").count();
    let before = failures(&daemon);
    fs::remove_file(&trees).unwrap();
    fs::rename(&away, &trees).unwrap();
    eventually("it is tried again by itself", || versions(&fleet) == ["two", "two"]);
    assert!(failures(&daemon) <= before + 1, "{}", daemon.log());
    daemon.settled("both are as they should be");
    assert_eq!(daemon.json("/api/v1/report")["waiting"], serde_json::json!([]));
    daemon.end();
    fleet.assert_one_to_one();
}
