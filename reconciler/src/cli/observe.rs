//! `tiedown observe`: all that a plan is made from beside manifests, as a document.

use super::exit::Ending;
use super::global::Global;
use super::output::Output;
use crate::fleet::{Abilities, Hosts, Records};
use crate::pass::{checks_of, guard_records};
use crate::prepare::read_secrets;
use crate::repository::tree::KnownTrees;
use anyhow::Context;
use planner::document::ObservedDocument;
use planner::model::observed::HostView;
use std::path::PathBuf;
use std::sync::Arc;

/// Write down what all hosts say and what is remembered, as a JSON document.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown observe -o observed.json")]
pub(super) struct Args {
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    let records = Records::look(&settings)?;
    guard_records(&repository, &settings, &records)?;
    let trees = Arc::new(KnownTrees::new(&repository));
    let hosts = Hosts::open(&settings, &abilities, &records, &(trees as _))?;
    let checks = checks_of(&snapshot, &settings);
    let observed = executor::observe::observe(&hosts.all(), &checks).await;
    let incomplete = observed.values().any(|view| matches!(view, HostView::Unread { .. }));
    let specs = settings.hosts.iter().map(|(name, host)| (name.clone(), host.spec.clone()));
    let document = ObservedDocument {
        fleet: settings.fleet.clone(),
        hosts: specs.collect(),
        observed,
        claims: records.catalog.claims()?,
        policy: settings.policy,
        secrets: read_secrets(&settings)?,
    };
    match &args.out {
        Some(path) => std::fs::write(path, document.to_json())
            .with_context(|| format!("cannot write {}", path.display()))?,
        None => output.result(&document.to_json())?,
    }
    Ok(Ending { incomplete, ..Ending::default() })
}
