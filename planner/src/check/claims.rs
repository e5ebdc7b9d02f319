//! Claims, ids, incarnations and addresses: what the catalog must know before a host acts.

use super::walk::{Placed, Walk};
use super::{Rule, Violation, World};
use crate::model::claim::Claim;
use crate::model::id::{Incarnation, InstanceId, VolumeId};
use crate::model::instance::Role;
use crate::model::name::{HostName, SourceName};
use crate::model::slot::SlotId;
use crate::model::volume::VolumeSpec;
use crate::plan::ClaimAct;
use crate::plan::step::Act;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What is made, taken back or started is in the slot's claim by then.
pub(super) fn before_acts(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for placed in walk.main() {
        let host = &placed.step.host;
        let why = match &placed.step.act {
            Act::MakeVolume { volume } | Act::AdoptVolume { volume, .. } => {
                let incarnation = Some(volume.incarnation);
                unclaimed(
                    walk,
                    world,
                    placed,
                    (&volume.slot, &volume.source, &volume.id),
                    incarnation,
                )
            }
            Act::TakeBackVolume { volume, marks } => {
                unclaimed(walk, world, placed, (&marks.slot, &marks.source, volume), None)
            }
            Act::StartInstance { instance } if instance.role == Role::Main => {
                match claim_at(walk, world, placed, &instance.slot) {
                    None => Some(format!("{} is not claimed by then", instance.slot)),
                    Some(claim) if claim.host != *host => {
                        Some(format!("{} is claimed on {}", instance.slot, claim.host))
                    }
                    Some(claim) if claim.address != instance.address => {
                        Some(format!("{} is claimed with {}", instance.slot, claim.address))
                    }
                    Some(_) => None,
                }
            }
            _ => None,
        };
        if let Some(why) = why {
            found.push(Violation::new(Rule::Claims, &placed.step.id.0, why));
        }
    }
}

fn unclaimed(
    walk: &Walk<'_>,
    world: &World<'_>,
    placed: &Placed<'_>,
    (slot, source, volume): (&SlotId, &SourceName, &VolumeId),
    incarnation: Option<Incarnation>,
) -> Option<String> {
    let Some(claim) = claim_at(walk, world, placed, slot) else {
        return Some(format!("{slot} is not claimed by then"));
    };
    if claim.host != placed.step.host {
        return Some(format!("{slot} is claimed on {}", claim.host));
    }
    match claim.volumes.get(source) {
        None => Some(format!("the claim of {slot} has no {source}")),
        Some(claimed) if claimed.id != *volume => {
            Some(format!("the claim of {slot} has {source} as {}", claimed.id))
        }
        Some(claimed) if incarnation.is_some_and(|this| this != claimed.incarnation) => {
            Some(format!("the claim of {slot} has another incarnation of {source}"))
        }
        Some(_) => None,
    }
}

/// The claim of a slot as it is written when a step begins.
fn claim_at<'a>(
    walk: &Walk<'a>,
    world: &World<'a>,
    at: &Placed<'_>,
    slot: &SlotId,
) -> Option<&'a Claim> {
    let mut claim = world.claims.slots.get(slot);
    let mut learn = |acts: &'a [ClaimAct]| {
        for act in acts {
            match act {
                ClaimAct::Write(written) if written.slot == *slot => claim = Some(written),
                ClaimAct::Remove { slot: removed } if removed == slot => claim = None,
                ClaimAct::Write(_)
                | ClaimAct::Remove { .. }
                | ClaimAct::Hold { .. }
                | ClaimAct::Failed { .. }
                | ClaimAct::Loss { .. } => {}
            }
        }
    };
    learn(&walk.plan.corrections);
    for lane in walk.writing(slot).filter(|lane| walk.begun(lane, at)) {
        learn(&lane.lane.claims_before);
        if !walk.within(lane, at) {
            learn(&lane.lane.claims_after);
        }
    }
    claim
}

/// Claims are removed after the last act on their slot, never before.
pub(super) fn removals(walk: &Walk<'_>, _: &World<'_>, found: &mut Vec<Violation>) {
    let lanes = walk.lanes.iter().map(|placed| &placed.lane.claims_before);
    for act in lanes.flatten().chain(&walk.plan.corrections) {
        if let ClaimAct::Remove { slot } = act {
            let why = "its claim would be removed before the acts on it";
            found.push(Violation::new(Rule::Claims, slot, why));
        }
    }
}

/// Ids follow from what they name, so that a plan made again names the same objects.
pub(super) fn ids(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let fleet = &walk.plan.fleet;
    let claimed = claimed(world);
    for (placed, volume) in own(walk) {
        let Some(pool) = world.pool(walk, &placed.step.host) else { continue };
        let (slot, source) = (&volume.slot, &volume.source);
        let derived = VolumeId::derive(fleet, slot, source, pool, volume.incarnation);
        // One that was claimed under another name, and not made before it was renamed, keeps it.
        if derived != volume.id && !claimed.contains(&volume.id) {
            let why = format!("the id does not follow from {slot}, {source} and the pool");
            found.push(Violation::new(Rule::Ids, &placed.step.id.0, why));
        }
    }
    for (placed, spec) in walk.started() {
        if InstanceId::derive(fleet, &spec.slot, spec.role, &spec.release) != spec.id {
            let why = format!("the id does not follow from {} and the release", spec.slot);
            found.push(Violation::new(Rule::Ids, &placed.step.id.0, why));
        }
    }
}

/// Volumes that the plan makes for slots, empty or with data, or adopts.
fn own<'w, 'a>(walk: &'w Walk<'a>) -> impl Iterator<Item = (&'w Placed<'a>, &'a VolumeSpec)> {
    let copied = walk.copied().map(|(placed, _, volume)| (placed, volume));
    let copied = copied.filter(|(_, volume)| volume.kind.is_own());
    walk.made().chain(copied).chain(walk.adopted())
}

/// Volumes that the catalog remembers, under whatever slot.
fn claimed<'a>(world: &World<'a>) -> BTreeSet<&'a VolumeId> {
    let claims = world.claims.slots.values();
    claims.flat_map(|claim| claim.volumes.values().map(|volume| &volume.id)).collect()
}

/// A new volume has an incarnation above every one ever given, unless it is the very volume whose
/// making was cut short.
pub(super) fn incarnations(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let claimed = claimed(world);
    for (placed, volume) in own(walk) {
        let key = (volume.slot.clone(), volume.source.clone());
        let highest = world.claims.incarnations.get(&key).copied();
        let again = claimed.contains(&volume.id);
        if volume.incarnation < Incarnation::FIRST
            || highest.is_some_and(|highest| highest >= volume.incarnation) && !again
        {
            let why = format!("incarnation {} was given before", volume.incarnation.0);
            found.push(Violation::new(Rule::Incarnations, &placed.step.id.0, why));
        }
    }
    let lanes = walk.lanes.iter().flat_map(|l| l.lane.claims_before.iter());
    for act in lanes {
        let ClaimAct::Write(claim) = act else { continue };
        let Some(now) = world.claims.slots.get(&claim.slot) else { continue };
        for (source, volume) in &claim.volumes {
            let had = now.volumes.get(source);
            if had.is_some_and(|had| had.incarnation > volume.incarnation) {
                let why = format!("the claimed incarnation of {source} would fall");
                found.push(Violation::new(Rule::Incarnations, &claim.slot, why));
            }
        }
    }
}

/// Addresses are their host's, and no two slots of a host share one.
pub(super) fn addresses(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let mut owners: BTreeMap<(&HostName, Ipv4Addr), (&SlotId, Role)> = BTreeMap::new();
    for claim in world.claims.slots.values() {
        owners.insert((&claim.host, claim.address), (&claim.slot, Role::Main));
    }
    for (placed, spec) in walk.started() {
        let host = &placed.step.host;
        let claim = world.claims.slots.get(&spec.slot);
        let kept = claim.is_some_and(|c| c.host == *host && c.address == spec.address);
        let inside = world.hosts.get(host).is_some_and(|h| h.subnet.holds(spec.address));
        if !inside && !kept {
            let why = format!("{} is no address of {host}", spec.address);
            found.push(Violation::new(Rule::Addresses, &placed.step.id.0, why));
        }
        let owner = (&spec.slot, spec.role);
        let other = owners.insert((host, spec.address), owner).filter(|other| *other != owner);
        if let Some((slot, _)) = other.filter(|(slot, _)| !gone(walk, slot)) {
            let why = format!("{} is the address of {slot}", spec.address);
            found.push(Violation::new(Rule::Addresses, &placed.step.id.0, why));
        }
    }
}

/// Whether the plan removes or rewrites the slot's claim.
fn gone(walk: &Walk<'_>, slot: &SlotId) -> bool {
    let lanes = walk.lanes.iter().flat_map(|l| l.lane.claims_after.iter());
    lanes.chain(&walk.plan.corrections).any(|act| match act {
        ClaimAct::Remove { slot: removed } => removed == slot,
        ClaimAct::Write(_)
        | ClaimAct::Hold { .. }
        | ClaimAct::Failed { .. }
        | ClaimAct::Loss { .. } => false,
    })
}
