//! A pass that nobody watches: what may happen by itself is done, the rest waits and says for
//! whom. What was approved is used up, and what failed is tried again later.

use super::rules::InForce;
use super::{Ask, Looked, PassError, checks};
use crate::fleet::Hosts;
use crate::history::moment;
use crate::serve::backoff;
use executor::apply::{Options, Outcome};
use executor::catalog::CatalogError;
use executor::clock;
use executor::event::Event;
use executor::orders::{Order, OrderName};
use planner::by_itself::{Leave, Waiting, divide};
use planner::check::Checked;
use planner::model::host::HostState;
use planner::model::name::AppName;
use planner::model::object::Object;
use planner::model::observed::HostView;
use planner::model::time::Timestamp;
use planner::plan::Plan;
use planner::report::{Kind, Line};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long an approval is good for.
pub const APPROVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The first and the longest wait of an app that failed.
const SETBACK: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(60 * 60));

/// What a pass by itself saw, and what it may do.
pub struct Decided {
    /// What it saw. Its report tells what waits.
    pub looked: Looked,
    /// What may happen now.
    pub now: Checked<Plan>,
    /// What waits.
    pub waiting: Vec<Waiting>,
    /// Whether every host that is not given up was read.
    pub saw_all: bool,
    used: BTreeSet<String>,
    setbacks: BTreeMap<AppName, u32>,
}

/// What is known beside manifests and hosts.
pub struct Known<'a> {
    /// Orders as they stand.
    pub orders: &'a [Order],
    /// The rules.
    pub rules: &'a InForce,
    /// Whether the commit is signed by somebody who may.
    pub vouched: bool,
    /// Whether all hosts were read since this process began; before that nothing is done.
    pub has_seen_all: bool,
    /// Whether it is only asked what an approval would change, whatever else stands in the way.
    pub asks_only: bool,
}

impl Ask<'_> {
    /// Looks, and says what may happen by itself.
    ///
    /// # Errors
    /// [`PassError`].
    pub async fn decide(&self, known: &Known<'_>) -> Result<Decided, PassError> {
        let mut looked = self.look().await?;
        let saw_all = saw_all(&looked);
        let now = clock::now();
        let leave = leave(known, self, now, saw_all);
        let mut divided = divide(&looked.plan, &leave);
        divided.waiting.splice(0..0, known.rules.waiting.clone());
        divided.tell(&mut looked.report);
        if let Some((why, hint)) = self.settings.require.unasked() {
            let (why, hint) = (why.to_owned(), Some(hint.to_owned()));
            looked.report.lines.push(Line { kind: Kind::Note, object: Object::Fleet, why, hint });
            looked.report.lines.sort();
        }
        let checked = self.judge(&divided.now, &looked.observed, &looked.claims)?;
        let setbacks = known.orders.iter().filter_map(|order| match order {
            Order::Setback { app, failures, .. } => Some((app.clone(), *failures)),
            Order::Approval { .. }
            | Order::Pause { .. }
            | Order::Rules { .. }
            | Order::Passed { .. } => None,
        });
        let setbacks = setbacks.collect();
        let (waiting, used) = (divided.waiting, divided.used);
        Ok(Decided { looked, now: checked, waiting, saw_all, used, setbacks })
    }

    /// Looks, and says what would wait for a person, whatever else stands in the way now.
    ///
    /// # Errors
    /// [`PassError`].
    pub async fn would_wait(
        &self,
        orders: &[Order],
        rules: &InForce,
    ) -> Result<Decided, PassError> {
        self.guard_records()?;
        let (vouched, has_seen_all, asks_only) = (false, true, true);
        self.decide(&Known { orders, rules, vouched, has_seen_all, asks_only }).await
    }

    /// Does what may happen, and remembers what came of it. The catalog must be open to write.
    ///
    /// # Errors
    /// [`PassError`]; failures of steps are in the outcome.
    pub async fn act(
        &self,
        decided: &Decided,
        rules: &InForce,
        say: Box<dyn Fn(Event) + Send + Sync>,
        stop: Arc<AtomicBool>,
    ) -> Result<Outcome, PassError> {
        let orders = &self.records.orders;
        if let Some(fresh) = &rules.fresh {
            orders.order(fresh)?;
        }
        if let Some(used) = &rules.used {
            orders.lift(&OrderName::Approval(used.clone()))?;
        }
        let hosts =
            Hosts::open(self.settings, self.abilities, self.records, &decided.looked.trees)?;
        let name = self.snapshot.name();
        let checks = checks(&decided.looked.desired);
        let options = Options {
            parallelism: 8,
            // Somebody who works by hand is waited for, and not for ever.
            lock_wait: Duration::from_secs(60),
            purpose: format!("a pass by itself over {name}"),
            by: format!("tiedown by itself, process {}", std::process::id()),
        };
        let outcome = self.apply(&decided.now, &hosts, &checks, &options, say, stop).await?;
        self.remember_outcome(decided, &outcome)?;
        Ok(outcome)
    }

    /// Uses up approvals, and notes who failed and who came up.
    fn remember_outcome(&self, decided: &Decided, outcome: &Outcome) -> Result<(), CatalogError> {
        let orders = &self.records.orders;
        if !outcome.done.is_empty() {
            for digest in &decided.used {
                orders.lift(&OrderName::Approval(digest.clone()))?;
            }
        }
        let failed: BTreeMap<&AppName, &str> = outcome
            .failures
            .iter()
            .filter(|failure| !failure.stale)
            .filter_map(|failure| Some((failure.object.app()?, failure.why.as_str())))
            .collect();
        let now = clock::now();
        for (app, why) in &failed {
            let failures = decided.setbacks.get(*app).copied().unwrap_or(0).saturating_add(1);
            let wait = backoff::delay(SETBACK.0, SETBACK.1, failures, backoff::jitter());
            orders.order(&Order::Setback {
                app: (*app).clone(),
                commit: self.snapshot.commit().cloned(),
                failures,
                until: Timestamp(now.0.saturating_add(wait.as_secs())),
                why: (*why).to_owned(),
            })?;
        }
        let applied = decided.now.plan().apps();
        let up = decided
            .setbacks
            .keys()
            .filter(|app| applied.contains(app) && !failed.contains_key(app) && !outcome.stopped);
        for app in up {
            orders.lift(&OrderName::Setback(app.clone()))?;
        }
        Ok(())
    }

    /// Remembers how the pass ended, and forgets approvals that are too old.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn passed(&self, orders: &[Order], how: &str) -> Result<(), CatalogError> {
        let now = clock::now();
        for order in orders {
            if let Order::Approval { at, .. } = order
                && is_old(*at, now)
            {
                self.records.orders.lift(&order.name())?;
            }
        }
        self.records.orders.order(&Order::Passed {
            commit: self.snapshot.commit().cloned(),
            at: now,
            how: how.to_owned(),
        })
    }
}

fn is_old(given: Timestamp, now: Timestamp) -> bool {
    u128::from(now.since(given).0) > APPROVAL.as_millis()
}

/// Whether every host was read that is not given up.
fn saw_all(looked: &Looked) -> bool {
    looked.desired.hosts.iter().all(|(name, host)| match (host.state, looked.observed.get(name)) {
        (HostState::Lost, _) | (_, Some(HostView::Read(_))) => true,
        (HostState::Active | HostState::Cordoned, Some(HostView::Unread { .. }) | None) => false,
    })
}

/// What may happen, from what stands.
fn leave(known: &Known<'_>, ask: &Ask<'_>, now: Timestamp, saw_all: bool) -> Leave {
    let settings = ask.settings;
    let closed = match known.has_seen_all || saw_all {
        _ if known.asks_only => None,
        false => Some("nothing is done before every host was read once".to_owned()),
        true => {
            let at = i64::try_from(now.0).ok();
            let at = at.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            at.and_then(|at| settings.serve.schedule.closed(at))
        }
    };
    let mut leave =
        Leave { auto: settings.policy.auto, closed, vouched: known.vouched, ..Leave::default() };
    for order in known.orders {
        match order {
            Order::Approval { digest, at, .. } if !is_old(*at, now) => {
                leave.approved.insert(digest.clone());
            }
            Order::Pause { .. } | Order::Setback { .. } if known.asks_only => {}
            Order::Pause { app, why, by, .. } => {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                let why =
                    format!("it is paused by {by}{why}; `tiedown unpause {app}` lets it go on");
                leave.paused.insert(app.clone(), why);
            }
            Order::Setback { app, commit, failures, until, why }
                if commit.as_ref() == ask.snapshot.commit() && *until > now =>
            {
                let times = if *failures == 1 { "once" } else { "again and again" };
                let until = moment(*until);
                let why = format!("it failed {times} and is tried again at {until}: {why}");
                leave.paused.entry(app.clone()).or_insert(why);
            }
            Order::Approval { .. }
            | Order::Setback { .. }
            | Order::Rules { .. }
            | Order::Passed { .. } => {}
        }
    }
    leave
}
