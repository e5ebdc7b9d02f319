//! What becomes of hosts as such: other names, other disks, clocks that jump.

use super::{Deed, HOSTS};
use crate::fleet::Fleet;
use planner::model::name::HostName;
use planner::model::observed::{Reading, VolumeView};
use std::collections::BTreeMap;

impl Deed {
    /// What becomes of hosts as such.
    pub(super) fn befall_hosts(&self, fleet: &mut Fleet) {
        let name = |host: &usize| -> HostName { HOSTS[*host].parse().unwrap() };
        match self {
            Self::RenameHost { host } => {
                if let Some(mut host_config) = fleet.config.hosts.remove(&name(host)) {
                    host_config.was = Some(name(host));
                    let new = format!("{}-new", HOSTS[*host]).parse().unwrap();
                    fleet.config.hosts.insert(new, host_config);
                    fleet.settle();
                }
            }
            Self::List { host, there: false } if fleet.config.hosts.len() > 1 => {
                let known = |view: &VolumeView| {
                    let mut claims = fleet.claims.slots.values();
                    claims.any(|c| c.volumes.values().any(|volume| volume.id == view.spec.id))
                };
                let machine = fleet.machines.get(&name(host));
                if machine.is_some_and(|machine| machine.volumes.values().all(known))
                    && let Some(out) = fleet.config.hosts.remove(&name(host))
                {
                    fleet.unlisted.insert(name(host), out);
                }
            }
            Self::List { host, there: true } => {
                if let Some(back) = fleet.unlisted.remove(&name(host)) {
                    fleet.config.hosts.insert(name(host), back);
                }
            }
            Self::SwapDisks { one, other } => {
                let (one, other) = (name(one), name(other));
                let (Some(a), Some(b)) = (fleet.machines.get(&one), fleet.machines.get(&other))
                else {
                    return;
                };
                let (a, b) = (a.clone(), b.clone());
                let into = |machine: Reading, disk: Reading| Reading {
                    pool: disk.pool,
                    volumes: disk.volumes,
                    instances: BTreeMap::new(),
                    ..machine
                };
                fleet.machines.insert(one, into(a.clone(), b.clone()));
                fleet.machines.insert(other, into(b, a));
            }
            Self::Clock { host, minutes } => {
                if let Some(host) = fleet.config.hosts.get_mut(&name(host)) {
                    host.clock = minutes * 60;
                }
            }
            _ => {}
        }
    }
}
