//! What is not in the plan and why; what moved by itself; notes.

use super::Page;
use crate::render::Tone;
use crate::report::{Drift, Kind, Line, Report};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

/// Objects that are named at most where many have one reason; the JSON names all.
const NAMED: usize = 6;

/// The title over slots of which nobody can say whether they drifted.
pub(super) const HISTORY_UNKNOWN: &str = "History unknown: what was applied last is not remembered";

/// What a guard forbids, with what would change that.
pub(super) fn refused(page: &mut Page<'_>, report: &Report) {
    section(page, report, Kind::Refused, "Refused");
}

/// What could not be read, cannot be done, or waits.
pub(super) fn wanting(page: &mut Page<'_>, report: &Report) {
    section(page, report, Kind::Unknown, "Unknown, so left alone");
    section(page, report, Kind::Blocked, "Blocked");
    section(page, report, Kind::Waiting, "Waiting");
}

/// What a reader might wonder about, and what is not ours.
pub(super) fn notes(page: &mut Page<'_>, report: &Report) {
    section(page, report, Kind::Foreign, "Not ours, never touched");
    section(page, report, Kind::Note, "Notes");
}

fn section(page: &mut Page<'_>, report: &Report, kind: Kind, title: &str) {
    let lines: Vec<&Line> = report.lines.iter().filter(|line| line.kind == kind).collect();
    if lines.is_empty() {
        return;
    }
    page.heading(title);
    page.gap();
    // One reason for many is told once.
    let mut reasons: Vec<Vec<&Line>> = Vec::new();
    let mut places = BTreeMap::new();
    for line in lines {
        let place = *places.entry((&line.why, &line.hint)).or_insert(reasons.len());
        match reasons.get_mut(place) {
            Some(others) => others.push(line),
            None => reasons.push(alloc::vec![line]),
        }
    }
    for alike in &reasons {
        lines_alike(page, alike, kind.is_wanting());
    }
}

fn lines_alike(page: &mut Page<'_>, alike: &[&Line], wanting: bool) {
    let Some(first) = alike.first() else { return };
    let shown = if alike.len() > NAMED { NAMED - 1 } else { alike.len() };
    let objects: Vec<_> = alike[..shown].iter().map(|l| format!("{}", l.object)).collect();
    let mut objects = objects.join(", ");
    if shown < alike.len() {
        objects += &format!(" and {} more", alike.len() - shown);
    }
    if wanting {
        objects = page.paint.paint(Tone::Wanting, &objects);
    }
    page.line(2, &format!("{objects}: {}", first.why));
    if let Some(hint) = &first.hint {
        page.dim(6, hint);
    }
}

/// Slots of which nobody can say whether they drifted.
pub(super) fn history_unknown(page: &mut Page<'_>, report: &Report) {
    if report.history_unknown.is_empty() {
        return;
    }
    page.heading(HISTORY_UNKNOWN);
    page.gap();
    let slots: Vec<_> = report.history_unknown.iter().map(|slot| format!("{slot}")).collect();
    page.line(2, &slots.join(", "));
}

/// What differs from what was applied last.
pub(super) fn drift(page: &mut Page<'_>, report: &Report) {
    if report.drift.is_empty() {
        return;
    }
    page.heading("Note: Objects have changed outside of tiedown");
    page.gap();
    for of_object in report.drift.chunk_by(|a, b| a.object == b.object && a.healed == b.healed) {
        let Some(Drift { object, healed, .. }) = of_object.first() else { continue };
        let outcome = if *healed { "the plan sets it right" } else { "left as it is" };
        page.line(2, &format!("  ~ {object}, {outcome}"));
        for Drift { field, before, after, .. } in of_object {
            page.line(8, &format!("{field}: {before} → {after}"));
        }
    }
}
