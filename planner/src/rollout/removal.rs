//! What goes: slots whose volumes are retired, retired volumes whose time has come, and objects
//! that are in nobody's place.

use super::{step, wording};
use crate::diff::{Doomed, Gone, Stray};
use crate::model::instance::Role;
use crate::model::object::Object;
use crate::plan::change::Change;
use crate::plan::{ClaimAct, Gate, Lane};
use alloc::vec;
use alloc::vec::Vec;

/// Stops a slot's instances, retires its volumes and forgets it.
pub(super) fn remove(gone: &Gone<'_>, changes: &mut Vec<Change>) -> Lane {
    let claim = &gone.claim;
    changes.push(wording::removed(claim, gone));
    let mut steps: Vec<_> =
        gone.instances.iter().map(|at| step::stop_instance(at.host, at.view)).collect();
    let mut claims_after = vec![ClaimAct::Remove { slot: claim.slot.clone() }];
    claims_after.extend(gone.moved_from.clone().map(|slot| ClaimAct::Remove { slot }));
    for at in &gone.volumes {
        changes.push(wording::retired(at.host, &claim.slot, at.view, "its slot is removed"));
        steps.push(step::retire_volume(at.host, at.view));
        claims_after.push(ClaimAct::Loss { app: claim.slot.app.clone() });
    }
    lane(Object::Slot { slot: claim.slot.clone() }, steps, claims_after)
}

/// Whether it is a second set of a slot that has its own elsewhere, not an extra instance.
pub(super) fn is_copy(stray: &Stray<'_>) -> bool {
    !stray.volumes.is_empty() || stray.instances.iter().any(|at| at.view.role == Role::Main)
}

/// Stops and retires what is in nobody's place.
pub(super) fn clear(stray: &Stray<'_>, changes: &mut Vec<Change>) -> Lane {
    let mut steps = Vec::new();
    for at in &stray.instances {
        changes.push(wording::cleared(at.host, &stray.slot, at.view, stray.why));
        steps.push(step::stop_instance(at.host, at.view));
    }
    let mut claims_after = Vec::new();
    for at in &stray.volumes {
        changes.push(wording::retired(at.host, &stray.slot, at.view, stray.why));
        steps.push(step::retire_volume(at.host, at.view));
        claims_after.push(ClaimAct::Loss { app: stray.slot.app.clone() });
    }
    let slot = stray.slot.clone();
    let object = match stray.instances.first() {
        Some(at) if !is_copy(stray) => Object::Instance { slot, instance: at.view.id.clone() },
        Some(_) | None => Object::Slot { slot },
    };
    lane(object, steps, claims_after)
}

/// Destroys a retired volume.
pub(super) fn destroy(doomed: &Doomed<'_>, changes: &mut Vec<Change>) -> Lane {
    let view = doomed.at.view;
    let change = wording::destroyed(doomed);
    let object = change.object.clone();
    changes.push(change);
    let steps = vec![step::destroy_volume(doomed.at.host, view, doomed.since)];
    lane(object, steps, vec![ClaimAct::Loss { app: view.spec.slot.app.clone() }])
}

/// A lane without a gate, that writes no claim before.
pub(super) fn lane(
    object: Object,
    steps: Vec<crate::plan::step::Step>,
    claims_after: Vec<ClaimAct>,
) -> Lane {
    Lane {
        object,
        claims_before: Vec::new(),
        steps,
        gate: Gate::Open,
        claims_after,
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: Vec::new(),
    }
}
