//! What was done: the journal's runs, told to people.

use executor::ensure::Ensured;
use executor::journal::{RunEnd, RunRecord, StepEnd};
use planner::model::time::Timestamp;
use std::fmt::Write;

/// A moment as people write it, in UTC.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let seconds = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("{seconds} s"), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// One row for a run: id, when, who, which commit, what, and how it ended.
#[must_use]
pub fn row(run: &RunRecord) -> Vec<String> {
    let commit = run.start.commit.as_ref().map_or("work tree", |commit| commit.short());
    let summary = run.start.summary;
    vec![
        run.id.0.clone(),
        moment(run.start.at),
        run.start.by.clone(),
        commit.to_owned(),
        match summary.import {
            0 => format!("+{} ~{} -{}", summary.add, summary.change, summary.destroy),
            n => format!("<{n} +{} ~{} -{}", summary.add, summary.change, summary.destroy),
        },
        end(run).to_owned(),
    ]
}

fn end(run: &RunRecord) -> &'static str {
    match run.end {
        None => "not ended",
        Some((RunEnd::Done, _)) => "done",
        Some((RunEnd::Partly, _)) => "partly",
        Some((RunEnd::Failed, _)) => "failed",
        Some((RunEnd::Stopped, _)) => "stopped",
    }
}

/// A run with all its steps.
#[must_use]
pub fn whole(run: &RunRecord) -> String {
    let start = &run.start;
    let mut text = format!("Run {}\n  began   {} by {}\n", run.id.0, moment(start.at), start.by);
    let commit = start.commit.as_ref().map_or("work tree", |commit| commit.as_str());
    let _ = writeln!(text, "  commit  {commit}\n  plan    {}", start.plan);
    let _ = match run.end {
        Some((_, at)) => writeln!(text, "  ended   {}: {}", moment(at), end(run)),
        None => writeln!(text, "  ended   not: it runs, or was killed"),
    };
    for step in &run.steps {
        let how = match &step.end {
            None => "not known: it runs, or was killed".to_owned(),
            Some(StepEnd::Done { ensured: Ensured::AlreadySo }) => "already so".to_owned(),
            Some(StepEnd::Done { ensured: Ensured::Made | Ensured::Changed }) => "done".to_owned(),
            Some(StepEnd::Stale { found }) => format!("stale: {found}"),
            Some(StepEnd::Failed { why }) => format!("failed: {why}"),
        };
        let _ = writeln!(text, "  {}  {} on {}: {how}", moment(step.at), step.step, step.host);
    }
    text
}
