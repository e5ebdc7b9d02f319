//! What tiedown asks of a Docker Engine, over its socket: a handful of calls on containers,
//! networks and images. The only user of the client library; decides nothing.

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, NetworkCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, InspectContainerOptions,
    InspectNetworkOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    ListImagesOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures::{Stream, StreamExt};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long one call may take, in seconds; pulls and logs go on for as long as something comes.
const DEADLINE_S: u64 = 120;

/// How long a container that is being removed may take to be gone, and how often it is looked at.
const REMOVING: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// Why the engine did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers.
    #[error("no Docker Engine answers at {}", socket.display())]
    Silent {
        /// Where it was asked.
        socket: PathBuf,
        /// What happened instead.
        source: Box<Error>,
    },
    /// It answered that it cannot.
    #[error("the Docker Engine says: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
}

/// An engine, by its socket.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    socket: PathBuf,
}

/// Which limits an engine can enforce; what the kernel lacks it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limiting {
    /// Memory.
    pub memory: bool,
    /// Swap.
    pub swap: bool,
    /// Processor time.
    pub cpus: bool,
}

/// A container in a listing.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether a process of it lives.
    pub lives: bool,
    /// Directories of the host that it sees.
    pub sources: Vec<PathBuf>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doing {
    /// The engine's id of its first process, while it lives.
    pub pid: Option<u32>,
    /// The status that it ended with.
    pub code: i32,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its identity on this engine.
    pub id: String,
    /// Names with digests under which registries gave it.
    pub digests: Vec<String>,
}

impl Image {
    /// All that it is called by: its identity here, and what registries call it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let digests = self.digests.iter().filter_map(|name| name.split_once('@'));
        std::iter::once(self.id.as_str()).chain(digests.map(|(_, digest)| digest))
    }
}

impl Engine {
    /// The engine at a socket; nothing is asked yet.
    ///
    /// # Errors
    /// [`EngineError::Silent`] if there is no such socket.
    pub fn at(socket: &Path) -> Result<Self, EngineError> {
        let silent =
            |error| EngineError::Silent { socket: socket.to_owned(), source: Box::new(error) };
        let path = socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&path, DEADLINE_S, bollard::API_DEFAULT_VERSION);
        Ok(Self { docker: docker.map_err(silent)?, socket: socket.to_owned() })
    }

    fn failed(&self, error: Error) -> EngineError {
        match error {
            Error::DockerResponseServerError { message, .. } => EngineError::Refused { message },
            Error::DockerStreamError { error } => EngineError::Refused { message: error },
            other => EngineError::Silent { socket: self.socket.clone(), source: Box::new(other) },
        }
    }

    /// The answer, or nothing where there is no such thing.
    fn found<T>(&self, answer: Result<T, Error>) -> Result<Option<T>, EngineError> {
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Its version, which also says that it answers.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn version(&self) -> Result<String, EngineError> {
        let version = self.docker.version().await.map_err(|error| self.failed(error))?;
        Ok(version.version.unwrap_or_default())
    }

    /// What it can limit.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn limiting(&self) -> Result<Limiting, EngineError> {
        let info = self.docker.info().await.map_err(|error| self.failed(error))?;
        let yes = |flag: Option<bool>| flag.unwrap_or(false);
        Ok(Limiting {
            memory: yes(info.memory_limit),
            swap: yes(info.swap_limit),
            cpus: yes(info.cpu_cfs_quota),
        })
    }

    /// All its containers, whether they run or not, whoever's they are.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn containers(&self) -> Result<Vec<Listed>, EngineError> {
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let listed = self.docker.list_containers(Some(all)).await;
        let listed = listed.map_err(|error| self.failed(error))?;
        let of = |summary: bollard::models::ContainerSummary| {
            let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
            let mounts = summary.mounts.unwrap_or_default().into_iter();
            // Another word than these means that a process may live.
            let state = summary.state.map(|state| state.to_string()).unwrap_or_default();
            Listed {
                name: name.trim_start_matches('/').to_owned(),
                labels: summary.labels.unwrap_or_default().into_iter().collect(),
                lives: !matches!(state.as_str(), "created" | "exited" | "dead"),
                sources: mounts.filter_map(|mount| mount.source.map(PathBuf::from)).collect(),
            }
        };
        Ok(listed.into_iter().map(of).collect())
    }

    /// Makes a container; it does not run yet.
    ///
    /// # Errors
    /// Any [`EngineError`]; a name that is taken is [`EngineError::Refused`].
    pub async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<(), EngineError> {
        let named = CreateContainerOptionsBuilder::default().name(name).build();
        let made = self.docker.create_container(Some(named), body).await;
        made.map(drop).map_err(|error| self.failed(error))
    }

    /// Starts a container.
    ///
    /// # Errors
    /// Any [`EngineError`]; a program that cannot be run is [`EngineError::Refused`].
    pub async fn start(&self, name: &str) -> Result<(), EngineError> {
        let started = self.docker.start_container(name, None::<StartContainerOptions>).await;
        started.map_err(|error| self.failed(error))
    }

    /// What a container does; nothing if there is none.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn doing(&self, name: &str) -> Result<Option<Doing>, EngineError> {
        let answer = self.docker.inspect_container(name, None::<InspectContainerOptions>).await;
        let Some(state) = self.found(answer)?.map(|found| found.state.unwrap_or_default()) else {
            return Ok(None);
        };
        let number = |value: Option<i64>| value.unwrap_or(0);
        let pid = u32::try_from(number(state.pid)).ok().filter(|pid| *pid > 0);
        let code = i32::try_from(number(state.exit_code)).unwrap_or(i32::MAX);
        Ok(Some(Doing { pid, code }))
    }

    /// Sends a signal, by its number, to the program of a container. One that does not run is fine.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn signal(&self, name: &str, signal: i32) -> Result<(), EngineError> {
        let signal = signal.to_string();
        let options = KillContainerOptionsBuilder::default().signal(&signal).build();
        match self.docker.kill_container(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if is_status(&error, 404) || is_status(&error, 409) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Removes a container, killing what lives in it, with what it wrote outside of its volumes.
    /// None is fine.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn remove(&self, name: &str) -> Result<bool, EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let deadline = Instant::now() + REMOVING;
        let mut asked = false;
        loop {
            let removed = self.docker.remove_container(name, Some(options.clone())).await;
            let busy = Instant::now() < deadline
                && matches!(&removed, Err(error) if is_status(error, 409));
            if !busy {
                return Ok(self.found(removed)?.is_some() || asked);
            }
            // Somebody else's request is on its way.
            asked = true;
            sleep(LOOK).await;
        }
    }

    /// What a container writes, from its beginning and until it ends: lines with their moments.
    pub fn output(&self, name: &str) -> impl Stream<Item = Result<Vec<u8>, EngineError>> {
        let options = LogsOptionsBuilder::default();
        let options = options.follow(true).stdout(true).stderr(true).timestamps(true).build();
        let engine = self.clone();
        self.docker.logs(name, Some(options)).map(move |piece| match piece {
            Ok(piece) => Ok(piece.into_bytes().to_vec()),
            Err(error) => Err(engine.failed(error)),
        })
    }

    /// The labels of a network; nothing if there is none.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn network(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        let found = self.docker.inspect_network(name, None::<InspectNetworkOptions>).await;
        let labels = |network: bollard::models::NetworkInspect| {
            network.labels.unwrap_or_default().into_iter().collect()
        };
        Ok(self.found(found)?.map(labels))
    }

    /// Makes a network.
    ///
    /// # Errors
    /// Any [`EngineError`]; a subnet that overlaps another's is [`EngineError::Refused`].
    pub async fn create_network(&self, network: NetworkCreateRequest) -> Result<(), EngineError> {
        let made = self.docker.create_network(network).await;
        made.map(drop).map_err(|error| self.failed(error))
    }

    /// Removes a network. None is fine.
    ///
    /// # Errors
    /// Any [`EngineError`]; one with containers in it is [`EngineError::Refused`].
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.found(self.docker.remove_network(name).await).map(drop)
    }

    /// The image that a reference, a digest or an identity names here; nothing if none is there.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn image(&self, name: &str) -> Result<Option<Image>, EngineError> {
        match self.docker.inspect_image(name).await {
            // A text that can be no reference names nothing that is here.
            Err(error) if is_status(&error, 400) => Ok(None),
            answer => Ok(self.found(answer)?.map(|image| Image {
                id: image.id.unwrap_or_default(),
                digests: image.repo_digests.unwrap_or_default(),
            })),
        }
    }

    /// All images that are here.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn images(&self) -> Result<Vec<Image>, EngineError> {
        let listed = self.docker.list_images(None::<ListImagesOptions>).await;
        let listed = listed.map_err(|error| self.failed(error))?;
        let of = |image: bollard::models::ImageSummary| Image {
            id: image.id,
            digests: image.repo_digests,
        };
        Ok(listed.into_iter().map(of).collect())
    }

    /// The digest that a registry has for a reference now.
    ///
    /// # Errors
    /// Any [`EngineError`]; a registry that is down or does not know it is [`EngineError::Refused`].
    pub async fn ask_registry(
        &self,
        reference: &str,
        login: Option<DockerCredentials>,
    ) -> Result<String, EngineError> {
        let answer = self.docker.inspect_registry_image(reference, login).await;
        let digest = answer.map_err(|error| self.failed(error))?.descriptor.digest;
        digest.ok_or_else(|| EngineError::Refused { message: "it names no digest".to_owned() })
    }

    /// Pulls an image; returns when it is there as a whole.
    ///
    /// # Errors
    /// Any [`EngineError`].
    pub async fn pull(
        &self,
        name: &str,
        login: Option<DockerCredentials>,
    ) -> Result<(), EngineError> {
        let options = CreateImageOptionsBuilder::default().from_image(name).build();
        let mut progress = std::pin::pin!(self.docker.create_image(Some(options), None, login));
        while let Some(step) = progress.next().await {
            step.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }
}

fn is_status(error: &Error, status: u16) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code, .. } if *status_code == status)
}

/// As the client library takes maps.
pub(super) fn hashed(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}
