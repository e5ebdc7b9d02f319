//! Pushes without end while passes are killed: at the end the fleet is as the last commit wants
//! it, and the daemon has grown neither in memory nor in files nor in processes. `TIEDOWN_PUSHES`
//! says how many.

use super::daemon::Daemon;
use super::{followed, version};
use crate::end_to_end::crashes::Dice;
use crate::end_to_end::fleet::{Fleet, eventually, kill_9};
use std::fs;
use std::time::Duration;

/// Of a process: resident kilobytes, and open files while no pass has any open: the fewest for
/// some time.
fn held(pid: u32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    let files = (0..50).map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(usize::MAX, Iterator::count)
    });
    (kilobytes.unwrap_or_default(), files.min().unwrap_or_default())
}

fn push(fleet: &Fleet, number: u64, dice: &mut Dice) {
    let ewr = 1 + dice.below(2);
    fleet.store(&format!("push {number}"), &format!("{{ ewr = {ewr}, ord = 1 }}"));
    fleet.commit(&format!("push {number}"));
}

#[test]
fn pushes_while_passes_are_killed_end_in_the_last_commit() {
    let pushes = std::env::var("TIEDOWN_PUSHES").ok().and_then(|text| text.parse().ok());
    let pushes: u64 = pushes.unwrap_or(12);
    let fleet = followed(184, "");
    let path = fleet.repo().join("tiedown.toml");
    let text = fs::read_to_string(&path).unwrap();
    // Scaling down is part of it, and nobody is there to approve.
    let all = "[policy]\nauto = \"all\"\n";
    let text = text.replacen("[policy]\n", all, 1).replace("count = 100,", "count = 100000,");
    fs::write(&path, text).unwrap();
    let mut dice = Dice::seeded();
    push(&fleet, 0, &mut dice);
    let mut daemon = Daemon::start(&fleet, 184, &[]);
    daemon.settled("the first commit");
    let mut first = held(daemon.pid());
    let mut killed = 0;
    for number in 1..=pushes {
        push(&fleet, number, &mut dice);
        // Not a wait for a state: the moment is what is random here.
        std::thread::sleep(Duration::from_millis(dice.below(800)));
        if dice.below(4) == 0 {
            kill_9(daemon.pid());
            killed += 1;
            daemon = Daemon::start(&fleet, 184, &[]);
            if killed % 16 == 1 {
                daemon.settled("after a kill");
                first = held(daemon.pid());
            }
        }
    }
    // And once more without kills: what leaks, leaks here.
    for number in 1..=pushes {
        push(&fleet, pushes + number, &mut dice);
        std::thread::sleep(Duration::from_millis(dice.below(400)));
    }
    daemon.settled("the last commit");
    let last = held(daemon.pid());
    println!("{pushes} pushes twice, {killed} kills; KB and files: {first:?} -> {last:?}");
    assert!(killed > 0, "nothing was killed");
    assert!(last.0 < first.0 + 24 * 1024, "memory: {first:?} -> {last:?}");
    assert!(last.1 <= first.1 + 4, "files: {first:?} -> {last:?}");
    for (_, address, _) in fleet.slots() {
        let wanted = format!("push {}", 2 * pushes);
        eventually("the last commit", || version(&fleet, &address) == wanted);
    }
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid()));
    assert_eq!(children.unwrap_or_default().trim(), "", "processes that nobody waits for");
    daemon.end();
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}
