//! What commands by hand share: a request becomes a plan, is judged, shown, perhaps asked about,
//! and applied like any other.

use super::apply::{Work, carry_out, tell_plan, unless_closed};
use super::error::Usage;
use super::exit::Exit;
use super::global::Global;
use super::output::{Format, Output};
use super::plan::{is_idle, of_report, show};
use super::stop;
use crate::fleet::{Abilities, Hosts, Records};
use crate::pass::{Ask, Looked};
use crate::prepare::selection::Selection;
use planner::by_hand::Request;
use planner::model::permit::Permits;
use planner::model::slot::SlotId;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How a request is carried out.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// How long to wait for someone else's lock, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
}

/// A request, and what goes with it.
pub(super) struct Wish<'a> {
    /// What is asked for.
    pub(super) request: Request,
    /// The same in words, for locks and history.
    pub(super) purpose: String,
    /// What is allowed.
    pub(super) permits: Permits,
    /// How it is carried out.
    pub(super) how: &'a How,
    /// Asks about a plan that does something; nothing: it is not asked about.
    pub(super) question: Option<fn(&Looked) -> String>,
}

/// Plans it, shows it, and does it.
pub(super) async fn run(wish: Wish<'_>, global: &Global, output: Output) -> anyhow::Result<Exit> {
    if wish.question.is_some() && (!output.can_ask() || output.format == Format::Json) {
        let hint = match &wish.request {
            Request::Destroy { .. } => {
                "run it in a terminal, or say --auto-approve --allow-destroy"
            }
            _ => "run it in a terminal, or say --auto-approve",
        };
        return Err(Usage::new("nobody can be asked here, so nothing was begun", hint).into());
    }
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    let looking = Records::look(&settings)?;
    let selection = Selection::default();
    let mut ask = Ask {
        snapshot: &snapshot,
        settings: &settings,
        abilities: &abilities,
        records: &looking,
        selection: &selection,
        permits: wish.permits,
    };
    ask.guard_records()?;
    let looked = ask.look_by_hand(&wish.request).await?;
    let checked = ask.judge(&looked.plan, &looked.observed, &looked.claims)?;
    if is_idle(&looked) {
        return idle(&looked, output);
    }
    let shown = output.passes_on || unless_closed(show(&looked, output))?;
    if let Some(question) = wish.question
        && !(shown && confirmed(&question(&looked), output))
    {
        let hint = "answer `yes` to go on";
        return Err(Usage::new("not confirmed, so nothing was begun", hint).into());
    }
    if output.format == Format::Json && !output.passes_on {
        unless_closed(tell_plan(&looked, output))?;
    }
    let records = Records::open(&settings)?;
    ask.records = &records;
    let hosts = Hosts::open(&settings, &abilities, &records, &looked.trees)?;
    let stop = Arc::new(AtomicBool::new(false));
    let work = Work { parallelism: 1, lock_timeout: wish.how.lock_timeout, by_hand: wish.purpose };
    let work = carry_out(&work, &ask, &looked, &checked, &hosts, &stop, output);
    stop::patiently(&stop, output, work).await
}

/// Nothing is done: it is so already, or the report says why not.
fn idle(looked: &Looked, output: Output) -> anyhow::Result<Exit> {
    let ending = of_report(&looked.report);
    match output.format {
        Format::Text if looked.report.leaves_wanting() => show(looked, output)?,
        Format::Text => output.result("Nothing to do: it is so already.\n")?,
        Format::Json => {
            tell_plan(looked, output)?;
            output.json(&json!({
                "event": "summary",
                "summary": looked.plan.summary(),
                "outcome": null,
                "exit": ending.exit().code(),
            }))?;
        }
    }
    Ok(ending.exit())
}

fn confirmed(question: &str, output: Output) -> bool {
    output.say(&format!("\n{question} Only 'yes' will be accepted."));
    output.ask("  Enter a value: ").as_deref() == Some("yes")
}

/// A slot as an argument.
pub(super) fn slot(text: &str) -> anyhow::Result<SlotId> {
    let shown: String = text.chars().take(80).collect();
    text.parse().map_err(|_| {
        let message = format!("{shown:?} is not a slot");
        Usage::new(message, "write APP/GROUP/REGION/N; `tiedown status` shows slots").into()
    })
}
