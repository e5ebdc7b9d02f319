//! What is written down about an instance, in its directory: the launch, the state, the
//! identities of its processes. Tells living from dead by identity, never by what was written last.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Launch, Refusal};
use crate::{durable, machine};

/// One process on this boot of this machine. Process ids are used again; id, start time and boot
/// together are not (proc_pid_stat(5), field 22).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Process id, as the host counts.
    pub pid: u32,
    /// When it started, in clock ticks after boot.
    pub start_ticks: u64,
    /// The boot's id.
    pub boot: String,
}

impl Identity {
    /// The identity of a process that lives now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let (_, start_ticks) = stat(pid)?;
        Some(Self { pid, start_ticks, boot: boot()? })
    }

    /// Whether this very process lives. A zombie does not: it has closed its files, left its
    /// namespaces and, if it was the first of a pid namespace, outlived all others in it
    /// (pid_namespaces(7)).
    #[must_use]
    pub fn alive(&self) -> bool {
        let same_boot = boot().is_some_and(|boot| boot == self.boot);
        let dead = ['Z', 'X', 'x'];
        same_boot
            && stat(self.pid)
                .is_some_and(|(state, ticks)| ticks == self.start_ticks && !dead.contains(&state))
    }
}

/// State letter and start time of a process.
fn stat(pid: u32) -> Option<(char, u64)> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    // The command may contain anything, so fields count from its closing parenthesis.
    let (_, fields) = line.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn boot() -> Option<String> {
    Some(machine::boot_id().ok()?.as_str().to_owned())
}

/// What an instance is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On its way up.
    Starting,
    /// Its program runs.
    Running {
        /// The host's id of the first process of its pid namespace.
        pid: u32,
        /// When this run began, in milliseconds after 1970.
        started_at_ms: u64,
        /// How often it was started again.
        restarts: u32,
    },
    /// Its program ended and will be started again.
    Backoff {
        /// Status of the last run.
        code: i32,
        /// When the next run begins, in milliseconds after 1970.
        until_ms: u64,
        /// How often it was started again.
        restarts: u32,
    },
    /// Its program ended and will not be started again. 128 and the signal's number when a
    /// signal ended it.
    Finished {
        /// Its status.
        code: i32,
    },
    /// It could not be brought up.
    Failed {
        /// Why.
        why: Refusal,
    },
    /// It was asked to stop and nothing of it is left.
    Stopped,
    /// Its supervisor was killed, or the machine went down. Never written: it is what reading
    /// finds.
    Died {
        /// Whether its processes are still on their way out.
        remains: bool,
    },
}

impl State {
    /// Whether a supervisor that wrote this has more to write.
    fn unfinished(&self) -> bool {
        match self {
            Self::Starting | Self::Running { .. } | Self::Backoff { .. } | Self::Died { .. } => {
                true
            }
            Self::Finished { .. } | Self::Failed { .. } | Self::Stopped => false,
        }
    }
}

/// Whether the limits asked for hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// None were asked for.
    NotAsked,
    /// They hold.
    Enforced,
    /// They do not, and why.
    NotEnforced {
        /// Why.
        why: String,
    },
}

/// All that is known of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub instance: String,
    /// What it is doing.
    pub state: State,
    /// Its supervisor.
    pub supervisor: Identity,
    /// The first process of its pid namespace. When that is dead, so is the whole tree.
    pub init: Option<Identity>,
    /// Whether its limits hold.
    pub limits: Enforcement,
}

impl Record {
    /// Whether this supervisor has written its last state and is about to end.
    pub(super) fn is_over(&self, supervisor: &Identity) -> bool {
        self.supervisor == *supervisor && !self.state.unfinished()
    }

    /// Corrects what was written by who lives.
    fn corrected(mut self) -> Self {
        if self.state.unfinished() && !self.supervisor.alive() {
            let remains = self.init.as_ref().is_some_and(Identity::alive);
            self.state = State::Died { remains };
        }
        self
    }
}

/// Who took a lock; written into the locked file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) instance: String,
    pub(super) supervisor: Identity,
    pub(super) init: Option<Identity>,
}

impl Holder {
    /// What the file says; nothing when it was never locked or torn (then nothing was let go yet).
    pub(super) fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Overwrites the file in place: a lock belongs to the inode.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let mut file = OpenOptions::new().write(true).truncate(true).open(file)?;
        file.write_all(&text)?;
        file.sync_data()
    }
}

/// The directory of one instance and the files in it.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn at(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Where the new root is put together; empty but inside the instance's mount namespace.
    pub(super) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// Makes the directory, closed to other users.
    pub(super) fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.root())
    }

    pub(super) fn write_launch(&self, launch: &Launch) -> io::Result<()> {
        self.replace("launch.json", &serde_json::to_vec_pretty(launch).map_err(io::Error::other)?)
    }

    pub(super) fn read_launch(&self) -> io::Result<Launch> {
        serde_json::from_slice(&fs::read(self.0.join("launch.json"))?).map_err(io::Error::other)
    }

    pub(super) fn write_record(&self, record: &Record) -> io::Result<()> {
        self.replace("state.json", &serde_json::to_vec_pretty(record).map_err(io::Error::other)?)
    }

    /// The record as it is found, if there is one.
    pub(super) fn read_record(&self) -> io::Result<Option<Record>> {
        match fs::read(self.0.join("state.json")) {
            Ok(bytes) => {
                let record: Record = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
                Ok(Some(record.corrected()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one of the instance's files, whole or not at all, also across a power cut.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        durable::replace(&self.0.join(name), bytes)
    }
}

/// Now, in milliseconds after 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
