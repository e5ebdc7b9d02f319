//! The runtime port on a Docker Engine: an instance is a container that a supervisor of ours keeps.
//!
//! The engine makes containers and gives them their network; it never starts one by itself. The
//! supervisor, the same as that of a process tree, takes the holds, mounts the volumes, starts the
//! container, watches its first process by the kernel's own handle, restarts it as its policy
//! says, and takes all down. Its guard holds on beside it: should the supervisor be killed, it
//! takes the container along. Should both be killed, or the engine, the volume's device is still
//! in use for as long as a process of the container lives, and no start on it is let through.

pub(in crate::runtime) mod body;
pub mod engine;
pub mod images;
pub mod logins;
mod marks;

use self::engine::{Engine, EngineError};
use self::marks::{Owner, Whose};
use super::process::port::{ProcessRuntime, failed};
use super::process::{self, InEngine, Refusal};
use super::{Runtime, RuntimeError, Start};
use crate::ensure::Ensured;
use crate::names;
use async_trait::async_trait;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use planner::model::artifact::{Artifact, ArtifactKind};
use planner::model::id::InstanceId;
use planner::model::instance::{InstanceSpec, Supervision};
use planner::model::name::HostName;
use planner::model::network::Port;
use planner::model::observed::{Foreign, InstanceState, InstanceView};
use planner::model::size::Size;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use tokio::net::TcpStream;

/// Instances of one host as containers.
pub struct DockerRuntime {
    /// Supervisors of the host, and what it remembers of its instances.
    pub kept: ProcessRuntime,
    /// The host, as its containers are marked for people.
    pub host: HostName,
    /// The engine's socket.
    pub socket: PathBuf,
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn runs(&self) -> BTreeSet<ArtifactKind> {
        match self.kept.runs_instances {
            true => BTreeSet::from([ArtifactKind::Image]),
            false => BTreeSet::new(),
        }
    }

    fn shares_ports(&self) -> bool {
        false
    }

    async fn instances(&self) -> Result<BTreeMap<InstanceId, InstanceView>, RuntimeError> {
        let containers = self.engine()?.containers().await.map_err(|error| unreadable(&error))?;
        let mut instances = self.kept.instances().await?;
        for container in containers {
            let Whose::Ours(spec) = self.owner().whose(&container.labels) else { continue };
            // One that nothing here remembers: the container alone says what it is.
            instances.entry(spec.id.clone()).or_insert_with(|| {
                let why = "its supervisor and its record are gone".to_owned();
                process::port::seen(*spec, InstanceState::Died { why })
            });
        }
        Ok(instances)
    }

    async fn foreign(&self) -> Result<Vec<Foreign>, RuntimeError> {
        let containers = self.engine()?.containers().await.map_err(|error| unreadable(&error))?;
        let foreign = containers.into_iter().filter_map(|container| {
            let Whose::Foreign(whose) = self.owner().whose(&container.labels) else { return None };
            let name = format!("container {}", container.name);
            let cannot = Some("it is a container".to_owned());
            Some(Foreign { name, size: Size::ZERO, whose, cannot })
        });
        let mut foreign: Vec<Foreign> = foreign.collect();
        foreign.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(foreign)
    }

    async fn images(&self) -> Result<BTreeSet<String>, RuntimeError> {
        let images = self.engine()?.images().await.map_err(|error| unreadable(&error))?;
        let names = images.iter().flat_map(|image| image.names().map(str::to_owned));
        Ok(names.collect())
    }

    async fn fetch(&self, reference: &str, digest: &str) -> Result<Ensured, RuntimeError> {
        let fetched = images::ensure(&self.engine()?, reference, digest).await;
        let act = || format!("fetching the image {reference}");
        fetched.map(|_| Ensured::Made).map_err(|error| failed(act(), error))
    }

    async fn start(&self, start: Start<'_>) -> Result<Ensured, RuntimeError> {
        let instance = start.instance;
        let act = format!("starting instance {}", instance.id);
        let Artifact::Image { reference, digest } = &instance.artifact else {
            let what = format!("an image for instance {}", instance.id);
            let hint = "a Docker Engine runs images only".to_owned();
            return Err(RuntimeError::Missing { what, hint });
        };
        let engine = self.engine()?;
        let image = images::ensure(&engine, reference, digest).await;
        let image = image.map_err(|error| failed(act.clone(), error))?;
        self.ensure_network(&engine).await?;
        self.clear_remains(&instance.id).await?;
        let mut launch = self.kept.launch(&start)?;
        launch.engine = Some(self.in_engine(instance, image));
        self.kept.start_launch(instance, launch).await
    }

    async fn stop(&self, id: &InstanceId) -> Result<Ensured, RuntimeError> {
        self.kept.halt(id).await?;
        self.clear_remains(id).await?;
        let container = self.container(id);
        let removed = self.engine()?.remove(&container).await;
        let removed = removed.map_err(|error| failed(format!("stopping instance {id}"), error))?;
        let ensured = self.kept.stop(id).await?;
        Ok(if removed { Ensured::Made } else { ensured })
    }

    async fn supervise(
        &self,
        id: &InstanceId,
        supervision: &Supervision,
    ) -> Result<Ensured, RuntimeError> {
        self.kept.supervise(id, supervision).await
    }

    async fn resume(&self, id: &InstanceId) -> Result<Ensured, RuntimeError> {
        let died = self.instances().await?;
        let died =
            died.get(id).is_some_and(|view| matches!(view.state, InstanceState::Died { .. }));
        if died {
            self.ensure_network(&self.engine()?).await?;
            self.clear_remains(id).await?;
        }
        self.kept.resume(id).await
    }

    fn isolates(&self) -> bool {
        self.kept.isolates()
    }

    async fn connect(&self, id: &InstanceId, place: SocketAddrV4) -> io::Result<TcpStream> {
        self.kept.connect(id, place).await
    }

    async fn exec(&self, id: &InstanceId, argv: &[OsString]) -> Result<i32, RuntimeError> {
        self.kept.exec(id, argv).await
    }

    async fn listens(&self, id: &InstanceId, address: Ipv4Addr, port: Port) -> Result<(), String> {
        self.kept.listens(id, address, port).await
    }

    async fn trees(&self) -> Result<BTreeSet<String>, RuntimeError> {
        Ok(BTreeSet::new())
    }

    async fn clear(&self) -> Result<(), RuntimeError> {
        let network = self.network();
        let engine = self.engine()?;
        let act = || format!("removing the network {network}");
        let found = engine.network(&network).await.map_err(|error| failed(act(), error))?;
        if found.is_some_and(|labels| self.owner().are_ours(&labels)) {
            engine.remove_network(&network).await.map_err(|error| failed(act(), error))?;
        }
        Ok(())
    }

    fn log(&self, id: &InstanceId) -> PathBuf {
        self.kept.log(id)
    }
}

impl DockerRuntime {
    fn engine(&self) -> Result<Engine, RuntimeError> {
        Engine::at(&self.socket).map_err(|error| unreadable(&error))
    }

    fn owner(&self) -> Owner<'_> {
        Owner {
            fleet: &self.kept.fleet,
            host: &self.host,
            state: &self.kept.state,
            place: &self.kept.directory,
        }
    }

    fn container(&self, id: &InstanceId) -> String {
        names::container(id, &self.kept.directory)
    }

    /// The network is called as its bridge is.
    fn network(&self) -> String {
        names::bridge(&self.kept.fleet, &self.kept.directory)
    }

    fn in_engine(&self, instance: &InstanceSpec, image: String) -> InEngine {
        InEngine {
            socket: self.socket.clone(),
            container: self.container(&instance.id),
            image,
            replaces_entrypoint: instance.replaces_entrypoint,
            marks: self.owner().marks_of(instance),
            room: names::room(&instance.id, &self.kept.directory),
        }
    }

    /// What a killed supervisor left of an instance, if it did.
    async fn clear_remains(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let directory = self.kept.place(id);
        let act = || format!("clearing what is left of instance {id}");
        process::clear_container(&directory)
            .await
            .map_err(|refusal: Refusal| failed(act(), refusal))
    }

    async fn ensure_network(&self, engine: &Engine) -> Result<(), RuntimeError> {
        let name = self.network();
        let act = || format!("making the network {name}");
        let found = engine.network(&name).await.map_err(|error| failed(act(), error))?;
        if found.is_some() {
            return Ok(());
        }
        let subnet = self.kept.subnet;
        // The engine looks at its own networks only.
        let free = process::free_for_bridge(&name, IpAddr::V4(subnet.gateway()), subnet.prefix());
        free.await.map_err(|refusal| failed(act(), refusal))?;
        let config = IpamConfig {
            subnet: Some(subnet.to_string()),
            gateway: Some(subnet.gateway().to_string()),
            ..IpamConfig::default()
        };
        let bridge = ("com.docker.network.bridge.name".to_owned(), name.clone());
        let network = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            options: Some([bridge].into_iter().collect()),
            labels: Some(engine::hashed(&self.owner().marks())),
            ..NetworkCreateRequest::default()
        };
        engine.create_network(network).await.map_err(|error| failed(act(), error))
    }
}

fn unreadable(error: &EngineError) -> RuntimeError {
    let what = "what runs in the Docker Engine".to_owned();
    RuntimeError::Unreadable { what, why: crate::chain(error) }
}

/// Whether an engine answers at a socket, and its version.
///
/// # Errors
/// [`EngineError`].
pub async fn version(socket: &Path) -> Result<String, EngineError> {
    Engine::at(socket)?.version().await
}
