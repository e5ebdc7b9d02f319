//! `tiedown drift`: what hosts have that was not applied.

use super::exit::Ending;
use super::global::{Apps, Global};
use super::output::{Format, Output};
use crate::drift::Drifted;
use crate::fleet::{Abilities, Records};
use crate::pass::Ask;
use planner::model::permit::Permits;

/// Say what hosts have that was not applied. Quiet, and exit 0, when there is nothing; changes
/// nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown drift || mail -s 'drift' ops < /dev/null")]
pub(super) struct Args {
    #[command(flatten)]
    apps: Apps,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
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
    Ok(Ending {
        changes: !drifted.drift.is_empty(),
        incomplete: !drifted.unread.is_empty(),
        ..Ending::default()
    })
}
