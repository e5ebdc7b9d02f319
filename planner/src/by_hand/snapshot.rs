//! Snapshots by hand: of a volume that a slot has or had.

use super::volume::{find, object_of};
use crate::Inputs;
use crate::diff::{pool_of, volume::has_data};
use crate::model::id::VolumeId;
use crate::model::name::SnapshotName;
use crate::model::observed::{PoolView, VolumeView};
use crate::model::time::Millis;
use crate::model::volume::{Keeping, OnRemove, VolumeKind, VolumeSpec};
use crate::placement::full;
use crate::recover::{At, Ground, Trusted};
use crate::report::{Kind, Report};
use crate::rollout::{Copying, Rolled};
use alloc::format;
use alloc::string::String;

/// How a snapshot that a person took is kept: until a person destroys it.
const KEPT: Keeping = Keeping { on_remove: OnRemove::Retain, retention: Millis(0), protect: false };

/// Takes a snapshot of a volume, or says why not.
pub(super) fn snapshot(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    volume: &VolumeId,
    name: Option<&SnapshotName>,
    report: &mut Report,
) -> Rolled {
    let Some(at) = find(ground, volume, report) else { return Rolled::default() };
    let Some(host) = ground.trusted.get(at.host).copied() else { return Rolled::default() };
    if let Err((kind, why, hint)) = against(inputs, host, at, name) {
        report.say(kind, object_of(at.view), format!("no snapshot is taken: {why}"), &hint);
        return Rolled::default();
    }
    let text = name.map_or("", SnapshotName::as_str);
    let of = &at.view.spec;
    let copy = VolumeSpec {
        id: VolumeId::of_copy(volume, VolumeKind::Snapshot, text, host.reading.at),
        keeping: KEPT,
        kind: VolumeKind::Snapshot,
        origin: Some(volume.clone()),
        name: name.cloned(),
        ..of.clone()
    };
    Copying { host, pool: pool_of(&inputs.desired.fleet, host), of: at.view, copy }
        .snapshot(inputs.policy.overcommit_thousandths)
}

/// Why no snapshot can be taken, and the way out.
fn against(
    inputs: &Inputs<'_>,
    host: Trusted<'_>,
    at: At<'_, VolumeView>,
    name: Option<&SnapshotName>,
) -> Result<(), (Kind, String, String)> {
    let VolumeView { spec, state, .. } = at.view;
    let no = |kind, why: String, hint: &str| Err((kind, why, hint.into()));
    if !spec.kind.is_own() {
        let why = format!("it is a {} itself", spec.kind.as_str());
        return no(Kind::Refused, why, "take one of the volume that it is of");
    }
    if !at.view.is_whole() || !has_data(at.view) {
        let why = format!("it is {}", state.as_str());
        return no(Kind::Refused, why, "only attached and retired volumes have data to keep");
    }
    let copies = host.reading.volumes.values().filter(|copy| copy.spec.copies(&spec.id));
    // One that was cut short has the name and nothing else.
    let mut copies = copies.filter(|copy| !copy.is_half_made());
    if let Some(copy) = copies.find(|copy| name.is_some() && copy.spec.name.as_ref() == name) {
        let why = format!("its snapshot {} has that name", copy.spec.id);
        return no(Kind::Refused, why, "choose another name");
    }
    let PoolView::Present(pool) = &host.reading.pool else { return Ok(()) };
    let mut instances = host.reading.instances.values();
    if let Some(holder) = instances.find(|i| i.volumes.contains(&spec.id))
        && !pool.copies_online
    {
        let why =
            format!("instance {} uses it, and {} cannot copy it meanwhile", holder.id, at.host);
        let hint = "volumes that are file systems of their own can be copied in use: those of \
                    `lvm`, and of `local` as root";
        return no(Kind::Blocked, why, hint);
    }
    if let Some(why) = full(inputs, host) {
        let hint = "make the pool larger with lvextend, or destroy snapshots and retired volumes";
        return no(Kind::Blocked, format!("the pool of {} {why}", at.host), hint);
    }
    let (room, cost) =
        (host.reading.room(inputs.policy.overcommit_thousandths), spec.size.plus(pool.header));
    if room < cost {
        let why = format!("{} has room for {room}, and it needs {cost}", at.host);
        let hint = "destroy snapshots or retired volumes there, or make the pool larger";
        return no(Kind::Blocked, why, hint);
    }
    Ok(())
}
