//! Rollouts and changes of scale while whatever is of the fleet is killed at random: tiedown,
//! supervisors, what is under them, the engine. At no moment a volume is under two trees or are more
//! slots down by tiedown's own hand than may be, and the end is one to one with nothing lost. `STRESS`
//! says how many rounds.

use super::crashes::Dice;
use super::docker;
use super::fleet::{Fleet, eventually, kill_9};
use super::outages::{Outages, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

fn rounds(otherwise: usize) -> usize {
    std::env::var("STRESS").ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Applies while one after another is killed. `hits` is told of each before.
fn disturbed(fleet: &Fleet, dice: &mut Dice, hits: &dyn Fn(u32)) {
    let mut apply = fleet.spawn(&["apply", "--auto-approve", "--retry"]);
    for _ in 0..3 {
        // Not a wait for a state: the moment is what is random here.
        std::thread::sleep(Duration::from_millis(dice.below(900)));
        let all = fleet.processes();
        let victim = all.get(usize::try_from(dice.below(1 + all.len() as u64)).unwrap());
        if let Some(victim) = victim.copied() {
            hits(victim);
            kill_9(victim);
        }
        one_tree_each(fleet);
    }
    let _ = apply.kill();
    apply.wait().unwrap();
}

/// No volume's image is attached twice, and no file system of one is mounted for two trees.
/// How many trees there are in all.
fn one_tree_each(fleet: &Fleet) -> usize {
    let state = fleet.state().display().to_string();
    let mut devices: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        let of = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        let device = fs::read_to_string(entry.path().join("dev")).unwrap_or_default();
        if of.starts_with(&state) {
            devices.entry(of.trim().to_owned()).or_default().insert(device.trim().to_owned());
        }
    }
    let mut spaces: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(space) = fs::read_link(entry.path().join("ns/mnt")) else { continue };
        let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        // The machine's own has those of containers too, for their engine.
        let seen = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        for fields in seen.filter(|fields| fields.get(4) == Some(&"/data")) {
            spaces.entry(fields[2].to_owned()).or_default().insert(space.clone());
        }
    }
    let mut all = 0;
    for (image, devices) in devices {
        assert!(devices.len() < 2, "{image} is attached as {devices:?}");
        for device in devices {
            let trees = spaces.get(&device).map_or(0, BTreeSet::len);
            assert!(trees < 2, "{image} is under {trees} trees");
            all += trees;
        }
    }
    all
}

/// Applies until it is done: what was killed on its way up is a failed release, and tried again.
fn settle(fleet: &Fleet) {
    let mut said = fleet.run(&["apply", "--auto-approve", "--retry"]);
    for _ in 0..4 {
        if said.code == 0 {
            break;
        }
        said = fleet.run(&["apply", "--auto-approve", "--retry"]);
    }
    assert_eq!(said.code, 0, "it does not come to rest: {said}");
    // A program that was killed is started again after a pause. Directories are mounted for nobody.
    let slots = fleet.slots().len();
    let are_images = fleet.status()["hosts"][0]["sizes_enforced"] == true;
    eventually("a tree for each slot", || one_tree_each(fleet) == slots || !are_images);
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn whatever_is_killed_meanwhile_the_end_is_one_to_one() {
    let fleet = Fleet::new(148);
    let mut dice = Dice::seeded();
    let mut all = Seen::default();
    let rounds = rounds(3);
    for round in 0..rounds {
        let (scale, stay) = SCALES[round % SCALES.len()];
        fleet.store(&format!("round {round}"), scale);
        fleet.commit("round");
        let outages = Outages::of(&fleet, stay);
        let seen = std::thread::scope(|scope| {
            let watch = scope.spawn(|| outages.watch());
            let _end = Ends(&outages);
            disturbed(&fleet, &mut dice, &|pid| outages.hits(pid));
            settle(&fleet);
            outages.end();
            watch.join().unwrap()
        });
        // Of those that stay and of all that there are at the end: the more slots the more may be down.
        let most = stay.len().max(outages.count()).div_ceil(3);
        assert!(seen.most.len() <= most, "{:?} were down at once, not {most}", seen.most);
        all.outages += seen.outages;
        all.most = if seen.most.len() > all.most.len() { seen.most } else { all.most };
        for (slot, address, _) in fleet.slots() {
            eventually("an answer", || fleet.http(&address, "GET", "/health", "").is_ok());
            let lines = fleet.lines(&address);
            assert!(lines.lines().all(|line| line.ends_with(&slot)), "another's data: {lines}");
            fleet.http(&address, "POST", "/", &format!("{round} {slot}")).unwrap();
        }
        let first = fleet.slots().remove(0);
        assert_eq!(first.0, "store/app/ewr/1");
        assert_eq!(fleet.lines(&first.1).lines().count(), round + 1, "a line was lost");
    }
    assert!(all.outages > 0, "nobody was ever seen down");
    eprintln!("{rounds} rounds; down at once by tiedown's own hand: {:?} at most", all.most);
}

/// Ends the watch, also where a test fails.
struct Ends<'a>(&'a Outages);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Scales, one after another, with the slots that there are by then: of one and of the next those
/// that are in both stay.
const SCALES: [(&str, &[&str]); 3] = [
    ("{ ewr = 3, ord = 1 }", &["ewr/1", "ewr/2", "ewr/3", "ord/1"]),
    ("{ ewr = 2, ord = 1 }", &["ewr/1", "ewr/2", "ord/1"]),
    ("{ ewr = 2 }", &["ewr/1", "ewr/2"]),
];

#[test]
fn whatever_is_killed_beside_containers_the_end_is_one_to_one() {
    let Some(mut engine) = docker::engine("containers under stress") else { return };
    engine.image("store:1", &["CMD [\"/bin/sh\", \"/start\"]"]);
    let fleet = docker::fleet(164, &engine);
    let mut dice = Dice::seeded();
    for round in 0..rounds(1) {
        fleet.write("store/fly.toml", &docker::manifest("store:1", &format!("v{round}")));
        fleet.commit("round");
        if round == 0 {
            fleet.apply();
        }
        disturbed(&fleet, &mut dice, &|_| ());
        engine.kill();
        engine.up().unwrap();
        settle(&fleet);
        let lines = || docker::get(&fleet, 0, "/lines");
        eventually("the lines", || lines().lines().filter(|line| *line == "kept").count() == round);
        let put = docker::get(&fleet, 0, "/cgi-bin/put?kept");
        assert_eq!(put.trim(), "kept");
    }
}
