//! All that an instance is started with, as written to its directory. Plain data; what it means
//! is in the stages that read it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use planner::model::name::{AppName, FleetName, SecretName};
use planner::model::release::SecretVersions;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::refusal::cannot;
use crate::names::StateDir;
use crate::secrets::Secrets;
use crate::secrets::sealed::SealedSecrets;

/// What to start and how to keep it. Once opened it holds secrets: its `Debug` shows none.
#[derive(Clone, Serialize, Deserialize)]
pub struct Launch {
    /// The instance's id; also its host name inside.
    pub instance: String,
    /// Program and arguments; a bare program name is looked for in `env`'s `PATH`.
    pub argv: Vec<String>,
    /// The whole environment; `PATH` has a default.
    pub env: BTreeMap<String, String>,
    /// Working directory inside, usually `/app`.
    pub directory: PathBuf,
    /// Exported source tree, seen read-only at `/app`.
    pub tree: Option<PathBuf>,
    /// Volumes.
    pub binds: Vec<Bind>,
    /// One hold file per volume: locked by the whole process tree for as long as it lives.
    pub holds: Vec<PathBuf>,
    /// Files to write before the program starts.
    pub files: Vec<GuestFile>,
    /// Secrets that are added to `env` and `files` when the program starts, and only then: their
    /// values are never written down with the launch.
    #[serde(default)]
    pub secrets: Option<SealedIn>,
    /// Its network.
    pub network: Network,
    /// When to start it again after it ended by itself.
    pub restart: Restart,
    /// How long each run of the program may take, in milliseconds; then it is killed. None: for
    /// ever.
    #[serde(default)]
    pub ends_within_ms: Option<u64>,
    /// Signal number that asks the program to stop (15 is SIGTERM).
    pub kill_signal: i32,
    /// How long the program has after `kill_signal` before SIGKILL, in milliseconds.
    pub kill_timeout_ms: u64,
    /// Host paths that the instance must not see (our state directory).
    pub hidden: Vec<PathBuf>,
    /// Resource limits to enforce where the host can.
    pub limits: Limits,
    /// The engine's part, if it is a container and no process tree of ours.
    #[serde(default)]
    pub engine: Option<InEngine>,
}

/// What a container is made from beside what every instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InEngine {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The container's name.
    pub container: String,
    /// The image's identity on the engine.
    pub image: String,
    /// Whether `argv` takes the place of the image's entrypoint, and does not follow it.
    pub replaces_entrypoint: bool,
    /// Labels of the container.
    pub marks: BTreeMap<String, String>,
    /// The directory that volumes are mounted in for the engine; empty while nothing runs.
    pub room: PathBuf,
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launch").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// One volume at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where the data is on the host.
    pub source: BindSource,
    /// Absolute path inside; made if the host has no such directory.
    pub destination: PathBuf,
}

/// The storage behind a [`Bind`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindSource {
    /// A directory, bound as it is.
    Directory(PathBuf),
    /// An image of an ext4 file system, mounted in the instance's mount namespace only. Its
    /// directory [`DATA`](crate::names::DATA) is bound, so that a file system that failed to mount can never be
    /// mistaken for an empty volume.
    Image(PathBuf),
    /// An open block device with an ext4 file system, mounted in the instance's mount namespace
    /// only. Its directory [`DATA`](crate::names::DATA) is bound, as that of an image.
    Device(PathBuf),
}

/// A file written before the program starts. Its content may be secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct GuestFile {
    /// Absolute path inside.
    pub path: PathBuf,
    /// Content.
    pub bytes: Vec<u8>,
    /// Permission bits, such as `0o600`.
    pub mode: u32,
}

/// Secrets of an instance, sealed, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedIn {
    /// The fleet's state directory.
    pub state: PathBuf,
    /// The fleet.
    pub fleet: FleetName,
    /// The app whose they are.
    pub app: AppName,
    /// Which; each is a variable of the environment.
    pub versions: SecretVersions,
    /// Files whose content is one of them.
    pub files: Vec<SecretFile>,
}

/// A file whose content is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Absolute path inside.
    pub path: PathBuf,
    /// The secret.
    pub secret: SecretName,
    /// Permission bits, such as `0o600`.
    pub mode: u32,
}

impl Launch {
    /// The launch with its secrets in their places; not to be written down.
    pub(super) fn opened(mut self) -> Result<Self, Refusal> {
        let Some(sealed) = self.secrets.take() else { return Ok(self) };
        let secrets = SealedSecrets::new(sealed.fleet, StateDir::at(sealed.state));
        let values = secrets.get(&sealed.app, &sealed.versions);
        let values = values.map_err(|error| cannot("open its secrets")(crate::chain(&error)))?;
        for file in sealed.files {
            let value = values.get(&file.secret).ok_or_else(|| {
                cannot("open its secrets")(format!("{} is not among them", file.secret))
            })?;
            let bytes = value.expose().as_bytes().to_vec();
            self.files.push(GuestFile { path: file.path, bytes, mode: file.mode });
        }
        for (name, value) in &values {
            self.env.insert(name.to_string(), value.expose().to_owned());
        }
        Ok(self)
    }
}

/// The network of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A network namespace of its own, joined to a bridge (needs root).
    Own {
        /// The bridge, made when absent. At most 15 bytes, as all link names.
        bridge: String,
        /// The host's end of the veth pair.
        link: String,
        /// The instance's address.
        address: IpAddr,
        /// Length of the subnet's prefix in bits.
        prefix: u8,
        /// The bridge's address, the instance's default route.
        gateway: IpAddr,
    },
    /// A network namespace of its own that is joined to nothing: the address is on its loopback,
    /// and only who enters the namespace can connect.
    Alone {
        /// The instance's address.
        address: IpAddr,
    },
    /// The host's network. The declared ports must be free on the address at the start.
    Shared {
        /// The address it is told to listen on.
        address: IpAddr,
        /// TCP ports it will listen on.
        ports: Vec<u16>,
    },
}

impl Network {
    /// Whether the instance has a network namespace of its own.
    pub(super) const fn is_own(&self) -> bool {
        match self {
            Self::Own { .. } | Self::Alone { .. } => true,
            Self::Shared { .. } => false,
        }
    }
}

/// When a program that ended by itself is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Whatever its status was.
    Always,
    /// After a status other than 0, at most so many times in a row (60 s up starts a new row).
    OnFailure {
        /// How many times.
        retries: u32,
    },
    /// Not at all.
    Never,
}

/// What the instance was promised. Enforced with cgroup v2 where the host lets us, else only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processors in thousandths of one.
    pub cpu_millis: Option<u64>,
    /// Swap beside the memory, in bytes.
    #[serde(default)]
    pub swap_bytes: Option<u64>,
}
