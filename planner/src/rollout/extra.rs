//! Extra instances, beside a slot's own: a place for one, the lane that starts it, the steps that
//! stop it. One that runs already is taken as it is.

use super::instance::{Berth, Crew};
use super::step;
use crate::diff::{GroupDiff, Kept};
use crate::model::id::InstanceId;
use crate::model::instance::Role;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::{InstanceState, InstanceView};
use crate::model::slot::SlotId;
use crate::placement::Ledger;
use crate::plan::step::Step;
use crate::plan::{Gate, Lane};
use crate::recover::At;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// An extra instance and where it is.
pub(super) struct Extra {
    slot: SlotId,
    id: InstanceId,
    host: HostName,
    address: Ipv4Addr,
    role: Role,
}

impl Extra {
    /// Finds a place: where it runs already, else the slot's own host, else that of any other slot
    /// of the group. What is taken over here is no stray any more.
    pub(super) fn of<'a>(
        crew: &Crew<'a, '_>,
        group: &mut GroupDiff<'a>,
        slot: &SlotId,
        role: Role,
        ledger: &mut Ledger<'a>,
    ) -> Result<Self, String> {
        let id = crew.instance_id(slot, role);
        let extra =
            |host, address| Self { slot: slot.clone(), id: id.clone(), host, address, role };
        match taken_over(group, &id) {
            Some(at) if at.view.state == InstanceState::Running => {
                return Ok(extra(at.host.clone(), at.view.address));
            }
            Some(_) => return Err(super::ahead::LEFT.to_string()),
            None => {}
        }
        let own = group.kept.iter().filter(|kept| kept.claim.slot == *slot);
        let others = group.kept.iter().filter(|kept| kept.claim.slot != *slot);
        let place = own.chain(others).find_map(|kept: &Kept<'_>| {
            let host = &kept.claim.host;
            let can = kept.host.reading.runs.contains(&crew.runs.artifact.kind());
            let address = ledger.account(host).filter(|_| can)?.take_extra(crew.group.guest)?;
            Some((host.clone(), address))
        });
        let (host, address) =
            place.ok_or_else(|| "no host of the group has room for it".to_string())?;
        Ok(extra(host, address))
    }

    fn berth(&self) -> Berth<'_> {
        let Self { slot, host, address, role, .. } = self;
        Berth { slot, role: *role, host, address: *address }
    }

    fn lane(&self, steps: Vec<Step>, gate: Gate) -> Lane {
        Lane {
            object: Object::Instance { slot: self.slot.clone(), instance: self.id.clone() },
            claims_before: Vec::new(),
            steps,
            gate,
            claims_after: Vec::new(),
            on_failure: Vec::new(),
            restore: None,
            claims_on_failure: Vec::new(),
        }
    }

    /// Starts it and waits until it is healthy.
    pub(super) fn start(&self, crew: &Crew<'_, '_>) -> Lane {
        let new = crew.inputs.desired.hosts.get(&self.host);
        let instance = crew.instance(self.berth(), Vec::new());
        let start = step::start_instance(&self.host, instance, &[], new);
        self.lane(vec![start], crew.gate(self.berth()))
    }

    /// Stops it.
    pub(super) fn stop(&self) -> Lane {
        self.lane(vec![self.stop_step()], Gate::Open)
    }

    /// The step that stops it.
    pub(super) fn stop_step(&self) -> Step {
        step::stop(&self.host, &self.id, &self.slot)
    }
}

/// The instance, if it is there; taken from the strays if it runs.
fn taken_over<'a>(group: &mut GroupDiff<'a>, id: &InstanceId) -> Option<At<'a, InstanceView>> {
    let mut there = None;
    for stray in &mut group.strays {
        stray.instances.retain(|at| {
            let is_it = at.view.id == *id;
            if is_it {
                there = Some(*at);
            }
            !is_it || at.view.state != InstanceState::Running
        });
    }
    group.strays.retain(|stray| !stray.instances.is_empty() || !stray.volumes.is_empty());
    there
}
