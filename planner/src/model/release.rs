//! The release: the digest of all that a process can see. The commit is no part of it, so that
//! a commit to a README restarts nothing.

use super::artifact::Artifact;
use super::few::Few;
use super::guest::Guest;
use super::id::digest_of;
use super::instance::{GuestFile, SecretFile};
use super::name::{AppName, GroupName, SecretName, SourceName};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Versions of secrets by name. A version names one value for ever and says nothing of it.
pub type SecretVersions = BTreeMap<SecretName, u64>;

/// Environment variables by name. Most are short enough to be held in place.
pub type Env = Few<SmolStr, SmolStr>;

/// All that a process of a group can see and that is the same for every slot of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSpec {
    /// The app.
    pub app: AppName,
    /// The group.
    pub group: GroupName,
    /// What runs.
    pub artifact: Artifact,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whether they take the place of an image's entrypoint, and do not follow it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub replaces_entrypoint: bool,
    /// Environment from the manifest.
    pub env: Env,
    /// Files from the manifest.
    pub files: Vec<GuestFile>,
    /// Where each volume is seen.
    pub mounts: Few<SourceName, SmolStr>,
    /// Memory and cpus.
    pub guest: Guest,
    /// Versions of the secrets it gets, never their values.
    pub secrets: SecretVersions,
    /// Files whose content is a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_files: Vec<SecretFile>,
}

impl ReleaseSpec {
    /// Its digest.
    #[must_use]
    pub fn release(&self) -> Release {
        let json = serde_json::to_vec(self).expect("strings and numbers always serialise");
        Release(digest_of(&[b"release", &json]).into())
    }
}

/// A release, as 64 hexadecimal digits; shown as the first 12.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "SmolStr")]
pub struct Release(SmolStr);

impl Release {
    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl TryFrom<String> for Release {
    type Error = ReleaseError;
    fn try_from(text: String) -> Result<Self, ReleaseError> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self(text.into()));
        }
        Err(ReleaseError { text: text.chars().take(80).collect() })
    }
}

/// Why a text is not a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a release: 64 hexadecimal digits")]
pub struct ReleaseError {
    text: String,
}

impl From<Release> for SmolStr {
    fn from(release: Release) -> Self {
        release.0
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short())
    }
}

/// A git commit: 40 to 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct CommitId(SmolStr);

impl CommitId {
    /// Reads a full object name.
    ///
    /// # Errors
    /// [`CommitError`] for anything that is not one.
    pub fn parse(text: &str) -> Result<Self, CommitError> {
        let error = || CommitError { text: text.chars().take(80).collect() };
        let fits = (40..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if fits { Ok(Self(text.into())) } else { Err(error()) }
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

/// Why a text is not a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a commit: 40 to 64 hexadecimal digits")]
pub struct CommitError {
    text: String,
}

impl TryFrom<SmolStr> for CommitId {
    type Error = CommitError;
    fn try_from(text: SmolStr) -> Result<Self, CommitError> {
        Self::parse(&text)
    }
}

impl From<CommitId> for SmolStr {
    fn from(commit: CommitId) -> Self {
        commit.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short())
    }
}
