//! One group: which of its slots stay, which are new, which go, and what is in nobody's place.

use super::instance::{self, InstanceNeed};
use super::scale::{self, Numbers};
use super::stray::{find_leftovers, find_strays};
use super::volume::{self, VolumeDiff, VolumeNeed};
use super::{Current, Diff, GroupDiff, Kept, Runs, note, remove, retired};
use crate::Inputs;
use crate::model::claim::Claim;
use crate::model::desired::{App, Group};
use crate::model::host::HostState;
use crate::model::instance::Role;
use crate::model::name::Region;
use crate::model::object::Object;
use crate::model::observed::{InstanceState, InstanceView};
use crate::model::permit::Permit;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::volume::VolumeState;
use crate::plan::ClaimAct;
use crate::recover::{Ground, Trusted};
use crate::report::{Kind, Report};
use crate::safety::lineage::Memory;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// One group of one app, and what it is compared with.
pub(crate) struct Scope<'a, 's> {
    /// All that the plan is made from.
    pub(crate) inputs: &'s Inputs<'a>,
    /// Where the planner stands.
    pub(crate) ground: &'s Ground<'a>,
    /// The app.
    pub(crate) app: &'a App,
    /// The group.
    pub(crate) group: &'a Group,
    /// What the catalog remembers of the app.
    pub(crate) memory: &'s Memory<'s>,
    /// The release command that counts now; `None`: not known.
    pub(crate) released: &'s Option<Current>,
}

impl Scope<'_, '_> {
    /// The group, to speak about it.
    pub(super) fn object(&self) -> Object {
        Object::Group { app: self.app.name.clone(), group: self.group.name.clone() }
    }

    fn slot(&self, region: &Region, number: u32) -> Option<SlotId> {
        let (app, group) = (self.app.name.clone(), self.group.name.clone());
        Some(SlotId::new(app, group, region.clone(), NonZeroU32::new(number)?))
    }

    /// The group's slots that two hosts hold: they count as there.
    fn disputed(&self) -> impl Iterator<Item = &SlotId> {
        let of_group = |slot: &&SlotId| slot.app == self.app.name && slot.group == self.group.name;
        self.ground.disputed.iter().filter(of_group)
    }
}

/// Compares one group.
pub(super) fn compare<'a>(
    scope: &Scope<'a, '_>,
    existing: &[&Claim],
    runs: Option<Runs<'a>>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) {
    let mut there = Numbers::new();
    for slot in existing.iter().map(|claim| &claim.slot).chain(scope.disputed()) {
        there.entry(slot.region.clone()).or_default().insert(slot.number.get());
    }
    let numbers = scale::numbers(&scope.group.scale, &there);
    note::unlisted(scope, &there, report);
    let stays = |slot: &SlotId| {
        numbers.get(&slot.region).is_some_and(|numbers| numbers.contains(&slot.number.get()))
    };
    let (stay, go): (Vec<&&Claim>, Vec<_>) = existing.iter().partition(|claim| stays(&claim.slot));
    for claim in go {
        let allowed = scope.memory.allows_slot(&claim.slot, Some(scope.group));
        remove(scope.inputs, scope.ground, claim, allowed, diff, report);
    }
    let mut group = GroupDiff {
        app: scope.app,
        group: scope.group,
        runs,
        kept: Vec::with_capacity(stay.len()),
        wanted: Vec::new(),
        strays: Vec::new(),
        released: scope.released.clone(),
        unknown: scope.disputed().count(),
    };
    let stuck = stuck(scope, &group, existing, &stay, report);
    for claim in stay {
        keep(scope, claim, stuck, &mut group, diff, report);
    }
    // A release command that failed before the first slot was made is of no claimed slot.
    let of_group = |slot: &&SlotId| slot.app == scope.app.name && slot.group == scope.group.name;
    let unclaimed = |slot: &&SlotId| !scope.ground.claims.contains_key(*slot);
    for slot in scope.ground.seen.extras.keys().filter(of_group).filter(unclaimed) {
        find_leftovers(scope, slot, &mut group);
    }
    for (region, numbers) in &numbers {
        let there = there.get(region);
        let missing = numbers.iter().filter(|n| there.is_none_or(|there| !there.contains(n)));
        for slot in missing.filter_map(|n| scope.slot(region, *n)) {
            if group.runs.is_some() && !stuck {
                retired::want(scope, slot, None, &mut group, diff, report);
            } else {
                retired::postpone(scope, &slot, diff);
            }
        }
    }
    diff.groups.push(group);
}

/// Slots that are named one by one, at most.
const NAMED: usize = 6;

/// Whether the release failed on a slot of the group and must not be tried on any.
fn stuck(
    scope: &Scope<'_, '_>,
    group: &GroupDiff<'_>,
    existing: &[&Claim],
    stay: &[&&Claim],
    report: &mut Report,
) -> bool {
    let Some(runs) = &group.runs else { return false };
    if scope.inputs.permits.has(Permit::Retry) {
        return false;
    }
    let came_up = |claim: &Claim| {
        let mains = scope.ground.seen.mains.get(&claim.slot).map_or(&[][..], |mains| mains);
        claim.applied.as_ref() == Some(&runs.release)
            && instance::own(scope.inputs, claim, Some(&runs.release), mains)
                .is_some_and(InstanceView::is_serving)
    };
    let mut failed =
        existing.iter().filter(|claim| instance::failed(claim, &runs.release) && !came_up(claim));
    let Some(first) = failed.next() else { return false };
    let seen = first.failed.as_ref().map(|failed| failed.why.as_str()).unwrap_or_default();
    let slots = stay.len();
    let stay = stay.iter().filter(|claim| !came_up(claim));
    let stay: Vec<_> =
        stay.map(|claim| format!("{}/{}", claim.slot.region, claim.slot.number)).collect();
    let stay = match &stay[..] {
        [] => "its slot goes".into(),
        [only] => format!("{only} stays as it is"),
        [others @ .., last] if others.len() < NAMED => {
            format!("{} and {last} stay as they are", others.join(", "))
        }
        _ => format!("{} of {slots} slots stay as they are", stay.len()),
    };
    let why = format!("release {} failed on {}: {seen}; {stay}", runs.release, first.slot);
    let hint = "change what it runs, or try the release again with --retry";
    report.say(Kind::Waiting, scope.object(), why, hint);
    true
}

/// Compares a slot that stays.
fn keep<'a>(
    scope: &Scope<'a, '_>,
    claim: &Claim,
    stuck: bool,
    group: &mut GroupDiff<'a>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) {
    if claim.held {
        leave_held(scope, claim, group, report);
        return;
    }
    let Some(host) = hosted(scope, claim, stuck, group, diff, report) else { return };
    let nothing = Vec::new();
    let mains = scope.ground.seen.mains.get(&claim.slot).unwrap_or(&nothing);
    let release = group.runs.as_ref().map(|runs| &runs.release);
    let main = instance::own(scope.inputs, claim, release, mains);
    let volumes = volume::compare(scope, claim, host);
    find_strays(scope, claim, &volumes, main, group);
    let known = learn(scope, claim, &volumes, main);
    let mut kept = Kept {
        // What is corrected is so before all else.
        claim: correct(scope, claim, known, &volumes, diff),
        before: claim.clone(),
        was_moved: !scope.app.moved.is_empty(),
        moved_from: scope.ground.moved.get(&claim.slot).cloned(),
        host,
        main,
        volumes,
        instance: InstanceNeed::Nothing,
        grows_paused: main.is_some() && !volume::grows_online(host),
        supervise: false,
    };
    refuse_dropped(scope, &mut kept, diff, report);
    let lost = report_lost(scope, &kept, report);
    if let Some(runs) = &group.runs
        && !lost
        && can_run(&kept, runs, report)
    {
        let retry = scope.inputs.permits.has(Permit::Retry);
        let need = instance::need(&kept.claim, main, &runs.release, retry);
        let new = kept.claim.applied.as_ref() != Some(&runs.release)
            || instance::failed(&kept.claim, &runs.release);
        kept.instance = if stuck && new { InstanceNeed::Nothing } else { attach(&kept, need) };
        if kept.volumes.iter().any(|v| v.need == VolumeNeed::Stay) {
            kept.instance = InstanceNeed::Nothing;
        }
        yield_to_run(scope, &mut kept, report);
    }
    if lost {
        kept.volumes.iter_mut().for_each(|volume| {
            if volume.need != VolumeNeed::Lost {
                volume.need = VolumeNeed::Nothing;
                volume.marks = None;
            }
        });
    }
    note::kept(scope, &kept, report);
    kept.supervise = kept.instance == InstanceNeed::Nothing
        && main.is_some_and(|main| {
            main.supervision != scope.group.supervision && main.state == InstanceState::Running
        });
    group.kept.push(kept);
}

/// A volume has one user: while a run on demand has it, the slot's own instance waits.
fn yield_to_run(scope: &Scope<'_, '_>, kept: &mut Kept<'_>, report: &mut Report) {
    let slot = &kept.claim.slot;
    let extras = scope.ground.seen.extras.get(slot).into_iter().flatten();
    let mut uses = extras.filter(|at| {
        at.view.role == Role::Run && at.view.state.is_alive() && !at.view.volumes.is_empty()
    });
    let Some(at) = uses.next().filter(|_| kept.instance != InstanceNeed::Nothing) else { return };
    kept.instance = InstanceNeed::Nothing;
    let why = format!("run {} uses its volumes, and is waited for", at.view.id);
    report.say(Kind::Waiting, Object::Slot { slot: slot.clone() }, why, "");
}

/// An instance that runs without a volume that is to be made or taken back is started anew.
fn attach(kept: &Kept<'_>, need: InstanceNeed) -> InstanceNeed {
    let missing = kept.volumes.iter().any(|volume| match volume.need {
        VolumeNeed::Make { .. } | VolumeNeed::TakeBack { .. } | VolumeNeed::Adopt { .. } => true,
        VolumeNeed::Nothing
        | VolumeNeed::Grow { .. }
        | VolumeNeed::Retire
        | VolumeNeed::Stay
        | VolumeNeed::Lost => false,
    });
    match need {
        InstanceNeed::Nothing | InstanceNeed::Confirm if missing => {
            InstanceNeed::Restart { why: "it runs without one of its volumes".into() }
        }
        InstanceNeed::Nothing
        | InstanceNeed::Confirm
        | InstanceNeed::Start
        | InstanceNeed::Restart { .. }
        | InstanceNeed::Redeploy { .. } => need,
    }
}

/// A held slot is left alone; one that is not known to serve spends the budget of its group.
fn leave_held(
    scope: &Scope<'_, '_>,
    claim: &Claim,
    group: &mut GroupDiff<'_>,
    report: &mut Report,
) {
    let mains = scope.ground.seen.mains.get(&claim.slot).into_iter().flatten();
    let mut here = mains.filter(|at| *at.host == claim.host);
    if !here.any(|at| at.view.is_serving()) {
        group.unknown += 1;
    }
    let object = Object::Slot { slot: claim.slot.clone() };
    let why = "it is held, so it is left alone";
    report.say(Kind::Waiting, object, why, &format!("tiedown unhold {}", claim.slot));
}

/// The slot's host, if it can be believed. A slot of a lost host may be wanted elsewhere.
fn hosted<'a>(
    scope: &Scope<'a, '_>,
    claim: &Claim,
    stuck: bool,
    group: &mut GroupDiff<'a>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) -> Option<Trusted<'a>> {
    let object = || Object::Slot { slot: claim.slot.clone() };
    let trusted = scope.ground.trusted.get(&claim.host).copied();
    let lost = scope
        .inputs
        .desired
        .hosts
        .get(&claim.host)
        .is_some_and(|spec| spec.state == HostState::Lost);
    if !lost {
        if trusted.is_none() {
            group.unknown += 1;
        }
        return trusted;
    }
    group.unknown += 1;
    let volumes: Vec<&str> = claim.volumes.values().map(|volume| volume.id.as_str()).collect();
    if scope.ground.answering.contains(&claim.host) {
        let why = format!("{} is said to be lost, but it answers", claim.host);
        let hint = "set its state to \"cordoned\" or \"active\", or switch it off";
        report.say(Kind::Refused, object(), why, hint);
    } else if !scope.inputs.permits.has(Permit::Empty) {
        let gives = match volumes.len() {
            0 => "its instance".into(),
            _ => format!("its data ({})", volumes.join(", ")),
        };
        let why = format!("{} is lost; starting elsewhere gives up {gives}", claim.host);
        report.say(Kind::Refused, object(), why, "allow it with --allow-empty");
    } else if group.runs.is_some() && !stuck {
        retired::want(scope, claim.slot.clone(), Some(claim), group, diff, report);
    }
    None
}

/// Volumes whose mount is gone stay if the source of the plan may not remove them.
fn refuse_dropped(
    scope: &Scope<'_, '_>,
    kept: &mut Kept<'_>,
    diff: &mut Diff<'_>,
    report: &mut Report,
) {
    for volume in kept.volumes.iter_mut().filter(|v| v.need == VolumeNeed::Retire) {
        if scope.ground.renames.holds_source(&kept.claim.slot, &volume.source) {
            volume.need = VolumeNeed::Stay;
            diff.pending.insert(scope.app.name.clone());
            continue;
        }
        let Err(refusal) = scope.memory.allows_mount(&scope.group.name, &volume.source) else {
            continue;
        };
        volume.need = VolumeNeed::Stay;
        diff.pending.insert(scope.app.name.clone());
        let why = format!(
            "its mount is gone, but it is not retired, and its slot keeps the old release: {}",
            refusal.why
        );
        report.say(Kind::Refused, kept.claim.volume_object(volume), why, &refusal.hint);
    }
}

impl Claim {
    /// A volume of the slot, to speak about it.
    pub(crate) fn volume_object(&self, volume: &VolumeDiff<'_>) -> Object {
        Object::Volume {
            slot: self.slot.clone(),
            source: volume.source.clone(),
            volume: volume.id.clone(),
        }
    }
}

fn report_lost(scope: &Scope<'_, '_>, kept: &Kept<'_>, report: &mut Report) -> bool {
    let mut lost = false;
    for volume in kept.volumes.iter().filter(|v| v.need == VolumeNeed::Lost) {
        lost = true;
        let why =
            format!("it is claimed on {} and is not there; it is not made anew", kept.claim.host);
        let hint = match adoptable(scope, kept) {
            Some(name) => format!(
                "if it was to become what is {name} there: `tiedown volumes adopt {name} {}`; to \
                 start empty say `fresh = true` in [tiedown.volumes], or --allow-empty",
                kept.claim.slot
            ),
            None => "find out what removed it; to start empty say `fresh = true` in \
                     [tiedown.volumes], or --allow-empty"
                .to_string(),
        };
        report.say(Kind::Refused, kept.claim.volume_object(volume), why, &hint);
    }
    lost
}

/// What lies on the host of a slot that never came up and may have been meant for it: the work by
/// hand that was to adopt it was cut short, and no claim says its name.
fn adoptable<'a>(scope: &Scope<'_, '_>, kept: &Kept<'a>) -> Option<&'a str> {
    if kept.claim.applied.is_some() || scope.group.mounts.len() != 1 {
        return None;
    }
    let found = kept.host.reading.foreign.iter().find(|foreign| foreign.cannot.is_none())?;
    Some(&found.name)
}

fn can_run(kept: &Kept<'_>, runs: &Runs<'_>, report: &mut Report) -> bool {
    let kind = runs.artifact.kind();
    let can = kept.host.reading.runs.contains(&kind);
    let runs_it = kept.main.is_some_and(|main| main.release == runs.release);
    if !can && !runs_it {
        let why = format!("{} cannot run {}", kept.claim.host, kind.one());
        let hint = "give the host a runtime that can, or drain it";
        report.say(Kind::Blocked, Object::Slot { slot: kept.claim.slot.clone() }, why, hint);
    }
    can
}

/// Where it is not known what was applied, what is there and is what is wanted counts as applied
/// from now on.
fn learn(
    scope: &Scope<'_, '_>,
    claim: &Claim,
    volumes: &[VolumeDiff<'_>],
    main: Option<&InstanceView>,
) -> Claim {
    let mut known = claim.clone();
    let as_wanted = main.filter(|main| main.supervision == scope.group.supervision);
    known.supervision =
        known.supervision.or_else(|| as_wanted.map(|main| main.supervision.clone()));
    for volume in volumes.iter().filter(|volume| volume.marks.is_none()) {
        let (Some(mount), Some(view)) = (volume.mount, volume.view) else { continue };
        if let Some(claimed) = known.volumes.get_mut(&volume.source)
            && view.state == VolumeState::Attached
            && view.spec.keeping == mount.keeping
        {
            claimed.keeping = claimed.keeping.or(Some(mount.keeping));
        }
    }
    known
}

/// The claim without another size than there is, and without a volume that is no longer there and
/// no longer wanted.
fn correct(
    scope: &Scope<'_, '_>,
    claim: &Claim,
    mut corrected: Claim,
    volumes: &[VolumeDiff<'_>],
    diff: &mut Diff<'_>,
) -> Claim {
    if scope.ground.moved.contains_key(&claim.slot) {
        return corrected;
    }
    corrected.volumes.retain(|source, _| volumes.iter().any(|v| v.source == *source));
    for volume in volumes.iter().filter(|volume| volume.claimed != Size::ZERO) {
        if let (VolumeNeed::Nothing, Some(view), Some(claimed)) =
            (&volume.need, volume.view, corrected.volumes.get_mut(&volume.source))
        {
            claimed.size = claimed.size.max(view.spec.size);
        }
    }
    if corrected != *claim {
        diff.corrections.push(ClaimAct::Write(corrected.clone()));
    }
    corrected
}
