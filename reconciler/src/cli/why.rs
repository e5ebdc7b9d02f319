//! `tiedown why`: what wants something, what holds it, why it is where it is, what comes next.

use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use super::paint::Ansi;
use crate::fleet::{Abilities, Records};
use crate::history::moment;
use crate::pass::Ask;
use crate::prepare::selection::Selection;
use executor::catalog::{Holder, LockName};
use planner::model::id::VolumeId;
use planner::model::name::AppName;
use planner::model::observed::HostView;
use planner::model::permit::Permits;
use planner::render::text;
use planner::why::{Explanation, Held, Subject, why};
use serde_json::json;

/// Say why something is as it is: what wants it, what holds it, why it is where it is and not on
/// another host, what the next plan does with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown why web/app/ewr/1
  tiedown why vol_0123456789abcdef
  tiedown why ewr-1 --format json")]
pub(super) struct Args {
    /// A slot (APP/GROUP/REGION/N), a volume's id, or a host.
    #[arg(value_name = "SLOT|VOLUME|HOST")]
    of: String,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let subject = subject(&args.of)?;
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
        selection: &Selection::default(),
        permits: Permits::NONE,
    };
    ask.guard_records()?;
    let looked = ask.look().await?;
    let told = why(
        &subject,
        &looked.desired,
        &looked.artifacts,
        &looked.observed,
        &looked.claims,
        &settings.policy,
        &ask.permits,
    );
    let unread = looked.observed.values().any(|view| matches!(view, HostView::Unread { .. }));
    let ending = Ending { incomplete: unread, ..Ending::default() };
    if !told.known && !unread {
        let hint = "`tiedown status` shows slots and hosts, `tiedown volumes list` volumes";
        return Err(Usage::new(format!("nothing is known of {}", told.about), hint).into());
    }
    let lock = app(&subject, &told).and_then(|app| {
        let holder = records.catalog.holder(&LockName::App(app.clone()))?;
        Some((app, holder))
    });
    match output.format {
        Format::Json => {
            let lock = lock.map(|(app, holder)| json!({ "app": app, "holder": holder }));
            output.json(&json!({ "why": told, "lock": lock }))?;
        }
        Format::Text => {
            let lock = lock.map(|(app, holder)| in_words(&app, &holder));
            output.result(&text::why(&told, lock.as_deref(), &Ansi))?;
        }
    }
    Ok(ending)
}

fn subject(text: &str) -> anyhow::Result<Subject> {
    let wrong = |error: &dyn std::fmt::Display| {
        let hint = "name a slot (APP/GROUP/REGION/N), a volume (vol_…) or a host";
        anyhow::Error::from(Usage::new(error.to_string(), hint))
    };
    if text.contains('/') {
        return text.parse().map(Subject::Slot).map_err(|error| wrong(&error));
    }
    if text.starts_with("vol_") {
        return VolumeId::parse(text).map(Subject::Volume).map_err(|error| wrong(&error));
    }
    text.parse().map(Subject::Host).map_err(|error| wrong(&error))
}

/// The app whose lock is the one that matters.
fn app(subject: &Subject, told: &Explanation) -> Option<AppName> {
    let held = || {
        told.held.iter().map(|held| match held {
            Held::Claim(claim) => claim.slot.app.clone(),
            Held::Instance { instance, .. } => instance.slot.app.clone(),
            Held::Volume { volume, .. } => volume.spec.slot.app.clone(),
        })
    };
    match subject {
        Subject::Slot(slot) => Some(slot.app.clone()),
        Subject::Volume(_) => held().next(),
        Subject::Host(_) => None,
    }
}

fn in_words(app: &AppName, holder: &Holder) -> String {
    let Holder { purpose, pid, since } = holder;
    format!("app {app} is locked by {purpose} (pid {pid}) since {}", moment(*since))
}
