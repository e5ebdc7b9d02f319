//! The secrets port: values of an app's secrets, by name and version. A version names one value
//! for ever, so it may stand in plans and releases; the value stands nowhere but here.

pub mod sealed;

use crate::ensure::Ensured;
use planner::model::name::{AppName, SecretName};
use planner::model::release::SecretVersions;
use planner::model::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The value of a secret: text without a NUL, as it can stand in an environment. Wiped when
/// dropped; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A value; nothing if it is no text that an environment can hold.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        let text = std::str::from_utf8(&bytes).ok()?;
        (!text.contains('\0')).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The value itself, for the environment or a file of an instance.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Zeroizing::new(String::deserialize(from)?)))
    }
}

/// A secret that is set, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The version; it grows with every change of any secret of the app.
    pub version: u64,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Why secrets could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The version is not kept: never set, or too many came after it.
    #[error("version {version} of the secret {name} of {app} is not kept here")]
    Absent {
        /// Whose.
        app: AppName,
        /// Which.
        name: SecretName,
        /// Which version.
        version: u64,
    },
    /// They are there and cannot be opened: altered, another app's, or sealed by another key.
    #[error("the secrets of {app} cannot be opened: {why}")]
    Unreadable {
        /// Whose.
        app: String,
        /// Why.
        why: String,
    },
    /// The key that seals them is missing or damaged.
    #[error("the sealing key {path} cannot be used: {why}")]
    Seal {
        /// Where it should be.
        path: String,
        /// Why.
        why: String,
    },
    /// Somebody else changes secrets.
    #[error("somebody else changes secrets of the fleet")]
    Busy,
    /// The operating system refused.
    #[error("{act}")]
    Io {
        /// What was being done, to which file.
        act: String,
        /// Its answer.
        source: std::io::Error,
    },
}

/// Secrets of the apps of one fleet.
///
/// Promises of every adapter: a version is given to one value only, also after the secret was
/// unset; a value that was replaced or unset is kept for as long as what runs may need it to be
/// started again: at least two changes of the same secret.
pub trait Secrets: Send + Sync {
    /// What is set, by app; an app without secrets may be left out.
    ///
    /// # Errors
    /// Any [`SecretError`] but `Absent`.
    fn list(&self) -> Result<BTreeMap<AppName, BTreeMap<SecretName, Version>>, SecretError>;

    /// Sets secrets of an app, and unsets those without a value. Says what became of each; a
    /// value that is set already keeps its version.
    ///
    /// # Errors
    /// Any [`SecretError`] but `Absent`; then none was changed.
    fn change(
        &self,
        app: &AppName,
        values: BTreeMap<SecretName, Option<Secret>>,
    ) -> Result<BTreeMap<SecretName, Ensured>, SecretError>;

    /// The values of these versions, all of them.
    ///
    /// # Errors
    /// Any [`SecretError`].
    fn get(
        &self,
        app: &AppName,
        versions: &SecretVersions,
    ) -> Result<BTreeMap<SecretName, Secret>, SecretError>;
}

/// The versions alone, as plans have them.
///
/// # Errors
/// As [`Secrets::list`].
pub fn versions(secrets: &dyn Secrets) -> Result<BTreeMap<AppName, SecretVersions>, SecretError> {
    let bare = |set: BTreeMap<SecretName, Version>| {
        set.into_iter().map(|(name, version)| (name, version.version)).collect()
    };
    Ok(secrets.list()?.into_iter().map(|(app, set)| (app, bare(set))).collect())
}
