//! Canary: one extra instance of the new release, on its own address, before any slot is touched;
//! removed when the slots have followed, or when it fails.

use super::instance::{Berth, Crew};
use super::step;
use crate::diff::GroupDiff;
use crate::model::instance::Role;
use crate::model::object::Object;
use crate::model::observed::InstanceState;
use crate::placement::Ledger;
use crate::plan::step::Step;
use crate::plan::{ClaimAct, Gate, Lane};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// A canary: the lane that starts it, the step that stops it.
pub(super) struct Canary {
    /// Starts it.
    pub(super) start: Lane,
    /// Stops it.
    pub(super) stop: Lane,
    /// Stops it when a wave failed.
    pub(super) on_failure: Vec<Step>,
    /// The release is remembered as failed for every slot when a wave failed.
    pub(super) claims_on_failure: Vec<ClaimAct>,
}

/// Finds a place for the canary, on the host of the group's first slot if that has room. One
/// that runs already is taken as it is.
pub(super) fn plan(
    crew: &Crew<'_, '_>,
    group: &mut GroupDiff<'_>,
    ledger: &mut Ledger<'_>,
) -> Result<Canary, String> {
    let Some(first) = group.kept.first() else { return Err("there is no slot yet".to_string()) };
    let slot = first.claim.slot.clone();
    let id = crew.instance_id(&slot, Role::Canary);
    let mut there = None;
    for stray in &mut group.strays {
        stray.instances.retain(|at| {
            let is_it = at.view.id == id;
            if is_it {
                there = Some(*at);
            }
            !is_it || at.view.state != InstanceState::Running
        });
    }
    group.strays.retain(|stray| !stray.instances.is_empty() || !stray.volumes.is_empty());
    let (host, address) = match there {
        Some(at) if at.view.state == InstanceState::Running => (at.host.clone(), at.view.address),
        Some(_) => return Err("one that ended is removed first".to_string()),
        None => group
            .kept
            .iter()
            .find_map(|kept| {
                let host = &kept.claim.host;
                let can = kept.host.reading.runs.contains(&crew.runs.artifact.kind());
                let address = ledger.account(host).filter(|_| can)?.take_extra(crew.group.guest)?;
                Some((host.clone(), address))
            })
            .ok_or_else(|| "no host of the group has room for it".to_string())?,
    };
    let berth = Berth { slot: &slot, role: Role::Canary, host: &host, address };
    let object = Object::Instance { slot: slot.clone(), instance: id.clone() };
    let lane = |steps, gate| Lane {
        object: object.clone(),
        claims_before: Vec::new(),
        steps,
        gate,
        claims_after: Vec::new(),
        on_failure: Vec::new(),
        claims_on_failure: Vec::new(),
    };
    let new = crew.inputs.desired.hosts.get(&host);
    let start = step::start_instance(&host, crew.instance(berth, Vec::new()), &[], new);
    let stop = step::stop(&host, &id, &slot);
    let slots = group.kept.iter().map(|kept| kept.claim.slot.clone());
    let release = &crew.runs.release;
    Ok(Canary {
        start: lane(vec![start], crew.gate(berth)),
        stop: lane(vec![stop.clone()], Gate::Open),
        on_failure: vec![stop],
        claims_on_failure: slots
            .map(|slot| ClaimAct::Failed { slot, release: release.clone() })
            .collect(),
    })
}
