//! Where instances answer, for a proxy in front: as a table, and in a file that is written anew,
//! whole, whenever it says something else; then a command, if one is set, makes the proxy read it.

use crate::settings::EndpointsSettings;
use async_trait::async_trait;
use executor::apply::Front;
use executor::command::{Command, Overrun};
use executor::host::Host;
use executor::observe::{Checks, observe};
use planner::model::id::InstanceId;
use planner::model::instance::Role;
use planner::model::name::HostName;
use planner::model::observed::{HostView, InstanceState, InstanceView, Observed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the command may take; then it is killed, and the plan goes on.
const PATIENCE: Duration = Duration::from_secs(60);

/// One address that a proxy can send requests to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// The slot that it is of, or beside.
    pub slot: String,
    /// `main`, `canary` or `green`.
    pub role: String,
    /// The instance.
    pub instance: String,
    /// Its app.
    pub app: String,
    /// Its group.
    pub group: String,
    /// The host that it is on.
    pub host: String,
    /// Its own address.
    pub address: String,
    /// A port that it listens on.
    pub port: u16,
    /// What it runs, all digits.
    pub release: String,
    /// Whether its checks passed; none if it has none, was started too lately to be judged, or is on
    /// a host that did not answer.
    pub healthy: Option<bool>,
}

/// Ports of instances that run and serve, in order. What runs on a clone can be reached by nobody.
#[must_use]
pub fn endpoints(observed: &Observed) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for (host, view) in observed {
        let HostView::Read(reading) = view else { continue };
        for instance in reading.instances.values().filter(|instance| serves(instance)) {
            endpoints.extend(instance.ports.iter().map(|port| of(host, instance, port.0)));
        }
    }
    endpoints.sort();
    endpoints
}

fn serves(instance: &InstanceView) -> bool {
    let role = match instance.role {
        Role::Main | Role::Green => true,
        Role::Canary => instance.volumes.is_empty(),
        Role::Release | Role::Run => false,
    };
    role && instance.state == InstanceState::Running
}

fn of(host: &HostName, instance: &InstanceView, port: u16) -> Endpoint {
    Endpoint {
        slot: instance.slot.to_string(),
        role: instance.role.as_str().to_owned(),
        instance: instance.id.to_string(),
        app: instance.slot.app.to_string(),
        group: instance.slot.group.to_string(),
        host: host.to_string(),
        address: instance.address.to_string(),
        port,
        release: instance.release.as_str().to_owned(),
        healthy: instance.healthy,
    }
}

/// Keeps the file.
pub struct Published {
    settings: EndpointsSettings,
    hosts: BTreeMap<HostName, Arc<dyn Host>>,
    checks: Checks,
    /// Whether the command still has to be run for what the file says.
    owes: AtomicBool,
}

impl Published {
    /// A file of these hosts' instances, if the settings name one.
    #[must_use]
    pub fn of(
        settings: Option<&EndpointsSettings>,
        hosts: BTreeMap<HostName, Arc<dyn Host>>,
        checks: Checks,
    ) -> Option<Self> {
        let settings = settings?.clone();
        Some(Self { settings, hosts, checks, owes: AtomicBool::new(false) })
    }

    fn write(&self, observed: &Observed, leaving: &BTreeSet<InstanceId>) -> io::Result<bool> {
        let file = &self.settings.file;
        let there = std::fs::read(file).unwrap_or_default();
        let mut now = endpoints(observed);
        now.retain(|endpoint| !leaving.iter().any(|id| id.as_str() == endpoint.instance));
        now.extend(unknown(observed, &there));
        now.sort();
        let mut json = serde_json::to_vec_pretty(&now)?;
        json.push(b'\n');
        if there == json {
            return Ok(false);
        }
        replace(file, &json).map(|()| true)
    }

    async fn run_command(&self) -> Result<(), String> {
        let Some((program, args)) = self.settings.command.split_first() else { return Ok(()) };
        let command = Command::named(program).map_err(|error| executor::chain(&error))?;
        let command = command.args(args).deadline(PATIENCE, Overrun::Kill);
        command.output().await.map(drop).map_err(|error| executor::chain(&error))
    }
}

#[async_trait]
impl Front for Published {
    async fn tell(&self, leaving: &BTreeSet<InstanceId>) -> Result<(), String> {
        let observed = observe(&self.hosts, &self.checks).await;
        let written = self.write(&observed, leaving);
        let changed = written.map_err(|error| {
            format!("{} cannot be written: {error}", self.settings.file.display())
        })?;
        if changed {
            self.owes.store(true, Ordering::Relaxed);
        }
        if self.owes.load(Ordering::Relaxed) {
            self.run_command().await?;
            self.owes.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What the file says of hosts that did not answer: their instances may serve as before.
fn unknown(observed: &Observed, there: &[u8]) -> Vec<Endpoint> {
    let there: Vec<Endpoint> = serde_json::from_slice(there).unwrap_or_default();
    let unread = |endpoint: &Endpoint| {
        let mut views = observed.iter();
        views.any(|(host, view)| {
            host.as_str() == endpoint.host && matches!(view, HostView::Unread { .. })
        })
    };
    let of_unread = there.into_iter().filter(unread);
    of_unread.map(|endpoint| Endpoint { healthy: None, ..endpoint }).collect()
}

fn replace(file: &Path, json: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, json)?;
    std::fs::rename(beside, file)
}
