//! Finds `tiedown.toml` in a snapshot and what this machine says.

use super::problem::Problem;
use super::{FILE, Machine, Settings, meant};
use crate::repository::RepositoryError;
use crate::repository::snapshot::Snapshot;
use planner::model::size::Size;
use std::path::PathBuf;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no such file.
    #[error("there is no {path} in {source_name}")]
    Missing {
        /// From the root of the tree.
        path: String,
        /// The commit, or the work tree.
        source_name: String,
        /// Whether it is on disk all the same.
        on_disk: bool,
    },
    /// It is not text.
    #[error("{path} is not UTF-8 text")]
    NotText {
        /// From the root of the tree.
        path: String,
    },
    /// It has mistakes.
    #[error("{path} has {}", match problems.len() { 1 => "a mistake".to_owned(), n => format!("{n} mistakes") })]
    Wrong {
        /// From the root of the tree.
        path: String,
        /// All of them, in the order of the file.
        problems: Vec<Problem>,
    },
    /// The repository could not be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl SettingsError {
    /// The way out, if there is a general one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { on_disk: true, .. } => {
                Some("commit it, or read it from disk with --worktree".to_owned())
            }
            Self::Missing { on_disk: false, .. } => Some(
                "`tiedown init` writes one; or point tiedown at its directory with -C DIR"
                    .to_owned(),
            ),
            Self::NotText { .. } | Self::Wrong { .. } => None,
            Self::Repository(error) => error.hint(),
        }
    }
}

/// Reads `tiedown.toml` in the directory that tiedown was pointed at.
///
/// # Errors
/// [`SettingsError`].
pub fn load(snapshot: &Snapshot<'_>, machine: &Machine) -> Result<Settings, SettingsError> {
    let repository = snapshot.repository();
    let path = repository.within(FILE);
    let Some(bytes) = snapshot.read(&path)? else {
        let disk = repository.on_disk().and_then(|disk| disk.read(&path));
        let on_disk = matches!(disk, Ok(Some(_)));
        return Err(SettingsError::Missing { path, source_name: snapshot.name(), on_disk });
    };
    let Ok(text) = String::from_utf8(bytes) else { return Err(SettingsError::NotText { path }) };
    meant::read(&path, &text, machine).map_err(|problems| SettingsError::Wrong { path, problems })
}

impl Machine {
    /// This machine. Whether instances share its ports must be known from trying.
    #[must_use]
    pub fn here(shares_ports: bool) -> Self {
        let absolute = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let system = rustix::system::sysinfo();
        let unit = u64::from(system.mem_unit.max(1));
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            memory: Size::from_bytes(system.totalram.saturating_mul(unit)),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            shares_ports,
            root: rustix::process::geteuid().is_root(),
            state_home: absolute("XDG_STATE_HOME"),
            home: absolute("HOME"),
        }
    }
}
