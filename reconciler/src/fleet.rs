//! The settings made live: hosts of this machine, and what the fleet remembers. Looking makes no
//! file; acting makes the state directory.

pub mod state_files;

pub use state_files::StateFiles;

use crate::passphrase;
use crate::settings::keys::KeysSettings;
use crate::settings::{
    HostSettings, Machine, ProcessNetwork, RuntimeDriver, Settings, StorageSettings,
};
use executor::artifact::Trees;
use executor::catalog::embedded::EmbeddedCatalog;
use executor::catalog::{Catalog, CatalogError};
use executor::host::Host;
use executor::host::local::{LocalHost, Turn};
use executor::journal::Journal;
use executor::keys::passphrase::Passphrase;
use executor::keys::seal::SealedBy;
use executor::keys::sealed::SealedKeys;
use executor::machine::{MachineError, machine_id};
use executor::names::{HostDir, StateDir};
use executor::orders::Orders;
use executor::runtime::Runtime;
use executor::runtime::docker::DockerRuntime;
use executor::runtime::process::port::ProcessRuntime;
use executor::runtime::process::{Capabilities, probe};
use executor::storage::Storage;
use executor::storage::local::{LocalKind, LocalStorage};
use executor::storage::lvm::LvmStorage;
use planner::model::name::HostName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the fleet could not be got at.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// It could not be tried what this machine allows.
    #[error("cannot find out what this machine allows")]
    Probe(#[source] std::io::Error),
    /// The machine has no identity.
    #[error("this machine's identity is not known")]
    Machine(#[from] MachineError),
    /// The catalog does not work.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// What this machine allows, found by trying.
#[derive(Debug, Clone)]
pub struct Abilities {
    /// The binary that runs.
    pub program: PathBuf,
    /// What was tried and worked.
    pub capabilities: Capabilities,
}

impl Abilities {
    /// Tries.
    ///
    /// # Errors
    /// [`FleetError::Probe`].
    pub fn probe() -> Result<Self, FleetError> {
        let program = std::env::current_exe().map_err(FleetError::Probe)?;
        let capabilities = probe(&program).map_err(FleetError::Probe)?;
        Ok(Self { program, capabilities })
    }

    /// Tries nothing and says that nothing works, for whoever looks at no host of this machine:
    /// trying takes a process for each thing.
    ///
    /// # Errors
    /// [`FleetError::Probe`].
    pub fn untried() -> Result<Self, FleetError> {
        let program = std::env::current_exe().map_err(FleetError::Probe)?;
        Ok(Self { program, capabilities: Capabilities::default() })
    }

    /// This machine, for defaults of settings.
    #[must_use]
    pub fn machine(&self) -> Machine {
        Machine::here(!self.capabilities.network_namespaces)
    }

    /// What keeps instances of the fleet from being started here at all, and the way out.
    #[must_use]
    pub fn missing(&self, settings: &Settings) -> Option<(String, String)> {
        let of_processes =
            |host: &&HostSettings| matches!(host.runtime, RuntimeDriver::Process { .. });
        let hosts: Vec<&HostSettings> = settings.hosts.values().filter(of_processes).collect();
        if hosts.len() < settings.hosts.len() && !self.capabilities.root {
            let message = "no container can be started here: not run as root";
            let hint = "run as root: volumes are mounted for the Docker Engine";
            return Some((message.to_owned(), hint.to_owned()));
        }
        if hosts.is_empty() {
            return None;
        }
        if !self.capabilities.instances {
            let lack = self.capabilities.lacks.first()?;
            let message = format!("no instance can be started here: {}: {}", lack.name, lack.why);
            return Some((message, lack.way_out.to_owned()));
        }
        if self.capabilities.network_namespaces {
            return None;
        }
        // Without a network of their own instances have addresses that the machine has.
        let specs = hosts.into_iter().map(|host| &host.spec);
        let foreign = specs.into_iter().find(|spec| {
            let address = spec.subnet.addresses().next();
            address.is_some_and(|address| std::net::UdpSocket::bind((address, 0)).is_err())
        })?;
        let why = self.capabilities.lacks.iter().find(|lack| lack.name == "network namespaces");
        let why = why.map_or_else(String::new, |lack| format!(" ({})", lack.why));
        let message = format!(
            "no instance can be started on {}: without network namespaces{why} this machine's \
             own addresses are used, and {} is not among them",
            foreign.name, foreign.subnet
        );
        let hint = "run as root with CAP_NET_ADMIN, or give the host a subnet within 127.0.0.0/8";
        Some((message, hint.to_owned()))
    }

    /// What volumes of a local pool are made of here.
    #[must_use]
    pub const fn volumes(&self) -> LocalKind {
        if self.capabilities.root && self.capabilities.loop_devices {
            LocalKind::Image
        } else {
            LocalKind::Directory
        }
    }
}

/// What the fleet remembers, opened.
#[derive(Clone)]
pub struct Records {
    /// Claims, records, locks.
    pub catalog: Arc<dyn Catalog>,
    /// Intentions and outcomes.
    pub journal: Arc<dyn Journal>,
    /// What people said about passes that nobody watches.
    pub orders: Arc<dyn Orders>,
    /// The catalog's identity; `None`: there is no catalog yet.
    pub id: Option<String>,
}

impl Records {
    /// Opens the catalog to read it; where there is none, nothing is made and nothing remembered.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn look(settings: &Settings) -> Result<Self, CatalogError> {
        let state = StateDir::at(&settings.state_dir);
        Ok(Self::of(EmbeddedCatalog::open_read_only(state, &settings.fleet)?))
    }

    /// Opens the catalog, and makes it if there is none.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn open(settings: &Settings) -> Result<Self, CatalogError> {
        let state = StateDir::at(&settings.state_dir);
        Ok(Self::of(EmbeddedCatalog::open(state, &settings.fleet)?))
    }

    fn of(catalog: EmbeddedCatalog) -> Self {
        let id = catalog.id().map(str::to_owned);
        let catalog = Arc::new(catalog);
        Self {
            catalog: Arc::clone(&catalog) as Arc<dyn Catalog>,
            orders: Arc::clone(&catalog) as Arc<dyn Orders>,
            journal: catalog,
            id,
        }
    }
}

/// The hosts of the fleet, all on this machine.
pub struct Hosts {
    /// By name.
    pub local: BTreeMap<HostName, Arc<LocalHost>>,
}

impl Hosts {
    /// Opens them; nothing is made.
    ///
    /// # Errors
    /// [`FleetError::Machine`].
    pub fn open(
        settings: &Settings,
        abilities: &Abilities,
        records: &Records,
        trees: &Arc<dyn Trees>,
    ) -> Result<Self, FleetError> {
        let machine = machine_id(&StateDir::at(&settings.state_dir))?;
        let mut local = BTreeMap::new();
        for (name, host) in &settings.hosts {
            let dir = HostDir::at(host.storage.path());
            let host = LocalHost {
                fleet: settings.fleet.clone(),
                name: name.clone(),
                machine: machine.clone(),
                storage: storage(settings, host, abilities),
                runtime: runtime(settings, host, abilities, &dir),
                trees: Arc::clone(trees),
                directory: dir,
                catalog: Arc::clone(&records.catalog),
                turn: Turn::default(),
            };
            local.insert(name.clone(), Arc::new(host));
        }
        Ok(Self { local })
    }

    /// As the executor takes them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<HostName, Arc<dyn Host>> {
        let hosts = self.local.iter();
        hosts.map(|(name, host)| (name.clone(), Arc::clone(host) as Arc<dyn Host>)).collect()
    }
}

fn storage(settings: &Settings, host: &HostSettings, abilities: &Abilities) -> Box<dyn Storage> {
    if let Some(pool) = thin_pool(settings, host) {
        return Box::new(pool);
    }
    let (fleet, name) = (settings.fleet.clone(), host.spec.name.clone());
    Box::new(LocalStorage::new(fleet, name, host.storage.path(), abilities.volumes()))
}

/// A host's thin pool, if it has one.
#[must_use]
pub fn thin_pool(settings: &Settings, host: &HostSettings) -> Option<LvmStorage> {
    let StorageSettings::Lvm { path, group, pool } = &host.storage else { return None };
    let (fleet, name) = (settings.fleet.clone(), host.spec.name.clone());
    let keys = Box::new(keys(settings, host));
    let pool = LvmStorage::new(fleet, name, HostDir::at(path), group, pool, keys);
    Some(pool.until(settings.policy.full))
}

/// The keys of a host's volumes.
#[must_use]
pub fn keys(settings: &Settings, host: &HostSettings) -> SealedKeys {
    let by = match &host.keys {
        KeysSettings::Own => SealedBy::Own,
        KeysSettings::File(path) => SealedBy::KeyFile(path.clone()),
        KeysSettings::PassphraseFile(path) => SealedBy::Passphrase(Passphrase::File(path.clone())),
        KeysSettings::Credential(name) => {
            SealedBy::Passphrase(Passphrase::Credential(name.clone()))
        }
        KeysSettings::Ask => SealedBy::Passphrase(Passphrase::Asked(passphrase::ask)),
    };
    SealedKeys::new(settings.fleet.clone(), HostDir::at(host.storage.path()), by)
}

fn runtime(
    settings: &Settings,
    host: &HostSettings,
    abilities: &Abilities,
    dir: &HostDir,
) -> Box<dyn Runtime> {
    let processes = |runs_instances, shares_ports| ProcessRuntime {
        program: abilities.program.clone(),
        directory: dir.instances(),
        state: settings.state_dir.clone(),
        fleet: settings.fleet.clone(),
        subnet: host.spec.subnet,
        runs_instances,
        shares_ports,
    };
    let capabilities = &abilities.capabilities;
    match &host.runtime {
        RuntimeDriver::Process { network } => {
            let shares_ports = match network {
                ProcessNetwork::Own => !capabilities.network_namespaces,
                ProcessNetwork::Host => true,
            };
            Box::new(processes(capabilities.instances, shares_ports))
        }
        RuntimeDriver::Docker { socket } => Box::new(DockerRuntime {
            // Volumes are mounted for the engine, and its processes watched.
            kept: processes(capabilities.root, false),
            host: host.spec.name.clone(),
            socket: socket.clone(),
        }),
    }
}
