//! A host for each new slot, or a refusal that says for each host why not; and room on their own
//! hosts for what existing slots need more. Slots never move.

mod choice;
mod ledger;
pub(crate) mod verdict;

pub(crate) use ledger::{Account, Ledger, full};

use crate::Inputs;
use crate::diff::instance::InstanceNeed;
use crate::diff::volume::{VolumeNeed, extent};
use crate::diff::{Diff, Kept};
use crate::model::desired::{App, Group};
use crate::model::id::PoolId;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::size::Size;
use crate::recover::Ground;
use crate::report::{Kind, Report};
use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;

/// Where a new slot goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The host.
    pub(crate) host: HostName,
    /// Its pool, if the slot has volumes.
    pub(crate) pool: Option<PoolId>,
    /// The slot's address.
    pub(crate) address: Ipv4Addr,
    /// Why there, in words.
    pub(crate) why: String,
}

/// Finds room for all that is needed, first for slots that are there; what finds none is
/// reported and dropped.
pub(crate) fn place<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) -> Ledger<'a> {
    let mut ledger = Ledger::of(inputs, ground, diff);
    for group in &mut diff.groups {
        for kept in &mut group.kept {
            make_room(&mut ledger, (group.app, group.group), kept, report);
        }
    }
    choice::place(inputs, ground, &mut ledger, diff, report);
    ledger
}

/// Room for an existing slot's new and growing volumes, and for a bigger guest.
fn make_room(
    ledger: &mut Ledger<'_>,
    (app, group): (&App, &Group),
    kept: &mut Kept<'_>,
    report: &mut Report,
) {
    let extent = extent(kept.host);
    let Some(account) = ledger.account(&kept.claim.host) else { return };
    let header = account.header();
    let mut blocked = false;
    for i in 0..kept.volumes.len() {
        let volume = &kept.volumes[i];
        let (needs, makes) = match &volume.need {
            VolumeNeed::Grow { to } => (to.minus(volume.size_now()), false),
            VolumeNeed::Make { begun: true, .. } => (Size::ZERO, true),
            VolumeNeed::Make { size, begun: false } => {
                (size.rounded_up_to(extent).plus(header), true)
            }
            VolumeNeed::TakeBack { to, .. } => (to.minus(volume.size_now()), false),
            VolumeNeed::Adopt { size, to, .. } => (to.minus(*size), false),
            VolumeNeed::Nothing | VolumeNeed::Retire | VolumeNeed::Stay | VolumeNeed::Lost => {
                continue;
            }
        };
        match account.reserve(needs, makes) {
            Ok(()) => {}
            Err(why) => {
                let hint = match makes {
                    true => {
                        "make room on that host; until then the old release keeps running".into()
                    }
                    false => {
                        format!("make room on that host, or lower the size in {}", app.manifest)
                    }
                };
                blocked |= makes;
                let why = format!("{} has no room: {why}", kept.claim.host);
                report.say(Kind::Blocked, kept.claim.volume_object(volume), why, &hint);
                kept.volumes[i].need = match (makes, &volume.need) {
                    (true, _) => VolumeNeed::Stay,
                    (false, VolumeNeed::TakeBack { since, .. }) => {
                        VolumeNeed::TakeBack { since: *since, to: volume.size_now() }
                    }
                    (false, VolumeNeed::Adopt { name, size, .. }) => {
                        VolumeNeed::Adopt { name: name.clone(), size: *size, to: *size }
                    }
                    (false, _) => VolumeNeed::Nothing,
                };
            }
        }
    }
    if blocked {
        kept.instance = InstanceNeed::Nothing;
    }
    resize(account, group, kept, report);
}

/// Memory and processors for a release with a bigger guest.
fn resize(account: &mut Account<'_>, group: &Group, kept: &mut Kept<'_>, report: &mut Report) {
    let (InstanceNeed::Redeploy { .. }, Some(main)) = (&kept.instance, kept.main) else { return };
    let memory = group.guest.memory.minus(main.memory);
    let cpus = group.guest.cpus.saturating_sub(main.cpus);
    if let Err(why) = account.take(memory, cpus) {
        let why = format!("{} cannot hold the bigger guest: {why}", kept.claim.host);
        let hint = "lower [[vm]], or make room on that host";
        report.say(Kind::Blocked, Object::Slot { slot: kept.claim.slot.clone() }, why, hint);
        kept.instance = InstanceNeed::Nothing;
    }
}
