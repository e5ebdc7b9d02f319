//! Volumes that a person gives to a slot which is wanted: a retired one of the fleet, or what is
//! foreign. What was cut short is done to its end by asking again.

use super::volume::{claimed_by, find, object_of};
use crate::Inputs;
use crate::diff::volume::{VolumeDiff, VolumeNeed};
use crate::diff::{self, Diff, GroupDiff, No, Origin};
use crate::model::desired::Desired;
use crate::model::id::VolumeId;
use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::recover::Ground;
use crate::report::{Kind, Report};
use alloc::format;
use alloc::string::ToString;

/// Gives a retired volume to a slot, or says why not.
pub(super) fn retired<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    volume: &VolumeId,
    slot: &SlotId,
    report: &mut Report,
) -> Diff<'a> {
    let Some(at) = find(ground, volume, report) else { return Diff::default() };
    if let Some(owner) = claimed_by(ground, volume) {
        let why = format!("not adopted: it is the own of {}", owner.slot);
        let hint = "only retired volumes that are no slot's can be adopted";
        report.say(Kind::Refused, object_of(at.view), why, hint);
        return Diff::default();
    }
    let given = Origin::Adopted(at);
    let group = diff::adopt(inputs, ground, given, slot, report);
    only(group, volume.as_str(), slot, report)
}

/// What manifests ask for, as though the one of the slot named what is foreign for its only mount.
pub(super) fn naming(desired: &Desired, name: &str, slot: &SlotId) -> Desired {
    let mut desired = desired.clone();
    let app = desired.apps.get_mut(&slot.app);
    if let Some(group) = app.and_then(|app| app.groups.get_mut(&slot.group))
        && group.mounts.len() == 1
    {
        group.mounts.values_mut().for_each(|mount| mount.adopt = Some(name.to_string()));
    }
    desired
}

/// Gives what is foreign to a slot, or says why not. The inputs name it; `heard` takes what is said
/// of all else.
pub(super) fn foreign<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    name: &str,
    slot: &SlotId,
    heard: &mut Report,
    report: &mut Report,
) -> Diff<'a> {
    let group =
        diff::foreign(ground, name).and_then(|at| match begun(inputs, ground, slot, heard) {
            Some(group) => Ok(group),
            None => diff::adopt(inputs, ground, Origin::Foreign(at), slot, report),
        });
    only(group, name, slot, report)
}

/// The slot's group with only the slot, if it is claimed and still to be given its volume.
fn begun<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    slot: &SlotId,
    heard: &mut Report,
) -> Option<GroupDiff<'a>> {
    ground.claims.get(slot)?;
    let groups = diff::diff(inputs, ground, heard).groups;
    groups.into_iter().find_map(|mut group| {
        group.kept.retain(|kept| {
            let adopts = |volume: &VolumeDiff<'_>| matches!(volume.need, VolumeNeed::Adopt { .. });
            kept.claim.slot == *slot && kept.volumes.iter().any(adopts)
        });
        group.wanted.clear();
        group.strays.clear();
        (!group.kept.is_empty()).then_some(group)
    })
}

/// The group and nothing else.
fn only<'a>(
    group: Result<GroupDiff<'a>, No>,
    name: &str,
    slot: &SlotId,
    report: &mut Report,
) -> Diff<'a> {
    match group {
        Ok(group) => Diff { groups: [group].into(), ..Diff::default() },
        Err((kind, why, hint)) => {
            let object = Object::Slot { slot: slot.clone() };
            report.say(kind, object, format!("{name} is not adopted: {why}"), &hint);
            Diff::default()
        }
    }
}
