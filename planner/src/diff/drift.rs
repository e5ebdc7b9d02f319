//! Drift: what hosts have that differs from what was applied last, though nobody asked for it.
//! What was never applied cannot drift.

use super::instance::InstanceNeed;
use super::restrain::supervision_drifted;
use super::volume::{VolumeDiff, VolumeNeed};
use super::{Diff, GroupDiff, Kept};
use crate::Inputs;
use crate::model::instance::{Restart, Supervision};
use crate::model::object::Object;
use crate::model::observed::InstanceState;
use crate::model::policy::{DriftPolicy, OnDrift};
use crate::model::release::Release;
use crate::model::size::Size;
use crate::model::volume::{Keeping, OnRemove, VolumeState};
use crate::recover::Ground;
use crate::report::{Drift, Report};
use alloc::format;
use alloc::string::{String, ToString};

/// Reports all drift of slots that stay, but for what the policy ignores.
pub(crate) fn drift(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    diff: &Diff<'_>,
    report: &mut Report,
) {
    let policy = &inputs.policy.drift;
    let mut told = Report::default();
    for group in &diff.groups {
        for kept in &group.kept {
            let slot = &kept.claim.slot;
            let remembered = ground.moved.get(slot).unwrap_or(slot);
            if !inputs.claims.slots.contains_key(remembered) {
                report.history_unknown.push(slot.clone());
                continue;
            }
            instance(group, kept, &mut told);
            supervision(group, kept, &mut told);
            for volume in &kept.volumes {
                volume_drift(kept, volume, &mut told);
                marks(kept, volume, &mut told);
            }
        }
    }
    report.drift = told.drift;
    report.drift.retain(|drift| class(policy, &drift.field) != OnDrift::Ignore);
    report.history_unknown.sort();
}

/// What the policy says of a field, by the name that drift gives it.
fn class(policy: &DriftPolicy, field: &str) -> OnDrift {
    match field {
        "release" => policy.release,
        "size" => policy.size,
        "supervision" => policy.supervision,
        "slot" | "source" | "on_remove" | "retention" | "protect" => policy.marks,
        _ => policy.state,
    }
}

fn supervision(group: &GroupDiff<'_>, kept: &Kept<'_>, report: &mut Report) {
    let wanted = &group.group.supervision;
    let Some(main) = kept.main.filter(|_| supervision_drifted(kept, wanted)) else { return };
    let words = |supervision: &Supervision| {
        let restart = match supervision.restart {
            Restart::Always => "always".to_string(),
            Restart::OnFailure { retries } => format!("on failure, {retries} times"),
            Restart::Never => "never".to_string(),
        };
        let Supervision { kill_signal, kill_timeout, .. } = supervision;
        format!("restart {restart}; {kill_signal}, then {kill_timeout}")
    };
    report.drift.push(Drift {
        object: Object::Slot { slot: kept.claim.slot.clone() },
        field: "supervision".to_string(),
        before: words(wanted),
        after: words(&main.supervision),
        healed: kept.supervise || kept.instance != InstanceNeed::Nothing,
    });
}

/// How the volume is to be kept, where its marks say something else than was applied.
fn marks(kept: &Kept<'_>, volume: &VolumeDiff<'_>, report: &mut Report) {
    let (Some(mount), Some(view)) = (volume.mount, volume.view) else { return };
    let (applied, found) = (mount.keeping, view.spec.keeping);
    if volume.kept_as != Some(applied) || view.state != VolumeState::Attached {
        return;
    }
    let on_remove = |keeping: Keeping| match keeping.on_remove {
        OnRemove::Retain => "retain".to_string(),
        OnRemove::Destroy => "destroy".to_string(),
    };
    let fields = [
        ("on_remove", on_remove(applied), on_remove(found)),
        ("retention", applied.retention.to_string(), found.retention.to_string()),
        ("protect", applied.protect.to_string(), found.protect.to_string()),
    ];
    for (field, before, after) in fields.into_iter().filter(|(_, a, b)| a != b) {
        let (object, field) = (kept.claim.volume_object(volume), field.to_string());
        let healed = volume.marks.is_some();
        report.drift.push(Drift { object, field, before, after, healed });
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
    // What was never made, or is still to be adopted, was never as it should be.
    if volume.claimed == Size::ZERO || matches!(volume.need, VolumeNeed::Adopt { .. }) {
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
                VolumeNeed::TakeBack { .. }
                | VolumeNeed::Adopt { .. }
                | VolumeNeed::Make { .. } => kept.instance != InstanceNeed::Nothing,
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
