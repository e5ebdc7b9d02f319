//! What is seen of the passes from outside: the newest answers to every question, and metrics.
//! Written by passes, read by the web; nothing here can act.

mod metrics;

use crate::history::moment;
use crate::pass::by_itself::Decided;
use crate::prepare::Secrets;
use crate::settings::Settings;
use crate::status::Status;
use executor::apply::Outcome;
use executor::clock;
use executor::journal::Journal;
use executor::orders::Order;
use metrics::Metrics;
use planner::by_itself::Waiting;
use planner::document::ObservedDocument;
use planner::render::json;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Runs of the history that are shown.
const RUNS: usize = 50;

/// What is seen from outside.
#[derive(Default)]
pub struct Shown {
    inner: Mutex<Inner>,
    metrics: Metrics,
}

#[derive(Default)]
struct Inner {
    now: Now,
    status: Value,
    plan: Value,
    report: Value,
    observed: Option<String>,
    journal: Option<Arc<dyn Journal>>,
}

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Now {
    /// The commit that is followed.
    pub commit: Option<String>,
    /// Whether this process runs the passes.
    pub leads: bool,
    /// Why it does not, or why its last pass came to no end.
    pub trouble: Option<String>,
    /// When what is followed was read last.
    pub fetched: Option<String>,
    /// Why it could not be read since.
    pub fetch_trouble: Option<String>,
    /// Whether every host was read since it began.
    pub has_seen_all: bool,
    /// The last pass, also of an earlier process.
    pub last_pass: Option<LastPass>,
    /// What waits for a person or for time.
    pub waiting: Vec<Value>,
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastPass {
    /// Of which commit.
    pub commit: Option<String>,
    /// When.
    pub at: String,
    /// In words.
    pub how: String,
}

impl Shown {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is followed was read, or could not be.
    pub fn fetched(&self, result: Result<&str, &str>) {
        self.metrics.fetched(result.is_ok());
        let mut inner = self.inner();
        match result {
            Ok(commit) => {
                inner.now.commit = Some(commit.to_owned());
                inner.now.fetched = Some(moment(clock::now()));
                inner.now.fetch_trouble = None;
            }
            Err(why) => inner.now.fetch_trouble = Some(why.to_owned()),
        }
    }

    /// This process runs the passes, or somebody else does.
    pub fn leads(&self, leads: Result<(), &str>, journal: &Arc<dyn Journal>, orders: &[Order]) {
        self.metrics.leads(leads.is_ok());
        let mut inner = self.inner();
        inner.now.leads = leads.is_ok();
        inner.now.trouble = leads.err().map(str::to_owned);
        inner.journal = Some(Arc::clone(journal));
        for order in orders {
            if let Order::Passed { commit, at, how } = order {
                let commit = commit.as_ref().map(ToString::to_string);
                inner.now.last_pass = Some(LastPass { commit, at: moment(*at), how: how.clone() });
            }
        }
    }

    /// A pass saw and decided this.
    pub fn decided(&self, decided: &Decided, settings: &Settings, secrets: Secrets) {
        let looked = &decided.looked;
        let status = Status::of(settings, &looked.observed, &looked.claims);
        self.metrics.decided(decided, &status);
        let hosts = settings.hosts.iter().map(|(name, host)| (name.clone(), host.spec.clone()));
        let observed = ObservedDocument {
            fleet: settings.fleet.clone(),
            hosts: hosts.collect(),
            observed: looked.observed.clone(),
            claims: looked.claims.clone(),
            policy: settings.policy,
            secrets,
        };
        let plan = json::plan(&looked.plan, &looked.report);
        let mut inner = self.inner();
        inner.now.has_seen_all |= decided.saw_all;
        inner.now.waiting = decided.waiting.iter().map(waiting).collect();
        inner.status = json!(status);
        inner.plan = json!(plan);
        inner.report = json!(looked.report);
        inner.observed = Some(observed.to_json());
    }

    /// Steps were done.
    pub fn acted(&self, outcome: &Outcome) {
        self.metrics.acted(outcome);
    }

    /// A pass ended.
    pub fn passed(&self, commit: Option<&str>, result: Result<&str, &str>, took: Duration) {
        self.metrics.passed(result.is_ok(), took);
        let mut inner = self.inner();
        let how = result.unwrap_or_else(|why| why).to_owned();
        inner.now.trouble = result.err().map(str::to_owned);
        let commit = commit.map(str::to_owned);
        inner.now.last_pass = Some(LastPass { commit, at: moment(clock::now()), how });
    }

    /// Whether it does its work, and if not, why.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn ready(&self) -> Result<(), String> {
        let inner = self.inner();
        let now = &inner.now;
        match &now.trouble {
            Some(trouble) => Err(trouble.clone()),
            None if !now.leads => Err("it has only begun".to_owned()),
            None if !now.has_seen_all => Err("not every host was read yet".to_owned()),
            None => Ok(()),
        }
    }

    /// How things stand.
    #[must_use]
    pub fn now(&self) -> Now {
        self.inner().now.clone()
    }

    /// How things stand, and the tables of `tiedown status`, if anything was seen.
    #[must_use]
    pub fn status(&self) -> Value {
        let inner = self.inner();
        json!({ "serve": inner.now, "status": inner.status })
    }

    /// The whole plan of the last pass, also what waits; null before the first.
    #[must_use]
    pub fn plan(&self) -> Value {
        self.inner().plan.clone()
    }

    /// The report of the last pass; null before the first.
    #[must_use]
    pub fn report(&self) -> Value {
        let inner = self.inner();
        json!({ "report": inner.report, "waiting": inner.now.waiting })
    }

    /// The document of `tiedown observe`, as the last pass saw it.
    #[must_use]
    pub fn observed(&self) -> Option<String> {
        self.inner().observed.clone()
    }

    /// The newest runs.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn history(&self) -> Result<Value, String> {
        let journal = self.inner().journal.clone();
        let runs = journal.map(|journal| journal.runs(RUNS, false)).transpose();
        let runs = runs.map_err(|error| executor::chain(&error))?;
        Ok(json!({ "runs": runs.unwrap_or_default() }))
    }

    /// All metrics, in the text form that Prometheus reads.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.metrics.text()
    }
}

/// What waits, for programs.
#[must_use]
pub fn waiting(waiting: &Waiting) -> Value {
    json!({
        "app": waiting.app,
        "why": waiting.why,
        "digest": waiting.digest,
        "changes": waiting.changes,
    })
}
