//! `tiedown host`: a host's own matters.

use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use crate::fleet::{Abilities, Records, thin_pool};
use crate::settings::keys::KeysSettings;
use crate::settings::{HostSettings, Settings, StorageSettings};
use anyhow::Context;
use executor::catalog::{Holder, LockName};
use executor::clock;
use executor::keys::seal::make_key_file;
use executor::machine::machine_id;
use executor::names::StateDir;
use executor::storage::PoolMarks;
use executor::storage::lvm::{Ground, LvmStorage};
use planner::model::id::PoolId;
use planner::model::name::HostName;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Prepare a host's disks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown host init ewr-1 --disk /dev/nvme1n1")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Init(InitArgs),
}

/// Make the volume group and the thin pool that tiedown.toml names for a host, on bare disks.
///
/// Shows what it will do, and asks. A disk that carries anything, or is in use, is never touched.
/// What is there already is left as it is, so it can be run again, also where it was cut short.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown host init ewr-1 --disk /dev/nvme1n1
  tiedown host init --disk /dev/sdb --disk /dev/sdc --auto-approve")]
struct InitArgs {
    /// The host; may be left out where only one has a thin pool.
    #[arg(value_name = "HOST")]
    host: Option<HostName>,
    /// A bare disk for the volume group; may be given more than once.
    #[arg(long = "disk", value_name = "DEVICE")]
    disks: Vec<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    auto_approve: bool,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let What::Init(args) = &args.what;
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let settings = global.settings(&snapshot, &Abilities::probe()?, output)?;
    init(args, &settings, output).await
}

/// What is to be made for one host.
struct Work<'s> {
    host: &'s HostSettings,
    storage: LvmStorage,
    ground: Ground,
    /// The sealing key, if its file is elsewhere and not there.
    key_file: Option<PathBuf>,
}

async fn init(args: &InitArgs, settings: &Settings, output: Output) -> anyhow::Result<Ending> {
    let (host, storage) = chosen(args, settings)?;
    let ground = storage.look_at_ground(&args.disks, host.spec.pool_size).await?;
    let key_file = match &host.keys {
        KeysSettings::File(path) if !path.exists() => Some(path.clone()),
        KeysSettings::File(_)
        | KeysSettings::Own
        | KeysSettings::PassphraseFile(_)
        | KeysSettings::Credential(_)
        | KeysSettings::Ask => None,
    };
    let work = Work { host, storage, ground, key_file };
    let told = work.told(settings);
    for left in &work.ground.left {
        output.say(&format!("Note: {left}\n"));
    }
    if told.is_empty() {
        return tell(&told, "Nothing to do: group and pool are there.", output);
    }
    output.say(&format!("tiedown will make for host {}:\n\n{}", host.spec.name, told.join("\n")));
    if !args.auto_approve && !approved(output)? {
        return Err(Usage::new("not approved, so nothing was begun", "answer `yes`").into());
    }
    work.carry_out(settings).await?;
    tell(&told, "Made.", output)
}

fn chosen<'s>(
    args: &InitArgs,
    settings: &'s Settings,
) -> anyhow::Result<(&'s HostSettings, LvmStorage)> {
    let with_pool = |host: &'s HostSettings| Some((host, thin_pool(settings, host)?));
    let mut all: Vec<_> = settings.hosts.values().filter_map(with_pool).collect();
    if let Some(name) = &args.host {
        let Some(host) = settings.hosts.get(name) else {
            let known: Vec<_> = settings.hosts.keys().map(ToString::to_string).collect();
            let hint = format!("hosts are: {}", known.join(", "));
            return Err(Usage::new(format!("there is no host {name}"), hint).into());
        };
        return with_pool(host).ok_or_else(|| {
            let hint = "its storage says driver = \"local\": nothing has to be prepared for that";
            Usage::new(format!("{name} has no thin pool"), hint).into()
        });
    }
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => {
            Err(Usage::new("more than one host has a thin pool", "name the host").into())
        }
        (None, _) => {
            let hint = "write storage = { driver = \"lvm\", vg = \"vg0\", pool = \"thin\" }";
            Err(Usage::new("no host has a thin pool", hint).into())
        }
    }
}

fn approved(output: Output) -> anyhow::Result<bool> {
    if !output.can_ask() {
        let hint = "run it in a terminal, or say --auto-approve";
        return Err(Usage::new("nobody can be asked here, so nothing was begun", hint).into());
    }
    output.say("\nDo you want to perform these actions? Only 'yes' will be accepted.");
    Ok(output.ask("  Enter a value: ").as_deref() == Some("yes"))
}

fn tell(made: &[String], sum: &str, output: Output) -> anyhow::Result<Ending> {
    match output.format {
        Format::Json => {
            let made: Vec<&str> = made.iter().map(|line| line.trim()).collect();
            output.json(&json!({ "made": made }))?;
        }
        Format::Text => output.result(&format!("{sum}\n"))?,
    }
    Ok(Ending::default())
}

impl Work<'_> {
    /// A line for each thing that will be made.
    fn told(&self, settings: &Settings) -> Vec<String> {
        let StorageSettings::Lvm { group, pool, .. } = &self.host.storage else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        if let Some(path) = &self.key_file {
            let shown = path.display();
            lines.push(format!("  + sealing key {shown}: 32 random bytes; keep a copy elsewhere"));
        }
        if let Some(disks) = &self.ground.group {
            let each = |(disk, size): &(PathBuf, _)| format!("{} ({size})", disk.display());
            let disks: Vec<String> = disks.iter().map(each).collect();
            lines.push(format!(
                "  + volume group {group} on {}: room for the marks of 90,000 volumes, nothing \
                 activated at boot",
                disks.join(", ")
            ));
        }
        if let Some(size) = self.ground.begun {
            lines.push(format!(
                "  - volume {group}/{pool} of {size}: the beginning of the pool, whose making was \
                 cut short; it holds nothing"
            ));
        }
        match self.ground.pool {
            None => {}
            Some((size, _)) if self.ground.bare => {
                let fleet = &settings.fleet;
                lines.push(format!("  ~ thin pool {group}/{pool} of {size}: marked for {fleet}"));
            }
            Some((size, metadata)) => lines.push(format!(
                "  + thin pool {group}/{pool} of {size}: metadata {metadata} and as much to repair \
                 it with, blocks of 512 KiB that are zeroed, writes fail when it is full"
            )),
        }
        lines
    }

    async fn carry_out(&self, settings: &Settings) -> anyhow::Result<()> {
        let name = &self.host.spec.name;
        let records = Records::open(settings)?;
        let purpose = format!("host init {name}");
        let holder = Holder { purpose, pid: std::process::id(), since: clock::now() };
        let _lock = records.catalog.lock(&LockName::Host(name.clone()), &holder, Duration::ZERO)?;
        if let Some(path) = &self.key_file {
            make_key_file(path)?;
        }
        let machine = machine_id(&StateDir::at(&settings.state_dir))?;
        let marks = PoolMarks {
            id: PoolId::derive(&settings.fleet, name, &machine, clock::now()),
            fleet: settings.fleet.clone(),
            host: name.clone(),
            machine,
        };
        let made = self.storage.make_ground(&self.ground, &marks).await;
        made.context("what was begun is left as it is; run it again").map(drop)
    }
}
