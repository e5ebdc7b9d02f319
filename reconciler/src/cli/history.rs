//! `tiedown history`: what was done, when, by whom.

use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output, table};
use crate::fleet::{Abilities, Records};
use crate::history::{row, whole};
use crate::pass::guard_records;
use serde_json::json;

/// Show what was applied, newest first; with an id, every step of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown history\n  tiedown history 01K7")]
pub(super) struct Args {
    /// A run, by the beginning of its id.
    id: Option<String>,
    /// How many runs to show.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    newest: usize,
}

/// How far back a run is looked for by its id.
const ALL: usize = 1_000_000;

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    let records = Records::look(&settings)?;
    guard_records(&repository, &settings, &records)?;
    let Some(id) = &args.id else {
        let runs = records.journal.runs(args.newest, false)?;
        match output.format {
            Format::Json => output.json(&json!({ "runs": runs }))?,
            Format::Text if runs.is_empty() => output.result("Nothing was applied yet.\n")?,
            Format::Text => {
                let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
                let head = ["RUN", "BEGAN", "BY", "COMMIT", "CHANGES", "END"];
                output.result(&table(&head, &rows))?;
            }
        }
        return Ok(Ending::default());
    };
    let runs = records.journal.runs(ALL, true)?;
    let mut found = runs.iter().filter(|run| run.id.0.starts_with(id.as_str()));
    let shown: String = id.chars().take(80).collect();
    let hint = "`tiedown history` lists them";
    let run = found.next().ok_or_else(|| Usage::new(format!("there is no run {shown:?}"), hint))?;
    if found.next().is_some() {
        return Err(Usage::new(format!("more than one run begins with {shown:?}"), hint).into());
    }
    match output.format {
        Format::Json => output.json(run)?,
        Format::Text => output.result(&whole(run))?,
    }
    Ok(Ending::default())
}
