//! Memory and cpu limits of an instance, with cgroup v2 where the host has a writable one. Where it
//! has not, the record says so; nothing else depends on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::launch::{Launch, Limits};
use super::record::Enforcement;

/// The period of cpu.max in microseconds (the kernel's default).
const PERIOD_US: u64 = 100_000;

/// The cgroup of one instance.
#[derive(Debug)]
pub(super) struct Cage {
    group: Option<PathBuf>,
    limits: Limits,
    state: Enforcement,
}

impl Cage {
    /// Makes the group, or remembers why there is none.
    pub(super) fn of(launch: &Launch) -> Self {
        let limits = launch.limits;
        // An engine limits its containers itself.
        if limits == Limits::default() || launch.engine.is_some() {
            return Self { group: None, limits, state: Enforcement::NotAsked };
        }
        match parent().map(|parent| parent.join(&launch.instance)) {
            Ok(group) => Self { group: Some(group), limits, state: Enforcement::Enforced },
            Err(error) => {
                let why = error.to_string();
                Self { group: None, limits, state: Enforcement::NotEnforced { why } }
            }
        }
    }

    pub(super) fn enforcement(&self) -> Enforcement {
        self.state.clone()
    }

    /// Puts a process into the group, and with it all it will start.
    pub(super) fn close_on(&mut self, pid: u32) {
        let Some(group) = &self.group else { return };
        if let Err(error) = close(group, self.limits, pid) {
            self.state = Enforcement::NotEnforced { why: error.to_string() };
        }
    }

    /// Removes the group once its processes are gone.
    pub(super) fn remove(&self) {
        if let Some(group) = &self.group {
            let _ = fs::remove_dir(group);
        }
    }
}

fn close(group: &Path, limits: Limits, pid: u32) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if let Some(bytes) = limits.memory_bytes {
        fs::write(group.join("memory.max"), bytes.to_string())?;
    }
    let swap = group.join("memory.swap.max");
    // A kernel may be built without it; then there is nothing to limit.
    if let Some(bytes) = limits.swap_bytes.filter(|_| swap.exists()) {
        fs::write(swap, bytes.to_string())?;
    }
    if let Some(millis) = limits.cpu_millis {
        let quota = millis * PERIOD_US / 1000;
        fs::write(group.join("cpu.max"), format!("{quota} {PERIOD_US}"))?;
    }
    fs::write(group.join("cgroup.procs"), pid.to_string())
}

/// The group below which instances get theirs, with the controllers that are needed.
pub(super) fn parent() -> io::Result<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let offered = fs::read_to_string(root.join("cgroup.controllers"))
        .map_err(|_| io::Error::other("no cgroup v2 at /sys/fs/cgroup"))?;
    for needed in ["cpu", "memory"] {
        if !offered.split_ascii_whitespace().any(|controller| controller == needed) {
            return Err(io::Error::other(format!("cgroup v2 offers no {needed} controller here")));
        }
    }
    let parent = root.join("tiedown");
    let failed = |error: io::Error| io::Error::other(format!("cgroup v2 is not writable: {error}"));
    fs::write(root.join("cgroup.subtree_control"), "+cpu +memory").map_err(failed)?;
    fs::create_dir_all(&parent).map_err(failed)?;
    fs::write(parent.join("cgroup.subtree_control"), "+cpu +memory").map_err(failed)?;
    Ok(parent)
}
