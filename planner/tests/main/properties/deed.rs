//! What can happen between two passes, and histories of that.

mod hosts;
mod parts;

use crate::fleet::Fleet;
use crate::fleet::config::{
    AppConfig, Config, Event, FullMount, GroupConfig, HostConfig, MountConfig,
};
use planner::model::claim::Claims;
use planner::model::instance::Role;
use planner::model::policy::Spread;
use planner::model::slot::SlotId;
use planner::model::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

const HOSTS: [&str; 4] = ["ewr-1", "ewr-2", "ewr-3", "ord-1"];
const APPS: [&str; 2] = ["web", "shop"];
const GROUPS: [&str; 2] = ["app", "worker"];
const SOURCES: [&str; 2] = ["data", "cache"];
const REVERTS: [&str; 3] = ["off", "release", "snapshot"];

/// A fleet and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct History {
    hosts: usize,
    pool_gigabytes: u64,
    memory_gigabytes: u64,
    spread: Spread,
    apps: usize,
    pub(super) commits: Vec<Commit>,
}

/// What happened since the last pass, and how this one goes.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    pub(super) deeds: Vec<Deed>,
    pub(super) how: How,
    pub(super) permits: Vec<String>,
}

/// How apply goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Whole,
    /// Killed after this share of 256 of its moments.
    Cut(u8),
    /// One of the started slots, by share of 256, does not come up.
    Failing(u8),
}

/// Something that happens. Numbers choose among what is there.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Scale {
        app: usize,
        group: usize,
        ord: bool,
        count: u32,
    },
    Unlist {
        app: usize,
        group: usize,
    },
    Mount {
        app: usize,
        group: usize,
        source: usize,
        gigabytes: u64,
    },
    Unmount {
        app: usize,
        group: usize,
        source: usize,
    },
    Keeping {
        app: usize,
        group: usize,
        destroy: bool,
        protect: bool,
        days: u64,
    },
    Release {
        app: usize,
        version: u8,
    },
    Command {
        app: usize,
        there: bool,
    },
    /// What slots go back to whose release fails.
    Revert {
        app: usize,
        group: usize,
        to: usize,
    },
    Strategy {
        app: usize,
        group: usize,
        strategy: usize,
        services: bool,
    },
    Group {
        app: usize,
        group: usize,
        there: bool,
    },
    App {
        app: usize,
        there: bool,
    },
    RenameSource {
        app: usize,
        group: usize,
        said: bool,
    },
    RenameApp {
        said: bool,
    },
    Host {
        host: usize,
        state: usize,
    },
    Unread {
        host: usize,
        unread: bool,
    },
    Die {
        main: usize,
    },
    Vanish {
        main: usize,
    },
    Unhealthy {
        main: usize,
    },
    Reboot {
        host: usize,
    },
    Hold {
        slot: usize,
        held: bool,
    },
    ForgetAll,
    ForgetClaim {
        slot: usize,
    },
    Days {
        days: u64,
    },
    /// A host has another name, and says which it had.
    RenameHost {
        host: usize,
    },
    /// A host is taken out of the fleet's file, or put back.
    List {
        host: usize,
        there: bool,
    },
    /// The disks of two hosts are put into each other.
    SwapDisks {
        one: usize,
        other: usize,
    },
    /// A host's clock jumps, by minutes.
    Clock {
        host: usize,
        minutes: i64,
    },
    Memory {
        app: usize,
        group: usize,
        mebibytes: u64,
    },
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let part = prop_oneof![
        6 => vec(commit(), 1..4),
        1 => parts::there_and_back(),
        1 => parts::to_the_end(),
        1 => parts::back(),
    ];
    let commits = vec(part, 1..4).prop_map(|parts| parts.concat());
    let spread = prop_oneof![Just(Spread::Host), Just(Spread::Zone), Just(Spread::None)];
    (1..=HOSTS.len(), 15u64..120, 2u64..9, spread, 1..=APPS.len(), commits).prop_map(
        |(hosts, pool_gigabytes, memory_gigabytes, spread, apps, commits)| History {
            hosts,
            pool_gigabytes,
            memory_gigabytes,
            spread,
            apps,
            commits,
        },
    )
}

impl Commit {
    fn whole(deeds: Vec<Deed>) -> Self {
        Self { deeds, how: How::Whole, permits: Vec::new() }
    }
}

fn commit() -> impl Strategy<Value = Commit> {
    let how = prop_oneof![
        5 => Just(How::Whole),
        3 => any::<u8>().prop_map(How::Cut),
        1 => any::<u8>().prop_map(How::Failing),
    ];
    let permits = prop_oneof![
        6 => Just(Vec::new()),
        1 => Just(vec!["destroy"]),
        1 => Just(vec!["retry"]),
        1 => Just(vec!["empty"]),
    ];
    (vec(deed(), 0..4), how, permits).prop_map(|(deeds, how, permits)| Commit {
        deeds,
        how,
        permits: permits.into_iter().map(str::to_string).collect(),
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let two = || 0..2usize;
    prop_oneof![
        5 => (two(), two(), any::<bool>(), 0..4u32)
            .prop_map(|(app, group, ord, count)| Deed::Scale { app, group, ord, count }),
        1 => (two(), two()).prop_map(|(app, group)| Deed::Unlist { app, group }),
        3 => (two(), two(), two(), 1..30u64).prop_map(|(app, group, source, gigabytes)| {
            Deed::Mount { app, group, source, gigabytes }
        }),
        1 => (two(), two(), two())
            .prop_map(|(app, group, source)| Deed::Unmount { app, group, source }),
        1 => (two(), two(), any::<bool>(), any::<bool>(), 0..9u64).prop_map(
            |(app, group, destroy, protect, days)| Deed::Keeping { app, group, destroy, protect, days }
        ),
        3 => (two(), 0..3u8).prop_map(|(app, version)| Deed::Release { app, version }),
        1 => (two(), two(), 0..5usize, any::<bool>()).prop_map(
            |(app, group, strategy, services)| Deed::Strategy { app, group, strategy, services }
        ),
        1 => (two(), two(), 0..REVERTS.len())
            .prop_map(|(app, group, to)| Deed::Revert { app, group, to }),
        1 => (two(), any::<bool>()).prop_map(|(app, there)| Deed::Command { app, there }),
        1 => (two(), two(), any::<bool>())
            .prop_map(|(app, group, there)| Deed::Group { app, group, there }),
        1 => (two(), any::<bool>()).prop_map(|(app, there)| Deed::App { app, there }),
        1 => (two(), two(), any::<bool>())
            .prop_map(|(app, group, said)| Deed::RenameSource { app, group, said }),
        1 => any::<bool>().prop_map(|said| Deed::RenameApp { said }),
        1 => (0..4usize, 0..3usize).prop_map(|(host, state)| Deed::Host { host, state }),
        2 => (0..4usize, any::<bool>()).prop_map(|(host, unread)| Deed::Unread { host, unread }),
        1 => (0..8usize).prop_map(|main| Deed::Die { main }),
        1 => (0..8usize).prop_map(|main| Deed::Vanish { main }),
        1 => (0..8usize).prop_map(|main| Deed::Unhealthy { main }),
        1 => (0..4usize).prop_map(|host| Deed::Reboot { host }),
        1 => (0..8usize, any::<bool>()).prop_map(|(slot, held)| Deed::Hold { slot, held }),
        1 => Just(Deed::ForgetAll),
        1 => (0..8usize).prop_map(|slot| Deed::ForgetClaim { slot }),
        1 => (1..12u64).prop_map(|days| Deed::Days { days }),
        1 => (0..4usize).prop_map(|host| Deed::RenameHost { host }),
        1 => (0..4usize, any::<bool>()).prop_map(|(host, there)| Deed::List { host, there }),
        1 => (0..4usize, 0..4usize).prop_map(|(one, other)| Deed::SwapDisks { one, other }),
        1 => (0..4usize, -9999..9999i64).prop_map(|(host, minutes)| Deed::Clock { host, minutes }),
        1 => (two(), two(), 1..3000u64)
            .prop_map(|(app, group, mebibytes)| Deed::Memory { app, group, mebibytes }),
    ]
}

impl History {
    pub(super) fn start(&self) -> Config {
        let mut config = Config::default();
        config.policy.spread = self.spread;
        for (number, name) in HOSTS[..self.hosts].iter().enumerate() {
            let host = HostConfig {
                region: name[..3].parse().unwrap(),
                zone: Some(["a", "b"][number % 2].to_string()),
                // Of its own, so that it stays when the host has another name.
                subnet: Some(format!("10.88.{number}.0/24")),
                pool: format!("{}GB", self.pool_gigabytes),
                memory: format!("{}GB", self.memory_gigabytes),
                ..HostConfig::default()
            };
            config.hosts.insert(name.parse().unwrap(), host);
        }
        for name in &APPS[..self.apps] {
            config.apps.insert(name.parse().unwrap(), app());
        }
        // A manifest that never goes, so that the source is never empty.
        let group = GroupConfig {
            scale: Some([("ewr".parse().unwrap(), 1)].into()),
            ..GroupConfig::default()
        };
        let groups = [(GROUPS[0].parse().unwrap(), group)].into();
        config.apps.insert("rock".parse().unwrap(), AppConfig { groups, ..AppConfig::default() });
        config
    }
}

fn app() -> AppConfig {
    let mut app = AppConfig::default();
    app.groups.insert(GROUPS[0].parse().unwrap(), group());
    app
}

fn group() -> GroupConfig {
    GroupConfig {
        scale: Some([("ewr".parse().unwrap(), 2)].into()),
        mounts: [(SOURCES[0].parse().unwrap(), MountConfig::Size("5GB".to_string()))].into(),
        checks: true,
        ..GroupConfig::default()
    }
}

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
                    fleet.config.hosts.append(&mut fleet.unlisted);
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
            | Self::Command { app, .. }
            | Self::Strategy { app, .. }
            | Self::Revert { app, .. }
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
            Self::App { app, there } => {
                let name = APPS[*app].parse().unwrap();
                if *there {
                    let renamed = fleet.config.apps.values().any(|a| !a.moved.is_empty());
                    if !renamed {
                        fleet.config.apps.entry(name).or_insert_with(self::app);
                    }
                } else {
                    fleet.config.apps.remove(&name);
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
                app.groups.entry(name(group)).or_insert_with(self::group);
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
            | Self::Revert { group, .. }
            | Self::Strategy { group, .. } => {
                if let Some(group) = app.groups.get_mut(&name(group)) {
                    self.edit_group(group);
                }
            }
            Self::Command { there, .. } => {
                app.release_command = there.then(|| "./migrate".to_string());
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
                let words = ["", "rolling", "immediate", "canary", "bluegreen"];
                group.strategy = Some(words[*strategy].to_string()).filter(|word| !word.is_empty());
                group.services = *services;
            }
            Self::Revert { to, .. } => group.revert = REVERTS[*to].to_string(),
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
