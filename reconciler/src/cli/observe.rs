//! `tiedown observe`: all that a plan is made from beside manifests, as a document.

use super::exit::Ending;
use super::global::Global;
use super::opened::Opened;
use super::output::Output;
use crate::pass::checks_of;
use crate::prepare::read_secrets;
use anyhow::Context;
use planner::document::ObservedDocument;
use planner::model::observed::HostView;
use std::path::PathBuf;

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
    let Opened { snapshot, settings, records, hosts } = Opened::of(global, &repository, output)?;
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
