//! What is marked with a slot and is not its own: instances and volumes elsewhere, and extra
//! instances that earlier deploys left.

use super::group::Scope;
use super::volume::VolumeDiff;
use super::{Current, GroupDiff, Stray};
use crate::model::claim::Claim;
use crate::model::id::VolumeId;
use crate::model::instance::Role;
use crate::model::observed::{InstanceView, VolumeView};
use crate::model::slot::SlotId;
use crate::recover::At;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Instances and volumes that are marked with the slot and are not its own.
pub(super) fn find_strays<'a>(
    scope: &Scope<'a, '_>,
    claim: &Claim,
    volumes: &[VolumeDiff<'_>],
    main: Option<&InstanceView>,
    group: &mut GroupDiff<'a>,
) {
    let seen = &scope.ground.seen;
    let own = |at: &At<'a, InstanceView>| {
        *at.host == claim.host && main.is_some_and(|main| main.id == at.view.id)
    };
    let mains = seen.mains.get(&claim.slot).into_iter().flatten();
    let mains: Vec<_> = mains.filter(|at| !own(at)).copied().collect();
    let known: BTreeSet<&VolumeId> = volumes.iter().map(|volume| &volume.id).collect();
    let is_known =
        |at: &At<'a, VolumeView>| *at.host == claim.host && known.contains(&at.view.spec.id);
    let attached = seen.attached.get(&claim.slot).into_iter().flatten();
    let attached: Vec<_> = attached.filter(|at| !is_known(at)).copied().collect();
    if !mains.is_empty() || !attached.is_empty() {
        let why = "it is of a slot that has its own elsewhere";
        let slot = claim.slot.clone();
        group.strays.push(Stray { slot, instances: mains, volumes: attached, why });
    }
    find_leftovers(scope, &claim.slot, group);
}

/// Extra instances beside a slot that have no business any more.
pub(super) fn find_leftovers<'a>(scope: &Scope<'a, '_>, slot: &SlotId, group: &mut GroupDiff<'a>) {
    let extras = scope.ground.seen.extras.get(slot).into_iter().flatten();
    let current = group.released.as_ref();
    let left: Vec<_> = extras
        .filter(|at| is_leftover(at.view, current) && !scope.ground.seen.is_on_clone(at))
        .copied()
        .collect();
    let (ran, left): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|at| at.view.role == Role::Release);
    let whys = ["it was left behind by an earlier deploy", "it ran for another release"];
    for (instances, why) in [left, ran].into_iter().zip(whys).filter(|(all, _)| !all.is_empty()) {
        let slot = slot.clone();
        group.strays.push(Stray { slot, instances, volumes: Vec::new(), why });
    }
}

/// Whether an extra instance has no business any more: what a deploy left behind, a run on demand
/// that ended, the release command of another release than `current`.
fn is_leftover(view: &InstanceView, current: Option<&Current>) -> bool {
    match view.role {
        Role::Canary | Role::Green => true,
        Role::Run => !view.state.is_alive(),
        Role::Release => {
            let old = match current {
                None => false,
                Some(Current::None) => true,
                Some(Current::Command(release)) => view.release != *release,
            };
            old && !view.state.is_alive()
        }
        Role::Main => false,
    }
}
