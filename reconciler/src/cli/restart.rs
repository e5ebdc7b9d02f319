//! `tiedown restart`: instances are stopped and started with the release that they run.

use super::by_hand::{self, How, Wish};
use super::error::Usage;
use super::exit::Exit;
use super::global::Global;
use super::output::Output;
use planner::by_hand::Request;
use planner::model::permit::Permits;

/// Stop and start the instance of a slot, or those of an app some at a time, with the release
/// that they run; each must become healthy before the next is touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown restart web/app/ewr/1\n  tiedown restart web")]
pub(super) struct Args {
    /// A slot (APP/GROUP/REGION/N) or an app.
    #[arg(value_name = "SLOT|APP")]
    of: String,
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let request = match args.of.contains('/') {
        true => Request::RestartSlot { slot: by_hand::slot(&args.of)? },
        false => Request::RestartApp {
            app: args.of.parse().map_err(|error| {
                let hint = "name a slot or an app; `tiedown status` shows them";
                anyhow::Error::from(Usage::new(format!("{error}"), hint))
            })?,
        },
    };
    let wish = Wish {
        purpose: format!("restart {}", args.of),
        request,
        permits: Permits::NONE,
        how: &args.how,
        question: None,
    };
    by_hand::run(wish, global, output).await
}
