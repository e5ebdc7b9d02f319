//! `tiedown exec`: one more program in a running instance.

use super::by_hand::slot;
use super::error::Usage;
use super::exit::Exit;
use super::global::Global;
use super::opened::Opened;
use super::output::Output;
use crate::status::readings;
use executor::host::Host;
use executor::observe::{Checks, observe};
use planner::model::instance::Role;
use planner::model::observed::InstanceView;
use planner::model::slot::SlotId;
use std::ffi::OsString;

/// Run a program in a slot's running instance, beside its own: it sees the same files, volumes,
/// environment and network, and ends with it at the latest.
///
/// Exit code: that of the program; 126 if it could not be started.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown exec shop/app/ewr/1 -- ls -l /data
  tiedown exec shop/app/ewr/1 -- sh")]
pub(super) struct Args {
    /// A slot.
    #[arg(value_name = "SLOT")]
    slot: String,
    /// Program and arguments.
    #[arg(last = true, required = true, value_name = "ARGV")]
    argv: Vec<OsString>,
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let slot = slot(&args.slot)?;
    let repository = global.repository()?;
    let Opened { hosts, .. } = Opened::of(global, &repository, output)?;
    let observed = observe(&hosts.all(), &Checks::new()).await;
    let found = readings(&observed).find_map(|(name, reading)| {
        let mut instances = reading.instances.values();
        Some((name.clone(), instances.find(|view| is_running_main(view, &slot))?.id.clone()))
    });
    let host = found.and_then(|(name, id)| Some((hosts.local.get(&name)?, id)));
    let Some((host, id)) = host else {
        let message = format!("no instance of {slot} runs here");
        return Err(Usage::new(message, "`tiedown status` shows what runs").into());
    };
    let status = host.exec(&id, &args.argv).await?;
    Ok(Exit::Program(u8::try_from(status).unwrap_or(u8::MAX)))
}

fn is_running_main(view: &InstanceView, slot: &SlotId) -> bool {
    view.slot == *slot && view.role == Role::Main && view.state.is_alive()
}
