//! Lanes: what is done to one slot, between what the catalog learns before and after.

use super::instance::{Berth, Crew};
use super::reverting;
use super::step;
use super::wording;
use crate::diff::instance::InstanceNeed;
use crate::diff::volume::{VolumeDiff, VolumeNeed, extent, header, identity};
use crate::diff::{Kept, Origin, Wanted, pool_of};
use crate::model::claim::{Claim, ClaimedVolume};
use crate::model::desired::Mount;
use crate::model::few::Few;
use crate::model::id::VolumeId;
use crate::model::instance::{Bind, Role};
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::VolumeView;
use crate::model::size::Size;
use crate::model::volume::{VolumeKind, VolumeSpec, VolumeState};
use crate::plan::change::Change;
use crate::plan::step::{Marks, Step};
use crate::plan::{ClaimAct, Gate, Lane};
use crate::recover::{At, Ground};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// Growth, marks, supervision and new names: done live, without a restart.
pub(super) fn in_place(
    kept: &mut Kept<'_>,
    supervision: &crate::model::instance::Supervision,
    overcommit_thousandths: u32,
    changes: &mut Vec<Change>,
) -> Option<Lane> {
    let host = kept.claim.host.clone();
    let mut steps = Vec::new();
    let mut grown = BTreeMap::new();
    for volume in &kept.volumes {
        let Some(view) = volume.view else { continue };
        if let Some(marks) = &volume.marks {
            changes.push(wording::marked(&kept.claim, volume, view, marks));
            steps.push(step::mark_volume(&host, view, marks.clone()));
        }
        if let (VolumeNeed::Grow { to }, false) = (&volume.need, kept.grows_paused) {
            let to = *to;
            let from = view.spec.size;
            changes.push(wording::grown(&kept.claim, volume, from, to));
            steps.push(step::grow_volume(&host, &volume.id, from, to, overcommit_thousandths));
            grown.insert(volume.source.clone(), to);
        }
    }
    if let (true, Some(main)) = (kept.supervise, kept.main) {
        changes.push(wording::supervised(&kept.claim, &main.supervision, supervision));
        steps.push(step::supervise(&host, &main.id, supervision));
    }
    let moved = kept.moved_from.take().map(|slot| ClaimAct::Remove { slot });
    if steps.is_empty() && moved.is_none() {
        return None;
    }
    let before = ClaimAct::Write(kept.claim.clone());
    for (source, to) in grown {
        if let Some(volume) = kept.claim.volumes.get_mut(&source) {
            volume.size = to;
        }
    }
    Some(Lane {
        object: Object::Slot { slot: kept.claim.slot.clone() },
        claims_before: vec![before],
        steps,
        gate: Gate::Open,
        claims_after: core::iter::once(ClaimAct::Write(kept.claim.clone())).chain(moved).collect(),
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: Vec::new(),
    })
}

/// Makes what volumes are missing and replaces or starts the instance.
pub(super) fn deploy(
    crew: &Crew<'_, '_>,
    ground: &Ground<'_>,
    kept: &mut Kept<'_>,
    gated: bool,
    changes: &mut Vec<Change>,
) -> Lane {
    let slot = kept.claim.slot.clone();
    let host = kept.claim.host.clone();
    let mut steps = Vec::new();
    for volume in kept.volumes.iter().filter(|volume| volume.mount.is_some()) {
        let first = volume_steps(crew, kept, volume, changes);
        if !first.is_empty() {
            steps.extend(first);
            let claimed = ClaimedVolume {
                id: volume.id.clone(),
                incarnation: volume.incarnation,
                size: volume.claimed,
                keeping: None,
            };
            kept.claim.volumes.insert(volume.source.clone(), claimed);
            kept.claim.pool = Some(pool_of(&crew.inputs.desired.fleet, kept.host));
        }
    }
    let back = reverting::plan(crew, ground, kept);
    let mut change = wording::deployed(crew, kept);
    change.reasons.extend(back.as_ref().map(|back| back.told.clone()));
    changes.push(change);
    let stops = match &kept.instance {
        InstanceNeed::Restart { .. } | InstanceNeed::Redeploy { .. } => kept.main,
        InstanceNeed::Nothing | InstanceNeed::Start | InstanceNeed::Confirm => None,
    };
    steps.extend(stops.map(|main| step::stop_instance(&host, main)));
    if kept.grows_paused {
        steps.extend(grow(crew, kept, changes));
    }
    steps.extend(back.iter().flat_map(|back| back.first.iter().cloned()));
    let mounted: Vec<&VolumeDiff<'_>> =
        kept.volumes.iter().filter(|volume| volume.mount.is_some()).collect();
    let binds = mounted.iter().filter_map(|volume| {
        Some(Bind {
            volume: volume.id.clone(),
            source: volume.source.clone(),
            destination: volume.mount?.destination.clone(),
        })
    });
    let berth = Berth { slot: &slot, role: Role::Main, host: &host, address: kept.claim.address };
    let caps: Vec<(VolumeId, Size)> =
        mounted.iter().map(|volume| (volume.id.clone(), volume.size())).collect();
    steps.push(step::start_instance(&host, crew.instance(berth, binds.collect()), &caps, None));
    let gate = if gated { crew.gate(berth) } else { Gate::Open };
    let sizes: Vec<_> = mounted.iter().map(|v| (v.source.clone(), v.size())).collect();
    let claims_before = vec![ClaimAct::Write(kept.claim.clone())];
    for (source, size) in sizes {
        if let Some(volume) = kept.claim.volumes.get_mut(&source) {
            volume.size = size;
        }
    }
    kept.claim.applied = Some(crew.runs.release.clone());
    kept.claim.applied_spec = Some(crew.runs.spec.clone());
    kept.claim.failed = None;
    let (on_failure, restore) = back.map(|back| (back.steps, back.restore)).unwrap_or_default();
    Lane {
        object: Object::Slot { slot: slot.clone() },
        claims_before,
        steps,
        gate,
        claims_after: vec![ClaimAct::Write(kept.claim.clone())],
        on_failure,
        restore,
        claims_on_failure: vec![ClaimAct::Failed { slot, release: crew.runs.release.clone() }],
    }
}

/// Growth of volumes that nothing uses just now.
fn grow(crew: &Crew<'_, '_>, kept: &Kept<'_>, changes: &mut Vec<Change>) -> Vec<Step> {
    let over = crew.inputs.policy.overcommit_thousandths;
    let mut steps = Vec::new();
    for volume in &kept.volumes {
        if let (VolumeNeed::Grow { to }, Some(view)) = (&volume.need, volume.view) {
            let from = view.spec.size;
            changes.push(wording::grown(&kept.claim, volume, from, *to));
            steps.push(step::grow_volume(&kept.claim.host, &volume.id, from, *to, over));
        }
    }
    steps
}

/// The steps that make a volume of an existing slot, or take it back.
fn volume_steps(
    crew: &Crew<'_, '_>,
    kept: &Kept<'_>,
    volume: &VolumeDiff<'_>,
    changes: &mut Vec<Change>,
) -> Vec<Step> {
    let Some(mount) = volume.mount else { return Vec::new() };
    let host = &kept.claim.host;
    match &volume.need {
        VolumeNeed::Make { size, begun } => {
            let spec = spec_of(kept, volume, mount, *size);
            changes.push(wording::made(host, &spec, "its mount is new"));
            let room = (!begun).then(|| size.plus(header(kept.host)));
            vec![make(crew, kept.host, spec, room)]
        }
        VolumeNeed::TakeBack { since, to } => {
            let Some(view) = volume.view else { return Vec::new() };
            let marks = Marks {
                slot: kept.claim.slot.clone(),
                source: volume.source.clone(),
                keeping: mount.keeping,
            };
            let why = "it is the slot's own and had been retired";
            changes.push(wording::taken_back(host, &marks, view, false, why.into()));
            let mut steps = vec![step::take_back_volume(host, view, *since, marks)];
            let has = view.spec.size;
            if has < *to {
                let over = crew.inputs.policy.overcommit_thousandths;
                changes.push(wording::grown(&kept.claim, volume, has, *to));
                steps.push(step::grow_volume(host, &volume.id, has, *to, over));
            }
            steps
        }
        VolumeNeed::Adopt { name, size, to } => {
            let spec = spec_of(kept, volume, mount, *size);
            changes.push(wording::adopted(host, name, &spec, "its adoption was begun before"));
            let pool = pool_of(&crew.inputs.desired.fleet, kept.host);
            let mut steps = vec![step::adopt_volume(host, pool, name, spec)];
            if size < to {
                let over = crew.inputs.policy.overcommit_thousandths;
                changes.push(wording::grown(&kept.claim, volume, *size, *to));
                steps.push(step::grow_volume(host, &volume.id, *size, *to, over));
            }
            steps
        }
        VolumeNeed::Nothing
        | VolumeNeed::Grow { .. }
        | VolumeNeed::Retire
        | VolumeNeed::Stay
        | VolumeNeed::Lost => Vec::new(),
    }
}

/// A volume of a slot that stays, as it is to be.
fn spec_of(kept: &Kept<'_>, volume: &VolumeDiff<'_>, mount: &Mount, size: Size) -> VolumeSpec {
    VolumeSpec {
        id: volume.id.clone(),
        slot: kept.claim.slot.clone(),
        source: volume.source.clone(),
        incarnation: volume.incarnation,
        size,
        keeping: mount.keeping,
        kind: VolumeKind::Own,
        origin: None,
        name: None,
    }
}

fn make(
    crew: &Crew<'_, '_>,
    host: crate::recover::Trusted<'_>,
    spec: VolumeSpec,
    room: Option<Size>,
) -> Step {
    let pool = pool_of(&crew.inputs.desired.fleet, host);
    let over = crew.inputs.policy.overcommit_thousandths;
    step::make_volume(&host.spec.name, pool, spec, room, over)
}

/// Makes a slot: its volumes and its instance.
pub(super) fn create(
    crew: &Crew<'_, '_>,
    ground: &Ground<'_>,
    wanted: &Wanted<'_>,
    changes: &mut Vec<Change>,
) -> Option<Lane> {
    let placed = wanted.placed.as_ref()?;
    let host = *ground.trusted.get(&placed.host)?;
    let name = &placed.host;
    let mut claim = Claim {
        slot: wanted.slot.clone(),
        host: name.clone(),
        pool: placed.pool.clone(),
        volumes: Few::new(),
        address: placed.address,
        applied: None,
        applied_spec: None,
        supervision: None,
        failed: None,
        held: false,
    };
    changes.push(wording::created(crew, wanted, placed));
    let count = wanted.volumes.len();
    let (mut binds, mut caps) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut steps = Vec::with_capacity(count + 1);
    for volume in &wanted.volumes {
        let made = claim_volume(crew, ground, host, wanted, volume, &mut steps, changes)?;
        binds.push(Bind {
            volume: made.id.clone(),
            source: volume.mount.source.clone(),
            destination: volume.mount.destination.clone(),
        });
        caps.push((made.id.clone(), made.size));
        // Zero until it is there.
        let size = volume.origin.there().map_or(Size::ZERO, |(_, size)| size);
        claim.volumes.insert(volume.mount.source.clone(), ClaimedVolume { size, ..made });
    }
    let slot = &wanted.slot;
    let berth = Berth { slot, role: Role::Main, host: name, address: placed.address };
    steps.push(step::start_instance(name, crew.instance(berth, binds), &caps, Some(host.spec)));
    let claims_before = vec![ClaimAct::Write(claim.clone())];
    for (claimed, (_, size)) in claim.volumes.values_mut().zip(&caps) {
        claimed.size = *size;
    }
    claim.applied = Some(crew.runs.release.clone());
    claim.applied_spec = Some(crew.runs.spec.clone());
    let release = crew.runs.release.clone();
    Some(Lane {
        object: wanted.object(),
        claims_before,
        steps,
        gate: crew.gate(berth),
        claims_after: vec![ClaimAct::Write(claim)],
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: vec![ClaimAct::Failed { slot: slot.clone(), release }],
    })
}

/// The steps for one volume of a new slot, and what it is in the end.
fn claim_volume(
    crew: &Crew<'_, '_>,
    ground: &Ground<'_>,
    host: crate::recover::Trusted<'_>,
    wanted: &Wanted<'_>,
    volume: &crate::diff::WantedVolume<'_>,
    steps: &mut Vec<Step>,
    changes: &mut Vec<Change>,
) -> Option<ClaimedVolume> {
    let (mount, name) = (volume.mount, &host.spec.name);
    let size = mount.size.rounded_up_to(extent(host));
    let fleet = &crew.inputs.desired.fleet;
    let pool = pool_of(fleet, host);
    let named = (&wanted.slot, &mount.source);
    let (id, incarnation) = match volume.origin {
        Origin::Empty | Origin::Foreign(_) => identity(fleet, named, host, volume.incarnation),
        Origin::Own(at) | Origin::Adopted(at) => (at.view.spec.id.clone(), volume.incarnation),
    };
    let new = VolumeSpec {
        id,
        slot: wanted.slot.clone(),
        source: mount.source.clone(),
        incarnation,
        size,
        keeping: mount.keeping,
        kind: VolumeKind::Own,
        origin: None,
        name: None,
    };
    let (id, has) = match volume.origin {
        Origin::Empty => {
            let id = new.id.clone();
            changes.push(wording::made(name, &new, "its slot is new"));
            steps.push(make(crew, host, new, Some(size.plus(header(host)))));
            return Some(ClaimedVolume { id, incarnation, size, keeping: None });
        }
        Origin::Foreign(at) => {
            let new = VolumeSpec { size: at.view.size, ..new };
            let why = alloc::format!("a person names it: {}", at.view.whose);
            changes.push(wording::adopted(name, &at.view.name, &new, &why));
            let ends = (new.id.clone(), new.size);
            steps.push(step::adopt_volume(name, pool, &at.view.name, new));
            ends
        }
        Origin::Own(at) | Origin::Adopted(at) => {
            let adopted = matches!(volume.origin, Origin::Adopted(_));
            take_back(ground, name, wanted, mount, at, adopted, steps, changes)?
        }
    };
    if has < size {
        let over = crew.inputs.policy.overcommit_thousandths;
        steps.push(step::grow_volume(name, &id, has, size, over));
    }
    Some(ClaimedVolume { id, incarnation, size: has.max(size), keeping: None })
}

/// The step that attaches a retired volume again; its id and the size that it has.
#[expect(clippy::too_many_arguments, reason = "what a lane is made with")]
fn take_back(
    ground: &Ground<'_>,
    host: &HostName,
    wanted: &Wanted<'_>,
    mount: &Mount,
    at: At<'_, VolumeView>,
    adopted: bool,
    steps: &mut Vec<Step>,
    changes: &mut Vec<Change>,
) -> Option<(VolumeId, Size)> {
    let VolumeState::Retired { since } = at.view.state else { return None };
    let marks =
        Marks { slot: wanted.slot.clone(), source: mount.source.clone(), keeping: mount.keeping };
    let age = crate::diff::age(ground, at).unwrap_or_default();
    let has = at.view.spec.size;
    let was = &at.view.spec.slot;
    let whose = match *was == wanted.slot {
        true => "it is the slot's own".into(),
        false => alloc::format!("it was of {was}"),
    };
    let why = alloc::format!("{whose}, {has}, retired {age} ago");
    changes.push(wording::taken_back(host, &marks, at.view, adopted, why));
    steps.push(step::take_back_volume(host, at.view, since, marks));
    Some((at.view.spec.id.clone(), has))
}

/// Retires volumes whose mount is gone, once nothing holds them.
pub(super) fn retire_dropped(kept: &mut Kept<'_>, changes: &mut Vec<Change>) -> Option<Lane> {
    let slot = kept.claim.slot.clone();
    let before = ClaimAct::Write(kept.claim.clone());
    let mut steps = Vec::new();
    let mut after = Vec::new();
    for volume in kept.volumes.iter().filter(|volume| volume.need == VolumeNeed::Retire) {
        let Some(view) = volume.view else { continue };
        changes.push(wording::retired(&kept.claim.host, &slot, view, "its mount is gone"));
        steps.push(step::retire_volume(&kept.claim.host, view));
        kept.claim.volumes.remove(&volume.source);
        after.push(ClaimAct::Loss { app: slot.app.clone() });
    }
    if steps.is_empty() {
        return None;
    }
    if kept.claim.volumes.is_empty() {
        kept.claim.pool = None;
    }
    after.insert(0, ClaimAct::Write(kept.claim.clone()));
    Some(Lane {
        object: Object::Slot { slot },
        claims_before: vec![before],
        steps,
        gate: Gate::Open,
        claims_after: after,
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: Vec::new(),
    })
}
