//! What the volumes of a slot that stays need: growth, new marks, to be made, taken back or
//! retired; or that one is lost.

use crate::Inputs;
use crate::diff::group::Scope;
use crate::model::claim::{Claim, ClaimedVolume};
use crate::model::desired::Mount;
use crate::model::id::{Incarnation, VolumeId};
use crate::model::name::{FleetName, SourceName};
use crate::model::observed::{Foreign, PoolView, VolumeView};
use crate::model::permit::Permit;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::time::Timestamp;
use crate::model::volume::{Keeping, VolumeState};
use crate::plan::step::Marks;
use crate::recover::{Ground, Trusted};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

/// What one volume of a slot needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VolumeNeed {
    /// It is as it should be.
    Nothing,
    /// It grows to this cap.
    Grow {
        /// The cap.
        to: Size,
    },
    /// It is made, with this cap.
    Make {
        /// The cap.
        size: Size,
        /// Whether its making was begun before.
        begun: bool,
    },
    /// It is the slot's own and was retired: it is attached again.
    TakeBack {
        /// When it was retired.
        since: Timestamp,
        /// The cap that it grows to, or has.
        to: Size,
    },
    /// Its adoption was begun and cut short: what a person named becomes it.
    Adopt {
        /// How the host calls it.
        name: String,
        /// The size that it has.
        size: Size,
        /// The cap that it grows to, or has.
        to: Size,
    },
    /// Its mount is gone: it is retired.
    Retire,
    /// Its mount is gone, and it stays attached because it may not be retired now.
    Stay,
    /// It is claimed and not there.
    Lost,
}

/// One volume of a slot that stays.
pub(crate) struct VolumeDiff<'a> {
    /// Its name.
    pub(crate) source: SourceName,
    /// Its mount; `None` if that is gone.
    pub(crate) mount: Option<&'a Mount>,
    /// Its identity, claimed or to be claimed.
    pub(crate) id: VolumeId,
    /// Which life.
    pub(crate) incarnation: Incarnation,
    /// The size applied last; zero if never.
    pub(crate) claimed: Size,
    /// The size that its mount asks for, rounded to the pool's extent; zero without a mount.
    pub(crate) wanted: Size,
    /// How it was marked to be kept last, if that is known.
    pub(crate) kept_as: Option<Keeping>,
    /// How it is.
    pub(crate) view: Option<&'a VolumeView>,
    /// What it needs.
    pub(crate) need: VolumeNeed,
    /// The marks that it should carry, if it carries others.
    pub(crate) marks: Option<Marks>,
}

impl VolumeDiff<'_> {
    /// The cap that it has now.
    pub(crate) fn size_now(&self) -> Size {
        self.view.map_or(self.claimed, |view| view.spec.size)
    }

    /// The cap that it has once its need is met.
    pub(crate) fn size(&self) -> Size {
        match &self.need {
            VolumeNeed::Grow { to }
            | VolumeNeed::TakeBack { to, .. }
            | VolumeNeed::Adopt { to, .. } => *to,
            VolumeNeed::Make { size, .. } => *size,
            VolumeNeed::Nothing | VolumeNeed::Retire | VolumeNeed::Stay | VolumeNeed::Lost => {
                self.size_now()
            }
        }
    }
}

/// Whether volumes of the host can grow while they are used.
pub(crate) const fn grows_online(host: Trusted<'_>) -> bool {
    match &host.reading.pool {
        PoolView::Present(pool) => pool.grows_online,
        PoolView::Absent => true,
    }
}

/// Whether the volume is no slot's any more.
pub(crate) const fn is_retired(view: &VolumeView) -> bool {
    match view.state {
        VolumeState::Retired { .. } | VolumeState::Erasing => true,
        VolumeState::Making | VolumeState::Attached => false,
    }
}

/// Whether anything was ever put on it.
pub(crate) fn has_data(view: &VolumeView) -> bool {
    view.formatted || view.allocated > Size::ZERO
}

/// The extent of the host's pool, present or to be made.
pub(crate) fn extent(host: Trusted<'_>) -> Size {
    match &host.reading.pool {
        PoolView::Present(pool) => pool.extent,
        PoolView::Absent => Size::from_mib(4),
    }
}

/// What a volume costs in the host's pool beside its size.
pub(crate) fn header(host: Trusted<'_>) -> Size {
    match &host.reading.pool {
        PoolView::Present(pool) => pool.header,
        PoolView::Absent => Size::ZERO,
    }
}

/// The life that a new volume of the slot and source has: after every one that was ever given.
pub(crate) fn next_incarnation(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    slot: &SlotId,
    source: &SourceName,
) -> Incarnation {
    let key = (slot.clone(), source.clone());
    let retired = ground.seen.retired.get(&key).into_iter().flatten();
    let attached = ground.seen.attached.get(slot).into_iter().flatten();
    let attached = attached.filter(|at| at.view.spec.source == *source);
    let seen = retired.chain(attached).map(|at| at.view.spec.incarnation);
    let claimed = ground.claims.get(slot).and_then(|claim| claim.volumes.get(source));
    let claimed = claimed.map(|volume| volume.incarnation);
    let given = inputs.claims.incarnations.get(&key).copied();
    let highest = seen.chain(given).chain(claimed).max();
    highest.map_or(Incarnation::FIRST, Incarnation::next)
}

/// The identity that a new volume has on a host, and its life: this one, or the next whose volume
/// the host does not have. A volume keeps its identity when its slot or source has another name,
/// and only the catalog knows which name it was made under.
pub(crate) fn identity(
    fleet: &FleetName,
    (slot, source): (&SlotId, &SourceName),
    host: Trusted<'_>,
    first: Incarnation,
) -> (VolumeId, Incarnation) {
    let pool = super::retired::pool_of(fleet, host);
    let begun = |view: &VolumeView| {
        view.state == VolumeState::Making && (&view.spec.slot, &view.spec.source) == (slot, source)
    };
    let mut incarnation = first;
    loop {
        let id = VolumeId::derive(fleet, slot, source, &pool, incarnation);
        if host.reading.volumes.get(&id).is_none_or(begun) {
            return (id, incarnation);
        }
        incarnation = incarnation.next();
    }
}

/// Compares the volumes of a slot with the mounts of its group.
pub(super) fn compare<'a>(
    scope: &Scope<'a, '_>,
    claim: &Claim,
    host: Trusted<'a>,
) -> Vec<VolumeDiff<'a>> {
    let mounts = &scope.group.mounts;
    let sources: BTreeSet<&SourceName> = mounts.keys().chain(claim.volumes.keys()).collect();
    let one = |source: &SourceName| match (mounts.get(source), claim.volumes.get(source)) {
        (Some(mount), Some(volume)) => Some(compare_one(scope, claim, mount, volume, host)),
        (Some(mount), None) => Some(added(scope, claim, mount, host)),
        (None, Some(volume)) => dropped(source, volume, host),
        (None, None) => None,
    };
    sources.into_iter().filter_map(one).collect()
}

fn compare_one<'a>(
    scope: &Scope<'a, '_>,
    claim: &Claim,
    mount: &'a Mount,
    volume: &ClaimedVolume,
    host: Trusted<'a>,
) -> VolumeDiff<'a> {
    let view = host.reading.volumes.get(&volume.id);
    // One that shrank behind our back is grown to what it was.
    let size = mount.size.rounded_up_to(extent(host)).max(volume.size);
    let never_made = volume.size == Size::ZERO;
    let need = match view.map(|view| (view, view.state)) {
        None if never_made => VolumeNeed::Make { size, begun: false },
        None if let Some(foreign) = cut_short(scope, claim, mount, host) => {
            VolumeNeed::Adopt { name: foreign.name.clone(), size: foreign.size, to: size }
        }
        None if mount.fresh || scope.inputs.permits.has(Permit::Empty) => {
            return added(scope, claim, mount, host);
        }
        None => VolumeNeed::Lost,
        Some((view, VolumeState::Attached)) if view.spec.size < size => {
            VolumeNeed::Grow { to: size }
        }
        Some((_, VolumeState::Attached)) => VolumeNeed::Nothing,
        Some((_, VolumeState::Making)) => VolumeNeed::Make { size, begun: true },
        Some((view, VolumeState::Retired { since })) => {
            VolumeNeed::TakeBack { since, to: size.max(view.spec.size) }
        }
        Some((_, VolumeState::Erasing)) => VolumeNeed::Lost,
    };
    let marks =
        Marks { slot: claim.slot.clone(), source: mount.source.clone(), keeping: mount.keeping };
    let marked = view.filter(|view| view.state == VolumeState::Attached);
    let differ = marked.is_some_and(|view| {
        let VolumeView { spec, .. } = view;
        spec.slot != marks.slot || spec.source != marks.source || spec.keeping != marks.keeping
    });
    VolumeDiff {
        source: mount.source.clone(),
        mount: Some(mount),
        id: volume.id.clone(),
        incarnation: volume.incarnation,
        claimed: volume.size,
        kept_as: volume.keeping,
        wanted: mount.size.rounded_up_to(extent(host)),
        view,
        need,
        marks: differ.then_some(marks),
    }
}

/// What a slot that never came up was to adopt, if that is still to be done.
fn cut_short<'a>(
    scope: &Scope<'a, '_>,
    claim: &Claim,
    mount: &Mount,
    host: Trusted<'a>,
) -> Option<&'a Foreign> {
    let name = mount.adopt.as_deref().filter(|_| claim.applied.is_none())?;
    let at = super::retired::foreign(scope.ground, name).ok()?;
    (*at.host == host.spec.name).then_some(at.view)
}

fn added<'a>(
    scope: &Scope<'a, '_>,
    claim: &Claim,
    mount: &'a Mount,
    host: Trusted<'a>,
) -> VolumeDiff<'a> {
    let (slot, source) = (&claim.slot, &mount.source);
    let next = next_incarnation(scope.inputs, scope.ground, slot, source);
    let fleet = &scope.inputs.desired.fleet;
    let (id, incarnation) = identity(fleet, (slot, source), host, next);
    VolumeDiff {
        source: source.clone(),
        mount: Some(mount),
        id,
        incarnation,
        claimed: Size::ZERO,
        kept_as: None,
        wanted: mount.size.rounded_up_to(extent(host)),
        view: None,
        need: VolumeNeed::Make { size: mount.size.rounded_up_to(extent(host)), begun: false },
        marks: None,
    }
}

/// A volume whose mount is gone. One that is not there any more is nothing to do.
fn dropped<'a>(
    source: &SourceName,
    volume: &ClaimedVolume,
    host: Trusted<'a>,
) -> Option<VolumeDiff<'a>> {
    let view = host.reading.volumes.get(&volume.id).filter(|view| !is_retired(view))?;
    Some(VolumeDiff {
        source: source.clone(),
        mount: None,
        id: volume.id.clone(),
        incarnation: volume.incarnation,
        claimed: volume.size,
        kept_as: volume.keeping,
        wanted: Size::ZERO,
        view: Some(view),
        need: VolumeNeed::Retire,
        marks: None,
    })
}
