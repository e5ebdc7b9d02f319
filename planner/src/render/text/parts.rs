//! The text in parts: what belongs together, under a title, for those who lay it out otherwise.

use super::{Page, changes, report as reported, rollouts};
use crate::plan::Plan;
use crate::plan::change::{Change, Verb};
use crate::render::Plain;
use crate::report::Report;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One part.
pub(in crate::render) struct Part {
    /// What it is about, in one line.
    pub(in crate::render) title: String,
    /// Its lines.
    pub(in crate::render) text: String,
    /// Whether a reader may be spared it at first.
    pub(in crate::render) folded: bool,
}

/// All parts but the destroyed volumes and the summary, the gravest first.
pub(in crate::render) fn parts(plan: &Plan, report: &Report) -> Vec<Part> {
    let written = |write: &dyn Fn(&mut Page<'_>)| {
        let mut page = Page { text: String::new(), paint: &Plain };
        write(&mut page);
        page.text
    };
    let titled = |title: &str, folded, write: &dyn Fn(&mut Page<'_>)| {
        let text = written(write);
        // The title is told by whoever lays it out.
        let text = text.strip_prefix(title).unwrap_or(&text).trim_start_matches('\n');
        Part { title: title.to_string(), text: text.to_string(), folded }
    };
    let retired: Vec<&Change> =
        plan.changes.iter().filter(|change| change.verb == Verb::Retire).collect();
    let away = match retired.len() {
        1 => "1 volume will be put away".to_string(),
        n => format!("{n} volumes will be put away"),
    };
    let mut parts = alloc::vec![
        titled(&away, false, &|page| changes::told(page, &retired)),
        titled("Refused", false, &|page| reported::refused(page, report)),
        titled("Not done now", false, &|page| reported::wanting(page, report)),
        titled("Note: Objects have changed outside of tiedown", false, &|page| {
            reported::drift(page, report);
        }),
        titled(reported::HISTORY_UNKNOWN, false, &|page| {
            reported::history_unknown(page, report);
        }),
    ];
    let mounted = changes::mounted(plan);
    for (app, of_app) in changes::by_app(plan) {
        let name = app.map_or_else(|| "Hosts".to_string(), |app| format!("App {app}"));
        let title = format!("{name}: {}", verbs(&of_app));
        let text = written(&|page| changes::told_of(page, &of_app, &mounted));
        parts.push(Part { title, text, folded: true });
    }
    parts.push(titled("Rollouts", true, &|page| rollouts::rollouts(page, plan)));
    parts.push(titled("Notes", true, &|page| reported::notes(page, report)));
    parts.retain(|part| !part.text.trim().is_empty());
    parts
}

/// `2 create, 1 redeploy`.
fn verbs(changes: &[&Change]) -> String {
    let mut counts: BTreeMap<Verb, usize> = BTreeMap::new();
    for change in changes {
        *counts.entry(change.verb).or_default() += 1;
    }
    let told = counts.iter().map(|(verb, n)| format!("{n} {}", changes::word(*verb)));
    told.collect::<Vec<_>>().join(", ")
}
