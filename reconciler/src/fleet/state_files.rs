//! The state directory as a whole: what of it is the fleet's, what is not, and its removal once
//! every host has been purged.

use crate::settings::Settings;
use executor::catalog::CatalogError;
use executor::names::StateDir;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What is in the state directory.
#[derive(Debug)]
pub struct StateFiles {
    state: StateDir,
    /// Files that tiedown keeps beside the hosts.
    own: Vec<PathBuf>,
    /// What is not the fleet's, relative to the directory, in order.
    pub foreign: Vec<String>,
    found: bool,
}

/// What SQLite puts beside a database.
const BESIDE_DATABASE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

impl StateFiles {
    /// Looks.
    ///
    /// # Errors
    /// [`CatalogError::Store`] if a directory could not be read.
    pub fn of(settings: &Settings) -> Result<Self, CatalogError> {
        let state = StateDir::at(&settings.state_dir);
        let root = state.path().to_owned();
        let database = state.catalog();
        let mut own: Vec<PathBuf> = BESIDE_DATABASE
            .iter()
            .map(|tail| {
                let mut name: OsString = database.clone().into_os_string();
                name.push(tail);
                name.into()
            })
            .collect();
        own.extend([state.machine_id(), state.told_drift()]);
        let hosts_dir = root.join("hosts");
        let hosts: BTreeSet<PathBuf> = settings
            .hosts
            .values()
            .filter_map(|host| {
                let path = host.storage.path();
                let first = path.strip_prefix(&hosts_dir).ok()?.components().next()?;
                Some(hosts_dir.join(first))
            })
            .collect();
        let mut known: BTreeSet<PathBuf> = own.iter().cloned().collect();
        known.extend([state.locks(), state.secrets(), hosts_dir.clone()]);
        let mut foreign = unknown(&root, &root, &known)?;
        foreign.extend(unknown(&root, &hosts_dir, &hosts)?);
        foreign.sort();
        Ok(Self { found: root.exists(), state, own, foreign })
    }

    /// Whether there is a state directory.
    #[must_use]
    pub const fn exist(&self) -> bool {
        self.found
    }

    /// Removes the state directory. Directories of hosts must be gone: one that is not empty is
    /// an error, never removed with what is in it.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn remove(&self) -> Result<(), CatalogError> {
        let failed = |path: &Path| {
            let act = format!("removing {}", path.display());
            move |source: io::Error| CatalogError::Store { act, source: source.into() }
        };
        for path in &self.own {
            absent_is_fine(fs::remove_file(path)).map_err(failed(path))?;
        }
        for directory in [self.state.secrets(), self.state.locks()] {
            absent_is_fine(fs::remove_dir_all(&directory)).map_err(failed(&directory))?;
        }
        let hosts = self.state.path().join("hosts");
        remove_empty(&hosts).map_err(failed(&hosts))?;
        absent_is_fine(fs::remove_dir(self.state.path())).map_err(failed(self.state.path()))
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes a directory of empty directories.
fn remove_empty(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

fn unknown(
    root: &Path,
    directory: &Path,
    known: &BTreeSet<PathBuf>,
) -> Result<Vec<String>, CatalogError> {
    let failed = |source: io::Error| CatalogError::Store {
        act: format!("listing {}", directory.display()),
        source: source.into(),
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if !known.contains(&path) {
            found.push(path.strip_prefix(root).unwrap_or(&path).display().to_string());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::meant;
    use crate::settings::{Machine, Settings};
    use planner::model::size::Size;

    fn settings(state_dir: &Path) -> Settings {
        let machine = Machine {
            memory: Size::from_mib(1024),
            cpus: 1,
            shares_ports: true,
            root: false,
            state_home: None,
            home: None,
        };
        let text = format!(
            "fleet = \"f\"\nstate_dir = {state_dir:?}\n[[hosts]]\nname = \"h\"\nregion = \"r\"\n\
             storage = {{ driver = \"local\", capacity = \"1GB\" }}\n"
        );
        meant::read("tiedown.toml", &text, &machine).unwrap()
    }

    #[test]
    fn only_what_is_ours_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let settings = settings(&state);
        assert!(!StateFiles::of(&settings).unwrap().exist());
        for path in ["locks", "secrets", "hosts/h/volumes", "hosts/gone"] {
            fs::create_dir_all(state.join(path)).unwrap();
        }
        for path in ["catalog.db", "catalog.db-wal", "machine-id", "locks/fleet.lock", "notes"] {
            fs::write(state.join(path), "x").unwrap();
        }
        let files = StateFiles::of(&settings).unwrap();
        assert_eq!(files.foreign, ["hosts/gone", "notes"]);
        fs::remove_file(state.join("notes")).unwrap();
        fs::remove_dir(state.join("hosts/gone")).unwrap();
        fs::write(state.join("hosts/h/volumes/data"), "x").unwrap();
        let files = StateFiles::of(&settings).unwrap();
        assert!(files.foreign.is_empty() && files.remove().is_err());
        assert!(state.join("hosts/h/volumes/data").exists(), "data is never removed here");
        fs::remove_file(state.join("hosts/h/volumes/data")).unwrap();
        files.remove().unwrap();
        assert!(!state.exists());
    }
}
