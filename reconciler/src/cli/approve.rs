//! `tiedown approve`: what waits for a person, and a person's word.

use super::apply::whoami;
use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use crate::fleet::{Abilities, Records};
use crate::pass::Ask;
use crate::pass::rules::in_force;
use crate::prepare::selection::Selection;
use crate::serve::shown;
use executor::clock;
use executor::orders::Order;
use planner::by_itself::{SHOWN, Waiting};
use planner::model::permit::Permits;
use serde_json::json;

/// Show what does not happen by itself and waits for a person; with a digest, let it happen.
///
/// The next pass of `tiedown serve` or of a hook does what was approved, within a day, if the plan
/// is still the very same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown approve\n  tiedown approve 1f0c92aa53bd")]
pub(super) struct Args {
    /// What to approve, by the beginning of its digest.
    #[arg(value_name = "DIGEST")]
    digest: Option<String>,
}

/// Fewer digits are too easily those of something else.
const LEAST: usize = 8;

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    let records = Records::look(&settings)?;
    let orders = records.orders.orders()?;
    let rules = in_force(settings, &orders, false);
    let selection = Selection { tolerant: true, ..Selection::default() };
    let ask = Ask {
        snapshot: &snapshot,
        settings: &rules.settings,
        abilities: &abilities,
        records: &records,
        selection: &selection,
        permits: Permits::NONE,
    };
    let decided = ask.would_wait(&orders, &rules).await?;
    let Some(digest) = &args.digest else {
        match output.format {
            Format::Json => {
                let waiting: Vec<_> = decided.waiting.iter().map(shown::waiting).collect();
                output.json(&json!({ "waiting": waiting }))?;
            }
            Format::Text => output.result(&list(&decided.waiting))?,
        }
        return Ok(Ending::default());
    };
    let waiting = find(&decided.waiting, digest)?;
    let what = title(waiting);
    let digest = waiting.digest.clone().unwrap_or_default();
    let order = Order::Approval { digest, what: what.clone(), by: whoami(), at: clock::now() };
    Records::open(&rules.settings)?.orders.order(&order)?;
    match output.format {
        Format::Json => output.json(&json!({ "approved": shown::waiting(waiting) }))?,
        Format::Text => output.result(&format!("Approved: {what}. The next pass does it.\n"))?,
    }
    Ok(Ending::default())
}

fn find<'w>(waiting: &'w [Waiting], digest: &str) -> Result<&'w Waiting, Usage> {
    let shown: String = digest.chars().take(80).collect();
    let hint = "`tiedown approve` lists what waits, with digests";
    if digest.len() < LEAST {
        return Err(Usage::new(format!("{shown:?} is too short: {LEAST} digits at least"), hint));
    }
    let mut found = waiting
        .iter()
        .filter(|waiting| waiting.digest.as_ref().is_some_and(|known| known.starts_with(digest)));
    let first = found.next().ok_or_else(|| {
        Usage::new(format!("nothing that waits has the digest {shown}: the plan is another"), hint)
    })?;
    match found.next() {
        None => Ok(first),
        Some(_) => Err(Usage::new(format!("more than one digest begins with {shown}"), hint)),
    }
}

fn title(waiting: &Waiting) -> String {
    let why = waiting.why.join("; ");
    match &waiting.app {
        Some(app) => format!("app {app}: {why}"),
        None => why,
    }
}

fn list(waiting: &[Waiting]) -> String {
    if waiting.is_empty() {
        return "Nothing waits for a person.\n".to_owned();
    }
    let mut text = String::new();
    for waiting in waiting {
        text += &format!("{}\n", title(waiting));
        for change in &waiting.changes {
            text += &format!("  {}: {}\n", change.object, verb(change.verb));
        }
        text += &match &waiting.digest {
            Some(digest) => format!("  approve it with: tiedown approve {}\n", &digest[..SHOWN]),
            None => "  no approval would change that\n".to_owned(),
        };
    }
    text
}

const fn verb(verb: planner::plan::change::Verb) -> &'static str {
    use planner::plan::change::Verb;
    match verb {
        Verb::Destroy => "destroyed, with its data",
        Verb::Retire => "put away and kept",
        Verb::Remove => "removed",
        Verb::Create => "created",
        Verb::TakeBack => "taken back",
        Verb::Redeploy => "deployed anew",
        Verb::Restart => "restarted",
        Verb::Update => "changed",
        Verb::Run => "run",
        Verb::Adopt => "adopted",
    }
}
