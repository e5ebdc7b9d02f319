//! `tiedown volumes`: volumes by hand, under the same guards as in every plan.

use super::by_hand::{self, How, Wish};
use super::error::Usage;
use super::exit::{Ending, Exit};
use super::global::Global;
use super::opened::Opened;
use super::output::{Format, Output, table};
use super::plan::of_volume;
use super::status::sizes_not_enforced;
use crate::pass::Looked;
use crate::volumes::{Volume, volumes};
use executor::observe::{Checks, observe};
use planner::by_hand::{Given, Request};
use planner::model::id::VolumeId;
use planner::model::name::SnapshotName;
use planner::model::observed::HostView;
use planner::model::permit::Permits;
use planner::plan::step::Act;
use std::collections::BTreeSet;

/// Show volumes, take snapshots and go back to them, destroy retired ones, or give one to a slot.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown volumes list
  tiedown volumes snapshot vol_0123456789abcdef")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    List(ListArgs),
    Show(ShowArgs),
    Snapshot(SnapshotArgs),
    Restore(RestoreArgs),
    Destroy(DestroyArgs),
    Adopt(AdoptArgs),
}

/// List all volumes, with what becomes of those that are no slot's any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown volumes list
  tiedown volumes list --format json | jq '.volumes[] | select(.state == \"retired\")'")]
struct ListArgs {}

/// Show all that is known of a volume.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown volumes show vol_0123456789abcdef")]
struct ShowArgs {
    /// Its id.
    #[arg(value_name = "VOLUME")]
    volume: String,
}

/// Keep a volume as it is now, beside it and for as long as nobody destroys it.
///
/// What was written before is in the snapshot, synced or not; whoever uses the volume goes on. A
/// snapshot counts against the pool like a volume, and its volume is not destroyed before it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown volumes snapshot vol_0123456789abcdef
  tiedown volumes snapshot vol_0123456789abcdef --name before-upgrade")]
struct SnapshotArgs {
    /// The volume's id.
    #[arg(value_name = "VOLUME")]
    volume: String,
    /// What to call it among the volume's snapshots.
    #[arg(long, value_name = "NAME")]
    name: Option<SnapshotName>,
    #[command(flatten)]
    how: How,
}

/// Let a slot go back to what a snapshot holds: into a new volume, and the one that it has is retired
/// and kept.
///
/// Also to what a retired volume of the slot holds. The data is copied while the slot runs; then its
/// instance is stopped and started again on the new volume.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown volumes restore vol_0123456789abcdef
  tiedown volumes restore vol_0123456789abcdef --auto-approve")]
struct RestoreArgs {
    /// The id of the snapshot or retired volume.
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    /// Do not ask.
    #[arg(long)]
    auto_approve: bool,
    #[command(flatten)]
    how: How,
}

/// Destroy a retired volume or a snapshot with its data, if its retention has passed and it is not protected.
///
/// Asks first, and says what goes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown volumes destroy vol_0123456789abcdef
  tiedown volumes destroy vol_0123456789abcdef --auto-approve --allow-destroy")]
struct DestroyArgs {
    /// Its id.
    #[arg(value_name = "VOLUME")]
    volume: String,
    /// Do not ask.
    #[arg(long)]
    auto_approve: bool,
    /// Allow it; what is asked about is allowed by the answer.
    #[arg(long)]
    allow_destroy: bool,
    #[command(flatten)]
    how: How,
}

/// Give a retired or foreign volume to a slot that is wanted and has none of its own, and start the slot.
///
/// A foreign one is what `tiedown plan` says is not ours, by the name that its host has for it: a copy of
/// another fleet's volume becomes the slot's own, with its data.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown volumes adopt vol_0123456789abcdef web/app/ewr/1
  tiedown volumes adopt old-notes web/app/ewr/2")]
struct AdoptArgs {
    /// The id of the retired volume, or the name of the foreign one.
    #[arg(value_name = "VOLUME")]
    volume: String,
    /// APP/GROUP/REGION/N.
    #[arg(value_name = "SLOT")]
    slot: String,
    #[command(flatten)]
    how: How,
}

impl Args {
    /// Whether it carries out a plan.
    pub(super) const fn acts(&self) -> bool {
        match self.what {
            What::List(_) | What::Show(_) => false,
            What::Snapshot(_) | What::Restore(_) | What::Destroy(_) | What::Adopt(_) => true,
        }
    }
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    match &args.what {
        What::List(ListArgs {}) => list(global, output).await.map(Ending::exit),
        What::Show(args) => show(args, global, output).await.map(Ending::exit),
        What::Snapshot(args) => snapshot(args, global, output).await,
        What::Restore(args) => restore(args, global, output).await,
        What::Destroy(args) => destroy(args, global, output).await,
        What::Adopt(args) => adopt(args, global, output).await,
    }
}

async fn list(global: &Global, output: Output) -> anyhow::Result<Ending> {
    let (all, complete) = look(global, output).await?;
    match output.format {
        Format::Json => output.json(&serde_json::json!({ "volumes": all }))?,
        Format::Text if all.is_empty() => output.result("No volumes.\n")?,
        Format::Text => {
            let rows: Vec<Vec<String>> = all.iter().map(Volume::row).collect();
            let head = ["VOLUME", "SOURCE", "SLOT", "HOST", "SIZE", "STATE", "KEPT"];
            let loose = all.iter().filter(|volume| !volume.size_enforced);
            let loose: BTreeSet<&str> = loose.map(|volume| volume.host.as_str()).collect();
            output.result(&(table(&head, &rows) + &sizes_not_enforced(loose.into_iter())))?;
        }
    }
    Ok(Ending { incomplete: !complete, ..Ending::default() })
}

async fn show(args: &ShowArgs, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let id = volume_id(&args.volume)?;
    let (all, complete) = look(global, output).await?;
    let Some(volume) = all.into_iter().find(|volume| volume.id == id.as_str()) else {
        if !complete {
            output.warn(&format!("no host that could be read has {id}"));
            return Ok(Ending { incomplete: true, ..Ending::default() });
        }
        let hint = "`tiedown volumes list` shows volumes";
        return Err(Usage::new(format!("no host has a volume {id} of the fleet"), hint).into());
    };
    match output.format {
        Format::Json => output.json(&volume)?,
        Format::Text => output.result(&volume.whole())?,
    }
    Ok(Ending::default())
}

/// All volumes, and whether every host was read.
async fn look(global: &Global, output: Output) -> anyhow::Result<(Vec<Volume>, bool)> {
    let repository = global.repository()?;
    let Opened { records, hosts, .. } = Opened::of(global, &repository, output)?;
    let observed = observe(&hosts.all(), &Checks::new()).await;
    let mut complete = true;
    for (host, view) in &observed {
        if let HostView::Unread { why, hint } = view {
            complete = false;
            output.warn(&format!("host {host} could not be read: {why}"));
            output.hint(hint);
        }
    }
    Ok((volumes(&observed, &records.catalog.claims()?), complete))
}

async fn snapshot(args: &SnapshotArgs, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let volume = volume_id(&args.volume)?;
    let wish = Wish {
        purpose: format!("take a snapshot of {volume}"),
        request: Request::Snapshot { volume, name: args.name.clone() },
        permits: Permits::NONE,
        how: &args.how,
        question: None,
    };
    by_hand::run(wish, global, output).await
}

async fn restore(args: &RestoreArgs, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let volume = volume_id(&args.snapshot)?;
    let wish = Wish {
        purpose: format!("restore {volume}"),
        request: Request::Restore { volume },
        permits: Permits::NONE,
        how: &args.how,
        question: (!args.auto_approve).then_some(restoring),
    };
    by_hand::run(wish, global, output).await
}

/// Names what is put away: what was written since is only there.
fn restoring(looked: &Looked) -> String {
    let retired = looked.plan.steps().find_map(|step| match &step.act {
        Act::RetireVolume { volume, .. } => Some(volume.to_string()),
        _ => None,
    });
    format!(
        "Do you want to stop the slot and go back? What was written since is kept in {}, retired.",
        retired.unwrap_or_default()
    )
}

async fn destroy(args: &DestroyArgs, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let volume = volume_id(&args.volume)?;
    let wish = Wish {
        purpose: format!("destroy {volume}"),
        request: Request::Destroy { volume },
        permits: of_volume(args.allow_destroy || !args.auto_approve),
        how: &args.how,
        question: (!args.auto_approve).then_some(question),
    };
    by_hand::run(wish, global, output).await
}

/// Names what goes: the app, the volume's name, its age and size.
fn question(looked: &Looked) -> String {
    let doomed: Vec<String> = volumes(&looked.observed, &looked.claims)
        .iter()
        .filter(|volume| looked.plan.steps().any(|step| step.id.0.ends_with(volume.id.as_str())))
        .map(|volume| {
            let size = planner::model::size::Size::from_bytes(volume.size_bytes);
            let Volume { app, source, host, .. } = volume;
            format!("{source} of app {app} on {host}, {size}, {}", volume.state())
        })
        .collect();
    format!("Do you want to destroy the data of {}? It cannot be brought back.", doomed.join("; "))
}

async fn adopt(args: &AdoptArgs, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let slot = by_hand::slot(&args.slot)?;
    let given = match VolumeId::parse(&args.volume) {
        Ok(volume) => Given::Retired(volume),
        Err(_) => Given::Foreign(args.volume.clone()),
    };
    let wish = Wish {
        purpose: format!("adopt {} for {slot}", args.volume),
        request: Request::Adopt { given, slot },
        permits: Permits::NONE,
        how: &args.how,
        question: None,
    };
    by_hand::run(wish, global, output).await
}

fn volume_id(text: &str) -> anyhow::Result<VolumeId> {
    VolumeId::parse(text).map_err(|error| {
        Usage::new(format!("{error}"), "`tiedown volumes list` shows volumes").into()
    })
}
