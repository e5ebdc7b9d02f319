//! `tiedown doctor`: what is missing, and how to get it.

use super::error::plural;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use crate::fleet::{Abilities, Hosts, Records};
use crate::prepare::images::engines;
use crate::repository::tree::KnownTrees;
use crate::settings::load::load;
use crate::settings::{HostSettings, Settings, StorageSettings};
use executor::storage::local::LocalKind;
use planner::model::observed::{Fill, HostView, PoolView};
use planner::model::policy::Fullness;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Say what is missing on this machine (privileges, programs, pools) and how to get it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown doctor")]
pub(super) struct Args {}

/// How a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Weight {
    /// All is well.
    Ok,
    /// It works, with less.
    Less,
    /// It does not work.
    Missing,
    /// A host could not be read.
    Unread,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    weight: Weight,
    what: String,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

impl Finding {
    fn new(weight: Weight, what: &str, found: impl Into<String>, hint: &str) -> Self {
        Self { weight, what: what.to_owned(), found: found.into(), hint: hint.to_owned() }
    }
}

pub(super) async fn run(_: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let abilities = Abilities::probe()?;
    let mut findings = machine(&abilities);
    if let Err(error) = fleet(global, &abilities, &mut findings).await {
        let hint = super::error::hint(&error).unwrap_or_default();
        findings.push(Finding::new(Weight::Missing, "fleet", format!("{error:#}"), &hint));
    }
    match output.format {
        Format::Json => output.json(&findings)?,
        Format::Text => output.result(&text(&findings))?,
    }
    let has = |weight| findings.iter().any(|finding| finding.weight == weight);
    Ok(Ending {
        errored: has(Weight::Missing),
        incomplete: has(Weight::Unread),
        ..Ending::default()
    })
}

/// What only the fleet's own description can tell.
async fn fleet(
    global: &Global,
    abilities: &Abilities,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let settings = load(&snapshot, &abilities.machine())?;
    findings.push(state_dir(&settings));
    findings.extend(lvm_programs(&settings));
    findings.extend(settings.hosts.values().filter_map(|host| keys(&settings, host)));
    for socket in engines(&settings) {
        findings.push(engine(socket).await);
    }
    let records = match Records::look(&settings) {
        Ok(records) => records,
        Err(error) => {
            let hint = "`state_dir` of tiedown.toml says where it is";
            let finding = Finding::new(Weight::Missing, "catalog", executor::chain(&error), hint);
            findings.push(finding);
            return Ok(());
        }
    };
    let found = if records.id.is_some() { "opens" } else { "made by the first apply" };
    findings.push(Finding::new(Weight::Ok, "catalog", found, ""));
    let trees = Arc::new(KnownTrees::new(&repository));
    let hosts = Hosts::open(&settings, abilities, &records, &(trees as _))?;
    for (name, host) in hosts.all() {
        let view = host.observe().await;
        findings.push(self::host(name.as_str(), &view));
        if let HostView::Read(reading) = &view
            && let PoolView::Present(pool) = &reading.pool
        {
            let full = &settings.policy.full;
            findings.extend(pool.fill.and_then(|fill| filled(name.as_str(), fill, full)));
        }
    }
    Ok(())
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { weight, what, found, hint } in findings {
        let mark = match weight {
            Weight::Ok => "ok      ",
            Weight::Less => "less    ",
            Weight::Missing => "missing ",
            Weight::Unread => "unread  ",
        };
        text += &format!("{mark}{what}: {found}\n");
        if !hint.is_empty() {
            text += &format!("          hint: {hint}\n");
        }
    }
    text
}

/// Privileges and programs.
fn machine(abilities: &Abilities) -> Vec<Finding> {
    let capabilities = &abilities.capabilities;
    let who = if capabilities.root { "root" } else { "an ordinary user" };
    let mut findings = vec![Finding::new(Weight::Ok, "user", who, "")];
    for lack in &capabilities.lacks {
        let weight = if capabilities.instances { Weight::Less } else { Weight::Missing };
        findings.push(Finding::new(weight, lack.name, lack.why.clone(), lack.way_out));
    }
    match abilities.volumes() {
        LocalKind::Image => {
            let programs = ["mkfs.ext4", "resize2fs", "losetup"];
            let hint = "apt-get install e2fsprogs mount";
            findings.extend(programs.map(|program| installed(program, hint)));
        }
        LocalKind::Directory => findings.push(Finding::new(
            Weight::Less,
            "volumes",
            "directories, whose size is not enforced",
            "run as root where loop devices are allowed",
        )),
    }
    findings
}

/// Programs of volumes on LVM, if a host has such.
fn lvm_programs(settings: &Settings) -> Vec<Finding> {
    let lvm = |host: &HostSettings| matches!(host.storage, StorageSettings::Lvm { .. });
    if !settings.hosts.values().any(lvm) {
        return Vec::new();
    }
    let programs = [
        "lvm",
        "dmsetup",
        "thin_check",
        "thin_ls",
        "cryptsetup",
        "blkid",
        "wipefs",
        "fstrim",
        "setsid",
        "e2fsck",
        "e2image",
    ];
    let hint = "apt-get install lvm2 dmsetup thin-provisioning-tools cryptsetup-bin util-linux \
                e2fsprogs";
    programs.map(|program| installed(program, hint)).into()
}

async fn engine(socket: &Path) -> Finding {
    match executor::runtime::docker::version(socket).await {
        Ok(version) => {
            let found = format!("{version} at {}", socket.display());
            Finding::new(Weight::Ok, "Docker Engine", found, "")
        }
        Err(error) => {
            let hint = "apt-get install docker.io, start it, and name its `socket` in tiedown.toml";
            Finding::new(Weight::Missing, "Docker Engine", executor::chain(&error), hint)
        }
    }
}

/// What seals the keys of a host's volumes, and whether they can be had.
fn keys(settings: &Settings, host: &HostSettings) -> Option<Finding> {
    let StorageSettings::Lvm { .. } = host.storage else { return None };
    let what = format!("keys of {}", host.spec.name);
    Some(match crate::fleet::keys(settings, host).look() {
        Ok(count) => {
            let found = format!("{}, all that is needed is there", plural(count, "key"));
            Finding::new(Weight::Ok, &what, found, "")
        }
        Err(error) => {
            let hint = "bring it back from where it is kept: docs/keys.md, `tiedown keys import`";
            Finding::new(Weight::Missing, &what, executor::chain(&error), hint)
        }
    })
}

/// A pool that takes nothing more, or soon will not.
fn filled(name: &str, fill: Fill, full: &Fullness) -> Option<Finding> {
    let found = full.excess(fill).or_else(|| full.nearly(fill))?;
    let hint = "lvextend -L +SIZE VG/POOL for data, lvextend --poolmetadatasize +SIZE VG/POOL for \
                metadata; or destroy snapshots and retired volumes";
    Some(Finding::new(Weight::Less, &format!("pool of {name}"), found, hint))
}

fn installed(program: &str, hint: &str) -> Finding {
    match executor::command::find(program) {
        Some(path) => Finding::new(Weight::Ok, program, path.display().to_string(), ""),
        None => Finding::new(Weight::Missing, program, "not installed", hint),
    }
}

/// The directory that is there, or the nearest above it in which it would be made.
fn state_dir(settings: &Settings) -> Finding {
    let path = settings.state_dir.as_path();
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let writable = rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok();
    let shown = path.display();
    match (writable, there == path) {
        (true, true) => Finding::new(Weight::Ok, "state directory", shown.to_string(), ""),
        (true, false) => {
            Finding::new(Weight::Ok, "state directory", format!("{shown}, made when needed"), "")
        }
        (false, _) => Finding::new(
            Weight::Missing,
            "state directory",
            format!("{} cannot be written", there.display()),
            "run as its owner, or write another `state_dir` in tiedown.toml",
        ),
    }
}

fn host(name: &str, view: &HostView) -> Finding {
    let what = format!("host {name}");
    match view {
        HostView::Unread { why, hint } => Finding::new(Weight::Unread, &what, why.clone(), hint),
        HostView::Read(reading) => {
            let found = match &reading.pool {
                PoolView::Absent => "readable, its pool is made by the first apply".to_owned(),
                PoolView::Present(pool) => format!(
                    "readable, pool of {}, {}, {}",
                    pool.size,
                    plural(reading.volumes.len(), "volume"),
                    plural(reading.instances.len(), "instance")
                ),
            };
            Finding::new(Weight::Ok, &what, found, "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_is_nearly_full_is_told_before_it_is() {
        let full = Fullness::default();
        let told = |data, metadata| {
            let finding = filled("ewr-1", Fill { data, metadata }, &full);
            finding.map(|finding| text(&[finding]))
        };
        assert_eq!(told(0, 0), None);
        let nearly = told(full.data_thousandths - 1, 0).expect("it is nearly full");
        assert!(nearly.starts_with("less    pool of ewr-1: has "), "{nearly}");
        assert!(
            nearly.contains("it takes nothing more") && nearly.contains("lvextend"),
            "{nearly}"
        );
        let is_full = told(0, 1000).expect("its metadata is full");
        assert!(is_full.contains("100 % of its metadata"), "{is_full}");
    }
}
