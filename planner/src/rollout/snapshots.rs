//! Snapshots that a deploy takes for a slot to go back to: of each volume that the new release is
//! started on, when nothing uses it any more and just before. Going back puts a copy in place of
//! the volume, which is retired with all that was written since. When the slot is healthy the
//! snapshots are removed.

use super::instance::Crew;
use super::removal::lane;
use super::reverting::Back;
use super::step;
use super::wording;
use crate::Inputs;
use crate::diff::instance::{InstanceNeed, failed};
use crate::diff::volume::{VolumeDiff, VolumeNeed, extent, header, identity, next_incarnation};
use crate::diff::{GroupDiff, Kept, pool_of};
use crate::model::id::VolumeId;
use crate::model::instance::Role;
use crate::model::name::{AppName, HostName};
use crate::model::object::Object;
use crate::model::observed::VolumeView;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::volume::{Keeping, OnRemove, VolumeKind, VolumeSpec, VolumeState};
use crate::placement::Ledger;
use crate::plan::change::Change;
use crate::plan::step::{Act, Step};
use crate::plan::{Gate, Lane, Wave};
use crate::recover::Ground;
use crate::report::{Kind, Report};
use crate::safety::Losses;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// What a volume held before the new release, and what comes in its place when that fails.
pub(super) struct Before {
    /// The volume.
    pub(super) volume: VolumeId,
    /// As it is by then.
    view: VolumeView,
    /// The snapshot.
    pub(super) snapshot: VolumeSpec,
    /// Whether it is there already: an earlier try has taken it.
    is_there: bool,
    /// The volume with what the snapshot holds.
    pub(super) copy: VolumeSpec,
    /// The cap that it gets.
    pub(super) to: Size,
}

/// What is put away of a slot's volumes; nothing if an earlier try of the release has had them and
/// left no snapshot of what they held before.
pub(super) fn of(crew: &Crew<'_, '_>, ground: &Ground<'_>, kept: &Kept<'_>) -> Option<Vec<Before>> {
    let tried = match kept.main {
        Some(main) => main.release == crew.runs.release,
        None => failed(&kept.claim, &crew.runs.release),
    };
    // What is dropped the new release does not get; what is made holds nothing yet.
    let has_data = |volume: &&VolumeDiff<'_>| match volume.need {
        VolumeNeed::Nothing | VolumeNeed::Grow { .. } | VolumeNeed::TakeBack { .. } => {
            volume.mount.is_some() && volume.view.is_some()
        }
        VolumeNeed::Make { .. }
        | VolumeNeed::Adopt { .. }
        | VolumeNeed::Retire
        | VolumeNeed::Stay
        | VolumeNeed::Lost => false,
    };
    let volumes = kept.volumes.iter().filter(has_data);
    volumes.map(|volume| one(crew, ground, kept, volume, tried)).collect()
}

fn one(
    crew: &Crew<'_, '_>,
    ground: &Ground<'_>,
    kept: &Kept<'_>,
    volume: &VolumeDiff<'_>,
    tried: bool,
) -> Option<Before> {
    let (view, mount) = (volume.view?, volume.mount?);
    let (slot, fleet) = (&kept.claim.slot, &crew.inputs.desired.fleet);
    let spec = VolumeSpec {
        id: volume.id.clone(),
        slot: slot.clone(),
        source: volume.source.clone(),
        size: volume.size(),
        keeping: mount.keeping,
        ..view.spec.clone()
    };
    let found = if tried { Some(taken(kept, &volume.id)?) } else { None };
    let snapshot = found.cloned().unwrap_or_else(|| VolumeSpec {
        id: VolumeId::of_copy(
            &spec.id,
            VolumeKind::Snapshot,
            crew.runs.release.as_str(),
            kept.host.reading.at,
        ),
        keeping: Keeping { on_remove: OnRemove::Destroy, protect: false, ..mount.keeping },
        kind: VolumeKind::Snapshot,
        origin: Some(spec.id.clone()),
        name: None,
        ..spec.clone()
    });
    let next = next_incarnation(crew.inputs, ground, slot, &volume.source);
    let (id, incarnation) = identity(fleet, (slot, &volume.source), kept.host, next);
    let copy = VolumeSpec {
        id,
        incarnation,
        size: snapshot.size,
        kind: VolumeKind::Own,
        origin: Some(snapshot.id.clone()),
        name: None,
        ..spec.clone()
    };
    Some(Before {
        volume: spec.id.clone(),
        to: spec.size.max(snapshot.size),
        view: VolumeView { spec, ..view.clone() },
        snapshot,
        is_there: found.is_some(),
        copy,
    })
}

/// The newest whole snapshot of a volume that an earlier try has taken.
fn taken<'a>(kept: &Kept<'a>, of: &VolumeId) -> Option<&'a VolumeSpec> {
    let volumes = kept.host.reading.volumes.values();
    let ours = volumes.filter(|view| view.spec.is_way_back() && view.spec.copies(of));
    let since = |view: &&VolumeView| match view.state {
        VolumeState::Retired { since } if view.is_whole() => Some((since, view.spec.id.clone())),
        VolumeState::Retired { .. }
        | VolumeState::Making
        | VolumeState::Attached
        | VolumeState::Erasing => None,
    };
    ours.filter(|view| since(view).is_some()).max_by_key(since).map(|view| &view.spec)
}

impl Before {
    /// Takes the snapshot, unless it is there.
    pub(super) fn take(&self, crew: &Crew<'_, '_>, kept: &Kept<'_>) -> Option<Step> {
        (!self.is_there).then(|| copied(crew, kept, &self.view, &self.snapshot))
    }

    /// Puts a copy of the snapshot in place of the volume.
    pub(super) fn put_back(&self, crew: &Crew<'_, '_>, kept: &Kept<'_>) -> Vec<Step> {
        let Self { view, snapshot, copy, to, .. } = self;
        let (host, over) = (&kept.claim.host, crew.inputs.policy.overcommit_thousandths);
        let of = VolumeView { spec: snapshot.clone(), ..view.clone() };
        let mut steps = vec![copied(crew, kept, &of, copy)];
        if *to > copy.size {
            steps.push(step::grow_volume(host, &copy.id, copy.size, *to, over));
        }
        steps.push(step::retire_volume(host, view));
        steps
    }
}

fn copied(crew: &Crew<'_, '_>, kept: &Kept<'_>, of: &VolumeView, spec: &VolumeSpec) -> Step {
    let (host, over) = (&kept.claim.host, crew.inputs.policy.overcommit_thousandths);
    let pool = pool_of(&crew.inputs.desired.fleet, kept.host);
    let room = spec.size.plus(header(kept.host));
    step::copy_volume(host, pool, of, spec.clone(), Some(room), over)
}

/// What ways back may take, at most: snapshots of all slots are there together; of copies and of
/// volumes that are retired those of one wave, for no other begins when one fails.
#[derive(Default)]
pub(super) struct Cost<'a> {
    snapshots: BTreeMap<&'a HostName, Size>,
    copies: BTreeMap<&'a HostName, Size>,
    losses: usize,
}

/// Why no way back can be had, and the way out.
pub(super) type No = (Kind, String, &'static str);

impl<'a> Cost<'a> {
    /// Adds what goes on side by side.
    pub(super) fn wave(&mut self, backs: impl Iterator<Item = (&'a Kept<'a>, Back)>) {
        let (mut copies, mut losses) = (BTreeMap::<&HostName, Size>::new(), 0);
        for (kept, back) in backs {
            let host = &kept.claim.host;
            let cost = |size: Size| size.rounded_up_to(extent(kept.host)).plus(header(kept.host));
            for before in &back.before {
                if !before.is_there {
                    let sum = self.snapshots.entry(host).or_default();
                    *sum = sum.plus(cost(before.snapshot.size));
                }
                let sum = copies.entry(host).or_default();
                *sum = sum.plus(cost(before.to));
                losses += 1;
            }
        }
        for (host, size) in copies {
            let most = self.copies.entry(host).or_default();
            *most = size.max(*most);
        }
        self.losses = self.losses.max(losses);
    }

    /// Reserves it, or says why it cannot be had.
    pub(super) fn reserve(
        self,
        inputs: &Inputs<'_>,
        app: &AppName,
        losses: &mut Losses,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), No> {
        let hint = "lower max_unavailable, raise max_loss in tiedown.toml, or set revert = \
                    \"release\" in [tiedown]";
        if self.losses == 0 {
            return Ok(());
        }
        if let Some(why) = losses.excess(inputs, app, self.losses) {
            return Err((Kind::Refused, format!("if it failed and went back, {why}"), hint));
        }
        for (host, copies) in self.copies {
            let all = copies.plus(self.snapshots.get(host).copied().unwrap_or_default());
            let account = ledger.account(host);
            if let Some(Err(why)) = account.map(|account| account.reserve(all, true)) {
                let why = format!("{host} has no room for snapshots to go back to: {why}");
                let hint = "make room, or set revert = \"release\" in [tiedown]";
                return Err((Kind::Blocked, why, hint));
            }
        }
        Ok(())
    }
}

/// Removes the snapshots of slots that have come up: those that the waves take, and those that are
/// left of earlier ones. Of a slot that the waves do not wait for and that is not healthy none goes.
pub(super) fn clear(
    ground: &Ground<'_>,
    group: &GroupDiff<'_>,
    waves: &[Wave],
    changes: &mut Vec<Change>,
    report: &mut Report,
) -> Vec<Lane> {
    let mut gone: BTreeMap<&SlotId, Vec<Step>> = BTreeMap::new();
    let mut waited = BTreeSet::new();
    let lanes = waves.iter().flat_map(|wave| &wave.lanes).filter(|lane| lane.gate != Gate::Open);
    for (lane, slot, host) in lanes.filter_map(started) {
        waited.insert(slot);
        let steps = gone.entry(slot).or_default();
        steps.extend(taken_by(lane).map(|id| step::remove_snapshot(host, id)));
        for view in left(ground, slot, host) {
            let why = "an earlier deploy took it to go back to; it goes when its slot has come up";
            changes.push(wording::copy_removed(host, view, why));
            steps.push(step::remove_snapshot(host, &view.spec.id));
        }
    }
    for kept in &group.kept {
        let (slot, host) = (&kept.claim.slot, &kept.claim.host);
        for view in left(ground, slot, host).filter(|_| !waited.contains(slot)) {
            if is_settled(kept) {
                let why = "a deploy took it to go back to, and its slot is healthy";
                changes.push(wording::copy_removed(host, view, why));
                gone.entry(slot).or_default().push(step::remove_snapshot(host, &view.spec.id));
            } else {
                let why = "a snapshot that a deploy took to go back to: it goes when its slot is \
                           healthy";
                report.say(Kind::Note, wording::volume_object(&view.spec), why, "");
            }
        }
    }
    let gone = gone.into_iter().filter(|(_, steps)| !steps.is_empty());
    gone.map(|(slot, steps)| lane(Object::Slot { slot: slot.clone() }, steps, Vec::new())).collect()
}

/// The slot that a lane starts a main instance of, and where.
fn started(lane: &Lane) -> Option<(&Lane, &SlotId, &HostName)> {
    lane.steps.iter().find_map(|step| match &step.act {
        Act::StartInstance { instance } if instance.role == Role::Main => {
            Some((lane, &instance.slot, &step.host))
        }
        _ => None,
    })
}

fn taken_by(lane: &Lane) -> impl Iterator<Item = &VolumeId> {
    lane.steps.iter().filter_map(|step| match &step.act {
        Act::CopyVolume { volume, .. } if volume.is_way_back() => Some(&volume.id),
        _ => None,
    })
}

/// Snapshots of a slot that earlier deploys took.
fn left<'a>(
    ground: &'a Ground<'_>,
    slot: &'a SlotId,
    host: &HostName,
) -> impl Iterator<Item = &'a VolumeView> {
    let volumes = ground.trusted.get(host).into_iter().flat_map(|it| it.reading.volumes.values());
    volumes.filter(move |view| {
        view.spec.is_way_back() && ground.renames.slot(&view.spec.slot) == *slot
    })
}

/// Whether the slot runs what was brought up last, and nothing else is asked of its instance.
fn is_settled(kept: &Kept<'_>) -> bool {
    let runs = |main: &&crate::model::observed::InstanceView| {
        kept.claim.applied.as_ref() == Some(&main.release) && main.is_serving()
    };
    kept.instance == InstanceNeed::Nothing && kept.main.filter(runs).is_some()
}
