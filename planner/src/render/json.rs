//! A plan and its report as programs read them: terraform's plan JSON 1.2 where it fits, so that
//! tools made for that understand it, and our own words under `tiedown`.

use super::sensitive::{is_sensitive, shown};
use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::plan::change::{Change, Verb};
use crate::plan::{ClaimAct, Plan, Rollout};
use crate::report::{Drift, Report};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// The format that terraform calls 1.2.
const FORMAT_VERSION: &str = "1.2";

/// The whole document.
#[must_use]
pub fn plan(plan: &Plan, report: &Report) -> Value {
    let summary = plan.summary();
    let moves = moves(plan);
    let changes = plan.changes.iter().map(|change| resource_change(change, &moves));
    json!({
        "format_version": FORMAT_VERSION,
        "resource_changes": changes.collect::<Vec<_>>(),
        "resource_drift": report.drift.iter().map(resource_drift).collect::<Vec<_>>(),
        "applyable": !plan.is_empty(),
        "complete": !report.leaves_wanting(),
        "errored": false,
        "tiedown": {
            "fleet": plan.fleet,
            "commit": plan.commit,
            "digest": plan.digest(),
            "summary": { "import": summary.import, "add": summary.add, "change": summary.change, "destroy": summary.destroy },
            "report": report,
            "rollouts": plan.rollouts.iter().map(rollout).collect::<Vec<_>>(),
        },
    })
}

/// Slots that the catalog remembers under another name until the plan is done: new, old.
type Moves<'a> = BTreeMap<&'a SlotId, &'a SlotId>;

fn moves(plan: &Plan) -> Moves<'_> {
    let lanes =
        plan.rollouts.iter().flat_map(|rollout| &rollout.waves).flat_map(|wave| &wave.lanes);
    let moved = lanes.filter_map(|lane| {
        let slot = lane.object.slot()?;
        let old = lane.claims_after.iter().find_map(|act| match act {
            ClaimAct::Remove { slot: removed } if removed != slot => Some(removed),
            ClaimAct::Remove { .. }
            | ClaimAct::Write(_)
            | ClaimAct::Hold { .. }
            | ClaimAct::Failed { .. }
            | ClaimAct::Loss { .. } => None,
        })?;
        Some((slot, old))
    });
    moved.collect()
}

fn resource_change(change: &Change, moves: &Moves<'_>) -> Value {
    let values = |pick: fn(&crate::plan::change::Field) -> Option<&String>| {
        let fields = change.fields.iter();
        let shown = fields.filter_map(|f| Some((f.name.clone(), shown(f, pick(f))?.into())));
        shown.collect::<Map<String, Value>>()
    };
    let sensitive = change.fields.iter().filter(|field| is_sensitive(field));
    let sensitive: Map<String, Value> =
        sensitive.map(|field| (field.name.clone(), true.into())).collect();
    let before = values(|field| field.before.as_ref());
    let after = values(|field| field.after.as_ref());
    let (actions, reason) = actions(change.verb);
    let mut value = json!({
        "address": address(&change.object),
        "type": kind(&change.object),
        "name": name(&change.object),
        "provider_name": "tiedown",
        "mode": "managed",
        "change": {
            "actions": actions,
            "before": if actions == ["create"] { Value::Null } else { before.into() },
            "after": if actions == ["delete"] { Value::Null } else { after.into() },
            "after_unknown": {},
            "before_sensitive": sensitive,
            "after_sensitive": sensitive,
        },
        "action_reason": reason,
        "host": change.host,
        "reasons": change.reasons,
    });
    if let Object::Slot { slot } = &change.object
        && let Some(old) = moves.get(slot)
    {
        let old = Object::Slot { slot: (*old).clone() };
        value["previous_address"] = address(&old).into();
    }
    if let (Verb::Adopt, Object::Volume { volume, .. }) = (change.verb, &change.object) {
        let from = change.fields.iter().find(|field| field.name == "from");
        let from = from.and_then(|field| field.after.as_deref()).unwrap_or(volume.as_str());
        value["change"]["importing"] = json!({ "id": from });
    }
    value
}

/// Terraform's actions. A redeploy is an update: nothing that holds data is replaced. A volume
/// that is put away is forgotten, not deleted.
const fn actions(verb: Verb) -> (&'static [&'static str], &'static str) {
    match verb {
        Verb::Destroy => (&["delete"], "destroy"),
        Verb::Retire => (&["forget"], "retire"),
        Verb::Remove => (&["delete"], "remove"),
        Verb::Create => (&["create"], "create"),
        Verb::TakeBack => (&["update"], "take-back"),
        Verb::Adopt => (&["update"], "adopt"),
        Verb::Redeploy => (&["update"], "redeploy"),
        Verb::Restart => (&["update"], "restart"),
        Verb::Update => (&["update"], "update"),
        Verb::Run => (&["create"], "run"),
    }
}

fn resource_drift(drift: &Drift) -> Value {
    let one = |value: &str| {
        let mut map = Map::new();
        map.insert(drift.field.clone(), value.into());
        Value::from(map)
    };
    json!({
        "address": address(&drift.object),
        "type": kind(&drift.object),
        "name": name(&drift.object),
        "change": {
            "actions": ["update"],
            "before": one(&drift.before),
            "after": one(&drift.after),
        },
        "healed": drift.healed,
    })
}

fn rollout(rollout: &Rollout) -> Value {
    let choice = rollout.strategy.as_ref();
    let waves = rollout.waves.iter().map(|wave| {
        let lanes = wave.lanes.iter().map(|lane| lane.object.to_string());
        json!({ "title": wave.title, "objects": lanes.collect::<Vec<_>>() })
    });
    json!({
        "id": rollout.id,
        "app": rollout.app,
        "group": rollout.group,
        "strategy": choice.map(|choice| choice.strategy.as_str()),
        "why": choice.map(|choice| choice.why.as_str()),
        "max_unavailable": choice.map(|choice| choice.max_unavailable),
        "slots": choice.map(|choice| choice.slots),
        "after": rollout.after,
        "waves": waves.collect::<Vec<_>>(),
    })
}

fn address(object: &Object) -> String {
    format!("{}.{}", kind(object), name(object))
}

const fn kind(object: &Object) -> &'static str {
    match object {
        Object::Fleet => "fleet",
        Object::Host { .. } => "host",
        Object::Pool { .. } => "pool",
        Object::App { .. } => "app",
        Object::Group { .. } => "group",
        Object::Slot { .. } => "slot",
        Object::Volume { .. } => "volume",
        Object::Instance { .. } => "instance",
        Object::Foreign { .. } => "foreign",
    }
}

fn name(object: &Object) -> String {
    match object {
        Object::Fleet => "fleet".into(),
        Object::Host { host } | Object::Pool { host } => host.to_string(),
        Object::App { app } => app.to_string(),
        Object::Group { app, group } => format!("{app}/{group}"),
        Object::Slot { slot } => slot.to_string(),
        Object::Volume { volume, .. } => volume.to_string(),
        Object::Instance { instance, .. } => instance.to_string(),
        Object::Foreign { name, .. } => name.clone(),
    }
}
