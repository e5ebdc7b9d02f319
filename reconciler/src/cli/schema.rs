//! `tiedown schema`: fly.toml for editors.

use super::exit::Ending;
use super::output::Output;

/// Print a JSON Schema of fly.toml with [tiedown], for editors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown schema > fly.schema.json   # then, at the top of a fly.toml: #:schema ./fly.schema.json")]
pub(super) struct Args {}

pub(super) fn run(_: &Args, output: Output) -> anyhow::Result<Ending> {
    output.json(&planner::manifest::schema::schema())?;
    Ok(Ending::default())
}
