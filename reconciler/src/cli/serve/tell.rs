//! Who hears what passes say: the log of a daemon, or whoever waits for one pass.

use crate::cli::output::Output;
use crate::cli::paint::Ansi;
use crate::cli::progress::{Progress, line};
use crate::pass::by_itself::Decided;
use crate::serve::passes::{PassFailed, Teller};
use executor::apply::Outcome;
use executor::event::Event;
use planner::render::text;
use planner::report::Kind;

/// A daemon's log.
pub(super) struct Log;

impl Teller for Log {
    fn decided(&self, decided: &Decided, is_news: bool) {
        if !is_news {
            return;
        }
        let summary = decided.now.plan().summary().to_string();
        tracing::info!(summary, waiting = decided.waiting.len(), "planned");
        for line in &decided.looked.report.lines {
            let (kind, object) = (line.kind.as_str(), line.object.to_string());
            let (why, hint) = (line.why.as_str(), line.hint.as_deref());
            match line.kind {
                Kind::Refused | Kind::Unknown | Kind::Blocked | Kind::Waiting => {
                    tracing::warn!(kind, object, why, hint, "not done");
                }
                Kind::Foreign | Kind::Note => tracing::info!(kind, object, why, "noted"),
            }
        }
        for drift in &decided.looked.report.drift {
            let (object, field) = (drift.object.to_string(), drift.field.as_str());
            tracing::warn!(object, field, drift.before, drift.after, drift.healed, "drift");
        }
    }

    fn event(&self, event: &Event) {
        if let Some(line) = line(event) {
            tracing::info!("{}", line.trim_start());
        }
    }

    fn acted(&self, _: &Decided, outcome: &Outcome) {
        for failure in &outcome.failures {
            let (object, why) = (failure.object.to_string(), failure.why.as_str());
            tracing::error!(object, why, failure.stale, "failed");
        }
    }

    /// The pass itself says it.
    fn failed(&self, _: &PassFailed) {}
}

/// Whoever waits for one pass.
pub(super) struct Screen {
    output: Output,
    progress: Progress,
}

impl Screen {
    pub(super) fn new(output: Output) -> Self {
        Self { output, progress: Progress::new(output) }
    }
}

impl Teller for Screen {
    fn decided(&self, decided: &Decided, is_news: bool) {
        if is_news {
            let text = text::plan(decided.now.plan(), &decided.looked.report, &Ansi);
            // It goes on when nobody reads.
            let _ = self.output.result(&text);
        }
    }

    fn event(&self, event: &Event) {
        self.progress.tell(event);
    }

    fn acted(&self, decided: &Decided, outcome: &Outcome) {
        let text = crate::cli::apply::summary::summary(outcome, decided.now.plan());
        let _ = self.output.result(&format!("\n{text}"));
    }

    /// Told as an error.
    fn failed(&self, _: &PassFailed) {}
}
