//! Notes: what is kept as it is, that a reader might wonder about. Nothing here is wanting.

use super::group::Scope;
use super::scale::Numbers;
use super::volume::extent;
use super::{Diff, Kept};
use crate::model::desired::Scale;
use crate::model::id::MachineId;
use crate::model::network::Port;
use crate::model::object::Object;
use crate::model::observed::VolumeView;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::recover::Ground;
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// What a pool may round a size up by, at most: no difference that anybody asked for.
const ROUNDING: Size = Size::from_mib(4);

/// A group without a list keeps the slots that it has.
pub(super) fn unlisted(scope: &Scope<'_, '_>, there: &Numbers, report: &mut Report) {
    let first = match &scope.group.scale {
        Scale::Listed(_) => return,
        Scale::Unlisted { first } => first,
    };
    let usual = there.len() == 1 && there.get(first).is_some_and(|numbers| numbers.len() == 1);
    if there.is_empty() || usual {
        return;
    }
    let counts: Vec<_> =
        there.iter().map(|(region, numbers)| format!("{region} = {}", numbers.len())).collect();
    let why = format!("[tiedown.scale] does not list it; kept: {}", counts.join(", "));
    report.say(Kind::Note, scope.object(), why, "");
}

/// A volume that is larger than asked for, an address outside the host's subnet.
pub(super) fn kept(scope: &Scope<'_, '_>, kept: &Kept<'_>, report: &mut Report) {
    let (claim, spec) = (&kept.claim, kept.host.spec);
    if !spec.subnet.holds(claim.address) {
        let why = format!(
            "it keeps {}, though its host gives addresses of {}",
            claim.address, spec.subnet
        );
        report.say(Kind::Note, Object::Slot { slot: claim.slot.clone() }, why, "");
    }
    for volume in &kept.volumes {
        let (Some(mount), Some(VolumeView { spec, .. })) = (volume.mount, volume.view) else {
            continue;
        };
        let asked = mount.size.rounded_up_to(extent(kept.host)).plus(ROUNDING);
        if spec.size > asked {
            let why = format!(
                "kept at {}, though {} asks for {}: volumes never shrink",
                spec.size, scope.app.manifest, mount.size
            );
            report.say(Kind::Note, claim.volume_object(volume), why, "");
        }
    }
}

/// Slots that listen on the same port of one machine, where instances share its ports.
pub(crate) fn shared_ports(ground: &Ground<'_>, diff: &Diff<'_>, report: &mut Report) {
    let mut slots: BTreeMap<(&MachineId, Port), BTreeSet<&SlotId>> = BTreeMap::new();
    for group in &diff.groups {
        let kept = group.kept.iter().map(|kept| (&kept.claim.slot, &kept.claim.host));
        let placed = group.wanted.iter();
        let placed = placed.filter_map(|w| Some((&w.slot, &w.placed.as_ref()?.host)));
        for (slot, host) in kept.chain(placed) {
            let Some(host) = ground.trusted.get(host) else { continue };
            if host.reading.shared_ports {
                for port in &group.group.ports {
                    slots.entry((&host.reading.machine, *port)).or_default().insert(slot);
                }
            }
        }
    }
    for ((_, port), slots) in slots {
        let mut slots = slots.into_iter();
        let (Some(first), Some(second)) = (slots.next(), slots.next()) else { continue };
        let more = match slots.count() {
            0 => alloc::string::String::new(),
            more => format!(" (and {more} more)"),
        };
        let why = format!(
            "{first} and {second}{more} listen on port {port} of one machine: each must bind its \
             own $FLY_PRIVATE_IP"
        );
        report.say(Kind::Note, Object::Slot { slot: first.clone() }, why, "");
    }
}
