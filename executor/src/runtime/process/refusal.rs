//! Why an instance could not be started or went on no longer, in a form that survives from the
//! supervisor to whoever asks.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Why an instance does not run. Stored in its record, so causes are text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Its directory is supervised already.
    #[error("instance is already supervised by process {pid}")]
    Supervised {
        /// The supervisor.
        pid: u32,
    },
    /// Another process tree keeps a volume.
    #[error("volume is held by instance {instance}{}: {}",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), file.display())]
    Held {
        /// The hold file.
        file: PathBuf,
        /// Who holds it, as it wrote down itself.
        instance: String,
        /// One living process of the holder, when known.
        pid: Option<u32>,
    },
    /// A volume is still mounted, or its image still has a loop device.
    #[error("volume {} is still in use by {by}", source_path.display())]
    Mounted {
        /// The volume's image or directory.
        source_path: PathBuf,
        /// The device or process that uses it.
        by: String,
    },
    /// Somebody listens where the instance would.
    #[error("{address} is taken{}", by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())]
    PortTaken {
        /// Address and port.
        address: SocketAddr,
        /// Program and process id, when it can be found.
        by: Option<String>,
    },
    /// The host lacks something, or refused something.
    #[error("cannot {step}: {cause}")]
    Host {
        /// What was tried, as "cannot …" goes on.
        step: String,
        /// What the system said.
        cause: String,
    },
    /// The program itself could not be started.
    #[error("cannot start {program}: {cause}")]
    Program {
        /// The first word of the command.
        program: String,
        /// What the system said.
        cause: String,
    },
}

/// For `map_err`: the step that failed and what the system said.
pub(super) fn cannot<E: Display>(step: impl Into<String>) -> impl FnOnce(E) -> Refusal {
    move |cause| Refusal::Host { step: step.into(), cause: cause.to_string() }
}

/// As [`cannot`], for a step on a path.
pub(super) fn cannot_at<E: Display>(step: &str, path: &Path) -> impl FnOnce(E) -> Refusal {
    let step = format!("{step} {}", path.display());
    move |cause| Refusal::Host { step, cause: cause.to_string() }
}
