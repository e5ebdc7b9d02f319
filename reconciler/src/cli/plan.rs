//! `tiedown plan`: what would change and why, and what would not and why not.

use super::exit::Ending;
use super::global::{Asked, Global};
use super::output::{Format, Output};
use super::paint::Ansi;
use super::review::{Made, Subject, told};
use crate::pass::Looked;
use anyhow::Context;
use planner::document::SavedPlan;
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
  tiedown plan --base origin/main --server https://tiedown.example.com --format markdown")]
pub(super) struct Args {
    /// Save the plan to a file, for `tiedown apply FILE`.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["base", "observed", "server"])]
    out: Option<PathBuf>,
    /// Exit with 2 if there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Write the plan as JSON to a file too.
    #[arg(long, value_name = "FILE")]
    json_into: Option<PathBuf>,
    #[command(flatten)]
    subject: Subject,
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
    let made = args.subject.plan(args.allowed.permits(), global, &repository, output).await?;
    let Made { looked, change, .. } = &made;
    if let Some(path) = &args.out {
        let saved = SavedPlan::new(looked.plan.clone(), looked.report.clone(), &looked.claims);
        write(path, &saved.to_json())?;
    }
    if let Some(path) = &args.json_into {
        let mut document = serde_json::to_string_pretty(&made.json())?;
        document.push('\n');
        write(path, &document)?;
    }
    match global.format {
        Asked::Markdown => {
            tell_beside(looked, output);
            output.result(&made.markdown(""))?;
        }
        Asked::Text => {
            if let Some(change) = change {
                output.result(&format!("{}\n\n", told(change, &looked.plan, false)))?;
            }
            show(looked, output)?;
        }
        Asked::Json | Asked::Sarif => show(looked, output)?,
    }
    if output.format == Format::Json {
        output.json(&made.json())?;
    }
    let changes = args.detailed_exitcode && !is_idle(looked);
    Ok(Ending { changes, ..of_report(&looked.report) })
}

impl Made {
    /// For programs.
    fn json(&self) -> serde_json::Value {
        let mut document = json::plan(&self.looked.plan, &self.looked.report);
        if let Some(change) = &self.change {
            document["tiedown"]["change"] = serde_json::json!(change);
        }
        document
    }

    /// For a comment, with more lines at its beginning.
    pub(super) fn markdown(&self, more: &str) -> String {
        let change = self.change.as_ref().map(|change| told(change, &self.looked.plan, true));
        let opening = [change.as_deref().unwrap_or_default(), more];
        let opening: Vec<&str> = opening.into_iter().filter(|part| !part.is_empty()).collect();
        markdown::plan(&self.looked.plan, &self.looked.report, &opening.join("\n\n"))
    }
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
