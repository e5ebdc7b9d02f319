//! `kill -9` at any moment: of tiedown while it applies, of supervisors and what is under them.
//! The next apply ends in the same place, with nothing lost, leaked or doubled.

use super::fleet::{Fleet, eventually, kill_9};
use std::time::Duration;

/// A small deterministic generator: the seed is printed, and a failure can be run again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var("TIEDOWN_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or(0x5eed_0001);
        eprintln!("TIEDOWN_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn apply_killed_at_any_moment_ends_in_the_same_place() {
    let fleet = Fleet::new(101);
    let mut dice = Dice::seeded();
    let scales = ["{ ewr = 2 }", "{ ewr = 3, ord = 1 }", "{ ewr = 1, ord = 1 }"];
    for round in 0..6 {
        fleet.store(&format!("round {round}"), scales[round % scales.len()]);
        fleet.commit("round");
        for _ in 0..2 {
            let mut apply = fleet.spawn(&["apply", "--auto-approve"]);
            // Not a wait for a state: the moment of the cut is what is random here.
            std::thread::sleep(Duration::from_millis(dice.below(1500)));
            let _ = apply.kill();
            let _ = apply.wait();
        }
        fleet.apply();
        fleet.assert_one_to_one();
        fleet.assert_fixpoint();
        for (slot, address, _) in fleet.slots() {
            let lines = fleet.lines(&address);
            assert!(
                lines.lines().all(|line| line.ends_with(&slot)),
                "another slot's data: {lines}"
            );
            let line = format!("round {round}");
            fleet.http(&address, "POST", "/", &format!("{line} {slot}")).unwrap();
        }
        let first = fleet.slots().remove(0);
        assert_eq!(first.0, "store/app/ewr/1");
        let lines = fleet.lines(&first.1);
        assert_eq!(lines.lines().count(), round + 1, "a line was lost: {lines}");
    }
}

#[test]
fn supervisors_and_their_children_killed_at_random_leave_no_doubled_instance() {
    let fleet = Fleet::new(102);
    let mut dice = Dice::seeded();
    fleet.store("one", "{ ewr = 2, ord = 1 }");
    fleet.commit("good");
    fleet.apply();
    fleet.post_everywhere("kept");
    for _ in 0..5 {
        let processes = fleet.processes();
        let victim = processes[usize::try_from(dice.below(processes.len() as u64)).unwrap()];
        kill_9(victim);
        eventually("apply heals", || fleet.run(&["apply", "--auto-approve"]).code == 0);
        fleet.assert_one_to_one();
        for (slot, address, _) in fleet.slots() {
            eventually("it serves", || fleet.http(&address, "GET", "/health", "").is_ok());
            assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
        }
    }
    fleet.assert_fixpoint();
}
