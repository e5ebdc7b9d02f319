//! Progress of an apply: on standard error lines where nobody watches, a line that moves where
//! somebody does; as results, if JSON was asked for, one object a line.

use super::output::{Format, Output};
use executor::ensure::Ensured;
use executor::event::{Event, RolloutEnd};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::time::Duration;

/// Tells events as they come.
pub(super) struct Progress {
    output: Output,
    bar: Option<ProgressBar>,
}

/// An event as a line of JSON.
#[derive(Serialize)]
struct Timed<'a> {
    at: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl Progress {
    /// Begins.
    pub(super) fn new(output: Output) -> Self {
        let bar = output.can_draw().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { output, bar }
    }

    /// Tells one event.
    pub(super) fn tell(&self, event: &Event) {
        if self.output.format == Format::Json {
            let at = jiff::Timestamp::now().to_string();
            // Applying goes on when nobody reads.
            let _ = self.output.json(&Timed { at, event });
            return;
        }
        if let (Event::Output { text, .. }, true) = (event, self.output.passes_on) {
            let pass_on = || {
                let _ = self.output.result(&format!("{text}\n"));
            };
            match &self.bar {
                Some(bar) => bar.suspend(pass_on),
                None => pass_on(),
            }
            return;
        }
        // Where a line moves, what is waited for is in that one.
        let moves = self.bar.is_some() && matches!(event, Event::GateWaits { .. });
        if let Some(line) = line(event).filter(|_| !moves) {
            match &self.bar {
                Some(bar) => bar.suspend(|| self.output.say(&line)),
                None => self.output.say(&line),
            }
        }
        if let (Some(bar), Some(moving)) = (&self.bar, moving(event)) {
            bar.set_message(moving);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What stays on the screen.
pub(super) fn line(event: &Event) -> Option<String> {
    let line = match event {
        Event::RolloutBegan { rollout } => format!("{}: begins", rollout.0),
        Event::WaveBegan { rollout, wave, waves, title } => {
            format!("{}: wave {wave} of {waves}: {title}", rollout.0)
        }
        Event::StepBegan { .. } => return None,
        Event::GateWaits { object, seen } => format!("  {object}: waiting for {seen}"),
        Event::Untold { why } => format!("  endpoints are not published: {why}"),
        Event::StepDone { step, object, ensured } => {
            let what = match ensured {
                Ensured::Made | Ensured::Changed => "done",
                Ensured::AlreadySo => "already so",
            };
            format!("  {} for {object}: {what}", step.0)
        }
        Event::StepFailed { step, object, why, stale } => {
            let how = if *stale { "stale" } else { "failed" };
            format!("  {} for {object}: {how}: {why}", step.0)
        }
        Event::Output { object, text } => {
            let lines: Vec<String> =
                text.lines().map(|line| format!("  {object} | {line}")).collect();
            lines.join("\n")
        }
        Event::GatePassed { object } => format!("  {object}: up"),
        Event::GateFailed { object, why } => format!("  {object}: did not come up: {why}"),
        Event::RolloutEnded { rollout, end } => match end {
            RolloutEnd::Done => format!("{}: done", rollout.0),
            RolloutEnd::Failed { why, .. } => format!("{}: failed: {why}", rollout.0),
            RolloutEnd::Skipped { why } => format!("{}: not tried: {why}", rollout.0),
        },
    };
    Some(line)
}

/// What is replaced by what comes next.
fn moving(event: &Event) -> Option<String> {
    match event {
        Event::StepBegan { step, object } => Some(format!("{} for {object}", step.0)),
        Event::GateWaits { object, seen } => Some(format!("{object}: waiting for {seen}")),
        Event::RolloutBegan { .. }
        | Event::WaveBegan { .. }
        | Event::StepDone { .. }
        | Event::StepFailed { .. }
        | Event::Output { .. }
        | Event::GatePassed { .. }
        | Event::GateFailed { .. }
        | Event::Untold { .. }
        | Event::RolloutEnded { .. } => None,
    }
}
