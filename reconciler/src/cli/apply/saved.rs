//! Saved plans: whether one may still be applied, and what is left of it in the world as it is.

use super::super::error::{Refused, Stale};
use super::super::global::Global;
use super::super::output::Output;
use crate::pass::{Ask, Looked};
use crate::repository::Repository;
use crate::repository::snapshot::Snapshot;
use anyhow::Context;
use executor::apply::{Failure, Skipped};
use planner::check::{Rule, Violation};
use planner::document::SavedPlan;
use planner::model::observed::HostView;
use planner::model::time::Timestamp;
use planner::remainder::{Remainder, remainder};
use std::path::Path;

pub(super) fn read(path: &Path) -> anyhow::Result<SavedPlan> {
    let what = || format!("cannot use the saved plan {}", path.display());
    let text = std::fs::read_to_string(path).with_context(what)?;
    SavedPlan::from_json(text).with_context(what)
}

/// A saved plan is for the commit it was made from; the one that is asked for now must mean the
/// same for the apps in it.
pub(super) async fn same_source(
    saved: &SavedPlan,
    ask: &Ask<'_>,
    repository: &Repository,
    global: &Global,
    looked: &Looked,
) -> anyhow::Result<()> {
    let refused = |message: String| Refused { message, hint: "plan again".to_owned() };
    if saved.plan.fleet != ask.settings.fleet {
        let message = format!("the plan is for the fleet {}", saved.plan.fleet);
        return Err(refused(message).into());
    }
    let now: Snapshot<'_> = global.snapshot(repository)?;
    if now.commit() == ask.snapshot.commit() && saved.plan.commit.is_some() {
        return Ok(());
    }
    let asked = Ask { snapshot: &now, ..*ask }.look().await?;
    for app in saved.plan.apps() {
        let same = asked.desired.apps.get(app) == looked.desired.apps.get(app)
            && asked.artifacts.get(app) == looked.artifacts.get(app);
        if !same {
            let message =
                format!("{} means something else for app {app} than the plan", now.name());
            return Err(refused(message).into());
        }
    }
    Ok(())
}

/// Puts in place of the plan what is left of it, and says which objects it is too late for.
///
/// # Errors
/// [`Stale`] if it is too late for all that is not so already.
pub(super) fn judge(saved: &SavedPlan, looked: &mut Looked, output: Output) -> anyhow::Result<()> {
    let moments = looked.observed.values().map(|view| match view {
        HostView::Read(reading) => reading.at,
        HostView::Unread { .. } => Timestamp::default(),
    });
    let at = moments.max().unwrap_or_default();
    let left = remainder(&saved.plan, &saved.claims, &looked.observed, &looked.claims, at);
    let Remainder { plan, stale, skipped, done } = left;
    let found = |stale: &planner::remainder::Stale| format!("{}: {}", stale.object, stale.found);
    if plan.is_empty() && !stale.is_empty() {
        let found = stale.iter().map(found).collect::<Vec<_>>().join("; ");
        return Err(Stale { found }.into());
    }
    for stale in &stale {
        output.warn(&format!("stale, so left alone: {}", found(stale)));
    }
    if plan.is_empty() {
        output.say(&format!("nothing is left to do: all {done} objects are as the plan wants"));
    }
    looked.plan = plan;
    looked.behind = stale
        .into_iter()
        .map(|stale| Failure {
            object: stale.object,
            step: stale.step,
            why: stale.found,
            stale: true,
        })
        .collect();
    looked.not_tried = skipped
        .into_iter()
        .map(|skipped| Skipped { object: skipped.object, why: skipped.why })
        .collect();
    Ok(())
}

/// What is left of a saved plan was sound when it was made. If it is not now, then a person has
/// not allowed it here, or the world has moved.
pub(super) fn unsound(violations: &[Violation]) -> anyhow::Error {
    let told = violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let forbidden = violations
        .iter()
        .any(|found| matches!(found.rule, Rule::Destroy | Rule::MaxLoss | Rule::Replace));
    if forbidden {
        let hint = "a saved plan takes --allow-destroy or --allow-empty again when it is applied";
        let message = format!("what is left of the plan is not allowed: {told}");
        return Refused { message, hint: hint.to_owned() }.into();
    }
    Stale { found: told }.into()
}
