//! `tiedown keys`: keys of encrypted volumes, tried, and kept elsewhere.

use super::error::{Refused, Usage};
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output, table};
use crate::fleet::{Abilities, Records, keys, thin_pool};
use crate::passphrase;
use crate::settings::{HostSettings, Settings};
use anyhow::Context;
use executor::catalog::{Holder, LockName};
use executor::clock;
use executor::keys::bundle::{self, Bundle, BundleError, Entry};
use executor::keys::header::Header;
use executor::keys::passphrase::Passphrase;
use executor::keys::{Key, KeyError, Keys};
use executor::names::HostDir;
use executor::storage::lvm::KeyCheck;
use planner::model::id::VolumeId;
use planner::model::name::HostName;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Try the keys of encrypted volumes, and keep them elsewhere too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown keys verify\n  tiedown keys export -o keys.bundle")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Export(ExportArgs),
    Verify(VerifyArgs),
    Import(ImportArgs),
}

/// Write all keys and copies of the volumes' headers into one file, sealed with a passphrase.
///
/// Keys of retired volumes are among them. Keep the file where the hosts are not; whoever has it
/// and the passphrase can read the volumes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown keys export -o keys-2026-11.bundle
  tiedown keys export --passphrase-file ./passphrase | ssh vault 'cat >keys.bundle'")]
struct ExportArgs {
    /// The file, which must not be there yet; default: standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Try for each volume whether its key opens it, and whether it opens the copy of its header.
///
/// With BUNDLE the keys in that file are tried instead. Nothing is opened or changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown keys verify\n  tiedown keys verify keys.bundle")]
struct VerifyArgs {
    /// A file that `tiedown keys export` wrote.
    #[arg(value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Put back keys and copies of headers that hosts have lost.
///
/// What is there is never replaced; a key that is another one than in the file is an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown keys import keys.bundle && tiedown keys verify")]
struct ImportArgs {
    /// A file that `tiedown keys export` wrote.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Args)]
struct PassphraseArgs {
    /// A file with the bundle's passphrase; default: it is asked for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    fn or(&self, ask: fn() -> std::io::Result<zeroize::Zeroizing<Vec<u8>>>) -> Passphrase {
        match &self.passphrase_file {
            Some(path) => Passphrase::File(path.clone()),
            None => Passphrase::Asked(ask),
        }
    }
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let settings = global.settings(&snapshot, &Abilities::probe()?, output)?;
    match &args.what {
        What::Export(args) => export(args, &settings, output),
        What::Verify(args) => verify(args, &settings, output).await,
        What::Import(args) => import(args, &settings, output),
    }
}

fn export(args: &ExportArgs, settings: &Settings, output: Output) -> anyhow::Result<Ending> {
    let mut entries = Vec::new();
    for host in settings.hosts.values() {
        for volume in keys(settings, host).volumes()? {
            entries.push((host, volume));
        }
    }
    if entries.is_empty() {
        return Err(Usage::new("no host has keys", "only volumes on LVM are encrypted").into());
    }
    let entries = entries.into_iter().map(|(host, volume)| entry(settings, host, volume));
    let passphrase = args.passphrase.or(passphrase::ask_new);
    let Some(path) = &args.output else {
        let mut bytes = Vec::new();
        let count = bundle::write(&mut bytes, &settings.fleet, &passphrase, entries)?;
        output.bytes(&bytes)?;
        output.say(&format!("{count} keys"));
        return Ok(Ending::default());
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = match file {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Refused {
                message: format!("{} is there already and is left as it is", path.display()),
                hint: "name a new file".to_owned(),
            }
            .into());
        }
        file => file.with_context(|| format!("cannot write {}", path.display()))?,
    };
    let written = write(&file, settings, &passphrase, entries);
    if written.is_err() {
        // Half a bundle is none.
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let count = written?;
    match output.format {
        Format::Json => output.json(&json!({ "path": path, "keys": count }))?,
        Format::Text => output.say(&format!("{count} keys in {}", path.display())),
    }
    Ok(Ending::default())
}

fn write(
    file: &File,
    settings: &Settings,
    passphrase: &Passphrase,
    entries: impl Iterator<Item = Result<Entry, BundleError>>,
) -> Result<u64, BundleError> {
    let mut out = BufWriter::new(file);
    let count = bundle::write(&mut out, &settings.fleet, passphrase, entries)?;
    out.flush()?;
    file.sync_all()?;
    Ok(count)
}

fn entry(settings: &Settings, host: &HostSettings, volume: VolumeId) -> Result<Entry, BundleError> {
    let key = keys(settings, host).get(&volume)?;
    let copy = copy_of_header(host, &volume);
    let header = copy.exists().then(|| Header::read(&copy)).transpose()?;
    Ok(Entry { host: host.spec.name.clone(), volume, key, header })
}

fn copy_of_header(host: &HostSettings, volume: &VolumeId) -> PathBuf {
    HostDir::at(host.storage.path()).volume(volume).header()
}

type Found = BTreeMap<(HostName, VolumeId), Key>;

/// The keys of a bundle, which must be of this fleet.
fn read(path: &Path, passphrase: &Passphrase, settings: &Settings) -> anyhow::Result<Vec<Entry>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let bundle = Bundle::open(BufReader::new(file), passphrase)?;
    if bundle.fleet != settings.fleet {
        let (theirs, ours) = (&bundle.fleet, &settings.fleet);
        let message = format!("these are keys of fleet {theirs}, and this is {ours}");
        return Err(Usage::new(message, "-C DIR says which fleet is meant").into());
    }
    Ok(bundle.collect::<Result<_, _>>()?)
}

async fn verify(args: &VerifyArgs, settings: &Settings, output: Output) -> anyhow::Result<Ending> {
    let found: Option<Found> = match &args.bundle {
        None => None,
        Some(path) => {
            let entries = read(path, &args.passphrase.or(passphrase::ask), settings)?;
            let each = entries.into_iter().map(|entry| ((entry.host, entry.volume), entry.key));
            Some(each.collect())
        }
    };
    let mut checks = Vec::new();
    for (name, host) in &settings.hosts {
        let Some(pool) = thin_pool(settings, host) else { continue };
        // Nothing else may change the pool meanwhile.
        let records = Records::open(settings)?;
        let purpose = "keys verify".to_owned();
        let holder = Holder { purpose, pid: std::process::id(), since: clock::now() };
        let _lock = records.catalog.lock(&LockName::Host(name.clone()), &holder, Duration::ZERO)?;
        let own = keys(settings, host);
        let key_of = |volume: &VolumeId| match &found {
            None => own.get(volume),
            Some(found) => found
                .get(&(name.clone(), volume.clone()))
                .cloned()
                .ok_or_else(|| KeyError::Absent { volume: volume.clone() }),
        };
        let checked = pool.verify_keys(&key_of).await;
        let checked = checked.with_context(|| format!("cannot look at the volumes of {name}"))?;
        checks.extend(checked.into_iter().map(|check| (name, check)));
    }
    tell(&checks, output)
}

fn tell(checks: &[(&HostName, KeyCheck)], output: Output) -> anyhow::Result<Ending> {
    let word = |tried: &Result<(), String>| match tried {
        Ok(()) => "opens",
        Err(_) => "does not open",
    };
    match output.format {
        Format::Json => {
            let row = |(host, check): &(&HostName, KeyCheck)| {
                let KeyCheck { volume, slot, state, opens, copy } = check;
                let (opens, copy) = (opens.as_ref().err(), copy.as_ref().err());
                json!({
                    "host": host, "volume": volume, "slot": slot, "state": state.as_str(),
                    "opens": opens.is_none(), "why": opens,
                    "copy_opens": copy.is_none(), "copy_why": copy,
                })
            };
            output.json(&json!({ "keys": checks.iter().map(row).collect::<Vec<_>>() }))?;
        }
        Format::Text if checks.is_empty() => output.result("No encrypted volumes.\n")?,
        Format::Text => {
            let row = |(host, check): &(&HostName, KeyCheck)| {
                let KeyCheck { volume, slot, state, opens, copy } = check;
                vec![
                    volume.to_string(),
                    slot.to_string(),
                    host.to_string(),
                    state.as_str().to_owned(),
                    word(opens).to_owned(),
                    word(copy).to_owned(),
                ]
            };
            let rows: Vec<_> = checks.iter().map(row).collect();
            let head = ["VOLUME", "SLOT", "HOST", "STATE", "KEY", "COPY OF HEADER"];
            output.result(&table(&head, &rows))?;
        }
    }
    for (_, check) in checks {
        let KeyCheck { volume, opens, copy, .. } = check;
        if let Err(why) = opens {
            output.error(&format!("volume {volume}: {why}"));
        } else if let Err(why) = copy {
            output.warn(&format!("volume {volume}: {why}"));
        }
    }
    if checks.iter().any(|(_, check)| check.opens.is_err()) {
        output.hint("docs/keys.md says how a key or a header is put back");
    }
    Ok(Ending {
        errored: checks.iter().any(|(_, check)| check.opens.is_err()),
        wanting: checks.iter().any(|(_, check)| check.copy.is_err()),
        ..Ending::default()
    })
}

fn import(args: &ImportArgs, settings: &Settings, output: Output) -> anyhow::Result<Ending> {
    let entries = read(&args.bundle, &args.passphrase.or(passphrase::ask), settings)?;
    let (mut put_back, mut unknown) = (Vec::new(), Vec::new());
    for Entry { host: name, volume, key, header } in entries {
        let Some(host) = settings.hosts.get(&name) else {
            unknown.push(format!("{volume} of {name}"));
            continue;
        };
        let mut done = keys(settings, host).put_back(&volume, &key)?;
        let copy = copy_of_header(host, &volume);
        if let Some(header) = header
            && !copy.exists()
            && copy.parent().is_some_and(Path::is_dir)
        {
            header.write(&copy).with_context(|| format!("cannot write {}", copy.display()))?;
            done = true;
        }
        if done {
            put_back.push(volume.to_string());
        }
    }
    for what in &unknown {
        output.warn(&format!("{what}: no such host here, so it was left out"));
    }
    match output.format {
        Format::Json => output.json(&json!({ "put_back": put_back, "left_out": unknown }))?,
        Format::Text => {
            let each = put_back.iter().map(|id| format!("Put back: {id}\n")).collect::<String>();
            output.result(&(each + &format!("{} put back.\n", put_back.len())))?;
        }
    }
    Ok(Ending { wanting: !unknown.is_empty(), ..Ending::default() })
}
