//! No pool promises more than it may, at any moment: what a plan frees is not counted, for it is
//! freed some time and not surely before the rest is made. No host reserves more memory and cpus
//! than it has; there, what surely was stopped before is counted.

use super::walk::{Path, Placed, Walk};
use super::{Rule, Violation, World};
use crate::model::claim::Claim;
use crate::model::guest::Guest;
use crate::model::id::InstanceId;
use crate::model::instance::{InstanceSpec, Role};
use crate::model::name::HostName;
use crate::model::observed::{InstanceState, InstanceView, PoolView, Reading};
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::plan::ClaimAct;
use crate::plan::step::{Act, Step};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// Judges every host on which volumes are made or grown.
pub(super) fn room(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let overcommit = u64::from(world.policy.overcommit_thousandths);
    let mut steps: BTreeMap<&HostName, Vec<&Step>> = BTreeMap::new();
    let mut back = BTreeSet::new();
    for placed in &walk.steps {
        match placed.path {
            Path::WentBack => {
                back.insert(&placed.step.host);
            }
            Path::Main | Path::LaneFailed | Path::RolloutFailed => {
                steps.entry(&placed.step.host).or_default().push(placed.step);
            }
        }
    }
    for (host, reading) in world.readings() {
        let (size, extent, header) = match &reading.pool {
            PoolView::Present(pool) => (pool.size, pool.extent, pool.header),
            PoolView::Absent => {
                let size = walk.made_pool(host).map_or(Size::ZERO, |(_, size)| size);
                (size, Size::ZERO, Size::ZERO)
            }
        };
        let promised = promised(reading, extent, header);
        let steps = steps.get(host).map_or(&[][..], Vec::as_slice);
        let mut more = more(steps, reading, extent, header);
        if back.contains(host) {
            more = more.plus(going_back(walk, host, extent, header));
        }
        let limit = size.times_thousandths(overcommit);
        if more > Size::ZERO && promised.plus(more) > limit {
            let why = format!("{promised} promised and {more} more, but only {limit} may be");
            found.push(Violation::new(Rule::Room, host, why));
        }
    }
}

/// What the pool promises already: all that is in it, whatever its state and whosever it is.
fn promised(reading: &Reading, extent: Size, header: Size) -> Size {
    let ours = reading.volumes.values().map(|view| view.spec.size);
    let ours: Size = ours.map(|size| size.rounded_up_to(extent).plus(header)).sum();
    reading.foreign.iter().fold(ours, |sum, foreign| sum.plus(foreign.size))
}

/// What the plan adds to what a host promises, by its steps on it.
fn more(steps: &[&Step], reading: &Reading, extent: Size, header: Size) -> Size {
    let mut caps = BTreeMap::new();
    for step in steps {
        let (volume, size) = match &step.act {
            Act::MakeVolume { volume } | Act::CopyVolume { volume, .. } => {
                (&volume.id, volume.size)
            }
            Act::GrowVolume { volume, to } => (volume, *to),
            Act::MakePool { .. }
            | Act::FetchImage { .. }
            | Act::MarkVolume { .. }
            | Act::RetireVolume { .. }
            | Act::TakeBackVolume { .. }
            // It is in the pool already; what it grows by is counted with its growth.
            | Act::AdoptVolume { .. }
            | Act::DestroyVolume { .. }
            | Act::RemoveClone { .. }
            | Act::RemoveSnapshot { .. }
            | Act::StartInstance { .. }
            | Act::StopInstance { .. }
            | Act::SuperviseInstance { .. } => continue,
        };
        let cap = caps.entry(volume).or_insert(Size::ZERO);
        *cap = size.max(*cap);
    }
    let cost = |size: Size| size.rounded_up_to(extent).plus(header);
    let added = caps.into_iter().map(|(id, cap)| {
        let had = reading.volumes.get(id).map_or(Size::ZERO, |view| cost(view.spec.size));
        cost(cap).minus(had)
    });
    added.sum()
}

/// What slots that go back add on a host, at most.
fn going_back(walk: &Walk<'_>, host: &HostName, extent: Size, header: Size) -> Size {
    walk.going_back(|placed| match &placed.step.act {
        Act::CopyVolume { volume, .. } if placed.step.host == *host => {
            volume.size.rounded_up_to(extent).plus(header)
        }
        Act::GrowVolume { volume, to } if placed.step.host == *host => {
            to.minus(walk.makes(volume).map_or(Size::ZERO, |(_, spec)| spec.size))
        }
        _ => Size::ZERO,
    })
}

/// Judges every host on which instances are started.
pub(super) fn guests(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let mut starts: BTreeMap<&HostName, Vec<Start<'_>>> = BTreeMap::new();
    for (placed, spec) in walk.started() {
        starts.entry(&placed.step.host).or_default().push((placed, spec));
    }
    for (host, starts) in starts {
        let (Some(spec), Some(reading)) = (world.hosts.get(host), world.reading(host)) else {
            continue;
        };
        let limit = Guest::new(spec.memory, spec.cpus);
        let views = || reading.instances.values().filter(|view| !is_over(view));
        // The worst that can be, whatever comes first: nearly always it fits.
        if fits(reserved(views(), &starts, &Heirs::new()), limit) {
            continue;
        }
        let heirs = heirs(walk, reading, &starts);
        // What is reserved already, also for slots whose instance is gone for now.
        let claimed: Vec<Start<'_>> = starts
            .iter()
            .filter(|(_, spec)| {
                claim(walk, world, &spec.slot).is_some_and(|claim| claim.host == *host)
                    && spec.role == Role::Main
                    && !views().any(|view| view.slot == spec.slot && view.role == Role::Main)
            })
            .copied()
            .collect();
        let had = reserved(views(), &claimed, &heirs);
        for start in &starts {
            let (placed, spec) = start;
            let there = views().filter(|view| !stopped(walk, &view.id, None, placed));
            let beside: Vec<Start<'_>> = starts
                .iter()
                .filter(|(other, of)| {
                    !walk.before(placed, other) && !stopped(walk, &of.id, Some(other), placed)
                })
                .copied()
                .collect();
            let needs = reserved(there, &beside, &heirs);
            let more = needs.memory > had.memory || needs.cpus > had.cpus;
            if more && !fits(needs, limit) {
                let why = format!(
                    "{} and {} cpus would be reserved for {} and what is beside it; {host} has {} and {}",
                    needs.memory, needs.cpus, spec.slot, limit.memory, limit.cpus
                );
                found.push(Violation::new(Rule::Guests, &placed.step.id.0, why));
            }
        }
    }
}

type Start<'a> = (&'a Placed<'a>, &'a InstanceSpec);

/// What is remembered of a slot when the plan begins, with its corrections: its host may have
/// another name by now.
pub(super) fn claim<'a>(walk: &Walk<'a>, world: &World<'a>, slot: &SlotId) -> Option<&'a Claim> {
    let mut corrected = walk.plan.corrections.iter().filter_map(ClaimAct::written);
    corrected.find(|claim| claim.slot == *slot).or_else(|| world.claims.slots.get(slot))
}

/// Whether it was there for a moment, has ended by itself, and so takes nothing. The instance of a
/// slot may be started again at any time.
const fn is_over(view: &InstanceView) -> bool {
    match (view.role, &view.state) {
        (Role::Main, _) => false,
        (_, InstanceState::Finished | InstanceState::Failed { .. } | InstanceState::Stopped) => {
            true
        }
        (_, InstanceState::Running | InstanceState::Restarting | InstanceState::Died { .. }) => {
            false
        }
    }
}

fn fits(guest: Guest, limit: Guest) -> bool {
    guest.memory <= limit.memory && guest.cpus <= limit.cpus
}

/// Slots of other names that instances make way for: a renamed slot stops the one before it starts
/// its own, and so is one place.
type Heirs<'a> = BTreeMap<&'a InstanceId, &'a SlotId>;

fn heirs<'a>(walk: &Walk<'_>, reading: &'a Reading, starts: &[Start<'a>]) -> Heirs<'a> {
    let mut heirs = Heirs::new();
    let views = reading.instances.values().filter(|view| view.role == Role::Main);
    let slots: BTreeSet<&SlotId> = views.clone().map(|view| &view.slot).collect();
    for view in views {
        let heir = starts.iter().find(|(start, spec)| {
            let mut stops = walk.on_instance(&view.id);
            spec.role == Role::Main
                && !slots.contains(&spec.slot)
                && stops.any(|stop| {
                    matches!(stop.step.act, Act::StopInstance { .. })
                        && Walk::in_one_lane(stop, start)
                        && walk.before(stop, start)
                })
        });
        heirs.extend(heir.map(|(_, spec)| (&view.id, &spec.slot)));
    }
    heirs
}

/// What instances reserve that are there or are started. A slot has one main instance at a time,
/// so of those of a slot the biggest counts.
fn reserved<'v>(
    views: impl Iterator<Item = &'v InstanceView>,
    starts: &[Start<'_>],
    heirs: &Heirs<'_>,
) -> Guest {
    let mut biggest: BTreeMap<(&SlotId, Role), Guest> = BTreeMap::new();
    let views = views.map(|view| {
        let slot = heirs.get(&view.id).copied().unwrap_or(&view.slot);
        (slot, view.role, Guest::new(view.memory, view.cpus))
    });
    let starts = starts.iter().map(|(_, spec)| (&spec.slot, spec.role, spec.guest));
    for (slot, role, guest) in views.chain(starts) {
        let known = biggest.entry((slot, role)).or_insert(guest);
        known.memory = known.memory.max(guest.memory);
        known.cpus = known.cpus.max(guest.cpus);
    }
    biggest.into_values().fold(Guest::NONE, Guest::plus)
}

/// Whether an instance, that was there or that a step starts, was surely stopped before a step.
fn stopped(
    walk: &Walk<'_>,
    instance: &InstanceId,
    start: Option<&Placed<'_>>,
    before: &Placed<'_>,
) -> bool {
    walk.on_instance(instance).any(|stop| {
        matches!(stop.step.act, Act::StopInstance { .. })
            && walk.before(stop, before)
            && start.is_none_or(|start| walk.before(start, stop))
    })
}
