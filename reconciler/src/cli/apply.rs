//! `tiedown apply`: shows the plan, asks, applies it, and always sums up.

mod saved;
pub(super) mod summary;

use super::comment::ForgeArgs;
use super::error::Usage;
use super::exit::{Ending, Exit};
use super::global::{Apps, Global};
use super::output::{Closed, Format, Output};
use super::plan::{Allowed, is_idle, of_report, show};
use super::progress::Progress;
use super::review::{Source, UnderReview, digest, is_the_one, may_be_applied};
use super::{status, stop};
use crate::fleet::{Abilities, Hosts, Records};
use crate::pass::{Ask, Looked, PassError, checks, checks_of};
use crate::repository::Repository;
use executor::apply::{Options, Outcome};
use planner::check::Checked;
use planner::document::SavedPlan;
use planner::plan::Plan;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Show the plan, ask, and apply it; a summary always. A saved plan is not asked about.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown apply
  tiedown apply --auto-approve --app web
  tiedown apply --auto-approve --base origin/main --head feature --number 7
  tiedown plan -o plan.json && tiedown apply plan.json")]
pub(super) struct Args {
    /// A plan saved by `tiedown plan -o`.
    #[arg(value_name = "PLAN", conflicts_with = "base")]
    saved: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    auto_approve: bool,
    /// Apply only the very plan that has this digest, as a comment on a change shows it.
    #[arg(long, value_name = "DIGEST", value_parser = digest, conflicts_with = "saved")]
    digest: Option<String>,
    /// Steps at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallelism: u16,
    /// How long to wait for someone else's lock, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
    #[command(flatten)]
    review: UnderReview,
    #[command(flatten)]
    forge: ForgeArgs,
    #[command(flatten)]
    apps: Apps,
    #[command(flatten)]
    allowed: Allowed,
}

/// As [`begin`]; if JSON was asked for, the last line is a summary, however it ends.
pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let summed = AtomicBool::new(false);
    let exit = begin(args, global, output, &summed).await?;
    if output.format == Format::Json && !summed.load(Ordering::Relaxed) {
        let last = json!({
            "event": "summary",
            "outcome": null,
            "why": "it was told to end at once",
            "exit": exit.code(),
        });
        unless_closed(output.json(&last))?;
    }
    Ok(exit)
}

/// The line that says what is going to be done.
pub(super) fn tell_plan(looked: &Looked, output: Output) -> anyhow::Result<()> {
    let plan = planner::render::json::plan(&looked.plan, &looked.report);
    output.json(&json!({ "event": "plan", "plan": plan }))
}

/// Whether a person is asked before anything is done; where nobody can be, nothing is begun.
fn asks(args: &Args, output: Output) -> Result<bool, Usage> {
    let asks = args.saved.is_none() && !args.auto_approve;
    if asks && (!output.can_ask() || output.format == Format::Json) {
        return Err(Usage::new(
            "nobody can be asked here, so nothing was begun",
            "run it in a terminal, or say --auto-approve",
        ));
    }
    Ok(asks)
}

/// What is read, if it may be applied at all.
async fn source<'r>(
    args: &Args,
    saved: Option<&SavedPlan>,
    (global, repository, abilities, output): (&Global, &'r Repository, &Abilities, Output),
) -> anyhow::Result<Source<'r>> {
    let source = match saved.and_then(|saved| saved.plan.commit.as_ref()) {
        Some(commit) => {
            let snapshot = repository.at(commit)?;
            let settings = global.settings(&snapshot, abilities, output)?;
            Source { snapshot, settings, change: None, of_settings: None }
        }
        None => args.review.source(global, repository, abilities, output)?,
    };
    if let Some(change) = &source.change {
        may_be_applied(change, &source, &args.forge).await?;
    }
    match abilities.missing(&source.settings) {
        Some((message, hint)) => Err(Usage::new(message, hint).into()),
        None => Ok(source),
    }
}

async fn begin(
    args: &Args,
    global: &Global,
    output: Output,
    summed: &AtomicBool,
) -> anyhow::Result<Exit> {
    let asks = asks(args, output)?;
    let saved = args.saved.as_deref().map(saved::read).transpose()?;
    let repository = global.repository()?;
    let abilities = Abilities::probe()?;
    let reading = (global, &repository, &abilities, output);
    let Source { snapshot, settings, change, .. } = source(args, saved.as_ref(), reading).await?;
    let looking = Records::look(&settings)?;
    let mut selection = args.apps.selection();
    selection.within = change.map(|change| change.apps);
    let mut ask = Ask {
        snapshot: &snapshot,
        settings: &settings,
        abilities: &abilities,
        records: &looking,
        selection: &selection,
        permits: args.allowed.permits(),
    };
    ask.guard_records()?;
    tell_unended(&looking, output)?;
    let mut looked = ask.look().await?;
    is_the_one(args.digest.as_deref(), &looked.plan)?;
    let is_saved = saved.is_some();
    if let Some(saved) = saved {
        saved::same_source(&saved, &ask, &repository, global, &looked).await?;
        looked.plan = saved.plan.clone();
        looked.report = saved.report.clone();
        unless_closed(show(&looked, output))?;
        saved::judge(&saved, &mut looked, output)?;
    }
    let checked = match ask.judge(&looked.plan, &looked.observed, &looked.claims) {
        Err(PassError::Unsound(violations)) if is_saved => {
            return Err(saved::unsound(&violations));
        }
        checked => checked?,
    };
    let shown = is_saved || unless_closed(show(&looked, output))?;
    if asks && !is_idle(&looked) && !(shown && approved(output)) {
        return Err(
            Usage::new("not approved, so nothing was begun", "answer `yes` to apply").into()
        );
    }
    let records = Records::open(&settings)?;
    ask.records = &records;
    if let Err(error) = ask.remember() {
        output.warn(&format!("{error}; a state directory that is lost would not be noticed"));
    }
    let hosts = Hosts::open(&settings, &abilities, &records, &looked.trees)?;
    let stop = Arc::new(AtomicBool::new(false));
    if output.format == Format::Json {
        unless_closed(tell_plan(&looked, output))?;
    }
    let work = Work {
        parallelism: usize::from(args.parallelism),
        lock_timeout: args.lock_timeout,
        by_hand: String::new(),
    };
    let work = async {
        let exit = carry_out(&work, &ask, &looked, &checked, &hosts, &stop, output).await;
        summed.store(true, Ordering::Relaxed);
        exit
    };
    stop::patiently(&stop, output, work).await
}

/// The last apply may have been killed; this one plans from what is.
fn tell_unended(records: &Records, output: Output) -> anyhow::Result<()> {
    if let Some(run) = records.journal.runs(1, false)?.first().filter(|run| run.end.is_none()) {
        let began = crate::history::moment(run.start.at);
        output.say(&format!("the apply that began {began} has not ended; planning from what is"));
    }
    Ok(())
}

fn approved(output: Output) -> bool {
    output.say("\nDo you want to perform these actions? Only 'yes' will be accepted.");
    output.ask("  Enter a value: ").as_deref() == Some("yes")
}

/// Applying goes on when nobody reads the results any more.
pub(super) fn unless_closed(result: anyhow::Result<()>) -> anyhow::Result<bool> {
    match result {
        Err(error) if error.is::<Closed>() => Ok(false),
        result => result.map(|()| true),
    }
}

/// How a plan is carried out.
pub(super) struct Work {
    /// Steps at once, at least 1.
    pub(super) parallelism: usize,
    /// How long to wait for a lock, in seconds.
    pub(super) lock_timeout: u64,
    /// What a person asked for by hand; empty: what the commit asks for.
    pub(super) by_hand: String,
}

/// Applies, tells how it goes, and sums up.
pub(super) async fn carry_out(
    work: &Work,
    ask: &Ask<'_>,
    looked: &Looked,
    checked: &Checked<Plan>,
    hosts: &Hosts,
    stop: &Arc<AtomicBool>,
    output: Output,
) -> anyhow::Result<Exit> {
    let progress = Progress::new(output);
    let (purpose, by) = match work.by_hand.as_str() {
        "" => (format!("apply of {}", ask.snapshot.name()), whoami()),
        what => (what.to_owned(), format!("{}, by hand: {what}", whoami())),
    };
    let options = Options {
        parallelism: work.parallelism,
        lock_wait: Duration::from_secs(work.lock_timeout),
        purpose,
        by,
    };
    let checks = match looked.desired.apps.is_empty() {
        true => checks_of(ask.snapshot, ask.settings),
        false => checks(&looked.desired),
    };
    let say = Box::new(move |event| progress.tell(&event));
    let outcome = ask.apply(checked, hosts, &checks, &options, say, Arc::clone(stop)).await;
    let outcome = match outcome {
        Err(PassError::Apply(error)) => {
            return Err(anyhow::Error::from(PassError::Apply(error))
                .context("applying ended early; what was begun can be applied again"));
        }
        outcome => outcome?,
    };
    let outcome = outcome.with(&looked.behind, &looked.not_tried);
    let ending = ending(&outcome, looked);
    if is_idle(looked) && output.format == Format::Text {
        return Ok(ending.exit());
    }
    if output.passes_on && output.format == Format::Text {
        output.say(&summary::summary(&outcome, &looked.plan));
        return Ok(ending.exit());
    }
    let status = status::look(ask.settings, hosts, ask.records, &checks).await?;
    let told = match output.format {
        Format::Text => {
            let text = format!(
                "\n{}\n{}",
                summary::summary(&outcome, &looked.plan),
                status::slots_alone(&status)
            );
            output.result(&text)
        }
        Format::Json => output.json(&json!({
            "event": "summary",
            "summary": looked.plan.summary(),
            "outcome": outcome,
            "status": status,
            // When it was asked to stop, the signal decides.
            "exit": (!outcome.stopped).then(|| ending.exit().code()),
        })),
    };
    unless_closed(told)?;
    Ok(ending.exit())
}

/// Who acts, for history.
pub(super) fn whoami() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid {}", rustix::process::geteuid().as_raw()));
    format!("{user}, process {}", std::process::id())
}

/// The one value that exit code and summary are made from.
fn ending(outcome: &Outcome, looked: &Looked) -> Ending {
    let stale = outcome.is_stale();
    Ending { stale, partly: !outcome.is_complete() && !stale, ..of_report(&looked.report) }
}
