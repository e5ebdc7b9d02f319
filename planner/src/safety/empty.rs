//! No app gets an empty volume in the very plan that detaches one with its data.

use crate::Inputs;
use crate::diff::instance::InstanceNeed;
use crate::diff::volume::{VolumeDiff, VolumeNeed, has_data};
use crate::diff::{Diff, GroupDiff, Kept, Origin};
use crate::model::desired::Move;
use crate::model::name::{AppName, GroupName, SourceName};
use crate::model::object::Object;
use crate::model::permit::Permit;
use crate::recover::Ground;
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

type Volumes = BTreeSet<(GroupName, SourceName)>;

/// Drops volume changes of apps that would lose data and start empty, unless it is allowed.
pub(super) fn guard(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    diff: &mut Diff<'_>,
    report: &mut Report,
) {
    if inputs.permits.has(Permit::Empty) {
        return;
    }
    // An app that asked for another's volumes and does not get them does not start without.
    let asked_in_vain = |line: &Move| match line {
        Move::App { from } => ground.renames.holds_app(from),
        Move::Group { .. } | Move::Source { .. } => false,
    };
    for group in &mut diff.groups {
        if group.app.moved.iter().any(asked_in_vain) {
            diff.pending.insert(group.app.name.clone());
            hold(group);
        }
    }
    for group in &mut diff.groups {
        if leave_apart(ground, group, report) {
            diff.pending.insert(group.app.name.clone());
        }
    }
    let losing = losing(diff);
    let making = making(diff);
    for (app, lost) in &losing {
        if let Some(made) = making.get(app) {
            refuse(diff, app, why_same(lost, made), report);
            continue;
        }
        if inputs.desired.apps.contains_key(app) {
            continue;
        }
        // That the other is there already does not count: it may have come up without volumes in
        // an earlier pass. It is new as long as it never had one.
        let twin = making.iter().find(|(other, made)| {
            !made.is_disjoint(lost) && !had_volumes(inputs, other) && !losing.contains_key(*other)
        });
        if let Some((other, _)) = twin {
            let why = (
                format!(
                    "app {app} goes with its data while {other} starts empty with the same volumes"
                ),
                format!(
                    "if it was renamed, say moved = [\"{app}\"] in {other}; else --allow-empty"
                ),
            );
            refuse(diff, app, why.clone(), report);
            refuse(diff, other, why, report);
            // A rename is done as a whole or not at all.
            diff.gone.retain(|gone| gone.claim.slot.app != *app);
            if !inputs.claims.apps.contains_key(other) {
                let groups = diff.groups.iter_mut().filter(|group| group.app.name == *other);
                groups.for_each(|group| group.wanted.clear());
            }
        }
    }
}

/// Leaves slots alone that are claimed in one place, where nothing was made yet, and have their
/// data in another: it was given up once, and is back; or may have it in another, of which nothing
/// is remembered. Whether there are any.
fn leave_apart(ground: &Ground<'_>, group: &mut GroupDiff<'_>, report: &mut Report) -> bool {
    let mut any = false;
    for kept in &mut group.kept {
        let made = kept.volumes.iter().filter(|volume| starts_empty(volume));
        let made: BTreeSet<&SourceName> = made.map(|volume| &volume.source).collect();
        if !made.is_empty() && !ground.may_place {
            any |= hold_volumes(kept);
            continue;
        }
        let slot = &kept.claim.slot;
        let strays = group.strays.iter().filter(|stray| stray.slot == *slot);
        let mut there = strays.flat_map(|stray| &stray.volumes);
        let data = there.find(|at| made.contains(&at.view.spec.source) && has_data(at.view));
        let Some(at) = data else { continue };
        let why = format!(
            "its data ({}) is on {}, and it would start empty on {}",
            at.view.spec.id, at.host, kept.claim.host
        );
        let hint = "with --allow-empty it does, and the volume with data is retired";
        report.say(Kind::Refused, Object::Slot { slot: slot.clone() }, why, hint);
        group.strays.retain(|stray| stray.slot != *slot);
        any |= hold_volumes(kept);
    }
    any
}

/// Whether the volume of a slot that stays would be made empty, and nobody asked for that.
fn starts_empty(volume: &VolumeDiff<'_>) -> bool {
    match volume.need {
        VolumeNeed::Make { .. } => volume.mount.is_none_or(|mount| !mount.fresh),
        VolumeNeed::Nothing
        | VolumeNeed::Grow { .. }
        | VolumeNeed::TakeBack { .. }
        | VolumeNeed::Adopt { .. }
        | VolumeNeed::Retire
        | VolumeNeed::Stay
        | VolumeNeed::Lost => false,
    }
}

/// Whether the app was ever given a volume.
fn had_volumes(inputs: &Inputs<'_>, app: &AppName) -> bool {
    inputs.claims.incarnations.keys().any(|(slot, _)| slot.app == *app)
}

/// Volumes with data that would be detached, by app.
fn losing(diff: &Diff<'_>) -> BTreeMap<AppName, Volumes> {
    let mut losing: BTreeMap<AppName, Volumes> = BTreeMap::new();
    for gone in &diff.gone {
        let slot = &gone.claim.slot;
        for at in gone.volumes.iter().filter(|at| has_data(at.view)) {
            let volume = (slot.group.clone(), at.view.spec.source.clone());
            losing.entry(slot.app.clone()).or_default().insert(volume);
        }
    }
    for group in &diff.groups {
        for volume in group.kept.iter().flat_map(|kept| &kept.volumes) {
            if volume.need == VolumeNeed::Retire && volume.view.is_some_and(has_data) {
                let volume = (group.group.name.clone(), volume.source.clone());
                losing.entry(group.app.name.clone()).or_default().insert(volume);
            }
        }
    }
    losing
}

/// Volumes that would be made empty, by app. One whose mount says `fresh` was asked for.
fn making(diff: &Diff<'_>) -> BTreeMap<AppName, Volumes> {
    let mut making: BTreeMap<AppName, Volumes> = BTreeMap::new();
    for group in &diff.groups {
        let wanted = group.wanted.iter().flat_map(|wanted| &wanted.volumes);
        let wanted = wanted
            .filter(|volume| matches!(volume.origin, Origin::Empty) && !volume.mount.fresh)
            .map(|volume| volume.mount.source.clone());
        let kept = group.kept.iter().flat_map(|kept| &kept.volumes);
        let kept = kept.filter(|volume| starts_empty(volume)).map(|volume| volume.source.clone());
        for source in wanted.chain(kept) {
            let volume = (group.group.name.clone(), source);
            making.entry(group.app.name.clone()).or_default().insert(volume);
        }
    }
    making
}

/// The reason and the hint for an app that would lose and make volumes at once.
fn why_same(lost: &Volumes, made: &Volumes) -> (String, String) {
    let list = |volumes: &Volumes| {
        let names: alloc::vec::Vec<_> =
            volumes.iter().map(|(group, source)| format!("{group}/{source}")).collect();
        names.join(", ")
    };
    if lost == made {
        return (
            format!(
                "{} would start empty in another place while the one with data is put away",
                list(made)
            ),
            "until volumes can move, scale up first and copy the data, or --allow-empty".into(),
        );
    }
    let hint = match (lost.iter().find(|v| !made.contains(*v)), made.iter().next()) {
        (Some((old_group, _)), Some((new_group, _))) if old_group != new_group => {
            format!(
                "if the group was renamed, say moved = [\"group:{old_group}={new_group}\"]; else --allow-empty"
            )
        }
        (Some((_, old)), Some((_, new))) => {
            format!(
                "if the volume was renamed, say moved = [\"source:{old}={new}\"]; else --allow-empty"
            )
        }
        (None | Some(_), None) | (None, Some(_)) => "allow it with --allow-empty".into(),
    };
    (
        format!("{} would be put away with its data while {} starts empty", list(lost), list(made)),
        hint,
    )
}

fn refuse(diff: &mut Diff<'_>, app: &AppName, (why, hint): (String, String), report: &mut Report) {
    diff.pending.insert(app.clone());
    diff.gone.retain(|gone| gone.claim.slot.app != *app || gone.claim.volumes.is_empty());
    for group in diff.groups.iter_mut().filter(|group| group.app.name == *app) {
        hold(group);
    }
    report.say(Kind::Refused, Object::App { app: app.clone() }, why, &hint);
}

/// Leaves the volumes of the group as they are, and the instances that depend on them.
fn hold(group: &mut GroupDiff<'_>) {
    group.wanted.retain(|wanted| !wanted.makes_empty());
    for kept in &mut group.kept {
        hold_volumes(kept);
    }
}

/// Leaves the volumes of a slot as they are, and the instance if it depends on one. Whether any
/// was to be put away or made.
fn hold_volumes(kept: &mut Kept<'_>) -> bool {
    let mut held = false;
    for volume in &mut kept.volumes {
        match volume.need {
            VolumeNeed::Retire | VolumeNeed::Make { .. } => {
                volume.need = VolumeNeed::Stay;
                held = true;
            }
            VolumeNeed::Nothing
            | VolumeNeed::Grow { .. }
            | VolumeNeed::TakeBack { .. }
            | VolumeNeed::Adopt { .. }
            | VolumeNeed::Stay
            | VolumeNeed::Lost => {}
        }
    }
    if held {
        kept.instance = InstanceNeed::Nothing;
    }
    held
}
