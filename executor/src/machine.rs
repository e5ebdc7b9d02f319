//! Which machine this is, and which of its boots.

use crate::names::StateDir;
use crate::{durable, flock};
use planner::model::id::MachineId;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, io};

/// Where systemd and D-Bus keep the machine's identity, machine-id(5).
const PLACES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// A boot of this machine: what was started in another one is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootId(String);

impl BootId {
    /// The kernel's text for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why it is not known which machine this is.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A file could not be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// What was written down is no identity.
    #[error("{} holds no machine id", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
    },
}

/// This machine's identity: the system's own, or, where it has none (many containers), one that
/// was written into the state directory once.
///
/// # Errors
/// [`MachineError`].
pub fn machine_id(state: &StateDir) -> Result<MachineId, MachineError> {
    let own = PLACES.iter().find_map(|place| fs::read_to_string(place).ok().and_then(parsed));
    match own {
        Some(id) => Ok(id),
        None => written(state),
    }
}

/// The boot that runs.
///
/// # Errors
/// [`MachineError::Io`].
pub fn boot_id() -> Result<BootId, MachineError> {
    let path = PathBuf::from("/proc/sys/kernel/random/boot_id");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(BootId(text.trim().to_owned())),
        Err(source) => Err(MachineError::Io { path, source }),
    }
}

/// An identity of 16 digits or more; an empty file or `uninitialized` is none.
fn parsed(text: String) -> Option<MachineId> {
    let text = text.trim();
    if text.len() < 16 { None } else { MachineId::parse(text).ok() }
}

fn written(state: &StateDir) -> Result<MachineId, MachineError> {
    let path = state.machine_id();
    if !path.exists() {
        write(state).map_err(|source| MachineError::Io { path: path.clone(), source })?;
    }
    match fs::read_to_string(&path) {
        Ok(text) => parsed(text).ok_or(MachineError::Unreadable { path }),
        Err(source) => Err(MachineError::Io { path, source }),
    }
}

/// Writes an identity down unless another process just did.
fn write(state: &StateDir) -> io::Result<()> {
    durable::make_dir(&state.locks())?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let lock = flock::take(&state.catalog_lock(), flock::Sharing::Exclusive, deadline)?;
    let _alone = lock.ok_or(io::ErrorKind::TimedOut)?;
    if state.machine_id().exists() {
        return Ok(());
    }
    let text = format!("{:032x}\n", u128::from(ulid::Ulid::generate()));
    durable::replace(&state.machine_id(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_an_identity_gets_one_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::at(dir.path().join("state"));
        let first = written(&state).unwrap();
        assert_eq!(written(&state).unwrap(), first);
        fs::write(state.machine_id(), "uninitialized\n").unwrap();
        assert!(matches!(written(&state), Err(MachineError::Unreadable { .. })));
    }

    #[test]
    fn a_boot_has_an_identity() {
        assert_eq!(boot_id().unwrap().as_str().len(), 36);
    }
}
