//! What became of an apply, in words: what was done, what failed and why, what was not tried
//! because of it, and what to do next.

use executor::apply::{Failure, Outcome};
use executor::ensure::Ensured;
use planner::model::object::Object;
use planner::plan::Plan;
use planner::plan::step::{Step, StepId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Objects that are named at most in one section.
const NAMED: usize = 20;

/// The summary, with a line break at its end.
pub(in crate::cli) fn summary(outcome: &Outcome, plan: &Plan) -> String {
    if outcome.is_complete() {
        let summary = plan.summary();
        let (add, change, destroy) = (summary.add, summary.change, summary.destroy);
        let import = match summary.import {
            0 => String::new(),
            n => format!("{n} imported, "),
        };
        return format!("Applied: {import}{add} added, {change} changed, {destroy} destroyed.\n");
    }
    let mut text = String::new();
    section(&mut text, "Done", &done(outcome, plan));
    let failures = outcome.failures.iter().filter(|failure| !failure.stale);
    section(&mut text, "Failed", &failures.map(failure).collect::<Vec<_>>());
    let stale = outcome.failures.iter().filter(|failure| failure.stale);
    section(&mut text, "Stale, so left alone", &stale.map(failure).collect::<Vec<_>>());
    section(&mut text, "Not tried", &skipped(outcome));
    section(&mut text, "Next", &next(outcome));
    let _ = writeln!(text, "{}", headline(outcome, plan));
    text
}

/// The line that sums up what was not applied in full.
fn headline(outcome: &Outcome, plan: &Plan) -> String {
    let made = outcome.done.iter().filter(|(_, ensured)| *ensured != Ensured::AlreadySo).count();
    let already = outcome.done.len() - made;
    let ways = plan.rollouts.iter().flat_map(|rollout| &rollout.waves);
    let all: usize = ways.flat_map(|wave| &wave.lanes).map(|lane| lane.steps.len()).sum();
    let already = match already {
        0 => String::new(),
        n => format!(", {n} were so already"),
    };
    let what = match (outcome.stopped, outcome.is_stale()) {
        (true, _) => "Stopped",
        (false, true) => {
            return "Stale: the world moved since the plan was made; nothing was done.".to_owned();
        }
        (false, false) if outcome.done.is_empty() => "Failed",
        (false, false) => "Partly applied",
    };
    let failed = outcome.failures.iter().filter(|failure| !failure.stale).count();
    let stale = outcome.failures.len() - failed;
    let skipped = outcome.skipped.len();
    let counts = [(failed, "failed"), (stale, "stale"), (skipped, "not tried")];
    let counts: String = counts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!(" {n} {word}."))
        .collect();
    format!("{what}: {made} of {all} steps were done{already}.{counts}")
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let shown = if lines.len() > NAMED { NAMED - 1 } else { lines.len() };
    let _ = writeln!(text, "{title}");
    for line in &lines[..shown] {
        let _ = writeln!(text, "  {line}");
    }
    if shown < lines.len() {
        let _ = writeln!(text, "  and {} more", lines.len() - shown);
    }
    text.push('\n');
}

/// By object, in the order of the plan: what was done to it.
fn done(outcome: &Outcome, plan: &Plan) -> Vec<String> {
    let ensured: BTreeMap<&StepId, Ensured> =
        outcome.done.iter().map(|(step, ensured)| (step, *ensured)).collect();
    let mut lines: Vec<String> = Vec::new();
    let mut tell = |object: String, steps: &mut dyn Iterator<Item = &Step>| {
        let acts = steps.filter_map(|step| match ensured.get(&step.id)? {
            Ensured::Made | Ensured::Changed => Some(step.id.0.clone()),
            Ensured::AlreadySo => Some(format!("{} (so already)", step.id.0)),
        });
        let acts: Vec<String> = acts.collect();
        if !acts.is_empty() {
            lines.push(format!("{object}: {}", acts.join(", ")));
        }
    };
    for rollout in &plan.rollouts {
        for lane in rollout.waves.iter().flat_map(|wave| &wave.lanes) {
            tell(lane.object.to_string(), &mut lane.steps.iter().chain(lane.failing()));
        }
        tell(format!("to take back {}", rollout.id.0), &mut rollout.on_failure.iter());
    }
    lines
}

fn failure(failure: &Failure) -> String {
    let Failure { object, step, why, stale } = failure;
    match (step, stale) {
        // What was found says it; the step's name would say it twice.
        (_, true) => format!("{object}: {}", why.strip_prefix("stale: ").unwrap_or(why)),
        (Some(_), false) => format!("{object}: {why}"),
        (None, false) => format!("{object} did not come up: {why}"),
    }
}

/// Objects that were not tried for one reason are told together.
fn skipped(outcome: &Outcome) -> Vec<String> {
    let mut reasons: Vec<&str> = Vec::new();
    let mut objects: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for skipped in &outcome.skipped {
        let why = skipped.why.as_str();
        if !reasons.contains(&why) {
            reasons.push(why);
        }
        let of_reason = objects.entry(why).or_default();
        let object = skipped.object.to_string();
        if !of_reason.contains(&object) {
            of_reason.push(object);
        }
    }
    let line = |why: &&str| {
        let objects = objects.get(why).map_or(&[][..], |objects| objects);
        let shown = if objects.len() > NAMED { NAMED - 1 } else { objects.len() };
        let more = objects.len() - shown;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}: {why}", objects[..shown].join(", "))
    };
    reasons.iter().map(line).collect()
}

/// What to do, from what went wrong.
fn next(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    let gates: BTreeSet<String> = outcome
        .failures
        .iter()
        .filter(|failure| failure.step.is_none() && !failure.stale)
        .filter_map(|failure| match &failure.object {
            Object::Slot { slot } | Object::Instance { slot, .. } => Some(slot.to_string()),
            _ => None,
        })
        .collect();
    if let Some(slot) = gates.first() {
        lines.push(format!("see what it said: tiedown logs {slot}"));
        let more = "commit what puts it right and apply that; the same release is tried again \
                    only with tiedown apply --retry";
        lines.push(more.to_owned());
    }
    let failed = |failure: &&Failure| failure.step.is_some() && !failure.stale;
    if outcome.failures.iter().any(|failure| failed(&failure)) {
        let line = "put right what the failed steps say and apply again; what is done is not \
                    done twice";
        lines.push(line.to_owned());
    }
    if outcome.failures.iter().any(|failure| failure.stale) {
        let line = "plan again for what is stale: somebody changed it since the plan was made";
        lines.push(line.to_owned());
    }
    if outcome.stopped {
        lines.push("apply again: it goes on from here".to_owned());
    }
    lines.push("tiedown plan shows just what is left".to_owned());
    lines
}
