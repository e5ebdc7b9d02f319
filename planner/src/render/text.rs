//! A plan and its report as a person reads them: data loss first, then what is refused, then the
//! rest, app by app; at the end one line that sums up.

mod changes;
pub(super) mod parts;
mod report;
mod rollouts;
mod why;

pub use why::why;

use super::{Paint, Tone};
use crate::plan::Plan;
use crate::report::{Kind, Report};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What is said when nothing is to be done and nothing is wanting.
pub const NO_CHANGES: &str = "No changes. Your infrastructure matches the configuration.";

/// The whole text, with a line break at its end.
#[must_use]
pub fn plan(plan: &Plan, report: &Report, paint: &dyn Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    changes::losses(&mut page, plan);
    report::refused(&mut page, report);
    changes::rest(&mut page, plan);
    rollouts::rollouts(&mut page, plan);
    report::wanting(&mut page, report);
    report::drift(&mut page, report);
    report::history_unknown(&mut page, report);
    report::notes(&mut page, report);
    page.gap();
    page.line(0, &summary(plan, report, paint));
    page.text
}

/// The line that sums up: what will be done, and how much is not in it.
#[must_use]
pub fn summary(plan: &Plan, report: &Report, paint: &dyn Paint) -> String {
    let idle = plan.is_empty() && plan.changes.is_empty();
    let wanting = counts(report);
    match (idle, wanting.is_empty()) {
        (true, true) => paint.paint(Tone::Summary, NO_CHANGES),
        (true, false) => {
            let told = format!("Nothing can be done now: {}.", wanting.join(", "));
            paint.paint(Tone::Wanting, &told)
        }
        (false, true) => paint.paint(Tone::Summary, &format!("{}", plan.summary())),
        (false, false) => {
            let told = format!("Not in it: {}.", wanting.join(", "));
            let summary = paint.paint(Tone::Summary, &format!("{}", plan.summary()));
            format!("{summary} {}", paint.paint(Tone::Wanting, &told))
        }
    }
}

fn counts(report: &Report) -> Vec<String> {
    let kinds = [Kind::Refused, Kind::Unknown, Kind::Blocked, Kind::Waiting];
    let count = |kind| report.lines.iter().filter(|line| line.kind == kind).count();
    let counts = kinds.into_iter().map(|kind| (count(kind), kind.as_str()));
    counts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect()
}

/// Text that grows by indented lines.
struct Page<'a> {
    text: String,
    paint: &'a dyn Paint,
}

impl Page<'_> {
    /// An empty line, if something is above.
    fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn heading(&mut self, text: &str) {
        self.gap();
        let text = self.paint.paint(Tone::Heading, text);
        self.line(0, &text);
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.text.extend(core::iter::repeat_n(' ', indent));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn dim(&mut self, indent: usize, text: &str) {
        let text = self.paint.paint(Tone::Dim, text);
        self.line(indent, &text);
    }
}
