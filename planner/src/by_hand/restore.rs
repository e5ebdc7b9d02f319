//! A slot goes back to what a snapshot or a retired volume of it holds: into a new volume, while
//! the one that it has is retired and kept.

use super::restart::{Asked, refusal, unseen};
use super::volume::{find, object_of};
use crate::Inputs;
use crate::diff::volume::{VolumeNeed, extent, identity, next_incarnation};
use crate::diff::{GroupDiff, Kept, diff, pool_of};
use crate::model::id::VolumeId;
use crate::model::name::SourceName;
use crate::model::object::Object;
use crate::model::observed::{PoolView, VolumeView};
use crate::model::release::CommitId;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::volume::{VolumeKind, VolumeSpec, VolumeState};
use crate::placement::full;
use crate::recover::{At, Ground};
use crate::report::{Kind, Report};
use crate::rollout::{Copying, Restoring, Rolled};
use crate::safety;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

/// Why not, and the way out.
type No = (Kind, String, String);

/// Puts back what the volume holds, or says why not. `heard` takes what is said of all else.
pub(super) fn restore(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    volume: &VolumeId,
    heard: &mut Report,
    report: &mut Report,
) -> Rolled {
    let Some(at) = find(ground, volume, report) else { return Rolled::default() };
    let slot = ground.renames.slot(&at.view.spec.slot);
    let source = ground.renames.source(&slot, &at.view.spec.source);
    if let Err((why, hint)) = is_kept(at.view) {
        report.say(Kind::Refused, object_of(at.view), format!("not restored: {why}"), hint);
        return Rolled::default();
    }
    let mut groups = diff(inputs, ground, heard).groups;
    let found = groups.iter_mut().find_map(|group| {
        let place = group.kept.iter().position(|kept| kept.claim.slot == slot)?;
        Some((group, place))
    });
    let Some((group, place)) = found else {
        unseen(ground, &Asked::Slot(&slot), &BTreeSet::new(), heard, report);
        return Rolled::default();
    };
    match prepare(inputs, ground, at, group, place, &source) {
        Ok(restoring) => restoring.roll_out(inputs, ground, group, place),
        Err((kind, why, hint)) => {
            let object = Object::Slot { slot };
            report.say(kind, object, format!("{volume} is not restored: {why}"), &hint);
            Rolled::default()
        }
    }
}

/// Whether it is something that was put away whole.
fn is_kept(view: &VolumeView) -> Result<(), (String, &'static str)> {
    let hint = "only snapshots and retired volumes are restored";
    match (view.spec.kind, view.state) {
        (VolumeKind::Snapshot | VolumeKind::Own, VolumeState::Retired { .. })
            if view.is_whole() =>
        {
            Ok(())
        }
        (VolumeKind::Clone, _) => Err(("it is a clone".into(), hint)),
        (_, state) => Err((format!("it is {}", state.as_str()), hint)),
    }
}

fn prepare<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    at: At<'a, VolumeView>,
    group: &GroupDiff<'a>,
    place: usize,
    source: &SourceName,
) -> Result<Restoring<'a>, No> {
    let kept = &group.kept[place];
    let slot = &kept.claim.slot;
    if let Some((why, hint)) = not_now(inputs, group, kept, slot) {
        return Err((Kind::Refused, why, hint));
    }
    if *at.host != kept.claim.host {
        let why = format!("it is on {}, and {slot} on {}", at.host, kept.claim.host);
        return Err((Kind::Refused, why, "volumes cannot move yet".into()));
    }
    let gone = || (Kind::Refused, format!("{slot} has no mount {source}"), String::new());
    let own = kept.volumes.iter().find(|volume| volume.source == *source).ok_or_else(gone)?;
    let (Some(mount), Some(old)) = (own.mount, own.view) else { return Err(gone()) };
    let fleet = &inputs.desired.fleet;
    let pool = pool_of(fleet, kept.host);
    let next = next_incarnation(inputs, ground, slot, source);
    let (id, incarnation) = identity(fleet, (slot, source), kept.host, next);
    let copy = VolumeSpec {
        id,
        slot: slot.clone(),
        source: source.clone(),
        incarnation,
        size: at.view.spec.size,
        keeping: mount.keeping,
        kind: VolumeKind::Own,
        origin: Some(at.view.spec.id.clone()),
        name: None,
    };
    let wanted = mount.size.rounded_up_to(extent(kept.host));
    let to = old.spec.size.max(wanted).max(copy.size);
    has_room(inputs, kept, to)?;
    if let Some(why) = safety::loss_forbids(inputs, ground, &slot.app, 1) {
        return Err((Kind::Refused, why, "wait, or raise max_loss in tiedown.toml".into()));
    }
    Ok(Restoring { copying: Copying { host: kept.host, pool, of: at.view, copy }, old, to })
}

/// Why the slot's instance cannot be stopped and started again, and the way out.
fn not_now(
    inputs: &Inputs<'_>,
    group: &GroupDiff<'_>,
    kept: &Kept<'_>,
    slot: &SlotId,
) -> Option<(String, String)> {
    let release = group.runs.as_ref().map(|runs| &runs.release);
    let record = inputs.claims.apps.get(&slot.app);
    let commit: Option<&CommitId> = record.and_then(|record| record.commit.as_ref());
    // To go back to other data is a way out of a failed release.
    if let Some(no) = refusal(kept, release, true, commit) {
        return Some(no);
    }
    let grows = kept.volumes.iter().any(|volume| matches!(volume.need, VolumeNeed::Grow { .. }));
    let marked = kept.volumes.iter().any(|volume| volume.marks.is_some());
    (grows || marked || kept.supervise).then(|| {
        let why = "the manifests ask for other things of the slot first";
        (why.into(), "`tiedown apply` sees to that".into())
    })
}

fn has_room(inputs: &Inputs<'_>, kept: &Kept<'_>, size: Size) -> Result<(), No> {
    let PoolView::Present(pool) = &kept.host.reading.pool else { return Ok(()) };
    if let Some(why) = full(inputs, kept.host) {
        let why = format!("the pool of {} {why}", kept.claim.host);
        let hint = "make the pool larger with lvextend, or destroy snapshots and retired volumes";
        return Err((Kind::Blocked, why, hint.into()));
    }
    let room = kept.host.reading.room(inputs.policy.overcommit_thousandths);
    let cost = size.rounded_up_to(pool.extent).plus(pool.header);
    if room >= cost {
        return Ok(());
    }
    let why = format!("{} has room for {room}, and it needs {cost}", kept.claim.host);
    let hint = "destroy snapshots or retired volumes there, or make the pool larger";
    Err((Kind::Blocked, why, hint.into()))
}
