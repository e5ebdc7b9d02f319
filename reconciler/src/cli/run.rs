//! `tiedown run`: an instance of a group on demand, waited for until it ends.

use super::by_hand::{self, How, Wish};
use super::error::Usage;
use super::exit::Exit;
use super::global::Global;
use super::output::Output;
use planner::by_hand::Request;
use planner::model::permit::Permits;

/// Start an instance of a group that is to end by itself, pass on what it writes, and wait for its
/// end. If the group has mounts it gets the volumes of a slot that nothing uses: that of a job that
/// has ended. Without, it needs no slot, so a group can be scaled to 0 and run on demand only.
///
/// Exit codes: 0 if it ended with success, 6 if it did not; its own status is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown run shop/backup
  tiedown run shop/app -- ./manage.py migrate --check")]
pub(super) struct Args {
    /// A group of an app.
    #[arg(value_name = "APP/GROUP")]
    of: String,
    #[command(flatten)]
    how: How,
    /// Program and arguments, instead of the group's own.
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<String>,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let wrong = || {
        let hint = "write APP/GROUP, such as shop/backup; `tiedown status` shows slots";
        Usage::new(format!("{:?} is not a group of an app", args.of), hint)
    };
    let (app, group) = args.of.split_once('/').ok_or_else(wrong)?;
    let request = Request::Run {
        app: app.parse().map_err(|_| wrong())?,
        group: group.parse().map_err(|_| wrong())?,
        argv: (!args.argv.is_empty()).then(|| args.argv.clone()),
    };
    let wish = Wish {
        purpose: format!("run {}", args.of),
        request,
        permits: Permits::NONE,
        how: &args.how,
        question: None,
    };
    by_hand::run(wish, global, output).await
}
