//! What the policy says about drift: what moved by itself, while nobody asked for anything else,
//! is set right only where the policy says `heal`. What was asked for is no drift and is done.

use super::instance::InstanceNeed;
use super::volume::{VolumeDiff, VolumeNeed};
use super::{Diff, Kept};
use crate::Inputs;
use crate::model::instance::Supervision;
use crate::model::observed::{InstanceState, VolumeView};
use crate::model::policy::{DriftPolicy, OnDrift};
use crate::model::release::Release;
use crate::model::size::Size;

/// Takes away what would heal drift that is not to be healed.
pub(crate) fn restrain(inputs: &Inputs<'_>, diff: &mut Diff<'_>) {
    let policy = &inputs.policy.drift;
    if *policy == DriftPolicy::default() {
        return;
    }
    for group in &mut diff.groups {
        let wanted = group.runs.as_ref().map(|runs| &runs.release);
        for kept in &mut group.kept {
            instance(kept, wanted, policy);
            for volume in &mut kept.volumes {
                self::volume(volume, kept.was_moved, policy);
            }
            let drifted = supervision_drifted(kept, &group.group.supervision);
            if drifted && policy.supervision != OnDrift::Heal {
                kept.supervise = false;
            }
        }
    }
}

/// Leaves an instance as it is, and volumes that were put away, if only drift speaks for more.
fn instance(kept: &mut Kept<'_>, wanted: Option<&Release>, policy: &DriftPolicy) {
    if kept.before.applied.is_none() || kept.before.applied.as_ref() != wanted {
        return;
    }
    let away = |volume: &VolumeDiff<'_>| match volume.need {
        VolumeNeed::TakeBack { .. } => true,
        VolumeNeed::Make { begun, .. } => begun && volume.claimed > Size::ZERO,
        VolumeNeed::Nothing
        | VolumeNeed::Grow { .. }
        | VolumeNeed::Adopt { .. }
        | VolumeNeed::Retire
        | VolumeNeed::Stay
        | VolumeNeed::Lost => false,
    };
    let any_away = kept.volumes.iter().any(away);
    let ended = kept.main.is_some_and(|main| match main.state {
        InstanceState::Failed { .. } | InstanceState::Died { .. } | InstanceState::Stopped => true,
        InstanceState::Running | InstanceState::Restarting | InstanceState::Finished => false,
    });
    let field = match &kept.instance {
        InstanceNeed::Start => policy.state,
        InstanceNeed::Restart { .. } if ended || any_away => policy.state,
        InstanceNeed::Redeploy { .. } => policy.release,
        InstanceNeed::Restart { .. } | InstanceNeed::Confirm | InstanceNeed::Nothing => return,
    };
    if field == OnDrift::Heal {
        return;
    }
    kept.instance = InstanceNeed::Nothing;
    for volume in kept.volumes.iter_mut().filter(|volume| away(volume)) {
        volume.need = VolumeNeed::Nothing;
    }
}

fn volume(volume: &mut VolumeDiff<'_>, was_moved: bool, policy: &DriftPolicy) {
    if let VolumeNeed::Grow { to } = volume.need {
        let shrank = volume.size_now() < volume.claimed;
        // Larger than what was applied is asked for, and asking is no drift.
        if shrank && to == volume.claimed && policy.size != OnDrift::Heal {
            volume.need = VolumeNeed::Nothing;
        }
    }
    if marks_drifted(volume, was_moved) && policy.marks != OnDrift::Heal {
        volume.marks = None;
    }
}

/// Whether the instance is kept running otherwise than was applied, though what is asked for is
/// what was applied.
pub(crate) fn supervision_drifted(kept: &Kept<'_>, wanted: &Supervision) -> bool {
    let applied = kept.before.supervision.as_ref();
    applied == Some(wanted) && kept.main.is_some_and(|main| main.supervision != *wanted)
}

/// Whether an attached volume carries other marks than were applied, though what is asked for is
/// what was applied.
pub(crate) fn marks_drifted(volume: &VolumeDiff<'_>, was_moved: bool) -> bool {
    let (Some(marks), Some(VolumeView { spec, .. })) = (&volume.marks, volume.view) else {
        return false;
    };
    let keeping = volume.kept_as == Some(marks.keeping) && spec.keeping != marks.keeping;
    let named = spec.slot != marks.slot || spec.source != marks.source;
    let asked = volume.kept_as.is_some_and(|applied| applied != marks.keeping);
    !asked && (keeping || named && !was_moved)
}
