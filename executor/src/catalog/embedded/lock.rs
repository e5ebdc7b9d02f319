//! Locks as locked files with their holder written inside. The kernel lets go of them when the
//! process ends, however it ends, so there is nothing to break and nothing goes stale.
//!
//! The fleet's lock is shared by everybody who has an app's or runs passes, so whoever has the
//! fleet's knows that nothing is being rolled out and nothing comes by itself. A host's lock stands alone: it is taken below either.

use crate::catalog::{CatalogError, Holder, Lock, LockName};
use crate::flock::{self, Sharing, Taken};
use crate::names::StateDir;
use planner::model::time::Timestamp;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

struct Held {
    _own: Taken,
    _fleet: Option<Taken>,
}

impl Lock for Held {}

/// Takes a lock, waiting at most so long.
pub(super) fn take(
    state: &StateDir,
    what: &LockName,
    holder: &Holder,
    wait: Duration,
) -> Result<Box<dyn Lock>, CatalogError> {
    let deadline = Instant::now() + wait;
    let failed = |source: io::Error| CatalogError::Store {
        act: format!("locking {}", describe(what)),
        source: source.into(),
    };
    crate::durable::make_dir(&state.locks()).map_err(failed)?;
    let fleet = match what {
        LockName::App(_) | LockName::Passes => {
            let path = state.lock(&LockName::Fleet);
            let taken = flock::take(&path, Sharing::Shared, deadline).map_err(failed)?;
            Some(taken.ok_or_else(|| locked(&LockName::Fleet, read(&path)))?)
        }
        LockName::Host(_) | LockName::Fleet => None,
    };
    let path = state.lock(what);
    let Some(mut own) = flock::take(&path, Sharing::Exclusive, deadline).map_err(failed)? else {
        let sharer = match what {
            LockName::Fleet => sharer(state),
            LockName::App(_) | LockName::Host(_) | LockName::Passes => None,
        };
        return Err(locked(what, sharer.unwrap_or_else(|| read(&path))));
    };
    let json = serde_json::to_vec(holder).map_err(io::Error::other).map_err(failed)?;
    own.sign(&json).map_err(failed)?;
    Ok(Box::new(Held { _own: own, _fleet: fleet }))
}

/// Whoever has the lock now, found without taking it.
pub(super) fn holder(state: &StateDir, what: &LockName) -> Option<Holder> {
    let path = state.lock(what);
    flock::locker(&path).map(|_| read(&path))
}

/// Whoever has an app's lock or runs passes, and so shares the fleet's.
fn sharer(state: &StateDir) -> Option<Holder> {
    let entries = std::fs::read_dir(state.locks()).ok()?.flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let shares = |path: &&std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("app-") || **path == state.lock(&LockName::Passes)
    };
    paths.iter().filter(shares).find(|path| flock::locker(path).is_some()).map(|path| read(path))
}

/// Who wrote into a lock's file; what the kernel knows if it is just being written.
fn read(path: &Path) -> Holder {
    let json = std::fs::read(path).ok();
    let signed = json.and_then(|json| serde_json::from_slice(&json).ok());
    signed.unwrap_or_else(|| Holder {
        purpose: "a process".to_owned(),
        pid: flock::holder(path).unwrap_or(0),
        since: Timestamp(0),
    })
}

fn locked(what: &LockName, holder: Holder) -> CatalogError {
    CatalogError::Locked { what: describe(what), holder }
}

fn describe(what: &LockName) -> String {
    match what {
        LockName::App(app) => format!("app {app}"),
        LockName::Host(host) => format!("host {host}"),
        LockName::Fleet => "the fleet".to_owned(),
        LockName::Passes => "the running of passes".to_owned(),
    }
}
