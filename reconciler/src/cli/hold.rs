//! `tiedown hold` and `tiedown unhold`: a slot is left alone by every pass while a person repairs
//! it.

use super::by_hand::{self, How, Wish};
use super::exit::Exit;
use super::global::Global;
use super::output::Output;
use planner::by_hand::Request;
use planner::model::permit::Permits;

/// Leave a slot alone from now on, while a person repairs it: no pass starts, stops or changes
/// anything of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown hold web/app/ewr/1")]
pub(super) struct Args {
    /// APP/GROUP/REGION/N.
    #[arg(value_name = "SLOT")]
    slot: String,
    #[command(flatten)]
    how: How,
}

/// Let go of a held slot: from the next pass on it is seen to again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown unhold web/app/ewr/1")]
pub(super) struct UnholdArgs {
    /// APP/GROUP/REGION/N.
    #[arg(value_name = "SLOT")]
    slot: String,
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let slot = by_hand::slot(&args.slot)?;
    let wish = Wish {
        purpose: format!("hold {slot}"),
        request: Request::Hold { slot },
        permits: Permits::NONE,
        how: &args.how,
        question: None,
    };
    by_hand::run(wish, global, output).await
}

pub(super) async fn unhold(
    args: &UnholdArgs,
    global: &Global,
    output: Output,
) -> anyhow::Result<Exit> {
    let slot = by_hand::slot(&args.slot)?;
    let wish = Wish {
        purpose: format!("unhold {slot}"),
        request: Request::Unhold { slot },
        permits: Permits::NONE,
        how: &args.how,
        question: None,
    };
    by_hand::run(wish, global, output).await
}
