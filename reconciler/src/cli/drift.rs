//! `tiedown drift`: what hosts have that was not applied.

use super::error::Usage;
use super::exit::Ending;
use super::global::{Apps, Global};
use super::output::{Format, Output};
use crate::drift::news::{Known, message, replace};
use crate::drift::{Drifted, metrics};
use crate::fleet::{Abilities, Records};
use crate::notify::{self, Listener, SLACK_URL, URL};
use crate::pass::Ask;
use crate::settings::Settings;
use anyhow::Context;
use executor::clock;
use executor::names::StateDir;
use planner::model::permit::Permits;
use serde_json::json;
use std::path::PathBuf;

/// Say what hosts have that was not applied. Quiet, and exit 0, when there is nothing; changes
/// nothing on hosts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown drift
  tiedown drift --notify --mail ops@example.com    # from cron, or `tiedown install systemd`")]
pub(super) struct Args {
    /// Tell who is to know when drift begins, changes or ends: TIEDOWN_NOTIFY_URL gets a JSON
    /// document by POST, TIEDOWN_SLACK_URL the text as Slack takes it.
    #[arg(long, conflicts_with_all = ["only", "except"])]
    notify: bool,
    /// Tell somebody by mail too, through this machine's sendmail; may be given more than once.
    #[arg(long, value_name = "ADDRESS", requires = "notify", value_parser = notify::mail)]
    mail: Vec<String>,
    /// Write metrics to this file, for the textfile collector of the node exporter.
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    #[command(flatten)]
    apps: Apps,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let listeners = listeners(args)?;
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    let records = Records::look(&settings)?;
    let ask = Ask {
        snapshot: &snapshot,
        settings: &settings,
        abilities: &abilities,
        records: &records,
        selection: &args.apps.selection(),
        permits: Permits::NONE,
    };
    ask.guard_records()?;
    let looked = ask.look().await?;
    let drifted =
        Drifted::of(&looked.report, &looked.observed, &looked.claims, &looked.desired.hosts);
    match output.format {
        Format::Json => output.json(&drifted)?,
        Format::Text => output.result(&drifted.text())?,
    }
    for unread in &drifted.unread {
        output.warn(&format!("host {} could not be read: {}", unread.host, unread.why));
        output.hint(&unread.hint);
    }
    if let Some(path) = &args.textfile {
        let text = metrics::text(settings.fleet.as_str(), &drifted, clock::now());
        let what = || format!("cannot write {}", path.display());
        replace(path, text.as_bytes()).with_context(what)?;
    }
    let untold = tell(&listeners, &settings, &drifted, output).await?;
    Ok(Ending {
        errored: untold,
        changes: !drifted.drift.is_empty(),
        incomplete: !drifted.unread.is_empty(),
        ..Ending::default()
    })
}

fn listeners(args: &Args) -> Result<Vec<Listener>, Usage> {
    if !args.notify {
        return Ok(Vec::new());
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut listeners: Vec<Listener> = args.mail.iter().cloned().map(Listener::Mail).collect();
    listeners.extend(variable(URL).map(Listener::Webhook));
    listeners.extend(variable(SLACK_URL).map(Listener::Slack));
    if listeners.is_empty() {
        let hint = format!("set {URL} or {SLACK_URL}, or say --mail");
        return Err(Usage::new("there is nobody to tell", hint));
    }
    Ok(listeners)
}

/// Tells whoever listens, if it is news. Gives whether somebody could not be told; then nothing is
/// remembered as told, and all are told again the next time.
async fn tell(
    listeners: &[Listener],
    settings: &Settings,
    drifted: &Drifted,
    output: Output,
) -> anyhow::Result<bool> {
    if listeners.is_empty() {
        return Ok(false);
    }
    let path = StateDir::at(&settings.state_dir).told_drift();
    let before = Known::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let now = Known::of(drifted);
    if before == now {
        return Ok(false);
    }
    let text = message(settings.fleet.as_str(), drifted);
    let document = json!({
        "event": "drift",
        "fleet": settings.fleet,
        "clean": now.is_clean(),
        "text": text,
        "drifted": drifted,
    });
    let mut untold = false;
    for listener in listeners {
        if let Err(error) = listener.tell(&text, &document).await {
            output.error(&executor::chain(&error));
            untold = true;
        }
    }
    if !untold && settings.state_dir.exists() {
        now.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(untold)
}
