//! What a line of a plan or report is about.

use super::id::{InstanceId, VolumeId};
use super::name::{AppName, GroupName, HostName, SourceName};
use super::slot::SlotId;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// One thing that tiedown speaks about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "object")]
pub enum Object {
    /// The fleet as a whole.
    Fleet,
    /// A host.
    Host {
        /// Its name.
        host: HostName,
    },
    /// The pool of a host.
    Pool {
        /// The host.
        host: HostName,
    },
    /// An app.
    App {
        /// Its name.
        app: AppName,
    },
    /// A group of an app.
    Group {
        /// The app.
        app: AppName,
        /// The group.
        group: GroupName,
    },
    /// A slot.
    Slot {
        /// Which.
        slot: SlotId,
    },
    /// A volume of a slot.
    Volume {
        /// The slot it is or was of.
        slot: SlotId,
        /// Its name.
        source: SourceName,
        /// Its identity.
        volume: VolumeId,
    },
    /// An instance.
    Instance {
        /// The slot it is of.
        slot: SlotId,
        /// Its identity.
        instance: InstanceId,
    },
    /// Something without our mark.
    Foreign {
        /// Where.
        host: HostName,
        /// How the host calls it.
        name: String,
    },
}

impl Object {
    /// The slot that it is of, if it is of one.
    #[must_use]
    pub const fn slot(&self) -> Option<&SlotId> {
        match self {
            Self::Slot { slot } | Self::Volume { slot, .. } | Self::Instance { slot, .. } => {
                Some(slot)
            }
            Self::Fleet
            | Self::Host { .. }
            | Self::Pool { .. }
            | Self::App { .. }
            | Self::Group { .. }
            | Self::Foreign { .. } => None,
        }
    }

    /// The app it belongs to, if to one.
    #[must_use]
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Self::Fleet | Self::Host { .. } | Self::Pool { .. } | Self::Foreign { .. } => None,
            Self::App { app } | Self::Group { app, .. } => Some(app),
            Self::Slot { slot } | Self::Volume { slot, .. } | Self::Instance { slot, .. } => {
                Some(&slot.app)
            }
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("fleet"),
            Self::Host { host } => write!(f, "host {host}"),
            Self::Pool { host } => write!(f, "pool of {host}"),
            Self::App { app } => write!(f, "app {app}"),
            Self::Group { app, group } => write!(f, "group {app}/{group}"),
            Self::Slot { slot } => write!(f, "slot {slot}"),
            Self::Volume { slot, source, volume } => {
                write!(f, "volume {source} of {slot} ({volume})")
            }
            Self::Instance { slot, instance } => write!(f, "instance {instance} of {slot}"),
            Self::Foreign { host, name } => write!(f, "{name} on {host}"),
        }
    }
}
