//! `tiedown init`: a tiedown.toml for this machine and these manifests.

use super::error::Refused;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use crate::prepare::{ReadManifest, read_manifest};
use crate::repository::Repository;
use crate::settings::{FILE, INCLUDE, Machine};
use anyhow::Context;
use planner::model::name::{FleetName, Region};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Write a tiedown.toml for this machine and these manifests, and print it. Never overwrites.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown init\n  tiedown init -C deploy --fleet prod")]
pub(super) struct Args {
    /// The fleet's name; default: the directory's.
    #[arg(long, value_name = "NAME")]
    fleet: Option<FleetName>,
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let path = place(&repository)?;
    let manifests = manifests(&repository)?;
    let fleet = args.fleet.clone().unwrap_or_else(|| fleet_name(&path));
    let text = settings(&fleet, &regions(&manifests), &Machine::here(true), free_bytes(&path));
    write(&path, &text)?;
    match output.format {
        Format::Json => output.json(&json!({ "path": path, "text": text }))?,
        Format::Text => {
            output.say(&format!("wrote {}", path.display()));
            output.result(&text)?;
        }
    }
    if manifests.is_empty() {
        output.warn("no manifest was found here: regions are a guess");
    }
    output.say("commit it, then: tiedown validate, tiedown plan, tiedown apply");
    Ok(Ending::default())
}

fn place(repository: &Repository) -> anyhow::Result<PathBuf> {
    let disk = repository.on_disk()?;
    let Some(root) = disk.work_tree() else { unreachable!("it was read from disk") };
    Ok(root.join(repository.within(FILE)))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Refused {
                message: format!("{} is there already and is left as it is", path.display()),
                hint: "edit it, or remove it first".to_owned(),
            }
            .into());
        }
        opened => opened.with_context(|| format!("cannot write {}", path.display()))?,
    };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn manifests(repository: &Repository) -> anyhow::Result<Vec<ReadManifest>> {
    let patterns = repository.patterns(&INCLUDE.map(str::to_owned), &[])?;
    let found = repository.on_disk()?.manifests(&patterns)?;
    Ok(found.into_iter().map(|(path, bytes)| read_manifest(path, &bytes)).collect())
}

/// Regions that manifests name; one called `local` if none does.
fn regions(manifests: &[ReadManifest]) -> BTreeSet<Region> {
    let mut regions = BTreeSet::new();
    for manifest in manifests.iter().filter_map(|manifest| manifest.read.manifest.as_ref()) {
        let primary = manifest.written.primary_region.iter().map(|region| region.value.as_str());
        let scale = manifest.tiedown.scale.values();
        let scaled = scale.flat_map(|group| group.value.keys().map(String::as_str));
        regions.extend(primary.chain(scaled).filter_map(|region| Region::new(region).ok()));
    }
    if regions.is_empty() {
        regions.extend(Region::new("local"));
    }
    regions
}

/// The directory's name as a fleet's.
fn fleet_name(path: &Path) -> FleetName {
    let directory = path.parent().and_then(Path::file_name).unwrap_or_default();
    let plain: String = directory
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(40)
        .collect();
    let name = FleetName::new(plain.trim_matches('-'));
    name.unwrap_or_else(|_| FleetName::new("fleet").expect("it keeps the rule"))
}

fn free_bytes(path: &Path) -> u64 {
    let directory = path.parent().unwrap_or(Path::new("/"));
    rustix::fs::statvfs(directory).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Shared cpus that a processor is taken for: a slot's cpu is a share of one, not all of it.
const CPUS_PER_PROCESSOR: u64 = 8;

/// Half of the disk and three quarters of the memory, shared by one host a region.
fn settings(fleet: &FleetName, regions: &BTreeSet<Region>, machine: &Machine, free: u64) -> String {
    let count = regions.len().max(1) as u64;
    let capacity = (free / 2 / count / 1_000_000_000).max(1);
    let memory = (machine.memory.whole_mib() / 4 * 3 / count).max(256);
    let cpus = (u64::from(machine.cpus) * CPUS_PER_PROCESSOR / count).max(1);
    let mut text = format!(
        "# Hosts of this fleet, all on this machine. `memory` and `cpus` are what slots can\n\
         # reserve; a slot's cpu is a share of a processor, so here are {CPUS_PER_PROCESSOR} for each.\n\
         fleet = \"{fleet}\"\n"
    );
    for region in regions {
        let _ = write!(
            text,
            "\n[[hosts]]\nname = \"{region}-1\"\nregion = \"{region}\"\nmemory = \"{memory}MiB\"\n\
             cpus = {cpus}\nstorage = {{ driver = \"local\", capacity = \"{capacity}GB\" }}\n\
             runtime = {{ driver = \"process\" }}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::model::size::Size;

    #[test]
    fn what_is_written_can_be_read() {
        let machine = Machine {
            memory: Size::from_mib(8192),
            cpus: 4,
            shares_ports: true,
            root: false,
            state_home: None,
            home: Some("/home/someone".into()),
        };
        let regions = ["ewr", "ord"].map(|region| Region::new(region).unwrap()).into();
        let fleet = fleet_name(Path::new("/srv/My Fleet!/tiedown.toml"));
        assert_eq!(fleet.as_str(), "my-fleet");
        let text = settings(&fleet, &regions, &machine, 100_000_000_000);
        let read = crate::settings::meant::read("tiedown.toml", &text, &machine).unwrap();
        let host = read.hosts.values().next().unwrap();
        assert_eq!((read.hosts.len(), host.spec.cpus), (2, 16));
        assert_eq!(host.spec.memory, Size::from_mib(3072));
        assert_eq!(host.spec.pool_size, Some(Size::from_gb(25)));
    }
}
