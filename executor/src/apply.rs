//! The one loop: locks, corrections, rollouts, waves, lanes, steps; journal and claims around
//! each. All control flow of applying is here and in `apply/`; what to do is in the plan.

mod front;
mod lane;
mod outcome;
mod rollout;

pub use front::Front;
pub use outcome::{Failure, Outcome, Skipped};

use crate::catalog::{Catalog, CatalogError, Holder, Lock, LockName};
use crate::clock;
use crate::event::{Event, RolloutEnd};
use crate::host::Host;
use crate::journal::{Journal, RunEnd, RunId, RunStart};
use front::Telling;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use planner::check::Checked;
use planner::model::name::{AppName, HostName};
use planner::model::slot::SlotId;
use planner::plan::{ClaimAct, Plan, Rollout, RolloutId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::Instrument;

/// What an apply acts on and reports to.
pub struct World {
    /// Hosts by name.
    pub hosts: BTreeMap<HostName, Arc<dyn Host>>,
    /// Claims, records and locks.
    pub catalog: Arc<dyn Catalog>,
    /// Intentions and outcomes.
    pub journal: Arc<dyn Journal>,
    /// Hears what happens, as it happens.
    pub say: Box<dyn Fn(Event) + Send + Sync>,
    /// Told where instances answer, if there is a proxy in front.
    pub front: Option<Box<dyn Front>>,
    /// Set: no new step begins.
    pub stop: Arc<AtomicBool>,
}

/// How an apply is run; nothing that changes where it ends.
#[derive(Debug, Clone)]
pub struct Options {
    /// Steps at once, at least 1.
    pub parallelism: usize,
    /// How long to wait for an app's lock.
    pub lock_wait: Duration,
    /// What for, for those who find the lock taken.
    pub purpose: String,
    /// Who, for history.
    pub by: String,
}

/// Why an apply ended before its plan did. Whatever was begun can be applied again.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A lock is taken, or the catalog or journal does not work: without them nothing is done.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A step names a host that is not here.
    #[error("the plan names host {host}, which is not here")]
    NoHost {
        /// Which.
        host: HostName,
    },
}

/// Applies a plan that passed the independent judge. Returns what became of it; failures of steps and gates are in the outcome.
///
/// # Errors
/// [`ApplyError`]: nothing can be said of the steps in flight; the next plan sees them.
pub async fn apply(
    plan: &Checked<Plan>,
    world: &World,
    options: &Options,
) -> Result<Outcome, ApplyError> {
    let plan = plan.plan();
    if let Some(host) = plan.hosts().into_iter().find(|host| !world.hosts.contains_key(*host)) {
        return Err(ApplyError::NoHost { host: host.clone() });
    }
    let _locks = lock_apps(plan, world, options).await?;
    let start = RunStart {
        at: clock::now(),
        plan: plan.digest(),
        commit: plan.commit.clone(),
        summary: plan.summary(),
        by: options.by.clone(),
    };
    let run = match plan.is_empty() {
        true => None,
        false => Some(world.journal.begin(&start)?),
    };
    // Whoever claims or holds a slot takes its app's lock, so what is read under it stays so.
    let alone = plan.left_alone(&world.catalog.claims()?);
    let stays = |act: &&ClaimAct| act.slot().is_none_or(|slot| !alone.contains_key(slot));
    let corrections = plan.corrections.iter().filter(stays);
    world.catalog.act(&corrections.cloned().collect::<Vec<_>>(), clock::now(), "")?;
    for record in &plan.first_records {
        world.catalog.record(record)?;
    }
    let mut outcome = Outcome::default();
    let telling = Telling::of(world.front.as_deref(), &*world.say);
    if let Some(run) = &run {
        let permits = Semaphore::new(options.parallelism.max(1));
        Applying { world, run, permits, alone: &alone, telling: &telling }
            .rollouts(&plan.rollouts, &mut outcome)
            .await?;
    }
    telling.tell().await;
    record(plan, world, &outcome)?;
    outcome.stopped = world.stop.load(Ordering::Relaxed);
    if let Some(run) = &run {
        world.journal.end(run, outcome.end(), clock::now())?;
    }
    outcome.run = run;
    Ok(outcome)
}

async fn lock_apps(
    plan: &Plan,
    world: &World,
    options: &Options,
) -> Result<Vec<Box<dyn Lock>>, CatalogError> {
    let holder =
        Holder { purpose: options.purpose.clone(), pid: std::process::id(), since: clock::now() };
    let mut locks = Vec::new();
    // In order of names, so that two applies never wait for each other in a ring.
    for app in plan.apps() {
        let (catalog, holder) = (Arc::clone(&world.catalog), holder.clone());
        let (name, wait) = (LockName::App(app.clone()), options.lock_wait);
        let locked = tokio::task::spawn_blocking(move || catalog.lock(&name, &holder, wait)).await;
        locks.push(locked.map_err(|error| CatalogError::Store {
            act: format!("locking app {app}"),
            source: error.into(),
        })??);
    }
    Ok(locks)
}

/// An app was applied in full if all of its rollouts were done.
fn record(plan: &Plan, world: &World, outcome: &Outcome) -> Result<(), CatalogError> {
    for record in &plan.records {
        let mut rollouts = plan.rollouts.iter().filter(|r| r.app.as_ref() == Some(&record.app));
        if rollouts.all(|rollout| outcome.rollouts_done.contains(&rollout.id)) {
            world.catalog.record(record)?;
        }
    }
    if plan.completes_catalog {
        world.catalog.complete()?;
    }
    Ok(())
}

/// One apply at work.
struct Applying<'a> {
    world: &'a World,
    run: &'a RunId,
    permits: Semaphore,
    /// Slots that are left alone, and why.
    alone: &'a BTreeMap<SlotId, String>,
    /// Who is told where instances answer.
    telling: &'a Telling<'a>,
}

impl Applying<'_> {
    /// Rollouts side by side, each when those before it are done.
    async fn rollouts(&self, all: &[Rollout], outcome: &mut Outcome) -> Result<(), ApplyError> {
        let mut waiting: Vec<&Rollout> = all.iter().collect();
        let mut running = FuturesUnordered::new();
        let mut ended: BTreeSet<RolloutId> = BTreeSet::new();
        loop {
            let (ready, rest): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|rollout| rollout.after.iter().all(|id| ended.contains(id)));
            waiting = rest;
            for rollout in ready {
                let undone = rollout.after.iter().find(|id| !outcome.rollouts_done.contains(id));
                match undone {
                    None => {
                        let app = rollout.app.as_ref().map(AppName::as_str);
                        let span = tracing::info_span!("rollout", app, id = rollout.id.0);
                        let rolled = self.rollout(rollout).instrument(span);
                        running.push(async move { (rollout, rolled.await) });
                    }
                    Some(id) => {
                        let why = format!("{} was not done", id.0);
                        self.skip(rollout, why, outcome);
                        ended.insert(rollout.id.clone());
                    }
                }
            }
            match running.next().await {
                Some((rollout, part)) => {
                    outcome.add(&rollout.id, part?);
                    ended.insert(rollout.id.clone());
                }
                None if waiting.iter().any(|r| r.after.iter().all(|id| ended.contains(id))) => {}
                None => break,
            }
        }
        for rollout in waiting {
            self.skip(rollout, "what it waits for was not done".to_owned(), outcome);
        }
        Ok(())
    }

    fn skip(&self, rollout: &Rollout, why: String, outcome: &mut Outcome) {
        for lane in rollout.waves.iter().flat_map(|wave| &wave.lanes) {
            outcome.skipped.push(Skipped { object: lane.object.clone(), why: why.clone() });
        }
        (self.world.say)(Event::RolloutEnded {
            rollout: rollout.id.clone(),
            end: RolloutEnd::Skipped { why },
        });
    }

    fn stopping(&self) -> bool {
        self.world.stop.load(Ordering::Relaxed)
    }
}

impl Outcome {
    fn end(&self) -> RunEnd {
        match (self.stopped, self.failures.is_empty(), self.done.is_empty()) {
            (true, _, _) => RunEnd::Stopped,
            (false, true, _) => RunEnd::Done,
            (false, false, true) => RunEnd::Failed,
            (false, false, false) => RunEnd::Partly,
        }
    }
}
