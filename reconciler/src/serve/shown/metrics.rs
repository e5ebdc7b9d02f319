//! Numbers for Prometheus. Sync and health are two axes: an app can be as the commit wants it and
//! ill, or well and behind.

use crate::pass::by_itself::Decided;
use crate::status::{SlotStatus, Status};
use executor::apply::Outcome;
use executor::clock;
use planner::report::{Kind, Report};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

type Labels = Vec<(&'static str, String)>;

/// All metrics.
pub(super) struct Metrics {
    registry: Registry,
    apps: Family<Labels, Gauge>,
    leads: Gauge,
    passes: Family<Labels, Counter>,
    pass_took: Histogram,
    steps: Family<Labels, Counter>,
    fetches: Family<Labels, Counter>,
    fetched_at: Gauge,
    drift: Gauge,
    waiting: Gauge,
    unread: Gauge,
    pools: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tiedown");
        let seconds = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
        let metrics = Self {
            apps: Family::default(),
            leads: Gauge::default(),
            passes: Family::default(),
            pass_took: Histogram::new(seconds),
            steps: Family::default(),
            fetches: Family::default(),
            fetched_at: Gauge::default(),
            drift: Gauge::default(),
            waiting: Gauge::default(),
            unread: Gauge::default(),
            pools: Family::default(),
            registry: Registry::default(),
        };
        let app =
            "Apps, with sync (synced, behind, waiting, unknown) and health (healthy, ill, none)";
        registry.register("app_info", app, metrics.apps.clone());
        let leads = "Whether this process runs the passes";
        registry.register("leads", leads, metrics.leads.clone());
        registry.register("passes", "Passes, by how they ended", metrics.passes.clone());
        let took = "How long passes took";
        registry.register_with_unit("pass", took, Unit::Seconds, metrics.pass_took.clone());
        registry.register("steps", "Steps, by what came of them", metrics.steps.clone());
        let fetches = "Attempts to read what is followed, by how they ended";
        registry.register("fetches", fetches, metrics.fetches.clone());
        let at = "When what is followed was read last";
        registry.register("last_fetch_timestamp_seconds", at, metrics.fetched_at.clone());
        let drift = "Things that are not as they were applied";
        registry.register("drift_objects", drift, metrics.drift.clone());
        let waiting = "What waits for a person or for time";
        registry.register("waiting", waiting, metrics.waiting.clone());
        registry.register("hosts_unread", "Hosts that did not answer", metrics.unread.clone());
        let pools = "Room of pools: size, promised, used";
        registry.register_with_unit("pool", pools, Unit::Bytes, metrics.pools.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(super) fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
    }

    pub(super) fn fetched(&self, well: bool) {
        self.fetches.get_or_create(&outcome(if well { "ok" } else { "failed" })).inc();
        if well {
            self.fetched_at.set(i64::try_from(clock::now().0).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn passed(&self, well: bool, took: Duration) {
        self.passes.get_or_create(&outcome(if well { "ok" } else { "failed" })).inc();
        self.pass_took.observe(took.as_secs_f64());
    }

    pub(super) fn acted(&self, acted: &Outcome) {
        let failed = acted.failures.iter().filter(|failure| !failure.stale).count();
        let stale = acted.failures.len() - failed;
        let counts = [
            ("done", acted.done.len()),
            ("failed", failed),
            ("stale", stale),
            ("not-tried", acted.skipped.len()),
        ];
        for (word, count) in counts {
            self.steps.get_or_create(&outcome(word)).inc_by(count as u64);
        }
    }

    pub(super) fn decided(&self, decided: &Decided, status: &Status) {
        let report = &decided.looked.report;
        self.drift.set(count(report.drift.len()));
        self.waiting.set(count(decided.waiting.len()));
        self.unread.set(count(status.hosts.iter().filter(|host| !host.readable).count()));
        self.pools.clear();
        for host in &status.hosts {
            let rooms = [
                ("size", host.capacity_bytes),
                ("promised", host.promised_bytes),
                ("used", host.used_bytes),
            ];
            for (room, bytes) in rooms {
                let Some(bytes) = bytes else { continue };
                let labels = vec![("host", host.name.clone()), ("room", room.to_owned())];
                self.pools.get_or_create(&labels).set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
        }
        self.apps.clear();
        let mut slots: BTreeMap<&str, Vec<&SlotStatus>> = BTreeMap::new();
        for slot in &status.slots {
            slots.entry(&slot.app).or_default().push(slot);
        }
        let desired = decided.looked.desired.apps.keys().map(|app| app.as_str());
        let apps: BTreeSet<&str> = slots.keys().copied().chain(desired).collect();
        for app in apps {
            let labels = vec![
                ("app", app.to_owned()),
                ("sync", sync(app, decided, report).to_owned()),
                ("health", health(slots.get(app).map_or(&[], Vec::as_slice)).to_owned()),
            ];
            self.apps.get_or_create(&labels).set(1);
        }
    }
}

fn outcome(word: &str) -> Labels {
    vec![("outcome", word.to_owned())]
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How an app stands to the commit.
fn sync(app: &str, decided: &Decided, report: &Report) -> &'static str {
    let theirs = |line: &&planner::report::Line| {
        line.object.app().is_some_and(|of| of.as_str() == app) && line.kind.is_wanting()
    };
    let kinds: BTreeSet<Kind> = report.lines.iter().filter(theirs).map(|line| line.kind).collect();
    let is_planned = decided.now.plan().apps().iter().any(|of| of.as_str() == app);
    match (kinds.contains(&Kind::Unknown), kinds.is_empty(), is_planned) {
        (true, _, _) => "unknown",
        (false, false, _) => "waiting",
        (false, true, true) => "behind",
        (false, true, false) => "synced",
    }
}

/// How its instances are.
fn health(slots: &[&SlotStatus]) -> &'static str {
    let is_well = |slot: &&&SlotStatus| {
        slot.instance.as_ref().is_some_and(|instance| {
            matches!(instance.state.as_str(), "running" | "finished")
                && instance.healthy != Some(false)
        })
    };
    match slots.iter().filter(is_well).count() {
        _ if slots.is_empty() => "none",
        well if well == slots.len() => "healthy",
        _ => "ill",
    }
}
