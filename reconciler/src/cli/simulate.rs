//! `tiedown simulate`: what the world would be after a saved plan, from a document alone.

use super::error::{Refused, Stale};
use super::exit::Ending;
use super::output::Output;
use super::plan::Allowed;
use anyhow::Context;
use planner::check::{World, check};
use planner::document::{ObservedDocument, SavedPlan};
use planner::model::observed::HostView;
use planner::simulate::simulate;
use std::path::{Path, PathBuf};

/// Work out what hosts and catalog would look like after a saved plan. Looks at no host and
/// changes nothing; the result is a document as `tiedown observe` writes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown observe -o now.json && tiedown plan -o plan.json
  tiedown simulate plan.json --observed now.json -o then.json
  tiedown plan --observed then.json")]
pub(super) struct Args {
    /// A plan saved by `tiedown plan -o`.
    #[arg(value_name = "PLAN")]
    saved: PathBuf,
    /// A document of `tiedown observe`: the world before.
    #[arg(long, value_name = "FILE")]
    observed: PathBuf,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    allowed: Allowed,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<Ending> {
    let what = || format!("cannot use the saved plan {}", args.saved.display());
    let SavedPlan { plan, .. } =
        SavedPlan::from_json(read(&args.saved, what)?).with_context(what)?;
    let what = || format!("cannot use the observations {}", args.observed.display());
    let before = ObservedDocument::from_json(read(&args.observed, what)?).with_context(what)?;
    if plan.fleet != before.fleet {
        let message = format!(
            "the plan is for the fleet {}, the observations are of {}",
            plan.fleet, before.fleet
        );
        return Err(Refused { message, hint: "use documents of one fleet".to_owned() }.into());
    }
    let world = World {
        hosts: &before.hosts,
        observed: &before.observed,
        claims: &before.claims,
        policy: &before.policy,
        permits: args.allowed.permits(),
    };
    check(&plan, &world).map_err(|violations| Stale {
        found: violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    })?;
    let readings = before.observed.values().filter_map(|view| match view {
        HostView::Read(reading) => Some(reading.at),
        HostView::Unread { .. } => None,
    });
    let now = readings.max().unwrap_or_default();
    let (observed, claims) = simulate(&before.observed, &before.claims, &plan, now);
    let after = ObservedDocument { observed, claims, ..before };
    match &args.out {
        Some(path) => std::fs::write(path, after.to_json())
            .with_context(|| format!("cannot write {}", path.display()))?,
        None => output.result(&after.to_json())?,
    }
    Ok(Ending::default())
}

fn read(path: &Path, what: impl Fn() -> String) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(what)
}
