//! What may be on a host that could not be read is not brought up a second time elsewhere.

use super::walk::Walk;
use super::{Rule, Violation, World};
use crate::model::claim::Claim;
use crate::model::host::HostState;
use crate::model::instance::Role;
use crate::model::name::HostName;
use crate::model::permit::Permit;
use crate::model::slot::SlotId;
use crate::plan::ClaimAct;
use crate::plan::step::Act;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A slot goes to a host only if none that was not read may have it: one that it is claimed on,
/// or, as long as the catalog does not know all, any.
pub(super) fn unknown(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let unread = |host: &HostName| world.reading(host).is_none();
    if !world.hosts.keys().any(unread)
        && !world.claims.slots.values().any(|claim| unread(&claim.host))
    {
        return;
    }
    let corrected: BTreeMap<&SlotId, &Claim> =
        walk.plan.corrections.iter().filter_map(written).collect();
    let renamed = renamed(walk);
    for placed in walk.main() {
        let slot = match &placed.step.act {
            Act::MakeVolume { volume } | Act::AdoptVolume { volume, .. } => &volume.slot,
            Act::StartInstance { instance } if instance.role == Role::Main => &instance.slot,
            _ => continue,
        };
        let claim = corrected.get(slot).copied().or_else(|| world.claims.slots.get(slot));
        let why = match claim {
            Some(claim) => elsewhere(world, claim, &placed.step.host),
            None if renamed.contains(slot) => None,
            None => forgotten(world, unread),
        };
        if let Some(why) = why {
            found.push(Violation::new(Rule::Unknown, &placed.step.id.0, why));
        }
    }
}

fn written(act: &ClaimAct) -> Option<(&SlotId, &Claim)> {
    act.written().map(|claim| (&claim.slot, claim))
}

/// Slots that are claimed under another name until the plan is done.
fn renamed<'a>(walk: &Walk<'a>) -> BTreeSet<&'a SlotId> {
    let lanes = walk.lanes.iter().map(|placed| placed.lane);
    let renamed = lanes.filter_map(|lane| {
        let slot = lane.object.slot()?;
        let of_another = lane.claims_after.iter().any(|act| match act {
            ClaimAct::Remove { slot: removed } => removed != slot,
            ClaimAct::Write(_)
            | ClaimAct::Hold { .. }
            | ClaimAct::Failed { .. }
            | ClaimAct::Loss { .. } => false,
        });
        of_another.then_some(slot)
    });
    renamed.collect()
}

fn elsewhere(world: &World<'_>, claim: &Claim, host: &HostName) -> Option<String> {
    if claim.host == *host || world.reading(&claim.host).is_some() {
        return None;
    }
    let lost = world.hosts.get(&claim.host).is_some_and(|spec| spec.state == HostState::Lost);
    if lost && world.permits.has(Permit::Empty) {
        return None;
    }
    Some(format!("{} is claimed on {}, which could not be read", claim.slot, claim.host))
}

fn forgotten(world: &World<'_>, unread: impl Fn(&HostName) -> bool) -> Option<String> {
    if world.claims.complete || world.permits.has(Permit::Empty) {
        return None;
    }
    let host = world.hosts.keys().find(|host| unread(host))?;
    Some(format!("the catalog does not know all, and {host}, which may have it, was not read"))
}
