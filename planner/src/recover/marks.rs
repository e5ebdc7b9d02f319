//! Claims rebuilt from marks: attached volumes and main instances that nobody remembers, and
//! claimed volumes in whose place another life of the same volume is attached.

use super::{Renames, Seen, Trusted};
use crate::model::claim::{Claim, ClaimedVolume};
use crate::model::few::Few;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::{InstanceState, PoolView, VolumeView};
use crate::model::slot::SlotId;
use crate::plan::ClaimAct;
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Adds what is missing to `claims`, and says so in `corrections`. Returns the slots that two
/// hosts hold while no claim says which is right.
pub(super) fn rebuild<'a>(
    trusted: &BTreeMap<&'a HostName, Trusted<'a>>,
    seen: &Seen<'a>,
    renames: &Renames,
    claims: &mut BTreeMap<SlotId, Claim>,
    corrections: &mut Vec<ClaimAct>,
    report: &mut Report,
) -> BTreeSet<SlotId> {
    let mut disputed = BTreeSet::new();
    let mut used = used_addresses(trusted, claims);
    let slots: BTreeSet<&SlotId> = seen.attached.keys().chain(seen.mains.keys()).collect();
    for slot in slots {
        if let Some(claim) = claims.get_mut(slot) {
            if correct(claim, trusted, seen, renames) {
                corrections.push(ClaimAct::Write(claim.clone()));
            }
            continue;
        }
        let volumes = seen.attached.get(slot).into_iter().flatten().map(|at| at.host);
        let mains = seen.mains.get(slot).into_iter().flatten().map(|at| at.host);
        let mut hosts: BTreeSet<&HostName> = volumes.collect();
        if hosts.is_empty() {
            hosts = mains.collect();
        }
        let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
        let [host] = hosts.iter().copied().collect::<Vec<_>>()[..] else {
            let why = format!("{} all hold it, and no claim says which is right", names.join(", "));
            let hint = "stop all but one by hand, and retire the volumes of the others";
            report.say(Kind::Refused, Object::Slot { slot: slot.clone() }, why, hint);
            disputed.insert(slot.clone());
            continue;
        };
        let used = used.entry(host.clone()).or_default();
        let claim = from_marks(slot, trusted[host], seen, renames, used);
        corrections.push(ClaimAct::Write(claim.clone()));
        claims.insert(slot.clone(), claim);
    }
    disputed
}

/// Puts right what a claim says of its volumes: a newer life that is attached where the claimed
/// one is not, and sizes as they are.
fn correct(
    claim: &mut Claim,
    trusted: &BTreeMap<&HostName, Trusted<'_>>,
    seen: &Seen<'_>,
    renames: &Renames,
) -> bool {
    let Some(host) = trusted.get(&claim.host) else { return false };
    let attached: Vec<&VolumeView> = seen
        .attached
        .get(&claim.slot)
        .into_iter()
        .flatten()
        .filter(|at| *at.host == claim.host)
        .map(|at| at.view)
        .collect();
    let mut corrected = false;
    for (source, volume) in claim.volumes.iter_mut() {
        if !host.reading.volumes.contains_key(&volume.id) {
            let same =
                |view: &&&VolumeView| renames.source(&claim.slot, &view.spec.source) == *source;
            let mut others = attached.iter().filter(same);
            if let (Some(view), None) = (others.next(), others.next()) {
                *volume = claimed(view);
                corrected = true;
            }
        }
    }
    corrected
}

fn claimed(view: &VolumeView) -> ClaimedVolume {
    let spec = &view.spec;
    ClaimedVolume {
        id: spec.id.clone(),
        incarnation: spec.incarnation,
        size: spec.size,
        keeping: None,
    }
}

fn from_marks(
    slot: &SlotId,
    host: Trusted<'_>,
    seen: &Seen<'_>,
    renames: &Renames,
    used: &mut BTreeSet<Ipv4Addr>,
) -> Claim {
    let here = |at: &HostName| *at == host.spec.name;
    let mut volumes = Few::new();
    for at in seen.attached.get(slot).into_iter().flatten().filter(|at| here(at.host)) {
        let source = renames.source(slot, &at.view.spec.source);
        let newest = volumes
            .get(&source)
            .is_none_or(|other: &ClaimedVolume| other.incarnation < at.view.spec.incarnation);
        if newest {
            volumes.insert(source, claimed(at.view));
        }
    }
    let mut mains = seen.mains.get(slot).into_iter().flatten().filter(|at| here(at.host));
    let main = mains.next().map(|at| at.view);
    let free = || host.spec.subnet.addresses().find(|address| !used.contains(address));
    let address = main.map(|main| main.address).or_else(free);
    let address = address.unwrap_or_else(|| host.spec.subnet.gateway());
    used.insert(address);
    let applied = main.filter(|main| match main.state {
        InstanceState::Running | InstanceState::Restarting | InstanceState::Finished => true,
        InstanceState::Failed { .. } | InstanceState::Died { .. } | InstanceState::Stopped => false,
    });
    Claim {
        slot: slot.clone(),
        host: host.spec.name.clone(),
        pool: match &host.reading.pool {
            PoolView::Present(pool) if !volumes.is_empty() => Some(pool.id.clone()),
            PoolView::Present(_) | PoolView::Absent => None,
        },
        volumes,
        address,
        applied: applied.map(|main| main.release.clone()),
        applied_spec: None,
        supervision: None,
        failed: None,
        held: false,
    }
}

fn used_addresses(
    trusted: &BTreeMap<&HostName, Trusted<'_>>,
    claims: &BTreeMap<SlotId, Claim>,
) -> BTreeMap<HostName, BTreeSet<Ipv4Addr>> {
    let mut used: BTreeMap<HostName, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for claim in claims.values() {
        used.entry(claim.host.clone()).or_default().insert(claim.address);
    }
    for (host, trusted) in trusted {
        let addresses = trusted.reading.instances.values().map(|view| view.address);
        used.entry((*host).clone()).or_default().extend(addresses);
    }
    used
}
