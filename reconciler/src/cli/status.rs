//! `tiedown status`: what is.

use super::exit::Ending;
use super::global::Global;
use super::opened::Opened;
use super::output::{Format, Output, table};
use crate::fleet::{Hosts, Records};
use crate::pass;
use crate::settings::Settings;
use crate::status::{InstanceStatus, SlotStatus, Status};
use planner::model::size::Size;

/// Show what is: hosts, slots with their instances and addresses, and volumes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown status\n  tiedown status --format json | jq .slots")]
pub(super) struct Args {}

pub(super) async fn run(_: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let Opened { snapshot, settings, records, hosts } = Opened::of(global, &repository, output)?;
    let checks = pass::checks_of(&snapshot, &settings);
    let status = look(&settings, &hosts, &records, &checks).await?;
    match output.format {
        Format::Json => output.json(&status)?,
        Format::Text => output.result(&text(&status))?,
    }
    Ok(Ending { incomplete: !status.is_complete(), ..Ending::default() })
}

/// Looks at all hosts.
pub(super) async fn look(
    settings: &Settings,
    hosts: &Hosts,
    records: &Records,
    checks: &executor::observe::Checks,
) -> anyhow::Result<Status> {
    let observed = executor::observe::observe(&hosts.all(), checks).await;
    let claims = records.catalog.claims()?;
    Ok(Status::of(settings, &observed, &claims))
}

/// The whole status for people.
fn text(status: &Status) -> String {
    let mut text = format!("Fleet {}\n\n{}", status.fleet, hosts(status));
    if status.slots.is_empty() {
        text += "\nNo slots.\n";
    } else {
        text += &format!("\n{}", slots(status));
    }
    text += &kept(status);
    text
}

fn hosts(status: &Status) -> String {
    let size = |bytes: Option<u64>| {
        bytes.map_or_else(|| "-".to_owned(), |b| Size::from_bytes(b).to_string())
    };
    let rows: Vec<Vec<String>> = status
        .hosts
        .iter()
        .map(|host| {
            let state = match (&host.why, host.readable) {
                (Some(why), _) => format!("{}, not read: {why}", host.state),
                (None, _) => host.state.clone(),
            };
            let (promised, capacity) = (size(host.promised_bytes), size(host.capacity_bytes));
            let used = size(host.used_bytes);
            vec![host.name.clone(), host.region.clone(), promised, capacity, used, state]
        })
        .collect();
    let head = ["HOST", "REGION", "PROMISED", "CAPACITY", "USED", "STATE"];
    table(&head, &rows) + &sizes_note(status)
}

fn sizes_note(status: &Status) -> String {
    let loose = status.hosts.iter().filter(|host| host.sizes_enforced == Some(false));
    sizes_not_enforced(loose.map(|host| host.name.as_str()))
}

/// What every listing of volumes says of hosts where a volume can outgrow its size.
pub(super) fn sizes_not_enforced<'a>(hosts: impl Iterator<Item = &'a str>) -> String {
    let hosts: Vec<&str> = hosts.collect();
    match hosts.as_slice() {
        [] => String::new(),
        hosts => format!("Sizes of volumes are not enforced on {}.\n", hosts.join(", ")),
    }
}

/// What runs where and how to reach it, for whoever does not see the hosts beside it.
pub(super) fn slots_alone(status: &Status) -> String {
    slots(status) + &sizes_note(status)
}

/// What runs where and how to reach it.
fn slots(status: &Status) -> String {
    let rows: Vec<Vec<String>> = status
        .slots
        .iter()
        .map(|slot| {
            vec![
                slot.slot.clone(),
                slot.host.clone().unwrap_or_else(|| "-".to_owned()),
                state(slot),
                addresses(slot.instance.as_ref()),
                volumes(slot),
            ]
        })
        .collect();
    table(&["SLOT", "HOST", "STATE", "ADDRESS", "VOLUMES"], &rows)
}

fn state(slot: &SlotStatus) -> String {
    match slot.held {
        true => format!("held; {}", state_of_instance(slot)),
        false => state_of_instance(slot),
    }
}

fn state_of_instance(slot: &SlotStatus) -> String {
    let Some(instance) = &slot.instance else {
        let known = if slot.readable { "no instance" } else { "unknown: its host was not read" };
        return known.to_owned();
    };
    let mut text = instance.state.clone();
    match instance.healthy {
        Some(true) => text += ", healthy",
        Some(false) => text += ", unhealthy",
        None => {}
    }
    let failing = instance
        .checks
        .iter()
        .filter_map(|said| Some(format!("check {}: {}", said.check, said.instead.as_ref()?)));
    let failing: Vec<String> = failing.collect();
    if !failing.is_empty() {
        return format!("{text}: {}", failing.join("; "));
    }
    match &instance.why {
        Some(why) => format!("{text}: {why}"),
        None => text,
    }
}

fn addresses(instance: Option<&InstanceStatus>) -> String {
    let Some(instance) = instance else { return "-".to_owned() };
    if instance.ports.is_empty() {
        return instance.address.clone();
    }
    let url = |port: &u16| format!("http://{}:{port}", instance.address);
    instance.ports.iter().map(url).collect::<Vec<_>>().join(" ")
}

fn volumes(slot: &SlotStatus) -> String {
    let volume = |volume: &crate::status::SlotVolume| {
        format!("{} {}", volume.source, Size::from_bytes(volume.size_bytes))
    };
    slot.volumes.iter().map(volume).collect::<Vec<_>>().join(", ")
}

/// Volumes that are no slot's any more.
fn kept(status: &Status) -> String {
    let kept = status.volumes.iter().filter(|volume| volume.state != "attached");
    let rows: Vec<Vec<String>> = kept
        .map(|volume| {
            vec![
                volume.id.clone(),
                volume.source.clone(),
                volume.slot.clone(),
                volume.host.clone(),
                Size::from_bytes(volume.size_bytes).to_string(),
                volume.state.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table(&["VOLUME", "SOURCE", "WAS OF", "HOST", "SIZE", "STATE"], &rows))
}
