//! `tiedown resume`: brings everything back after a reboot.

use super::exit::{Ending, Exit};
use super::global::Global;
use super::opened::Opened;
use super::output::{Format, Output};
use super::stop;
use crate::endpoints::Published;
use crate::fleet::Hosts;
use crate::pass::checks_of;
use executor::apply::Front;
use executor::ensure::Ensured;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Start again what ran here before the machine went down, as it was; nothing new is deployed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown resume -C /srv/fleet    # from a unit, at boot")]
pub(super) struct Args {}

pub(super) async fn run(_: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let repository = global.repository()?;
    let Opened { snapshot, settings, hosts, .. } = Opened::of(global, &repository, output)?;
    let stop = Arc::new(AtomicBool::new(false));
    let checks = checks_of(&snapshot, &settings);
    let front = Published::of(settings.endpoints.as_ref(), hosts.all(), checks);
    let work = async {
        let exit = resume(&hosts, &stop, output).await;
        if let Some(front) = &front
            && let Err(why) = front.tell(&BTreeSet::new()).await
        {
            output.warn(&format!("endpoints are not published: {why}"));
        }
        exit
    };
    stop::patiently(&stop, output, work).await
}

async fn resume(hosts: &Hosts, stop: &AtomicBool, output: Output) -> anyhow::Result<Exit> {
    let (mut resumed, mut failed, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for (name, host) in hosts.all() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match host.resume().await {
            Err(error) => {
                output.error(&format!("host {name}: {}", executor::chain(&error)));
                unread.push(name.to_string());
            }
            Ok(all) => {
                for one in all {
                    let slot = one.instance.slot.to_string();
                    match one.result {
                        Ok(Ensured::AlreadySo) => {}
                        Ok(Ensured::Made | Ensured::Changed) => resumed.push(slot),
                        Err(error) => {
                            output.error(&format!("slot {slot}: {}", executor::chain(&error)));
                            failed.push(slot);
                        }
                    }
                }
            }
        }
    }
    let ending = Ending {
        errored: !failed.is_empty() && resumed.is_empty(),
        partly: !failed.is_empty() && !resumed.is_empty(),
        incomplete: !unread.is_empty(),
        ..Ending::default()
    };
    match output.format {
        Format::Json => {
            output.json(&json!({ "resumed": resumed, "failed": failed, "unread": unread }))?;
        }
        Format::Text => {
            let each = resumed.iter().map(|slot| format!("Resumed: {slot}\n")).collect::<String>();
            let sum = format!("{} resumed, {} failed.\n", resumed.len(), failed.len());
            output.result(&(each + &sum))?;
        }
    }
    Ok(ending.exit())
}
