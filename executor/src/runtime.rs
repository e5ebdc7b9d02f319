//! The runtime port: a host's instances.

pub mod docker;
pub mod process;

use crate::ensure::Ensured;
use crate::storage::Attachment;
use async_trait::async_trait;
use planner::model::artifact::ArtifactKind;
use planner::model::id::InstanceId;
use planner::model::instance::{Bind, InstanceSpec, Supervision};
use planner::model::network::Port;
use planner::model::observed::{Foreign, InstanceView};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use tokio::net::TcpStream;

/// What lines begin with that a runtime itself writes into an instance's log.
pub const LOG_MARK: &str = "tiedown: ";

/// An instance to start, and what of the host it needs.
#[derive(Debug)]
pub struct Start<'a> {
    /// What to start.
    pub instance: &'a InstanceSpec,
    /// Its volumes: where each is seen, and how it is got at.
    pub volumes: Vec<(Bind, Attachment)>,
    /// Its source tree, exported, if it runs one.
    pub tree: Option<&'a Path>,
}

/// A host's instances. One fleet, one host.
///
/// Promises of every adapter: an instance outlives tiedown, and is restarted as its restart
/// policy says; it holds each of its volumes exclusively for as long as any process of it lives;
/// a killed supervisor takes its children with it; stopped means that no process of it lives and
/// its volumes are unmounted. Acts are idempotent.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// What it can run.
    fn runs(&self) -> BTreeSet<ArtifactKind>;

    /// Whether instances share the machine's ports.
    fn shares_ports(&self) -> bool;

    /// Lists all instances of the fleet on this host; complete, or an error.
    ///
    /// # Errors
    /// [`RuntimeError::Unreadable`].
    async fn instances(&self) -> Result<BTreeMap<InstanceId, InstanceView>, RuntimeError>;

    /// Lists what is not of this fleet where instances run, to be shown and never touched.
    ///
    /// # Errors
    /// [`RuntimeError::Unreadable`].
    async fn foreign(&self) -> Result<Vec<Foreign>, RuntimeError> {
        Ok(Vec::new())
    }

    /// Digests of all images that are there to be started from.
    ///
    /// # Errors
    /// [`RuntimeError::Unreadable`].
    async fn images(&self) -> Result<BTreeSet<String>, RuntimeError> {
        Ok(BTreeSet::new())
    }

    /// Has an image there, whole.
    ///
    /// # Errors
    /// [`RuntimeError::Missing`] where no image is ever started; else any.
    async fn fetch(&self, reference: &str, _digest: &str) -> Result<Ensured, RuntimeError> {
        let what = format!("a runtime for the image {reference}");
        let hint = "only a Docker Engine runs images".to_owned();
        Err(RuntimeError::Missing { what, hint })
    }

    /// Starts an instance. Returns when its supervisor runs and its volumes are held; whether the
    /// program comes up is for health to say.
    ///
    /// # Errors
    /// [`RuntimeError::Held`] if a volume is in use; [`RuntimeError::PortTaken`]; else any.
    async fn start(&self, start: Start<'_>) -> Result<Ensured, RuntimeError>;

    /// Stops an instance with its own signal and timeout, and removes its record and its log.
    ///
    /// # Errors
    /// Any [`RuntimeError`].
    async fn stop(&self, id: &InstanceId) -> Result<Ensured, RuntimeError>;

    /// Changes how a running instance is kept running.
    ///
    /// # Errors
    /// Any [`RuntimeError`].
    async fn supervise(
        &self,
        id: &InstanceId,
        supervision: &Supervision,
    ) -> Result<Ensured, RuntimeError>;

    /// Starts again what should run but does not, after a reboot, with the same specification.
    ///
    /// # Errors
    /// Any [`RuntimeError`].
    async fn resume(&self, id: &InstanceId) -> Result<Ensured, RuntimeError>;

    /// Whether it can start instances that have no network but for [`Runtime::connect`].
    fn isolates(&self) -> bool {
        false
    }

    /// Connects to an instance, from the host.
    ///
    /// # Errors
    /// What the system says.
    async fn connect(&self, _: &InstanceId, place: SocketAddrV4) -> io::Result<TcpStream> {
        TcpStream::connect(place).await
    }

    /// Runs one more program in an instance, on this process's standard streams, and gives its
    /// status; 126 where the instance does not run or the program cannot be started.
    ///
    /// # Errors
    /// Any [`RuntimeError`].
    async fn exec(&self, id: &InstanceId, argv: &[OsString]) -> Result<i32, RuntimeError>;

    /// Whether it is the instance that listens on its address and port, and not some other program
    /// that answers there.
    ///
    /// # Errors
    /// Who it is instead, in words, or why that could not be seen.
    async fn listens(&self, id: &InstanceId, address: Ipv4Addr, port: Port) -> Result<(), String>;

    /// Digests of the source trees that instances here run. The host keeps these, and no others.
    ///
    /// # Errors
    /// [`RuntimeError::Unreadable`]: then none may be removed.
    async fn trees(&self) -> Result<BTreeSet<String>, RuntimeError>;

    /// Removes what the host keeps for all instances together, such as a bridge. To be called
    /// when there are none.
    ///
    /// # Errors
    /// Any [`RuntimeError`].
    async fn clear(&self) -> Result<(), RuntimeError>;

    /// The file that an instance's output goes to.
    fn log(&self, id: &InstanceId) -> PathBuf;
}

/// Why the runtime did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Something is there that cannot be understood; nothing was changed.
    #[error("{what} cannot be understood: {why}")]
    Unreadable {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// A volume is in use.
    #[error("volume {volume} is in use by {holder}")]
    Held {
        /// Which.
        volume: String,
        /// Who.
        holder: String,
    },
    /// Somebody listens there already.
    #[error("port {port} of {address} is taken by {holder}")]
    PortTaken {
        /// Which port.
        port: u16,
        /// Of which address.
        address: Ipv4Addr,
        /// Who.
        holder: String,
    },
    /// There is no such instance.
    #[error("there is no instance {id}")]
    Absent {
        /// Which.
        id: InstanceId,
    },
    /// A program or privilege is missing.
    #[error("{what} is missing; {hint}")]
    Missing {
        /// What.
        what: String,
        /// The way out.
        hint: String,
    },
    /// It did not work.
    #[error("{act}")]
    Failed {
        /// What was being done.
        act: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
