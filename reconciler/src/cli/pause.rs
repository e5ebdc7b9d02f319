//! `tiedown pause` and `tiedown unpause`: passes that nobody watches leave an app alone.

use super::apply::whoami;
use super::exit::Ending;
use super::global::Global;
use super::output::Output;
use crate::fleet::{Abilities, Records};
use crate::prepare::apps;
use crate::prepare::read_manifests;
use crate::prepare::selection::Selection;
use executor::clock;
use executor::orders::{Order, OrderName};
use planner::model::name::AppName;

/// Leave an app alone in all passes of `tiedown serve` and hooks, until it is unpaused. What a
/// person applies by hand is done all the same; `tiedown hold` keeps a slot also from that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown pause web --why 'the migration runs'")]
pub(super) struct Args {
    /// The app.
    #[arg(value_name = "APP")]
    app: String,
    /// Why, for those who wonder.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
}

/// Let passes see to an app again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown unpause web")]
pub(super) struct UnpauseArgs {
    /// The app.
    #[arg(value_name = "APP")]
    app: String,
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let (app, records) = found(&args.app, global, output)?;
    let why = args.why.trim().replace('\n', " ");
    let order = Order::Pause { app: app.clone(), why, by: whoami(), at: clock::now() };
    records.orders.order(&order)?;
    output.result(&format!("{app} is paused: passes leave it alone.\n"))?;
    Ok(Ending::default())
}

pub(super) fn unpause(
    args: &UnpauseArgs,
    global: &Global,
    output: Output,
) -> anyhow::Result<Ending> {
    let (app, records) = found(&args.app, global, output)?;
    let was = records.orders.lift(&OrderName::Pause(app.clone()))?;
    output.result(&match was {
        true => format!("{app} goes on with the next pass.\n"),
        false => format!("{app} was not paused.\n"),
    })?;
    Ok(Ending::default())
}

/// The app, if anybody knows it, and the catalog to write.
fn found(name: &str, global: &Global, output: Output) -> anyhow::Result<(AppName, Records)> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    let claims = Records::look(&settings)?.catalog.claims()?;
    let (manifests, _) = read_manifests(&snapshot, &settings)?;
    let known = manifests.iter().filter_map(apps::name).chain(claims.apps.into_keys()).collect();
    let selection = Selection { only: vec![name.to_owned()], ..Selection::default() };
    selection.left_out(&known)?;
    Ok((AppName::new(name)?, Records::open(&settings)?))
}
