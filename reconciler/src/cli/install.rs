//! `tiedown install`: what the machine itself runs of tiedown.

use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use crate::drift::news::replace;
use crate::fleet::Abilities;
use crate::notify;
use crate::settings::Settings;
use crate::settings::keys::KeysSettings;
use crate::units::{Wanted, units};
use anyhow::Context;
use executor::command::Command;
use executor::ensure::Ensured;
use executor::names;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Let this machine run tiedown by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown install systemd --git-dir /srv/git/fleet.git")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Systemd(Box<Systemd>),
}

/// Where units of the machine's owner are.
const UNITS: &str = "/etc/systemd/system";

/// Show units for systemd, ask, write them, and start them: `serve`, `resume` at boot, and a look
/// for drift from time to time.
///
/// Secrets are taken from /etc/tiedown/FLEET.env, which only root should be able to read:
/// TIEDOWN_GIT_TOKEN, TIEDOWN_WEBHOOK_SECRET, TIEDOWN_API_TOKEN, TIEDOWN_NOTIFY_URL,
/// TIEDOWN_SLACK_URL.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown install systemd --git-dir /srv/git/fleet.git
  tiedown install systemd --remote git@git.example.com:ops/fleet.git --mail ops@example.com")]
struct Systemd {
    /// Follow a remote instead of the repository that is read here.
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    /// The branch; by default the one that HEAD names, of a remote `main`.
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Where the daemon answers HTTP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Who may vouch for a commit: a file of allowed signers.
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,
    /// The time between two looks for drift.
    #[arg(long, value_name = "TIME", default_value = "10min", value_parser = span)]
    every: String,
    /// Tell a webhook or a chat when drift begins or ends; their addresses are in the file of
    /// secrets.
    #[arg(long)]
    notify: bool,
    /// Tell somebody by mail; may be given more than once.
    #[arg(long, value_name = "ADDRESS", value_parser = notify::mail)]
    mail: Vec<String>,
    /// Write metrics of drift to this file, for the textfile collector of the node exporter.
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Write the units to another directory, and start nothing.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    auto_approve: bool,
}

/// A time as systemd reads it: a number and a unit.
fn span(text: &str) -> Result<String, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let known = ["s", "min", "h", "d"].contains(&&text[digits..]);
    let number = text[..digits].parse::<u32>().unwrap_or_default();
    if known && number > 0 {
        return Ok(text.to_owned());
    }
    Err("it is a number and s, min, h or d, such as 10min".to_owned())
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let What::Systemd(args) = &args.what;
    if !args.auto_approve && (!output.can_ask() || output.format == Format::Json) {
        let hint = "run it in a terminal, or say --auto-approve";
        return Err(Usage::new("nobody can be asked here, so nothing was begun", hint).into());
    }
    let wanted = wanted(args, global, output)?;
    let units = units(&wanted);
    let directory = args.into.clone().unwrap_or_else(|| UNITS.into());
    for (name, text) in units.iter().filter(|_| output.format == Format::Text) {
        output.result(&format!("# {}\n{text}\n", directory.join(name).display()))?;
    }
    if !args.auto_approve {
        output.say("Do you want to install these units? Only 'yes' will be accepted.");
        if output.ask("  Enter a value: ").as_deref() != Some("yes") {
            let hint = "answer `yes` to install";
            return Err(Usage::new("not approved, so nothing was begun", hint).into());
        }
    }
    let mut written = Vec::new();
    for (name, text) in &units {
        let path = directory.join(name);
        let ensured =
            write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written.push((path, ensured));
    }
    let enabled: Vec<&str> =
        units.iter().filter(|(_, text)| text.contains("[Install]")).map(|unit| &*unit.0).collect();
    let starts = args.into.is_none() && Path::new("/run/systemd/system").exists();
    if starts {
        Command::named("systemctl")?.arg("daemon-reload").output().await?;
        // What brings everything back is for the next boot.
        let (at_boot, now) = enabled.split_at(1);
        Command::named("systemctl")?.arg("enable").args(at_boot).output().await?;
        Command::named("systemctl")?.args(["enable", "--now"]).args(now).output().await?;
    }
    tell(&written, &enabled, starts, output)?;
    Ok(Ending::default())
}

fn tell(
    written: &[(PathBuf, Ensured)],
    enabled: &[&str],
    starts: bool,
    output: Output,
) -> anyhow::Result<()> {
    if output.format == Format::Json {
        let files = written.iter().map(|(path, ensured)| json!({ "path": path, "is": ensured }));
        let files: Vec<_> = files.collect();
        return output.json(&json!({ "units": files, "started": starts }));
    }
    for (path, ensured) in written {
        let word = match ensured {
            Ensured::Made => "made",
            Ensured::Changed => "changed",
            Ensured::AlreadySo => "already so",
        };
        output.result(&format!("{}: {word}\n", path.display()))?;
    }
    if !starts {
        let (at_boot, now) = enabled.split_at(1);
        let (at_boot, now) = (at_boot.join(" "), now.join(" "));
        let told = format!("systemctl enable {at_boot} && systemctl enable --now {now}");
        output.result(&format!("Start them with: systemctl daemon-reload && {told}\n"))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> std::io::Result<Ensured> {
    let before = std::fs::read(path).ok();
    if before.as_deref() == Some(text.as_bytes()) {
        return Ok(Ensured::AlreadySo);
    }
    replace(path, text.as_bytes())?;
    Ok(if before.is_some() { Ensured::Changed } else { Ensured::Made })
}

fn wanted(args: &Systemd, global: &Global, output: Output) -> anyhow::Result<Wanted> {
    let repository = global.repository()?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&global.snapshot(&repository)?, &abilities, output)?;
    warn_of_keys(&settings, output);
    if let Some((why, hint)) = settings.require.unasked() {
        output.warn(why);
        output.hint(hint);
    }
    let text = |path: PathBuf| path.display().to_string();
    let absolute = |path: &Path| anyhow::Ok(text(std::path::absolute(path)?));
    let mut reading: Vec<String> = Vec::new();
    let mut serve: Vec<String> = Vec::new();
    let add = |to: &mut Vec<String>, name: &str, value: String| {
        to.extend([name.to_owned(), value]);
    };
    match (&args.remote, &global.git_dir) {
        (Some(url), _) => {
            let base = abilities.machine().state_base();
            let base = base.context("neither HOME nor XDG_STATE_HOME is set")?;
            add(&mut serve, "--remote", url.clone());
            add(&mut reading, "--git-dir", text(names::mirror(&base, url)));
            let branch = args.branch.clone().unwrap_or_else(|| "main".to_owned());
            add(&mut reading, "--rev", branch);
        }
        (None, Some(git_dir)) => {
            add(&mut serve, "--git-dir", absolute(git_dir)?);
            add(&mut reading, "--git-dir", absolute(git_dir)?);
        }
        (None, None) => {}
    }
    // Of a repository without a work tree, and of a remote, it is a directory within the commit.
    let is_within = args.remote.is_some() || global.git_dir.is_some();
    let dir = if is_within { text(global.dir.clone()) } else { absolute(&global.dir)? };
    for to in [&mut serve, &mut reading] {
        add(to, "-C", dir.clone());
    }
    if let (Some(branch), None) = (&args.branch, &args.remote) {
        add(&mut reading, "--rev", branch.clone());
    }
    if let Some(branch) = &args.branch {
        add(&mut serve, "--branch", branch.clone());
    }
    if let Some(address) = args.listen {
        add(&mut serve, "--listen", address.to_string());
    }
    if let Some(signers) = &args.signers {
        add(&mut serve, "--signers", absolute(signers)?);
    }
    let mut drift = Vec::new();
    if args.notify || !args.mail.is_empty() {
        drift.push("--notify".to_owned());
    }
    for address in &args.mail {
        add(&mut drift, "--mail", address.clone());
    }
    if let Some(file) = &args.textfile {
        add(&mut drift, "--textfile", absolute(file)?);
    }
    let fleet = settings.fleet.to_string();
    Ok(Wanted {
        program: abilities.program.clone(),
        environment: format!("/etc/tiedown/{fleet}.env").into(),
        every: args.every.clone(),
        fleet,
        reading,
        serve,
        drift,
    })
}

/// What seals keys may be what a unit does not have.
fn warn_of_keys(settings: &Settings, output: Output) {
    for (name, host) in &settings.hosts {
        match &host.keys {
            KeysSettings::Ask => output.warn(&format!(
                "host {name} asks a person for the passphrase of its keys, and a unit can ask nobody"
            )),
            KeysSettings::Credential(credential) => output.warn(&format!(
                "host {name} needs LoadCredential={credential}:… in a drop-in of the services"
            )),
            KeysSettings::Own | KeysSettings::File(_) | KeysSettings::PassphraseFile(_) => {}
        }
    }
}
