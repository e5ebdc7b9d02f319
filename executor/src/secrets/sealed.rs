//! Secrets in files of the state directory, one an app, each sealed with XChaCha20-Poly1305 under
//! one sealing key. A sealed file opens for its fleet and app and for no other.

use super::{Secret, SecretError, Secrets, Version};
use crate::cipher::{self, Cipher, Envelope};
use crate::ensure::Ensured;
use crate::flock::{self, Sharing};
use crate::names::StateDir;
use crate::{clock, durable};
use planner::model::name::{AppName, FleetName, SecretName};
use planner::model::release::SecretVersions;
use planner::model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The format of a sealed file.
const FORMAT: u32 = 1;

/// How many values of one secret are kept: the one that is set, and those before it.
const KEPT: usize = 3;

/// How long a change waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Secrets in `STATE_DIR/secrets`.
#[derive(Debug)]
pub struct SealedSecrets {
    fleet: FleetName,
    state: StateDir,
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Sealed {
    format: u32,
    #[serde(flatten)]
    envelope: Envelope,
}

/// What is sealed in it.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The highest version given so far.
    last: u64,
    /// The newest first.
    secrets: BTreeMap<SecretName, Vec<Value>>,
}

/// What a secret was set to once.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Value {
    version: u64,
    set_at: Timestamp,
    /// Nothing: it was unset.
    value: Option<Secret>,
}

impl Kept {
    fn change(&mut self, name: SecretName, value: Option<Secret>, at: Timestamp) -> Ensured {
        let values = self.secrets.entry(name).or_default();
        let before = values.first().and_then(|newest| newest.value.as_ref());
        let ensured = match (before, &value) {
            (before, after) if before == after.as_ref() => return Ensured::AlreadySo,
            (Some(_), Some(_)) => Ensured::Changed,
            (None, _) | (_, None) => Ensured::Made,
        };
        self.last += 1;
        values.insert(0, Value { version: self.last, set_at: at, value });
        values.truncate(KEPT);
        ensured
    }

    fn value(&self, name: &SecretName, version: u64) -> Option<Secret> {
        let values = self.secrets.get(name)?;
        values.iter().find(|value| value.version == version)?.value.clone()
    }

    fn set(&self) -> BTreeMap<SecretName, Version> {
        let newest = self.secrets.iter().filter_map(|(name, values)| {
            let newest = values.first().filter(|newest| newest.value.is_some())?;
            let version = Version { version: newest.version, set_at: newest.set_at };
            Some((name.clone(), version))
        });
        newest.collect()
    }
}

impl SealedSecrets {
    /// The secrets of a fleet; makes nothing.
    #[must_use]
    pub const fn new(fleet: FleetName, state: StateDir) -> Self {
        Self { fleet, state }
    }

    fn cipher(&self) -> Result<Cipher, SecretError> {
        let path = self.state.secrets_seal();
        let wrong = |why: String| SecretError::Seal { path: path.display().to_string(), why };
        let bytes = Zeroizing::new(fs::read(&path).map_err(|error| wrong(error.to_string()))?);
        Cipher::of_bytes(&bytes).ok_or_else(|| {
            wrong(format!("it has {} bytes, not {}", bytes.len(), cipher::KEY_BYTES))
        })
    }

    /// Makes the sealing key, unless there is one, or secrets that another one has sealed.
    fn ensure_seal(&self) -> Result<(), SecretError> {
        let (path, files) = (self.state.secrets_seal(), self.state.secrets());
        if path.exists() {
            return Ok(());
        }
        let sealed = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| self.state.secrets_entry(&entry.file_name()).is_some())
        };
        if fs::read_dir(&files).is_ok_and(|entries| entries.into_iter().any(sealed)) {
            let why = "it is gone, and there are secrets that it sealed".to_owned();
            return Err(SecretError::Seal { path: path.display().to_string(), why });
        }
        durable::make_dir(&files).map_err(io("making", &files))?;
        let bytes = cipher::random(cipher::KEY_BYTES).map_err(io("drawing", &path))?;
        durable::replace(&path, &bytes).map_err(io("writing", &path))
    }

    /// What a sealed file is bound to: opened as anything else it does not open.
    fn bound_to(&self, app: &AppName) -> String {
        format!("tiedown secrets {FORMAT}\0{}\0{app}", self.fleet)
    }

    /// What is kept of an app; nothing if it never had a secret.
    fn read(&self, app: &AppName) -> Result<Option<Kept>, SecretError> {
        let path = self.state.secrets_of(app);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(io("reading", &path))?,
        };
        let unreadable = |why: String| SecretError::Unreadable { app: app.to_string(), why };
        let sealed: Sealed =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if sealed.format != FORMAT {
            return Err(unreadable("it was written by another version of tiedown".to_owned()));
        }
        let opened = self.cipher()?.open(&self.bound_to(app), &sealed.envelope);
        let opened = opened.ok_or_else(|| {
            unreadable("it was altered, or sealed for another app or by another key".to_owned())
        })?;
        let kept =
            serde_json::from_slice(&opened).map_err(|error| unreadable(error.to_string()))?;
        Ok(Some(kept))
    }

    fn write(&self, app: &AppName, kept: &Kept) -> Result<(), SecretError> {
        self.ensure_seal()?;
        let path = self.state.secrets_of(app);
        let bytes = serde_json::to_vec(kept).map_err(|error| failed("sealing", &path, error))?;
        let bytes = Zeroizing::new(bytes);
        let envelope = self.cipher()?.seal(&self.bound_to(app), &bytes);
        let envelope = envelope.map_err(io("sealing", &path))?;
        let sealed = Sealed { format: FORMAT, envelope };
        let sealed =
            serde_json::to_vec(&sealed).map_err(|error| failed("sealing", &path, error))?;
        durable::replace(&path, &sealed).map_err(io("writing", &path))
    }
}

impl Secrets for SealedSecrets {
    fn list(&self) -> Result<BTreeMap<AppName, BTreeMap<SecretName, Version>>, SecretError> {
        let directory = self.state.secrets();
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries.map_err(io("reading", &directory))?,
        };
        let mut apps = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(io("reading", &directory))?;
            // What a crash left half written has no app's name.
            let Some(app) = self.state.secrets_entry(&entry.file_name()) else { continue };
            if let Some(kept) = self.read(&app)? {
                apps.insert(app, kept.set());
            }
        }
        Ok(apps)
    }

    fn change(
        &self,
        app: &AppName,
        values: BTreeMap<SecretName, Option<Secret>>,
    ) -> Result<BTreeMap<SecretName, Ensured>, SecretError> {
        let lock = self.state.secrets_lock();
        let locks = self.state.locks();
        durable::make_dir(&locks).map_err(io("making", &locks))?;
        let taken = flock::take(&lock, Sharing::Exclusive, Instant::now() + PATIENCE);
        let _lock = taken.map_err(io("locking", &lock))?.ok_or(SecretError::Busy)?;
        let mut kept = self.read(app)?.unwrap_or_default();
        let (before, now) = (kept.last, clock::now());
        let done = values.into_iter().map(|(name, value)| {
            let ensured = kept.change(name.clone(), value, now);
            (name, ensured)
        });
        let done = done.collect();
        if kept.last != before {
            self.write(app, &kept)?;
        }
        Ok(done)
    }

    fn get(
        &self,
        app: &AppName,
        versions: &SecretVersions,
    ) -> Result<BTreeMap<SecretName, Secret>, SecretError> {
        let kept = self.read(app)?.unwrap_or_default();
        let value = |(name, version): (&SecretName, &u64)| match kept.value(name, *version) {
            Some(value) => Ok((name.clone(), value)),
            None => {
                let (app, name, version) = (app.clone(), name.clone(), *version);
                Err(SecretError::Absent { app, name, version })
            }
        };
        versions.iter().map(value).collect()
    }
}

fn failed(
    act: &str,
    path: &Path,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> SecretError {
    io(act, path)(io::Error::other(error))
}

fn io<'a>(act: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> SecretError + 'a {
    move |source| SecretError::Io { act: format!("{act} {}", path.display()), source }
}

#[cfg(test)]
mod tests;
