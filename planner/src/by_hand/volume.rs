//! Volumes by hand: a retired one is destroyed when all say so.

use crate::Inputs;
use crate::diff::{Diff, Doomed, age};
use crate::model::claim::Claim;
use crate::model::id::VolumeId;
use crate::model::object::Object;
use crate::model::observed::VolumeView;
use crate::model::permit::Permit;
use crate::model::time::{Millis, Timestamp};
use crate::model::volume::{OnRemove, VolumeState};
use crate::recover::{At, Ground};
use crate::report::{Kind, Report};
use alloc::format;
use alloc::string::{String, ToString};

/// Dooms one retired volume, or says who is against it.
pub(super) fn destroy<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    volume: &VolumeId,
    report: &mut Report,
) -> Diff<'a> {
    let mut diff = Diff::default();
    let Some(at) = find(ground, volume, report) else { return diff };
    match against(inputs, ground, at) {
        Ok(since) => diff.doomed.push(Doomed { at, since, age: age(ground, at) }),
        Err((why, hint)) => {
            report.say(Kind::Refused, object_of(at.view), format!("not destroyed: {why}"), &hint);
        }
    }
    diff
}

pub(super) fn object_of(view: &VolumeView) -> Object {
    let spec = &view.spec;
    Object::Volume { slot: spec.slot.clone(), source: spec.source.clone(), volume: spec.id.clone() }
}

/// The claim of the slot whose own it is.
pub(super) fn claimed_by<'g>(ground: &'g Ground<'_>, volume: &VolumeId) -> Option<&'g Claim> {
    let mut claims = ground.claims.values();
    claims.find(|claim| claim.volumes.values().any(|claimed| claimed.id == *volume))
}

/// The volume, on whichever host has it.
pub(super) fn find<'a>(
    ground: &Ground<'a>,
    volume: &VolumeId,
    report: &mut Report,
) -> Option<At<'a, VolumeView>> {
    let found = ground.seen.volumes.iter().find(|at| at.view.spec.id == *volume).copied();
    if found.is_none() {
        let (kind, why) = match ground.all_read {
            true => (Kind::Refused, format!("no host has a volume {volume} of the fleet")),
            false => (Kind::Unknown, format!("no host that could be read has a volume {volume}")),
        };
        report.say(kind, Object::Fleet, why, "`tiedown volumes list` shows volumes");
    }
    found
}

/// Who is against destroying the volume, and what would change that; else since when it has been
/// retired.
fn against(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    at: At<'_, VolumeView>,
) -> Result<Timestamp, (String, String)> {
    let VolumeView { spec, state, .. } = at.view;
    let keeping = spec.keeping;
    let no = |why: String, hint: &str| Err((why, hint.to_string()));
    if let Some(owner) = claimed_by(ground, &spec.id) {
        let why = format!("it is the own of {}", owner.slot);
        return no(why, "only retired volumes are destroyed; take its slot off first");
    }
    let since = match state {
        VolumeState::Retired { since } => *since,
        VolumeState::Erasing => Timestamp::default(),
        VolumeState::Making if at.view.is_half_made() => Timestamp::default(),
        VolumeState::Making | VolumeState::Attached => {
            let why = format!("it is {}, and only retired volumes are destroyed", state.as_str());
            return no(why, "take its slot or its mount off first");
        }
    };
    let reading = ground.trusted.get(at.host).map(|host| host.reading);
    if let Some(copy) = reading.and_then(|reading| reading.copy_of(&spec.id)) {
        let (kind, copy) = (copy.spec.kind.as_str(), &copy.spec.id);
        let why = format!("its {kind} {copy} keeps its data readable");
        return no(why, &format!("tiedown volumes destroy {copy}"));
    }
    if keeping.protect && !at.view.is_half_made() {
        let hint = "say protect = false for it, adopt it into a slot so that it is marked anew, \
                    and take that off again";
        return no("it is protected".to_string(), hint);
    }
    let left = Millis(keeping.retention.0.saturating_sub(age(ground, at).unwrap_or_default().0));
    let kept = matches!(state, VolumeState::Retired { .. });
    if left.0 > 0 && kept {
        let why = format!("it is kept for {}, of which {left} are left", keeping.retention);
        return no(why, "wait until then");
    }
    if !inputs.permits.has(Permit::Destroy) {
        return no("nobody allowed it".to_string(), "allow it with --allow-destroy");
    }
    if keeping.on_remove == OnRemove::Retain && !inputs.permits.has(Permit::Retained) {
        return no(
            "it is to be kept until a person destroys it".to_string(),
            "`tiedown volumes destroy` names it",
        );
    }
    Ok(since)
}
