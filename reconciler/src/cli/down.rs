//! `tiedown down`: stops everything of a fleet of embedded hosts; with `--purge` nothing is left.

use super::error::{Refused, Usage};
use super::exit::{Ending, Exit};
use super::global::Global;
use super::output::{Format, Output};
use super::stop;
use crate::endpoints::Published;
use crate::fleet::{Abilities, Hosts, Records, StateFiles};
use crate::pass::guard_records;
use crate::repository::Repository;
use crate::repository::tree::KnownTrees;
use crate::settings::Settings;
use executor::apply::Front;
use executor::catalog::{Holder, Lock, LockName};
use executor::clock;
use executor::host::Host;
use executor::observe::Checks;
use futures::StreamExt;
use planner::model::id::InstanceId;
use planner::model::instance::Role;
use planner::model::name::HostName;
use planner::model::observed::{HostView, InstanceView};
use planner::plan::predicate::Predicate;
use planner::plan::step::{Act, Step};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Stop everything of the fleet on this machine. With --purge remove its volumes and all state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown down\n  tiedown down --purge --auto-approve")]
pub(super) struct Args {
    /// Remove volumes with all data in them, pools, and what is remembered.
    #[arg(long)]
    purge: bool,
    /// Do not ask before a purge.
    #[arg(long)]
    auto_approve: bool,
    /// How long to wait for someone else's lock, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
}

/// Instances that are stopped at once.
const AT_ONCE: usize = 16;

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    if args.purge && !args.auto_approve && !output.can_ask() {
        return Err(Usage::new(
            "nobody can be asked here, so nothing was begun",
            "run it in a terminal, or say --auto-approve",
        )
        .into());
    }
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let abilities = Abilities::probe()?;
    let settings = global.settings(&snapshot, &abilities, output)?;
    guard_records(&repository, &settings, &Records::look(&settings)?)?;
    let files = StateFiles::of(&settings)?;
    if args.purge {
        refuse_foreign(&files, &settings)?;
    }
    if !files.exist() {
        if args.purge {
            repository.forget(&settings.fleet)?;
        }
        tell(0, args.purge, output)?;
        return Ok(Exit::Done);
    }
    if args.purge && !args.auto_approve && !approved(&settings, output) {
        return Err(Usage::new("not approved, so nothing was begun", "answer `yes`").into());
    }
    let records = Records::open(&settings)?;
    let trees = Arc::new(KnownTrees::new(&repository));
    let hosts = Hosts::open(&settings, &abilities, &records, &(trees as _))?;
    let stop = Arc::new(AtomicBool::new(false));
    let down = Down { args, settings: &settings, repository: &repository, records, hosts, output };
    stop::patiently(&stop, output, down.carry_out(&stop)).await
}

fn refuse_foreign(files: &StateFiles, settings: &Settings) -> anyhow::Result<()> {
    if files.foreign.is_empty() {
        return Ok(());
    }
    let state_dir = settings.state_dir.display();
    Err(Refused {
        message: format!(
            "{state_dir} holds what is not of this fleet's hosts: {}",
            files.foreign.join(", ")
        ),
        hint: "move it elsewhere, or put a host that was removed back into tiedown.toml".to_owned(),
    }
    .into())
}

fn approved(settings: &Settings, output: Output) -> bool {
    output.say(&format!(
        "This removes all volumes of the fleet {} with their data, and {}.\nOnly 'yes' will be \
         accepted.",
        settings.fleet,
        settings.state_dir.display()
    ));
    output.ask("  Enter a value: ").as_deref() == Some("yes")
}

fn tell(stopped: usize, purged: bool, output: Output) -> anyhow::Result<()> {
    match output.format {
        Format::Json => output.json(&json!({ "stopped": stopped, "purged": purged })),
        Format::Text => {
            let also = if purged { " Everything of the fleet was removed." } else { "" };
            output.result(&format!("{stopped} stopped.{also}\n"))
        }
    }
}

struct Down<'a> {
    args: &'a Args,
    settings: &'a Settings,
    repository: &'a Repository,
    records: Records,
    hosts: Hosts,
    output: Output,
}

impl Down<'_> {
    async fn carry_out(self, stop: &AtomicBool) -> anyhow::Result<Exit> {
        let lock = self.lock().await?;
        let mut instances = Vec::new();
        let mut unread = false;
        for (name, host) in self.hosts.all() {
            match host.observe().await {
                HostView::Read(reading) => {
                    let found = reading.instances.into_values();
                    instances
                        .extend(found.map(|instance| (name.clone(), Arc::clone(&host), instance)));
                }
                HostView::Unread { why, hint } => {
                    self.output.error(&format!("host {name} could not be read: {why}"));
                    self.output.hint(&hint);
                    unread = true;
                }
            }
        }
        let leaving = instances.iter().map(|(_, _, instance)| instance.id.clone()).collect();
        self.tell_front(&leaving).await;
        let stops = instances.iter().map(async |(name, host, instance)| {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            self.stop(name, &**host, instance).await
        });
        let ended: Vec<bool> =
            futures::stream::iter(stops).buffer_unordered(AT_ONCE).collect().await;
        self.tell_front(&BTreeSet::new()).await;
        let stopped = ended.iter().filter(|done| **done).count();
        let failed = stopped < ended.len();
        let ending = Ending {
            errored: failed && stopped == 0,
            partly: failed && stopped > 0,
            incomplete: unread,
            ..Ending::default()
        };
        let whole = ending == Ending::default();
        if self.args.purge && whole {
            self.purge().await?;
        }
        drop(lock);
        tell(stopped, self.args.purge && whole, self.output)?;
        Ok(ending.exit())
    }

    /// The proxy in front is told before anything is stopped, and what is left after.
    async fn tell_front(&self, leaving: &BTreeSet<InstanceId>) {
        let settings = self.settings.endpoints.as_ref();
        let Some(front) = Published::of(settings, self.hosts.all(), Checks::new()) else { return };
        if let Err(why) = front.tell(leaving).await {
            self.output.warn(&format!("endpoints are not published: {why}"));
        }
    }

    async fn lock(&self) -> anyhow::Result<Box<dyn Lock>> {
        let catalog = Arc::clone(&self.records.catalog);
        let holder = Holder {
            purpose: format!("down of {}", self.settings.fleet),
            pid: std::process::id(),
            since: clock::now(),
        };
        let wait = Duration::from_secs(self.args.lock_timeout);
        let lock = move || catalog.lock(&LockName::Fleet, &holder, wait);
        Ok(tokio::task::spawn_blocking(lock).await??)
    }

    async fn stop(&self, name: &HostName, host: &dyn Host, instance: &InstanceView) -> bool {
        let id = instance.id.clone();
        let act = Act::StopInstance { instance: id.clone(), slot: instance.slot.clone() };
        let step = Step {
            id: act.id(name),
            host: name.clone(),
            before: vec![Predicate::InstancePresent { instance: id.clone() }],
            after: vec![Predicate::InstanceAbsent { instance: id }],
            act,
        };
        let role = match instance.role {
            Role::Main => String::new(),
            Role::Canary | Role::Green | Role::Release | Role::Run => {
                format!(" ({})", instance.role.as_str())
            }
        };
        match host.act(&step).await {
            Ok(_) => {
                self.output.say(&format!("  {}{role}: stopped", instance.slot));
                true
            }
            Err(error) => {
                let why = executor::chain(&error);
                self.output.error(&format!("{}{role} was not stopped: {why}", instance.slot));
                false
            }
        }
    }

    async fn purge(&self) -> anyhow::Result<()> {
        for (_, host) in self.hosts.all() {
            host.purge().await?;
        }
        StateFiles::of(self.settings)?.remove()?;
        self.repository.forget(&self.settings.fleet)?;
        Ok(())
    }
}
