//! The passes themselves: each opens the repository anew, sees to it that this process is the one
//! that runs passes, looks, does what may happen by itself, and shows what came of it.

use super::drive::{Ended, Seen, Work};
use super::follow::{Follow, FollowError};
use super::shown::Shown;
use super::trigger::Trigger;
use crate::fleet::{Abilities, Records};
use crate::git::is_vouched;
use crate::pass::by_itself::{Decided, Known};
use crate::pass::rules::{InForce, in_force};
use crate::pass::{Ask, PassError};
use crate::prepare::read_secrets;
use crate::prepare::selection::Selection;
use crate::repository::{Repository, RepositoryError};
use crate::settings::Settings;
use crate::settings::load::{SettingsError, load};
use executor::apply::Outcome;
use executor::catalog::{CatalogError, Holder, Lock, LockName};
use executor::clock;
use executor::event::Event;
use executor::orders::{Order, Orders};
use planner::model::permit::Permits;
use planner::model::release::CommitId;
use planner::model::time::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::Instrument;

/// How often whoever stands by asks whether it can take over.
const STANDBY: Duration = Duration::from_secs(1);
/// How soon it is looked again after something was done: what is then is shown, and what waited
/// for it can go on.
const AFTER_ACTING: Duration = Duration::from_millis(200);
/// The same, where the pass before had done something too.
const AFTER_ACTING_AGAIN: Duration = Duration::from_secs(10);

/// Hears what passes say.
pub trait Teller: Send + Sync {
    /// What was seen and decided; `is_news`: it is other than what was told last.
    fn decided(&self, decided: &Decided, is_news: bool);
    /// Something happened.
    fn event(&self, event: &Event);
    /// Something was done.
    fn acted(&self, decided: &Decided, outcome: &Outcome);
    /// A pass came to no end.
    fn failed(&self, why: &PassFailed);
}

/// Why a pass came to no end.
#[derive(Debug, thiserror::Error)]
pub enum PassFailed {
    /// What is followed cannot be read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// There are no settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The pass.
    #[error(transparent)]
    Pass(#[from] PassError),
}

impl From<RepositoryError> for PassFailed {
    fn from(error: RepositoryError) -> Self {
        Self::Follow(error.into())
    }
}

impl From<CatalogError> for PassFailed {
    fn from(error: CatalogError) -> Self {
        Self::Pass(error.into())
    }
}

/// How a pass went that came to its end.
pub enum Passed {
    /// It did what it could.
    Done {
        /// What it saw.
        decided: Box<Decided>,
        /// What it did.
        outcome: Outcome,
        /// How often passes are run.
        interval: Duration,
    },
    /// Somebody else runs the passes.
    Standby(Holder),
}

/// Runs passes.
pub struct Passes {
    /// What is followed.
    pub follow: Follow,
    /// What this machine allows.
    pub abilities: Abilities,
    /// Who may vouch for a commit with a signature; nobody without.
    pub signers: Option<PathBuf>,
    /// What is seen from outside.
    pub shown: Arc<Shown>,
    /// Hears it.
    pub teller: Arc<dyn Teller>,
    /// What whoever finds the lock taken is told.
    pub purpose: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// While this process runs the passes: of which state directory, and the lock.
    lead: Option<(PathBuf, Box<dyn Lock>)>,
    orders: Option<Arc<dyn Orders>>,
    has_seen_all: bool,
    acted: bool,
    /// A commit that was vouched for. Of one that was not, somebody may still tag it.
    vouched: Option<CommitId>,
    told: Option<String>,
}

impl Passes {
    /// Before the first pass.
    #[must_use]
    pub fn new(
        follow: Follow,
        abilities: Abilities,
        signers: Option<PathBuf>,
        shown: Arc<Shown>,
        teller: Arc<dyn Teller>,
        purpose: &'static str,
    ) -> Self {
        let state = Mutex::default();
        Self { follow, abilities, signers, shown, teller, purpose, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One pass over what is there.
    ///
    /// # Errors
    /// [`PassFailed`]; failures of steps are in the outcome.
    pub async fn run(&self, stop: &Arc<AtomicBool>) -> Result<Passed, PassFailed> {
        let (repository, commit) = self.follow.open()?;
        let snapshot = repository.at(&commit)?;
        let settings = load(&snapshot, &self.abilities.machine())?;
        let vouched = self.vouched(&repository, &commit).await;
        let looking = Records::look(&settings)?;
        let selection = Selection { tolerant: true, ..Selection::default() };
        let mut ask = Ask {
            snapshot: &snapshot,
            settings: &settings,
            abilities: &self.abilities,
            records: &looking,
            selection: &selection,
            permits: Permits::NONE,
        };
        ask.guard_records()?;
        let records = Records::open(&settings)?;
        let orders = records.orders.orders()?;
        if let Err(holder) = self.lead(&settings, &records, &orders)? {
            return Ok(Passed::Standby(holder));
        }
        let rules = in_force(settings.clone(), &orders, vouched);
        ask = Ask { settings: &rules.settings, records: &records, ..ask };
        if let Err(error) = ask.remember() {
            tracing::warn!(why = %executor::chain(&error), "a lost state directory would not be noticed");
        }
        let has_seen_all = self.state().has_seen_all;
        let asks_only = false;
        let known = Known { orders: &orders, rules: &rules, vouched, has_seen_all, asks_only };
        let decided = ask.decide(&known).await?;
        let secrets = read_secrets(&rules.settings).map_err(PassError::from)?;
        self.shown.decided(&decided, &rules.settings, secrets);
        self.tell(&decided);
        let outcome = self.act(&ask, &decided, &rules, stop).await?;
        ask.passed(&orders, &how(&decided, &outcome))?;
        let interval = self.interval(&decided, &rules.settings, &records.orders.orders()?);
        Ok(Passed::Done { decided: Box::new(decided), outcome, interval })
    }

    /// Takes the lock of whoever runs the passes, and keeps it.
    fn lead(
        &self,
        settings: &Settings,
        records: &Records,
        orders: &[Order],
    ) -> Result<Result<(), Holder>, CatalogError> {
        let mut state = self.state();
        state.orders = Some(Arc::clone(&records.orders));
        let leads = state.lead.as_ref().is_some_and(|(place, _)| *place == settings.state_dir);
        if !leads {
            let holder = Holder {
                purpose: self.purpose.to_owned(),
                pid: std::process::id(),
                since: clock::now(),
            };
            match records.catalog.lock(&LockName::Passes, &holder, Duration::ZERO) {
                Ok(lock) => state.lead = Some((settings.state_dir.clone(), lock)),
                Err(CatalogError::Locked { holder, .. }) => {
                    state.lead = None;
                    let why = format!("{} (pid {}) runs the passes", holder.purpose, holder.pid);
                    self.shown.leads(Err(&why), &records.journal, orders);
                    return Ok(Err(holder));
                }
                Err(error) => return Err(error),
            }
            self.shown.leads(Ok(()), &records.journal, orders);
        }
        Ok(Ok(()))
    }

    async fn vouched(&self, repository: &Repository, commit: &CommitId) -> bool {
        let Some(signers) = &self.signers else { return false };
        if self.state().vouched.as_ref() == Some(commit) {
            return true;
        }
        let vouched = is_vouched(repository.git_dir(), commit, signers).await;
        self.state().vouched = vouched.then(|| commit.clone());
        vouched
    }

    fn tell(&self, decided: &Decided) {
        let looked = &decided.looked;
        let report = serde_json::to_string(&looked.report).unwrap_or_default();
        let told = format!("{}{report}", looked.plan.digest());
        let mut state = self.state();
        state.has_seen_all |= decided.saw_all;
        let is_news = state.told.as_ref() != Some(&told);
        state.told = Some(told);
        drop(state);
        self.teller.decided(decided, is_news);
    }

    async fn act(
        &self,
        ask: &Ask<'_>,
        decided: &Decided,
        rules: &InForce,
        stop: &Arc<AtomicBool>,
    ) -> Result<Outcome, PassFailed> {
        let teller = Arc::clone(&self.teller);
        let say = Box::new(move |event: Event| teller.event(&event));
        let outcome = ask.act(decided, rules, say, Arc::clone(stop)).await?;
        self.shown.acted(&outcome);
        let did = !outcome.done.is_empty() || !outcome.failures.is_empty();
        if did || !outcome.skipped.is_empty() {
            self.teller.acted(decided, &outcome);
        }
        Ok(outcome)
    }

    /// When to look again: soon after something was done, when what failed is due, or else after
    /// the interval.
    fn interval(&self, decided: &Decided, settings: &Settings, orders: &[Order]) -> Duration {
        let did = !decided.now.plan().is_empty();
        let before = std::mem::replace(&mut self.state().acted, did);
        let interval = settings.serve.interval;
        if did {
            return interval.min(if before { AFTER_ACTING_AGAIN } else { AFTER_ACTING });
        }
        let now = clock::now();
        let due = orders.iter().filter_map(|order| match order {
            Order::Setback { until, .. } if *until > now => {
                Some(Duration::from_millis(until.since(now).0) + Duration::from_secs(1))
            }
            Order::Setback { .. }
            | Order::Approval { .. }
            | Order::Pause { .. }
            | Order::Rules { .. }
            | Order::Passed { .. } => None,
        });
        due.min().map_or(interval, |due| due.min(interval))
    }

    /// What people said that asks for a pass.
    fn said(&self) -> String {
        let orders = self.state().orders.clone();
        let orders = orders.and_then(|orders| orders.orders().ok()).unwrap_or_default();
        let said: Vec<(String, Timestamp)> = orders
            .iter()
            .filter_map(|order| match order {
                Order::Approval { digest, at, .. } => Some((digest.clone(), *at)),
                Order::Pause { app, at, .. } => Some((app.to_string(), *at)),
                Order::Setback { .. } | Order::Rules { .. } | Order::Passed { .. } => None,
            })
            .collect();
        format!("{said:?}")
    }
}

/// How a pass went, in a few words.
fn how(decided: &Decided, outcome: &Outcome) -> String {
    let done = outcome.done.len();
    let failed = outcome.failures.len();
    let waiting = decided.waiting.len();
    let mut words = match (done, failed) {
        (0, 0) => "nothing to do".to_owned(),
        (done, 0) => format!("{done} steps done"),
        (done, failed) => format!("{done} steps done, {failed} failed"),
    };
    if outcome.stopped {
        words += ", stopped before the end";
    }
    if waiting > 0 {
        words += &format!(", {waiting} waiting");
    }
    words
}

impl Work for Passes {
    async fn refresh(&self) -> Result<Seen, String> {
        let fetched = match self.follow.fetch().await {
            Ok(()) => self.follow.open().map_err(FollowError::from),
            Err(error) => Err(error),
        };
        match fetched {
            Ok((repository, commit)) => {
                self.shown.fetched(Ok(commit.as_str()));
                let mut orders = self.said();
                if self.signers.is_some() {
                    // A tag may vouch for the commit.
                    orders += &repository.tags().unwrap_or_default();
                }
                Ok(Seen { commit: commit.to_string(), orders })
            }
            Err(error) => {
                let why = executor::chain(&error);
                self.shown.fetched(Err(&why));
                Err(why)
            }
        }
    }

    async fn pass(&self, why: &BTreeSet<Trigger>, stop: &Arc<AtomicBool>) -> Ended {
        let began = Instant::now();
        let span = tracing::info_span!("pass", ?why);
        let result = self.run(stop).instrument(span).await;
        let commit = self.shown.now().commit;
        let commit = commit.as_deref();
        match result {
            Ok(Passed::Done { decided, outcome, interval }) => {
                let how = how(&decided, &outcome);
                let took = began.elapsed();
                tracing::info!(commit, how, ?took, "pass ended");
                self.shown.passed(commit, Ok(&how), took);
                Ended::Well { again: interval }
            }
            Ok(Passed::Standby(holder)) => {
                tracing::debug!(holder.purpose, holder.pid, "somebody else runs the passes");
                Ended::Standby { again: STANDBY }
            }
            Err(error) => {
                let why = executor::chain(&error);
                tracing::error!(commit, why, "pass came to no end");
                self.shown.passed(commit, Err(&why), began.elapsed());
                self.teller.failed(&error);
                Ended::Badly
            }
        }
    }
}
