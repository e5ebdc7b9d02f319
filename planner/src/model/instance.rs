//! Instances: running copies of a group, and how they are kept running.

use super::artifact::Artifact;
use super::guest::Guest;
use super::id::{InstanceId, VolumeId};
use super::name::{SecretName, SourceName};
use super::network::Port;
use super::release::{Env, Release, SecretVersions};
use super::slot::SlotId;
use super::time::Millis;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What an instance is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The slot's own.
    Main,
    /// One extra instance of a new release, tried before the rest.
    Canary,
    /// The new side of a bluegreen deploy.
    Green,
    /// The release command.
    Release,
    /// On demand.
    Run,
}

impl Role {
    /// The role's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Canary => "canary",
            Self::Green => "green",
            Self::Release => "release",
            Self::Run => "run",
        }
    }
}

/// When an instance that ended is started again: `[[restart]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "policy")]
pub enum Restart {
    /// Whatever its exit status.
    Always,
    /// After a non-zero exit, at most this many times in a row.
    OnFailure {
        /// `retries`; Fly's default is 10.
        retries: u32,
    },
    /// Not.
    Never,
}

/// How the supervisor treats an instance. Not seen by the process, so applied live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervision {
    /// What follows an exit.
    pub restart: Restart,
    /// The first signal on stopping, such as `SIGINT`.
    pub kill_signal: SmolStr,
    /// How long it has to obey before it is killed.
    pub kill_timeout: Millis,
}

/// A file that an instance finds: `[[files]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFile {
    /// Absolute path inside the instance.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// A file that an instance finds and that only the host can fill: `secret_name` of `[[files]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Absolute path inside the instance.
    pub path: String,
    /// The secret that is its content.
    pub secret: SecretName,
}

/// One volume seen from inside the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// The volume.
    pub volume: VolumeId,
    /// Its name.
    pub source: SourceName,
    /// Absolute path inside the instance.
    pub destination: SmolStr,
}

/// All that a host needs to start an instance; nothing is left to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Its identity.
    pub id: InstanceId,
    /// The slot it is of.
    pub slot: SlotId,
    /// What for.
    pub role: Role,
    /// What the process can see, as a digest.
    pub release: Release,
    /// What it runs.
    pub artifact: Artifact,
    /// Program and arguments; empty: the image's own.
    pub argv: Vec<String>,
    /// Whether they take the place of an image's entrypoint, and do not follow it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub replaces_entrypoint: bool,
    /// The whole environment but for the secrets.
    pub env: Env,
    /// Files to put in place first.
    pub files: Vec<GuestFile>,
    /// Files to put in place first whose content is a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_files: Vec<SecretFile>,
    /// Secrets that the host adds to the environment, by name and version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: SecretVersions,
    /// Its volumes, already made and formatted.
    pub binds: Vec<Bind>,
    /// Memory and cpus.
    pub guest: Guest,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Ports its services listen on.
    pub ports: Vec<Port>,
    /// How it is kept running.
    pub supervision: Supervision,
    /// How long it may take, where it is to end by itself; then it is killed and has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_within: Option<Millis>,
    /// Whether it has no network but for the checks that its host asks.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub alone: bool,
}
