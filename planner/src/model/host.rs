//! Hosts as `tiedown.toml` describes them.

use super::name::{HostName, Region};
use super::network::Subnet;
use super::size::Size;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// What may happen on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// New slots may come.
    Active,
    /// What is there stays and is deployed; nothing new comes.
    Cordoned,
    /// Given up: its slots may start elsewhere, with a permit.
    Lost,
}

impl HostState {
    /// The state's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Cordoned => "cordoned",
            Self::Lost => "lost",
        }
    }
}

/// One `[[hosts]]` entry, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its name.
    pub name: HostName,
    /// Where it is.
    pub region: Region,
    /// What fails together; hosts without one are a zone each.
    pub zone: Option<String>,
    /// What may happen on it.
    pub state: HostState,
    /// The name it had before: its pool's and claims' marks may still say so.
    pub was: Option<HostName>,
    /// Addresses of its instances.
    pub subnet: Subnet,
    /// Memory that slots can reserve.
    pub memory: Size,
    /// Processors that slots can reserve.
    pub cpus: u32,
    /// Size of the pool to make if it has none; `None` where the pool must be there already.
    pub pool_size: Option<Size>,
}

impl HostSpec {
    /// What fails together with this host: its zone, or itself.
    #[must_use]
    pub fn failure_domain(&self) -> &str {
        self.zone.as_deref().unwrap_or(self.name.as_str())
    }
}
