//! `tiedown plan`: what would change and why, and what would not and why not.

use super::error::Refused;
use super::exit::Ending;
use super::global::{Apps, Asked, Global};
use super::output::{Format, Output};
use super::paint::Ansi;
use crate::fleet::{Abilities, Records};
use crate::pass::{Ask, Looked};
use crate::settings::Settings;
use anyhow::Context;
use planner::document::{ObservedDocument, SavedPlan};
use planner::model::permit::{Permit, Permits};
use planner::render::{json, markdown, text};
use planner::report::{Kind, Report};
use std::path::{Path, PathBuf};

/// Show what would change and why, and what would not and why not. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown plan
  tiedown plan --app web --rev feature
  tiedown plan -o plan.json && tiedown apply plan.json
  tiedown plan --detailed-exitcode --format json
  tiedown plan --format markdown > comment.md")]
pub(super) struct Args {
    /// Save the plan to a file, for `tiedown apply FILE`.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 2 if there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Write the plan as JSON to a file too.
    #[arg(long, value_name = "FILE")]
    json_into: Option<PathBuf>,
    /// Plan from a document of `tiedown observe` instead of looking.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    observed: Option<PathBuf>,
    #[command(flatten)]
    apps: Apps,
    #[command(flatten)]
    allowed: Allowed,
}

/// What a person allows. The only place where permits are minted from flags.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Allowed {
    /// Allow that volumes whose retention has passed are destroyed.
    #[arg(long)]
    allow_destroy: bool,
    /// Allow that a slot starts on an empty volume in place of one with data, and that a fleet
    /// whose records are gone starts anew.
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// Try a release again that failed.
    #[arg(long)]
    retry: bool,
}

impl Allowed {
    pub(super) fn permits(self) -> Permits {
        let flags = [
            (self.allow_destroy, Permit::Destroy),
            (self.allow_empty, Permit::Empty),
            (self.retry, Permit::Retry),
        ];
        let given = flags.into_iter().filter(|(given, _)| *given);
        given.fold(Permits::NONE, |permits, (_, permit)| permits.grant(permit))
    }
}

/// What `volumes destroy` is allowed to do with the one volume that it names, if a person allowed
/// it by a flag or is going to be asked.
pub(super) fn of_volume(allowed: bool) -> Permits {
    match allowed {
        true => Permits::NONE.grant(Permit::Destroy).grant(Permit::Retained),
        false => Permits::NONE,
    }
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    if let Some((message, hint)) = abilities.missing(&settings) {
        output.warn(&format!("{message}; {hint}"));
    }
    let records = Records::look(&settings)?;
    let ask = Ask {
        snapshot: &snapshot,
        settings: &settings,
        abilities: &abilities,
        records: &records,
        selection: &args.apps.selection(),
        permits: args.allowed.permits(),
    };
    let looked = match &args.observed {
        Some(path) => ask.look_at(read_observed(path, &settings)?)?,
        None => {
            ask.guard_records()?;
            let looked = ask.look().await?;
            ask.judge(&looked.plan, &looked.observed, &looked.claims)?;
            looked
        }
    };
    if let Some(path) = &args.out {
        let saved = SavedPlan::new(looked.plan.clone(), looked.report.clone(), &looked.claims);
        write(path, &saved.to_json())?;
    }
    if let Some(path) = &args.json_into {
        let mut document = serde_json::to_string_pretty(&json::plan(&looked.plan, &looked.report))?;
        document.push('\n');
        write(path, &document)?;
    }
    match global.format {
        Asked::Markdown => {
            tell_beside(&looked, output);
            output.result(&markdown::plan(&looked.plan, &looked.report))?;
        }
        Asked::Text | Asked::Json | Asked::Sarif => show(&looked, output)?,
    }
    if output.format == Format::Json {
        output.json(&json::plan(&looked.plan, &looked.report))?;
    }
    let changes = args.detailed_exitcode && !is_idle(&looked);
    Ok(Ending { changes, ..of_report(&looked.report) })
}

fn read_observed(path: &Path, settings: &Settings) -> anyhow::Result<ObservedDocument> {
    let what = || format!("cannot use the observations {}", path.display());
    let text = std::fs::read_to_string(path).with_context(what)?;
    let document = ObservedDocument::from_json(&text).with_context(what)?;
    if document.fleet != settings.fleet {
        let message = format!("the observations are of the fleet {}", document.fleet);
        let hint = format!("observe {} itself", settings.fleet);
        return Err(Refused { message, hint }.into());
    }
    Ok(document)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Whether the plan does nothing.
pub(super) fn is_idle(looked: &Looked) -> bool {
    looked.plan.is_empty() && looked.plan.changes.is_empty()
}

/// Shows warnings beside, and the plan unless JSON was asked for.
pub(super) fn show(looked: &Looked, output: Output) -> anyhow::Result<()> {
    tell_beside(looked, output);
    match output.format {
        Format::Text => output.result(&text::plan(&looked.plan, &looked.report, &Ansi)),
        Format::Json => Ok(()),
    }
}

/// What preparing wants to be told.
fn tell_beside(looked: &Looked, output: Output) {
    for (problem, source) in &looked.told.warnings {
        output.say(&problem.render(source, planner::manifest::problem::Look::Styled));
    }
    for note in &looked.told.notes {
        output.warn(note);
    }
}

/// What a report makes of the ending.
pub(super) fn of_report(report: &Report) -> Ending {
    Ending {
        refused: report.has(Kind::Refused),
        incomplete: report.has(Kind::Unknown),
        wanting: report.has(Kind::Blocked) || report.has(Kind::Waiting),
        ..Ending::default()
    }
}
