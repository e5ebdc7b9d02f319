//! What a deed does to a fleet.

use super::deed::{self, APPS, Deed, GROUPS, HOSTS, SOURCES};
use crate::fleet::Fleet;
use crate::fleet::config::{AppConfig, Event, FullMount, GroupConfig, MountConfig};
use planner::model::claim::Claims;
use planner::model::instance::Role;
use planner::model::name::HostName;
use planner::model::observed::Reading;
use planner::model::slot::SlotId;
use planner::model::time::Timestamp;
use std::collections::BTreeMap;

impl Deed {
    /// Does it, if there is what it is about.
    pub(super) fn happen(&self, fleet: &mut Fleet) {
        match self {
            Self::Days { days } => fleet.now = Timestamp(fleet.now.0 + days * 86_400),
            // Who forgets everything and hides a host beside has lost what was on it.
            Self::ForgetAll => {
                fleet.config.hosts.append(&mut fleet.unlisted);
                fleet.claims = Claims::default();
            }
            Self::RenameHost { .. }
            | Self::List { .. }
            | Self::SwapDisks { .. }
            | Self::Clock { .. } => self.befall_hosts(fleet),
            Self::Host { host, state } => {
                if let Some(host) = fleet.config.hosts.get_mut(&HOSTS[*host].parse().unwrap()) {
                    host.state = ["active", "cordoned", "lost"][*state].to_string();
                }
            }
            Self::Unread { host, unread } => {
                if let Some(host) = fleet.config.hosts.get_mut(&HOSTS[*host].parse().unwrap()) {
                    host.unread = unread.then(|| "no answer".to_string());
                }
            }
            Self::Reboot { host } => {
                let host = HOSTS[*host].parse().unwrap();
                if fleet.machines.contains_key(&host) {
                    fleet.happen(&Event::Rebooted(host));
                }
            }
            Self::Die { main } => on(fleet, *main, Event::Died),
            Self::Vanish { main } => on(fleet, *main, Event::Vanished),
            Self::Unhealthy { main } => on(fleet, *main, Event::Unhealthy),
            Self::Hold { slot, held } => {
                let claims = fleet.claims.slots.values_mut();
                if let Some(claim) = claims.into_iter().nth(*slot) {
                    claim.held = *held;
                }
            }
            Self::ForgetClaim { slot } => {
                let slot = fleet.claims.slots.keys().nth(*slot).cloned();
                if let Some(slot) = slot {
                    fleet.claims.slots.remove(&slot);
                }
            }
            Self::RenameApp { .. } | Self::App { .. } => self.befall_apps(fleet),
            Self::Scale { app, .. }
            | Self::Unlist { app, .. }
            | Self::Mount { app, .. }
            | Self::Unmount { app, .. }
            | Self::Keeping { app, .. }
            | Self::Release { app, .. }
            | Self::Strategy { app, .. }
            | Self::Group { app, .. }
            | Self::Memory { app, .. }
            | Self::RenameSource { app, .. } => {
                if let Some(app) = fleet.config.apps.get_mut(&APPS[*app].parse().unwrap()) {
                    self.edit(app);
                }
            }
        }
    }

    /// What becomes of apps as such.
    fn befall_apps(&self, fleet: &mut Fleet) {
        match self {
            Self::RenameApp { said } => {
                let (old, new) = (APPS[0].parse().unwrap(), "site".parse().unwrap());
                if let Some(mut app) = fleet.config.apps.remove(&old) {
                    app.moved = if *said { vec![APPS[0].to_string()] } else { Vec::new() };
                    fleet.config.apps.insert(new, app);
                }
            }
            Self::App { app, there: true } => {
                let renamed = fleet.config.apps.values().any(|a| !a.moved.is_empty());
                if !renamed {
                    let name = APPS[*app].parse().unwrap();
                    fleet.config.apps.entry(name).or_insert_with(deed::app);
                }
            }
            Self::App { app, there: false } => {
                fleet.config.apps.remove(&APPS[*app].parse().unwrap());
            }
            _ => {}
        }
    }

    /// What becomes of hosts as such.
    fn befall_hosts(&self, fleet: &mut Fleet) {
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
                if fleet.claims.complete
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

    /// Edits one manifest.
    fn edit(&self, app: &mut AppConfig) {
        let name = |group: &usize| GROUPS[*group].parse().unwrap();
        match self {
            Self::Release { version, .. } => app.runs = format!("v{version}"),
            Self::Group { group, there: true, .. } => {
                app.groups.entry(name(group)).or_insert_with(deed::group);
            }
            Self::Group { group, there: false, .. } if app.groups.len() > 1 => {
                app.groups.remove(&name(group));
            }
            Self::Scale { group, .. }
            | Self::Unlist { group, .. }
            | Self::Mount { group, .. }
            | Self::Unmount { group, .. }
            | Self::Keeping { group, .. }
            | Self::Memory { group, .. }
            | Self::Strategy { group, .. } => {
                if let Some(group) = app.groups.get_mut(&name(group)) {
                    self.edit_group(group);
                }
            }
            Self::RenameSource { group, said, .. } => {
                let Some(group) = app.groups.get_mut(&name(group)) else { return };
                let (old, new) = (SOURCES[0].parse().unwrap(), "files".parse().unwrap());
                if let Some(mount) = group.mounts.remove(&old) {
                    group.mounts.insert(new, mount);
                    if *said {
                        app.moved.push("source:data=files".to_string());
                    }
                }
            }
            _ => {}
        }
    }

    fn edit_group(&self, group: &mut GroupConfig) {
        let source = |source: &usize| SOURCES[*source].parse().unwrap();
        match self {
            Self::Scale { ord, count, .. } => {
                let region = if *ord { "ord" } else { "ewr" }.parse().unwrap();
                group.scale.get_or_insert_default().insert(region, *count);
            }
            Self::Unlist { .. } => group.scale = None,
            Self::Memory { mebibytes, .. } => group.memory = format!("{mebibytes}MiB"),
            Self::Mount { source: which, gigabytes, .. } => {
                let mut mount = group.mounts.get(&source(which)).map(MountConfig::full);
                let full = mount.get_or_insert_with(FullMount::default);
                full.size = format!("{gigabytes}GB");
                group.mounts.insert(source(which), MountConfig::Full(full.clone()));
            }
            Self::Unmount { source: which, .. } => {
                group.mounts.remove(&source(which));
            }
            Self::Keeping { destroy, protect, days, .. } => {
                for mount in group.mounts.values_mut() {
                    let on_remove = if *destroy { "destroy" } else { "retain" }.to_string();
                    let (protect, retention_days) = (*protect, *days);
                    let full = FullMount { on_remove, protect, retention_days, ..mount.full() };
                    *mount = MountConfig::Full(full);
                }
            }
            Self::Strategy { strategy, services, .. } => {
                let words = [None, Some("rolling"), Some("immediate"), Some("canary")];
                group.strategy = words[*strategy].map(str::to_string);
                group.services = *services;
            }
            _ => {}
        }
    }
}

/// Lets something happen to the nth main instance there is.
fn on(fleet: &mut Fleet, n: usize, event: impl FnOnce(SlotId) -> Event) {
    let instances = fleet.machines.values().flat_map(|machine| machine.instances.values());
    let mains = instances.filter(|view| view.role == Role::Main);
    let slot = mains.map(|view| view.slot.clone()).nth(n);
    if let Some(slot) = slot {
        fleet.happen(&event(slot));
    }
}
