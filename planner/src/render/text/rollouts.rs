//! How new releases are brought out: strategy, why, who goes when, how many are down at once.

use super::Page;
use crate::model::desired::Strategy;
use crate::model::id::InstanceId;
use crate::model::instance::Role;
use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::plan::step::Act;
use crate::plan::{Choice, Lane, Plan, Wave};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Waves that are named one by one at most.
const NAMED_WAVES: usize = 6;

/// One paragraph for each rollout that has a strategy.
pub(super) fn rollouts(page: &mut Page<'_>, plan: &Plan) {
    let chosen = plan.rollouts.iter().filter_map(|rollout| {
        let choice = rollout.strategy.as_ref()?;
        Some((rollout, choice))
    });
    let mut begun = false;
    for (rollout, choice) in chosen {
        if !begun {
            page.heading("Rollouts");
            page.gap();
            begun = true;
        }
        page.line(2, &format!("{}: {}", rollout.id.0, manner(choice)));
        page.dim(6, &choice.why);
        page.dim(6, &waves(&rollout.waves));
        if !rollout.after.is_empty() {
            let after: Vec<&str> = rollout.after.iter().map(|id| id.0.as_str()).collect();
            page.dim(6, &format!("after {}", after.join(", ")));
        }
    }
}

fn manner(choice: &Choice) -> String {
    let (word, slots) = (choice.strategy.as_str(), choice.slots);
    match choice.strategy {
        Strategy::Rolling | Strategy::Canary => {
            let down = choice.max_unavailable;
            let slots = if slots == 1 { "1 slot".to_string() } else { format!("{slots} slots") };
            format!("{word}, at most {down} of {slots} down at once")
        }
        Strategy::Immediate => format!("{word}, all {slots} at once"),
        Strategy::Bluegreen => format!("{word}, a second set of {slots} first"),
    }
}

/// `ewr/1, then ewr/2 and ewr/3, then the rest in 4 waves`.
fn waves(waves: &[Wave]) -> String {
    let started: BTreeSet<&InstanceId> = waves.iter().flat_map(starts).collect();
    let named = waves.iter().map(|wave| self::wave(wave, &started));
    let named: Vec<String> = named.filter(|wave| !wave.is_empty()).collect();
    let shown = if named.len() > NAMED_WAVES { NAMED_WAVES - 1 } else { named.len() };
    let mut told = named[..shown].join(", then ");
    if shown < named.len() {
        told += &format!(", then the rest in {} waves", named.len() - shown);
    }
    told
}

fn starts(wave: &Wave) -> impl Iterator<Item = &InstanceId> {
    let steps = wave.lanes.iter().flat_map(|lane| &lane.steps);
    steps.filter_map(|step| match &step.act {
        Act::StartInstance { instance } => Some(&instance.id),
        _ => None,
    })
}

/// Who is started, or stopped for good; waves that do neither are not told.
fn wave(wave: &Wave, started: &BTreeSet<&InstanceId>) -> String {
    let extra = |lane: &&Lane| match &lane.object {
        Object::Instance { instance, .. } => started.contains(instance),
        _ => true,
    };
    let lanes = wave.lanes.iter().filter(extra);
    let places: BTreeSet<String> = lanes.filter_map(lane).collect();
    let places: Vec<String> = places.into_iter().collect();
    match places.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) if others.len() < 4 => format!("{} and {last}", others.join(", ")),
        Some(_) => format!("{} at once", places.len()),
    }
}

fn lane(lane: &Lane) -> Option<String> {
    let started = lane.steps.iter().find_map(|step| match &step.act {
        Act::StartInstance { instance } => {
            let beside = if instance.alone { "on clones of" } else { "beside" };
            Some((&instance.slot, instance.role, beside))
        }
        _ => None,
    });
    let stopped = lane.steps.iter().find_map(|step| match &step.act {
        Act::StopInstance { slot, .. } => Some(slot),
        _ => None,
    });
    let place = |slot: &SlotId| format!("{}/{}", slot.region, slot.number);
    match (started, stopped, &lane.object) {
        (Some((slot, Role::Main, _)), _, _) => Some(place(slot)),
        (Some((slot, role, beside)), _, _) => {
            Some(format!("a {} {beside} {}", role.as_str(), place(slot)))
        }
        // The extra instance that the first wave started.
        (None, Some(_), Object::Instance { .. }) => Some("what ran ahead goes".to_string()),
        (None, Some(slot), _) => Some(format!("{} goes", place(slot))),
        (None, None, _) => None,
    }
}
