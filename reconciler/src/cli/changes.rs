//! `tiedown changes`: what is under review, for scripts that plan it where they may.

use super::comment::SiteArgs;
use super::exit::Ending;
use super::output::{Format, Output};
use crate::forge::{Forge, Open};
use serde_json::json;

/// List the pull or merge requests that are open on the forge: number, commit, base branch, and
/// what the commit is fetched as; one a line.
///
/// For a job that has secrets and plans what comes from forks: it fetches the commit, and runs
/// nothing of it. Where it is about and the token are found as `tiedown comment` finds them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown changes
  tiedown changes --forks --head 5ce2f9a1d1f0b6f7f8d0c0a5a3b7a7b1d2f3c4d5")]
pub(super) struct Args {
    /// Only those that come from another repository.
    #[arg(long)]
    forks: bool,
    /// Only those that have this commit under review.
    #[arg(long, value_name = "COMMIT")]
    head: Option<String>,
    #[command(flatten)]
    site: SiteArgs,
}

pub(super) async fn run(args: &Args, output: Output) -> anyhow::Result<Ending> {
    let (place, _, token) = args.site.find(None)?;
    let is_asked_for = |open: &Open| {
        (open.is_of_fork || !args.forks) && args.head.as_ref().is_none_or(|head| open.head == *head)
    };
    let mut changes = Forge::open_changes(place, token).await?;
    changes.retain(is_asked_for);
    changes.sort_by_key(|open| open.number);
    match output.format {
        Format::Json => output.json(&json!({ "changes": changes }))?,
        Format::Text => {
            let line = |open: &Open| {
                format!("{} {} {} {}\n", open.number, open.head, open.base, open.reference)
            };
            output.result(&changes.iter().map(line).collect::<String>())?;
        }
    }
    Ok(Ending::default())
}
