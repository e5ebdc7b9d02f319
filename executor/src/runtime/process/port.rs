//! The runtime port on supervised processes: one directory an instance, under the host's.

use super::record::Place;
use super::{Bind, BindSource, Error, GuestFile, Launch, Limits, Network, Refusal};
use super::{Restart, SealedIn, SecretFile, State, TOOK_TOO_LONG};
use crate::ensure::Ensured;
use crate::names;
use crate::runtime::{Runtime, RuntimeError, Start};
use crate::storage::Medium;
use async_trait::async_trait;
use planner::model::artifact::{Artifact, ArtifactKind};
use planner::model::id::InstanceId;
use planner::model::instance::{self, InstanceSpec, Supervision};
use planner::model::name::FleetName;
use planner::model::network::Port;
use planner::model::network::Subnet;
use planner::model::observed::{InstanceState, InstanceView};
use planner::model::time::{Millis, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long an instance may take to be under supervision, its volumes held and mounted.
const COMING_UP: Duration = Duration::from_secs(60);
/// Where an instance's program starts, and where its source tree is.
const WORKING_DIRECTORY: &str = "/app";
/// Permission bits of files of the manifest, and of those whose content is a secret: a program may
/// run as another user than the one that starts it.
const FILE_MODE: u32 = 0o644;
const SECRET_MODE: u32 = 0o444;
/// What the host remembers of an instance beside its launch: its specification as planned.
const SPECIFICATION: &str = "instance.json";

/// Instances of one host as supervised processes.
pub struct ProcessRuntime {
    /// The binary that answers `internal …`: tiedown itself.
    pub program: PathBuf,
    /// Directory of all instances of the host.
    pub directory: PathBuf,
    /// The fleet's state directory: its secrets are there, and instances must not see it.
    pub state: PathBuf,
    /// The fleet.
    pub fleet: FleetName,
    /// Addresses of its instances.
    pub subnet: Subnet,
    /// Whether this machine lets instances run at all.
    pub runs_instances: bool,
    /// Whether instances have the machine's network and not each its own.
    pub shares_ports: bool,
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn runs(&self) -> BTreeSet<ArtifactKind> {
        match self.runs_instances {
            true => BTreeSet::from([ArtifactKind::Tree]),
            false => BTreeSet::new(),
        }
    }

    fn shares_ports(&self) -> bool {
        self.shares_ports
    }

    async fn instances(&self) -> Result<BTreeMap<InstanceId, InstanceView>, RuntimeError> {
        let views = self.directories()?.into_iter().map(|path| view(&path));
        let views = views.filter_map(Result::transpose);
        views.map(|view| view.map(|view| (view.id.clone(), view))).collect()
    }

    async fn start(&self, start: Start<'_>) -> Result<Ensured, RuntimeError> {
        let launch = self.launch(&start)?;
        self.start_launch(start.instance, launch).await
    }

    async fn stop(&self, id: &InstanceId) -> Result<Ensured, RuntimeError> {
        let directory = self.place(id);
        if !directory.exists() {
            return Ok(Ensured::AlreadySo);
        }
        blocking(&format!("stopping instance {id}"), move || {
            super::stop(&directory)?;
            super::remove(&directory)
        })
        .await?;
        Ok(Ensured::Made)
    }

    async fn supervise(
        &self,
        id: &InstanceId,
        supervision: &Supervision,
    ) -> Result<Ensured, RuntimeError> {
        let directory = self.place(id);
        let Some(mut specification) = read_specification(&directory)? else {
            return Err(RuntimeError::Absent { id: id.clone() });
        };
        super::supervise(
            &directory,
            restart(supervision.restart),
            signal(&supervision.kill_signal)?,
            Duration::from_millis(supervision.kill_timeout.0),
        )
        .map_err(|error| failed(format!("supervising instance {id} otherwise"), error))?;
        specification.supervision = supervision.clone();
        write_specification(&directory, &specification)?;
        Ok(Ensured::Changed)
    }

    async fn resume(&self, id: &InstanceId) -> Result<Ensured, RuntimeError> {
        let directory = self.place(id);
        let act = format!("resuming instance {id}");
        let state = super::state(&directory).map_err(|error| failed(act.clone(), error))?;
        match state.map(|record| record.state) {
            None => return Err(RuntimeError::Absent { id: id.clone() }),
            Some(State::Died { .. }) => {}
            Some(
                State::Starting
                | State::Running { .. }
                | State::Backoff { .. }
                | State::Finished { .. }
                | State::Failed { .. }
                | State::Stopped,
            ) => return Ok(Ensured::AlreadySo),
        }
        let launch = Place::at(&directory);
        let launch = launch.read_launch().map_err(|error| failed(act.clone(), error))?;
        let program = self.program.clone();
        blocking(&act, move || {
            super::stop(&directory)?;
            super::start(&program, &directory, &launch, COMING_UP)
        })
        .await?;
        Ok(Ensured::Made)
    }

    /// Whoever shares the machine's network may not enter one of an instance.
    fn isolates(&self) -> bool {
        self.runs_instances && !self.shares_ports
    }

    async fn connect(&self, id: &InstanceId, place: SocketAddrV4) -> io::Result<TcpStream> {
        let directory = self.place(id);
        match read_specification(&directory) {
            Ok(Some(specification)) if specification.alone => {
                super::connect(&directory, place).await
            }
            Ok(_) | Err(_) => TcpStream::connect(place).await,
        }
    }

    async fn exec(&self, id: &InstanceId, argv: &[OsString]) -> Result<i32, RuntimeError> {
        let (program, directory, argv) = (self.program.clone(), self.place(id), argv.to_vec());
        let act = format!("running a program in instance {id}");
        blocking(&act, move || super::exec(&program, &directory, &argv)).await
    }

    /// An instance with a network of its own is alone on its address.
    async fn listens(&self, id: &InstanceId, address: Ipv4Addr, port: Port) -> Result<(), String> {
        if !self.shares_ports {
            return Ok(());
        }
        let (directory, place) = (self.place(id), SocketAddr::new(IpAddr::V4(address), port.0));
        let seen = tokio::task::spawn_blocking(move || super::listens(&directory, place));
        seen.await.map_err(|error| error.to_string())?
    }

    async fn trees(&self) -> Result<BTreeSet<String>, RuntimeError> {
        let mut digests = BTreeSet::new();
        for directory in self.directories()? {
            let specification = read_specification(&directory)?;
            if let Some(Artifact::Tree { digest }) = specification.map(|spec| spec.artifact) {
                digests.insert(digest.to_string());
            }
        }
        Ok(digests)
    }

    async fn clear(&self) -> Result<(), RuntimeError> {
        if self.shares_ports() {
            return Ok(());
        }
        let bridge = names::bridge(&self.fleet, &self.directory);
        super::remove_bridge(&bridge).await.map_err(|refusal| refused("removing a bridge", refusal))
    }

    fn log(&self, id: &InstanceId) -> PathBuf {
        Place::at(&self.place(id)).log()
    }
}

impl ProcessRuntime {
    /// An instance's directory.
    pub(in crate::runtime) fn place(&self, id: &InstanceId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    /// Writes an instance down and starts its supervisor.
    pub(in crate::runtime) async fn start_launch(
        &self,
        instance: &InstanceSpec,
        launch: Launch,
    ) -> Result<Ensured, RuntimeError> {
        let directory = self.place(&instance.id);
        write_specification(&directory, instance)?;
        let program = self.program.clone();
        blocking(&format!("starting instance {}", instance.id), move || {
            match super::start(&program, &directory, &launch, COMING_UP) {
                // A program that cannot be run is a failed release, for its gate to tell; its
                // record says so.
                Err(Error::Refused(Refusal::Program { .. })) => Ok(()),
                started => started.map(drop),
            }
        })
        .await?;
        Ok(Ensured::Made)
    }

    /// Stops an instance and keeps its record and its log.
    pub(in crate::runtime) async fn halt(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let directory = self.place(id);
        blocking(&format!("stopping instance {id}"), move || super::stop(&directory).map(drop))
            .await
    }

    /// Directories of all instances, or of what is left of them; complete, or an error.
    fn directories(&self) -> Result<Vec<PathBuf>, RuntimeError> {
        let cannot = |error: io::Error| unreadable(&self.directory, &error);
        match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(cannot(error)),
            Ok(entries) => entries.map(|entry| Ok(entry.map_err(cannot)?.path())).collect(),
        }
    }

    /// All that an instance is started with, as a process tree.
    pub(in crate::runtime) fn launch(&self, start: &Start<'_>) -> Result<Launch, RuntimeError> {
        let instance = start.instance;
        let mut binds = Vec::new();
        for (bind, attachment) in &start.volumes {
            let source = match &attachment.medium {
                Medium::Directory(path) => BindSource::Directory(path.clone()),
                Medium::Image(path) => BindSource::Image(path.clone()),
                Medium::Device(path) => BindSource::Device(path.clone()),
            };
            binds.push(Bind { source, destination: PathBuf::from(bind.destination.as_str()) });
        }
        let files = instance.files.iter().map(|file| GuestFile {
            path: PathBuf::from(&file.path),
            bytes: file.content.clone(),
            mode: FILE_MODE,
        });
        let env = instance.env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Ok(Launch {
            instance: instance.id.to_string(),
            argv: instance.argv.clone(),
            env: env.collect(),
            directory: PathBuf::from(WORKING_DIRECTORY),
            tree: start.tree.map(Path::to_owned),
            binds,
            holds: start.volumes.iter().map(|(_, attachment)| attachment.hold.clone()).collect(),
            files: files.collect(),
            secrets: self.secrets(instance),
            network: self.network(instance),
            restart: restart(instance.supervision.restart),
            ends_within_ms: instance.ends_within.map(|span| span.0),
            kill_signal: signal(&instance.supervision.kill_signal)?,
            kill_timeout_ms: instance.supervision.kill_timeout.0,
            hidden: vec![self.state.clone()],
            limits: Limits {
                memory_bytes: Some(instance.guest.memory.bytes()),
                cpu_millis: Some(u64::from(instance.guest.cpus) * 1000),
                swap_bytes: Some(instance.guest.swap.bytes()),
            },
            engine: None,
        })
    }

    fn secrets(&self, instance: &InstanceSpec) -> Option<SealedIn> {
        let files = instance.secret_files.iter().map(|file| SecretFile {
            path: PathBuf::from(&file.path),
            secret: file.secret.clone(),
            mode: SECRET_MODE,
        });
        (!instance.secrets.is_empty()).then(|| SealedIn {
            state: self.state.clone(),
            fleet: self.fleet.clone(),
            app: instance.slot.app.clone(),
            versions: instance.secrets.clone(),
            files: files.collect(),
        })
    }

    fn network(&self, instance: &InstanceSpec) -> Network {
        let address = IpAddr::V4(instance.address);
        if instance.alone {
            return Network::Alone { address };
        }
        if self.shares_ports() {
            let ports = instance.ports.iter().map(|port| port.0).collect();
            return Network::Shared { address, ports };
        }
        Network::Own {
            bridge: names::bridge(&self.fleet, &self.directory),
            link: names::link(&instance.id, &self.directory),
            address,
            prefix: self.subnet.prefix(),
            gateway: IpAddr::V4(self.subnet.gateway()),
        }
    }
}

/// The instance in a directory; nothing if none was ever started there.
fn view(directory: &Path) -> Result<Option<InstanceView>, RuntimeError> {
    let act = || format!("reading the instance in {}", directory.display());
    let Some(record) = super::state(directory).map_err(|error| failed(act(), error))? else {
        return Ok(None);
    };
    let Some(spec) = read_specification(directory)? else {
        let what = format!("the instance in {}", directory.display());
        return Err(RuntimeError::Unreadable { what, why: "its record is gone".to_owned() });
    };
    let up_since = match record.state {
        State::Running { started_at_ms, .. } => Some(Timestamp(started_at_ms / 1000)),
        State::Starting
        | State::Backoff { .. }
        | State::Finished { .. }
        | State::Failed { .. }
        | State::Stopped
        | State::Died { .. } => None,
    };
    let restarts = match record.state {
        State::Running { restarts, .. } | State::Backoff { restarts, .. } => restarts,
        State::Starting
        | State::Finished { .. }
        | State::Failed { .. }
        | State::Stopped
        | State::Died { .. } => 0,
    };
    let state = state(record.state, spec.ends_within);
    Ok(Some(InstanceView { up_since, restarts, ..seen(spec, state) }))
}

/// An instance as its specification says and as it was found.
pub(in crate::runtime) fn seen(spec: InstanceSpec, state: InstanceState) -> InstanceView {
    InstanceView {
        id: spec.id,
        slot: spec.slot,
        role: spec.role,
        release: spec.release,
        state,
        healthy: None,
        said: Vec::new(),
        up_since: None,
        address: spec.address,
        ports: spec.ports,
        volumes: spec.binds.into_iter().map(|bind| bind.volume).collect(),
        supervision: spec.supervision,
        checks: Vec::new(),
        memory: spec.guest.memory,
        cpus: spec.guest.cpus,
        restarts: 0,
    }
}

fn state(state: State, ends_within: Option<Millis>) -> InstanceState {
    match state {
        State::Starting | State::Running { .. } => InstanceState::Running,
        State::Backoff { .. } => InstanceState::Restarting,
        State::Finished { code: 0 } => InstanceState::Finished,
        State::Finished { code: TOOK_TOO_LONG } if ends_within.is_some() => {
            let span = ends_within.unwrap_or_default();
            InstanceState::Failed { why: format!("its program did not end within {span}") }
        }
        State::Finished { code } => {
            InstanceState::Failed { why: format!("its program ended with status {code}") }
        }
        State::Failed { why } => InstanceState::Failed { why: crate::chain(&why) },
        State::Stopped => InstanceState::Stopped,
        State::Died { .. } => {
            let why = "its supervisor is gone: killed, or the machine was restarted";
            InstanceState::Died { why: why.to_owned() }
        }
    }
}

const fn restart(restart: instance::Restart) -> Restart {
    match restart {
        instance::Restart::Always => Restart::Always,
        instance::Restart::OnFailure { retries } => Restart::OnFailure { retries },
        instance::Restart::Never => Restart::Never,
    }
}

/// The number of a signal by its name, with or without `SIG`; see signal(7).
fn signal(name: &str) -> Result<i32, RuntimeError> {
    use rustix::process::Signal;
    let signal = match name.strip_prefix("SIG").unwrap_or(name) {
        "ABRT" => Signal::ABORT,
        "ALRM" => Signal::ALARM,
        "FPE" => Signal::FPE,
        "HUP" => Signal::HUP,
        "ILL" => Signal::ILL,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "PIPE" => Signal::PIPE,
        "QUIT" => Signal::QUIT,
        "SEGV" => Signal::SEGV,
        "TERM" => Signal::TERM,
        "TRAP" => Signal::TRAP,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        _ => {
            let what = format!("signal {name}");
            let hint = "write a name such as SIGTERM for `kill_signal`".to_owned();
            return Err(RuntimeError::Missing { what, hint });
        }
    };
    Ok(signal.as_raw())
}

fn read_specification(directory: &Path) -> Result<Option<InstanceSpec>, RuntimeError> {
    let path = directory.join(SPECIFICATION);
    match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, &error)),
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(specification) => Ok(Some(specification)),
            Err(error) => Err(unreadable(&path, &error)),
        },
    }
}

fn write_specification(directory: &Path, instance: &InstanceSpec) -> Result<(), RuntimeError> {
    let act = format!("writing down instance {}", instance.id);
    let io = |error: io::Error| failed(act.clone(), error);
    let place = Place::at(directory);
    place.make().map_err(io)?;
    let json = serde_json::to_vec_pretty(instance).map_err(io::Error::other).map_err(io)?;
    place.replace(SPECIFICATION, &json).map_err(io)
}

async fn blocking<T: Send + 'static>(
    act: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::Refused(refusal))) => Err(refused(act, refusal)),
        Ok(Err(error @ (Error::Io { .. } | Error::Late { .. } | Error::Alive { .. }))) => {
            Err(failed(act.to_owned(), error))
        }
        Err(error) => Err(failed(act.to_owned(), error)),
    }
}

fn refused(act: &str, refusal: Refusal) -> RuntimeError {
    match refusal {
        Refusal::Held { file, instance, .. } => RuntimeError::Held {
            volume: names::volume_of(&file),
            holder: format!("instance {instance}"),
        },
        Refusal::Mounted { source_path, by } => {
            RuntimeError::Held { volume: names::volume_of(&source_path), holder: by }
        }
        Refusal::PortTaken { address: SocketAddr::V4(address), by } => RuntimeError::PortTaken {
            port: address.port(),
            address: *address.ip(),
            holder: by.unwrap_or_else(|| "another program".to_owned()),
        },
        other @ (Refusal::Supervised { .. }
        | Refusal::PortTaken { .. }
        | Refusal::Host { .. }
        | Refusal::Program { .. }) => failed(act.to_owned(), other),
    }
}

pub(in crate::runtime) fn failed(
    act: String,
    source: impl std::error::Error + Send + Sync + 'static,
) -> RuntimeError {
    RuntimeError::Failed { act, source: Box::new(source) }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Unreadable { what: path.display().to_string(), why: why.to_string() }
}
