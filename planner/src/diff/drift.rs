//! Drift: what hosts have that differs from what was applied last, though nobody asked for it.
//! What was never applied cannot drift.

use super::instance::InstanceNeed;
use super::volume::{VolumeDiff, VolumeNeed};
use super::{Diff, GroupDiff, Kept};
use crate::model::object::Object;
use crate::model::observed::InstanceState;
use crate::model::release::Release;
use crate::model::size::Size;
use crate::model::volume::VolumeState;
use crate::report::{Drift, Report};
use alloc::format;
use alloc::string::{String, ToString};

/// Reports all drift of slots that stay.
pub(crate) fn drift(diff: &Diff<'_>, report: &mut Report) {
    for group in &diff.groups {
        for kept in &group.kept {
            instance(group, kept, report);
            for volume in &kept.volumes {
                volume_drift(kept, volume, report);
            }
        }
    }
}

fn instance(group: &GroupDiff<'_>, kept: &Kept<'_>, report: &mut Report) {
    let Some(applied) = &kept.before.applied else { return };
    let object = || Object::Slot { slot: kept.claim.slot.clone() };
    let healed = kept.instance != InstanceNeed::Nothing;
    let mut say = |field: &str, before: String, after: String| {
        let (object, field) = (object(), field.to_string());
        report.drift.push(Drift { object, field, before, after, healed });
    };
    let Some(main) = kept.main else {
        return say("instance", format!("runs {applied}"), "absent".to_string());
    };
    let tried = kept.before.failed.as_ref().map(|failed| &failed.release);
    if tried == Some(&main.release) {
        // That it failed is remembered, and is said elsewhere.
        return;
    }
    match &main.state {
        InstanceState::Failed { why } | InstanceState::Died { why } => {
            let after = format!("{}: {why}", main.state.as_str());
            say("state", "running".to_string(), after);
        }
        InstanceState::Stopped => say("state", "running".to_string(), "stopped".to_string()),
        InstanceState::Running | InstanceState::Restarting | InstanceState::Finished => {}
    }
    let wanted = group.runs.as_ref().map(|runs| &runs.release);
    let ours = |release: &Release| release == applied || Some(release) == wanted;
    if !ours(&main.release) {
        say("release", applied.to_string(), main.release.to_string());
    }
}

fn volume_drift(kept: &Kept<'_>, volume: &VolumeDiff<'_>, report: &mut Report) {
    if volume.claimed == Size::ZERO {
        return;
    }
    let mut say = |field: &str, before: String, after: String, healed: bool| {
        let (object, field) = (kept.claim.volume_object(volume), field.to_string());
        report.drift.push(Drift { object, field, before, after, healed });
    };
    let attached = VolumeState::Attached.as_str().to_string();
    let Some(view) = volume.view else {
        return say("state", attached, "absent".to_string(), false);
    };
    match view.state {
        VolumeState::Attached => {}
        VolumeState::Making | VolumeState::Retired { .. } | VolumeState::Erasing => {
            let healed = match volume.need {
                VolumeNeed::TakeBack { .. } | VolumeNeed::Make { .. } => {
                    kept.instance != InstanceNeed::Nothing
                }
                VolumeNeed::Nothing
                | VolumeNeed::Grow { .. }
                | VolumeNeed::Retire
                | VolumeNeed::Stay
                | VolumeNeed::Lost => false,
            };
            say("state", attached, view.state.as_str().to_string(), healed);
        }
    }
    let (before, after) = (volume.claimed, view.spec.size);
    // A growth that was cut short before it was remembered is not drift.
    let ours = before < after && after == volume.wanted;
    if before != after && !ours {
        let healed = after < before && volume.size() >= before;
        say("size", before.to_string(), after.to_string(), healed);
    }
    let (slot, marked) = (&kept.claim.slot, &view.spec.slot);
    if kept.was_moved || slot == marked {
        return;
    }
    say("slot", slot.to_string(), marked.to_string(), volume.marks.is_some());
}
