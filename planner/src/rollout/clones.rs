//! A canary of a group with mounts: on clones of one slot's volumes, with no network but for its
//! host's checks. What it does to its data and what it says reaches nobody. When it has come up, it
//! and the clones are removed, and then the slots follow.

use super::ahead::{Ahead, LEFT};
use super::copying::Copying;
use super::instance::{Berth, Crew};
use super::step;
use crate::diff::volume::VolumeNeed;
use crate::diff::{GroupDiff, Kept, pool_of};
use crate::model::id::VolumeId;
use crate::model::instance::{Bind, Role};
use crate::model::object::Object;
use crate::model::observed::PoolView;
use crate::model::size::Size;
use crate::model::volume::{VolumeKind, VolumeSpec};
use crate::placement::Ledger;
use crate::plan::step::Step;
use crate::plan::{ClaimAct, Gate, Lane};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Finds a slot whose volumes can be cloned where there is room for the clones and an instance.
pub(super) fn plan<'a>(
    crew: &Crew<'a, '_>,
    group: &GroupDiff<'a>,
    ledger: &mut Ledger<'a>,
) -> Result<Ahead, String> {
    let mut clones = group.kept.iter().flat_map(|kept| {
        let slot = &kept.claim.slot;
        let volumes = kept.host.reading.volumes.values();
        volumes.filter(move |v| v.spec.kind == VolumeKind::Clone && v.spec.slot == *slot)
    });
    if clones.next().is_some() {
        return Err(LEFT.to_string());
    }
    let mut why = "no slot of it has all its volumes".to_string();
    for kept in &group.kept {
        match on(crew, kept, ledger) {
            Ok(Some(lanes)) => return Ok(ahead(crew, group, lanes)),
            Ok(None) => {}
            Err(other) => why = other,
        }
    }
    Err(why)
}

/// What tries the release, and what clears it away.
struct Lanes {
    start: Lane,
    stop: Lane,
}

fn ahead(crew: &Crew<'_, '_>, group: &GroupDiff<'_>, lanes: Lanes) -> Ahead {
    let slots = group.kept.iter().map(|kept| kept.claim.slot.clone());
    let release = &crew.runs.release;
    Ahead {
        what: "canary on clones",
        is_gone_before: true,
        on_failure: lanes.stop.steps.clone(),
        start: vec![lanes.start],
        stop: vec![lanes.stop],
        claims_on_failure: slots
            .map(|slot| ClaimAct::Failed { slot, release: release.clone() })
            .collect(),
    }
}

/// On clones of this slot's volumes; nothing if they are not all there.
fn on<'a>(
    crew: &Crew<'a, '_>,
    kept: &Kept<'a>,
    ledger: &mut Ledger<'a>,
) -> Result<Option<Lanes>, String> {
    let (slot, host) = (&kept.claim.slot, &kept.claim.host);
    let reading = kept.host.reading;
    let PoolView::Present(pool) = &reading.pool else { return Ok(None) };
    if !reading.isolates {
        return Err(format!("{host} cannot keep an instance from reaching out"));
    }
    let in_use = kept.main.is_some_and(|main| !main.state.is_over());
    if in_use && !pool.copies_online {
        return Err(format!("{host} cannot copy volumes while they are used"));
    }
    let mut copies = Vec::new();
    for mount in crew.group.mounts.values() {
        let volume = kept.volumes.iter().find(|volume| volume.source == mount.source);
        let whole = volume.filter(|volume| volume.need == VolumeNeed::Nothing);
        let Some(view) = whole.and_then(|volume| volume.view) else { return Ok(None) };
        let spec = &view.spec;
        let name = crew.runs.release.as_str();
        let copy = VolumeSpec {
            id: VolumeId::of_copy(&spec.id, VolumeKind::Clone, name, reading.at),
            kind: VolumeKind::Clone,
            origin: Some(spec.id.clone()),
            name: None,
            ..spec.clone()
        };
        let bind = Bind {
            volume: copy.id.clone(),
            source: mount.source.clone(),
            destination: mount.destination.clone(),
        };
        let pool = pool_of(&crew.inputs.desired.fleet, kept.host);
        copies.push((Copying { host: kept.host, pool, of: view, copy }, bind));
    }
    let cost: Size = copies.iter().map(|(copy, _)| copy.copy.size.plus(pool.header)).sum();
    let no_room = || format!("{host} has no room for clones of {slot} and an instance on them");
    let account = ledger.account(host).ok_or_else(no_room)?;
    account.reserve(cost, true).map_err(|_| no_room())?;
    let address = account.take_extra(crew.group.guest).ok_or_else(no_room)?;
    let berth = Berth { slot, role: Role::Canary, host, address };
    Ok(Some(lanes(crew, berth, &copies)))
}

fn lanes(crew: &Crew<'_, '_>, berth: Berth<'_>, copies: &[(Copying<'_>, Bind)]) -> Lanes {
    let over = crew.inputs.policy.overcommit_thousandths;
    let Berth { slot, host, .. } = berth;
    let mut instance = crew.instance(berth, copies.iter().map(|(_, bind)| bind.clone()).collect());
    instance.alone = true;
    instance.env.insert("TIEDOWN_CANARY".into(), "1".into());
    let id = instance.id.clone();
    let caps: Vec<(VolumeId, Size)> =
        copies.iter().map(|(copying, bind)| (bind.volume.clone(), copying.copy.size)).collect();
    let mut start: Vec<Step> = copies.iter().map(|(copying, _)| copying.step(over)).collect();
    start.push(step::start_instance(host, instance, &caps, crew.inputs.desired.hosts.get(host)));
    let mut stop = vec![step::stop(host, &id, slot)];
    stop.extend(caps.iter().map(|(clone, _)| step::remove_clone(host, clone)));
    let lane = |steps, gate| Lane {
        object: Object::Instance { slot: slot.clone(), instance: id.clone() },
        claims_before: Vec::new(),
        steps,
        gate,
        claims_after: Vec::new(),
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: Vec::new(),
    };
    Lanes { start: lane(start, crew.gate(berth)), stop: lane(stop, Gate::Open) }
}
