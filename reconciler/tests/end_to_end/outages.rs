//! Who does not answer while releases are brought out, seen from outside, and apart from that whom
//! the test itself has killed.

use super::fleet::{Fleet, eventually};
use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Slots that are there before and after.
pub(super) struct Outages {
    slots: Vec<(String, SocketAddr)>,
    /// Slots of which the test has killed something.
    hit: Mutex<BTreeSet<String>>,
    over: AtomicBool,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Moments at which somebody was down.
    pub(super) outages: usize,
    /// Most slots that were down at one moment though the test had killed nothing of them.
    pub(super) most: Vec<String>,
}

impl Outages {
    /// Those of the fleet's slots that stay. All of them answer by now.
    pub(super) fn of(fleet: &Fleet, stays: &[&str]) -> Self {
        let slots = fleet
            .slots()
            .into_iter()
            .filter(|(slot, ..)| stays.iter().any(|place| slot.ends_with(place)));
        let slots: Vec<(String, SocketAddr)> = slots
            .map(|(slot, address, _)| (slot, format!("{address}:8080").parse().unwrap()))
            .collect();
        eventually("all answer", || slots.iter().all(|(_, address)| is_up(*address)));
        Self { slots, hit: Mutex::default(), over: AtomicBool::new(false) }
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Something is about to be killed: a slot may go down by that. Of what is none of a slot's it is
    /// not known which.
    pub(super) fn hits(&self, pid: u32) {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let mut words = command.split('\0');
        if words.clone().any(|word| word == "apply") {
            return;
        }
        let of = words.find(|word| word.contains("/instances/")).map(Path::new);
        let whose = self.slots.iter().filter(|(slot, _)| of.is_none_or(|of| names(of, slot)));
        self.hit.lock().unwrap().extend(whose.map(|(slot, _)| slot.clone()));
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Looks, until it ends.
    pub(super) fn watch(&self) -> Seen {
        let mut seen = Seen::default();
        while !self.over.load(Ordering::Relaxed) {
            let down = || self.slots.iter().filter(|(_, address)| !is_up(*address));
            let first: Vec<&(String, SocketAddr)> = down().collect();
            seen.outages += usize::from(!first.is_empty());
            // One is asked after the other: those that are down still were down together.
            let still = first.into_iter().filter(|(_, address)| !is_up(*address));
            let hit = self.hit.lock().unwrap().clone();
            let still = still.map(|(slot, _)| slot.clone()).filter(|slot| !hit.contains(slot));
            let still: Vec<String> = still.collect();
            if still.len() > seen.most.len() {
                seen.most = still;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        seen
    }
}

/// Whether somebody listens there.
fn is_up(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Whether a file of an instance's directory names the slot; also if there is none any more.
fn names(instance: &Path, slot: &str) -> bool {
    let Ok(files) = fs::read_dir(instance) else { return true };
    let named = format!("\"{slot}\"");
    files.flatten().any(|file| {
        fs::read(file.path()).is_ok_and(|text| String::from_utf8_lossy(&text).contains(&named))
    })
}
