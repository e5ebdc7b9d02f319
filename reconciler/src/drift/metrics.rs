//! Drift as numbers, for the textfile collector of Prometheus' node exporter. How old they are is
//! one of them: a look that fails leaves the last ones where they are.

use super::Drifted;
use planner::model::time::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The file's text.
#[must_use]
pub fn text(fleet: &str, drifted: &Drifted, at: Timestamp) -> String {
    let labels = [("fleet".into(), fleet.to_owned().into())];
    let mut registry = Registry::with_prefix_and_labels("tiedown_drift", labels.into_iter());
    let mut say = |name: &str, help: &str, count: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    say("found", "Things that are not as they were applied", drifted.drift.len() as u64);
    say("held", "Slots that are held and not compared", drifted.held.len() as u64);
    let unknown = drifted.history_unknown.len() as u64;
    say("history_unknown", "Slots of which it is not known what was applied", unknown);
    say("hosts_unread", "Hosts that did not answer", drifted.unread.len() as u64);
    say("last_look_timestamp_seconds", "When this was found", at.0);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_fleet_and_the_time() {
        let drifted = Drifted {
            drift: Vec::new(),
            held: vec!["web/app/ewr/1".to_owned()],
            history_unknown: Vec::new(),
            unread: Vec::new(),
        };
        let text = text("f", &drifted, Timestamp(1_764_000_000));
        for line in [
            "tiedown_drift_found{fleet=\"f\"} 0",
            "tiedown_drift_held{fleet=\"f\"} 1",
            "tiedown_drift_last_look_timestamp_seconds{fleet=\"f\"} 1764000000",
            "# TYPE tiedown_drift_found gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
