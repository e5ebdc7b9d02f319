//! What the configuration asks for, as the planner is told.

use super::Fleet;
use super::config::{AppConfig, GroupConfig, HostConfig};
use planner::model::artifact::{Artifact, Artifacts, Resolved};
use planner::model::desired::{
    App, Deploy, Desired, Group, Lineage, MaxUnavailable, Mount, Move, ReleaseCommand, Revert,
    Scale, Strategy,
};
use planner::model::guest::Guest;
use planner::model::health::{Check, Probe};
use planner::model::host::{HostSpec, HostState};
use planner::model::id::digest_of;
use planner::model::instance::{Restart, SecretFile, Supervision};
use planner::model::name::{AppName, GroupName, HostName};
use planner::model::network::{Port, Subnet};
use planner::model::release::CommitId;
use planner::model::size::Size;
use planner::model::time::Millis;
use planner::model::volume::{Keeping, OnRemove};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

impl Fleet {
    pub(crate) fn desired(&self) -> Desired {
        let commit = CommitId::parse(&"c0".repeat(20)).unwrap();
        let known = self.claims.apps.keys().chain(self.claims.slots.keys().map(|s| &s.app));
        let lineage = |app: &AppName| match self.config.lineage.get(app).map(String::as_str) {
            None | Some("descends") => Lineage::Descends,
            Some("older") => Lineage::Older { applied: commit.clone() },
            Some("sideways") => Lineage::Sideways { applied: commit.clone() },
            Some("unselected") => Lineage::Unselected { manifest: format!("{app}/fly.toml") },
            Some(why) => Lineage::Unknown { why: why.to_string() },
        };
        Desired {
            fleet: "prod".parse().unwrap(),
            hosts: self.config.hosts.iter().map(|(n, h)| (n.clone(), host(n, h))).collect(),
            commit: Some(commit.clone()),
            apps: self.config.apps.iter().map(|(n, a)| (n.clone(), app(n, a))).collect(),
            left_out: self.config.left_out.iter().cloned().collect::<BTreeSet<_>>(),
            lineages: known.map(|app| (app.clone(), lineage(app))).collect(),
        }
    }

    pub(crate) fn artifacts(&self) -> Artifacts {
        let resolved = |app: &AppConfig| match &app.missing {
            Some(why) => Resolved::Missing { why: why.clone(), hint: "build it".to_string() },
            None => {
                Resolved::Found(Artifact::Tree { digest: digest_of(&[app.runs.as_bytes()]).into() })
            }
        };
        self.config.apps.iter().map(|(name, app)| (name.clone(), resolved(app))).collect()
    }
}

fn host(name: &HostName, host: &HostConfig) -> HostSpec {
    let subnet = host.subnet.as_ref().map(|text| text.parse().unwrap());
    let number = u8::from_str_radix(&digest_of(&[name.as_str().as_bytes()])[..2], 16).unwrap();
    HostSpec {
        name: name.clone(),
        region: host.region.clone(),
        zone: host.zone.clone(),
        state: match host.state.as_str() {
            "active" => HostState::Active,
            "cordoned" => HostState::Cordoned,
            "lost" => HostState::Lost,
            other => panic!("no state is called {other}"),
        },
        was: host.was.clone(),
        subnet: subnet
            .unwrap_or_else(|| Subnet::new(Ipv4Addr::new(10, 77, number, 0), 24).unwrap()),
        memory: Size::parse(&host.memory).unwrap(),
        cpus: host.cpus,
        pool_size: host.make_pool.as_ref().map(|size| Size::parse(size).unwrap()),
    }
}

fn app(name: &AppName, app: &AppConfig) -> App {
    App {
        name: name.clone(),
        manifest: format!("{name}/fly.toml"),
        groups: app.groups.iter().map(|(n, g)| (n.clone(), group(n, g))).collect(),
        moved: app.moved.iter().map(|line| moved(line)).collect(),
        not_acted_on: app.not_acted_on.clone(),
        release_command: app.release_command.as_ref().and_then(|command| {
            Some(ReleaseCommand {
                group: app.groups.keys().next()?.clone(),
                argv: command.split(' ').map(str::to_string).collect(),
                guest: Guest::DEFAULT,
                timeout: Millis::from_secs(300),
            })
        }),
    }
}

fn moved(line: &str) -> Move {
    match line.split_once(':') {
        None => Move::App { from: line.parse().unwrap() },
        Some((kind, names)) => {
            let (from, to) = names.split_once('=').unwrap();
            match kind {
                "group" => Move::Group { from: from.parse().unwrap(), to: to.parse().unwrap() },
                "source" => Move::Source { from: from.parse().unwrap(), to: to.parse().unwrap() },
                other => panic!("nothing is called {other}"),
            }
        }
    }
}

fn group(name: &GroupName, group: &GroupConfig) -> Group {
    let mounts = group.mounts.iter().map(|(source, mount)| {
        let full = mount.full();
        let on_remove = match full.on_remove.as_str() {
            "retain" => OnRemove::Retain,
            "destroy" => OnRemove::Destroy,
            other => panic!("nothing is called {other}"),
        };
        let retention = Millis::from_days(full.retention_days);
        let mount = Mount {
            source: source.clone(),
            destination: full.destination.unwrap_or_else(|| format!("/{source}")).into(),
            size: Size::parse(&full.size).unwrap(),
            keeping: Keeping { on_remove, retention, protect: full.protect },
            adopt: full.adopt,
            fresh: full.fresh,
        };
        (source.clone(), mount)
    });
    let secret_files = group
        .secret_files
        .iter()
        .map(|(path, secret)| SecretFile { path: path.clone(), secret: secret.clone() });
    let check = Check {
        name: "services:8080".into(),
        port: Port(8080),
        probe: Probe::Tcp,
        interval: Millis::from_secs(15),
        timeout: Millis::from_secs(2),
        grace_period: Millis::from_secs(5),
    };
    Group {
        name: name.clone(),
        scale: match &group.scale {
            Some(counts) => Scale::Listed(counts.clone().into_iter().collect()),
            None => Scale::Unlisted { first: "ewr".parse().unwrap() },
        },
        mounts: mounts.collect(),
        argv: vec!["serve".to_string()],
        replaces_entrypoint: false,
        env: group.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        files: Vec::new(),
        secret_files: secret_files.collect(),
        secrets: group.secrets.clone(),
        primary_region: None,
        guest: Guest::new(Size::parse(&group.memory).unwrap(), 1),
        has_services: group.services,
        ports: if group.services { vec![Port(8080)] } else { Vec::new() },
        checks: if group.checks { vec![check] } else { Vec::new() },
        supervision: Supervision {
            restart: match group.restart.as_str() {
                "always" => Restart::Always,
                "never" => Restart::Never,
                other => panic!("no restart is called {other}"),
            },
            kill_signal: "SIGINT".into(),
            kill_timeout: Millis::from_secs(5),
        },
        deploy: Deploy {
            strategy: group.strategy.as_ref().map(|word| strategy(word)),
            max_unavailable: max_unavailable(group.max_unavailable),
            wait_timeout: Millis::from_secs(300),
            on_clones: group.on_clones,
            revert: match group.revert.as_str() {
                "off" => Revert::Off,
                "release" => Revert::Release,
                "snapshot" => Revert::Snapshot,
                other => panic!("no slot goes back to {other}"),
            },
        },
    }
}

fn strategy(word: &str) -> Strategy {
    let all = [Strategy::Rolling, Strategy::Immediate, Strategy::Canary, Strategy::Bluegreen];
    all.into_iter().find(|strategy| strategy.as_str() == word).unwrap()
}

fn max_unavailable(value: Option<f64>) -> MaxUnavailable {
    match value {
        None => MaxUnavailable::DEFAULT,
        Some(share) if share < 1.0 => {
            MaxUnavailable::Thousandths(format!("{:.0}", share * 1000.0).parse().unwrap())
        }
        Some(count) => MaxUnavailable::Count(format!("{count:.0}").parse().unwrap()),
    }
}
