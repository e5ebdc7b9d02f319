//! Why a slot: the manifest's line, the claim and what hosts have of it, its place among the
//! fleet's hosts.

use super::{Explanation, Held, Scene, Wanted, host_of};
use crate::model::desired::Scale;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::placement::verdict::verdicts;
use crate::plan::change::Verb;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) fn why(scene: &Scene<'_, '_>, slot: &SlotId) -> Explanation {
    let claim = scene.ground.claims.get(slot);
    let claimed = claim.map(|claim| &claim.host);
    let mut told = scene.told(format!("slot {slot}"), |object| {
        object.slot() == Some(slot)
            || *object == Object::App { app: slot.app.clone() }
            || *object == Object::Group { app: slot.app.clone(), group: slot.group.clone() }
            || *object == Object::Fleet
            || host_of(object).is_some_and(|host| {
                claimed == Some(host) && !matches!(object, Object::Foreign { .. })
            })
    });
    told.changes.retain(|change| change.object.slot() == Some(slot));
    told.held.extend(claim.cloned().map(Held::Claim));
    let seen = &scene.ground.seen;
    let mains = seen.mains.get(slot).into_iter().flatten();
    let extras = seen.extras.get(slot).into_iter().flatten();
    for at in mains.chain(extras) {
        told.held.push(Held::Instance { host: at.host.clone(), instance: at.view.clone() });
    }
    let volumes = seen.volumes.iter().filter(|at| {
        let id = &at.view.spec.id;
        at.view.spec.slot == *slot
            || claim.is_some_and(|claim| claim.volumes.values().any(|v| v.id == *id))
    });
    for at in volumes {
        told.held.push(Held::Volume { host: at.host.clone(), volume: at.view.clone() });
    }
    told.wanted = wanted(scene, slot);
    let created = told
        .changes
        .iter()
        .find(|change| change.verb == Verb::Create && matches!(change.object, Object::Slot { .. }));
    let goes = created.map(|change| (change.host.clone(), change.reasons.join("; ")));
    let chosen = claimed.or(goes.as_ref().map(|(host, _)| host));
    told.hosts = hosts(scene, slot, chosen);
    told.place = match (claimed, &goes) {
        (_, Some((_, reasons))) => Some(format!("it goes {reasons}")),
        (Some(host), None) => Some(format!(
            "it was placed on {host} and is claimed there; slots never move by themselves"
        )),
        (None, None) => None,
    };
    told.known = !told.held.is_empty() || matches!(told.wanted, Wanted::By { .. });
    told
}

/// The line of the manifest that the slot comes from.
pub(super) fn wanted(scene: &Scene<'_, '_>, slot: &SlotId) -> Wanted {
    let not = |why: String| Wanted::Not { why };
    let Some(app) = scene.inputs.desired.apps.get(&slot.app) else {
        return not(format!("no manifest that was read is of app {}", slot.app));
    };
    let Some(group) = app.groups.get(&slot.group) else {
        return not(format!("{} has no group {}", app.manifest, slot.group));
    };
    let going = scene.diff.gone.iter().any(|gone| gone.claim.slot == *slot);
    let known = scene.ground.claims.contains_key(slot);
    let line = match &group.scale {
        Scale::Listed(counts) => {
            let counts: Vec<String> =
                counts.iter().map(|(region, count)| format!("{region} = {count}")).collect();
            format!("[tiedown.scale] {} = {{ {} }}", slot.group, counts.join(", "))
        }
        Scale::Unlisted { first } if known => {
            format!(
                "[tiedown.scale] does not list {}: what is there is kept ({first} is where a \
                     new group begins)",
                slot.group
            )
        }
        Scale::Unlisted { first } => {
            format!(
                "[tiedown.scale] does not list {}: a new group gets one slot in {first}",
                slot.group
            )
        }
    };
    let asked = match &group.scale {
        Scale::Listed(counts) => counts.get(&slot.region).copied().unwrap_or(0),
        Scale::Unlisted { first } => u32::from(*first == slot.region),
    };
    let asks = known || slot.number.get() <= asked;
    let is_wanted = match &group.scale {
        Scale::Listed(_) => !going && asks && asked > 0,
        Scale::Unlisted { .. } => !going && asks,
    };
    if !is_wanted {
        return not(format!("{} asks for fewer: {line}", app.manifest));
    }
    Wanted::By { file: app.manifest.clone(), line }
}

/// How the fleet's hosts stand, if it is known what would run there.
fn hosts(scene: &Scene<'_, '_>, slot: &SlotId, chosen: Option<&HostName>) -> Vec<super::Verdict> {
    let mut groups = scene.diff.groups.iter();
    let of_group = |other: &SlotId| other.app == slot.app && other.group == slot.group;
    let Some(group) =
        groups.find(|group| group.app.name == slot.app && group.group.name == slot.group)
    else {
        return Vec::new();
    };
    let Some(runs) = &group.runs else { return Vec::new() };
    let others = scene.ground.claims.values().map(|claim| (&claim.slot, &claim.host));
    let created = scene.planned.plan.changes.iter().filter_map(|change| {
        match (&change.object, change.verb) {
            (Object::Slot { slot }, Verb::Create) => Some((slot, &change.host)),
            _ => None,
        }
    });
    let others: Vec<&HostName> = others
        .chain(created)
        .filter(|(other, _)| of_group(other) && *other != slot)
        .map(|(_, host)| host)
        .collect();
    let (inputs, ground) = (scene.inputs, scene.ground);
    verdicts(inputs, ground, (group.group, runs), &slot.region, chosen, &others)
}

/// What a slot's claim says of a volume of it.
pub(super) fn source_line(scene: &Scene<'_, '_>, slot: &SlotId, source: &str) -> Option<Wanted> {
    let app = scene.inputs.desired.apps.get(&slot.app)?;
    let group = app.groups.get(&slot.group)?;
    let mount = group.mounts.values().find(|mount| mount.source.as_str() == source)?;
    let line = format!(
        "[[mounts]] source = \"{}\", destination = \"{}\", at least {}",
        mount.source, mount.destination, mount.size
    );
    Some(Wanted::By { file: app.manifest.clone(), line })
}
