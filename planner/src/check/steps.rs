//! What is judged of each step alone: its name, its host, its object, its predicates.

use super::walk::Walk;
use super::{Rule, Violation, World};
use crate::model::host::HostState;
use crate::model::id::{InstanceId, PoolId, VolumeId};
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::{PoolView, Reading, VolumeView};
use crate::model::slot::SlotId;
use crate::model::volume::{VolumeSpec, VolumeState};
use crate::plan::predicate::Predicate;
use crate::plan::step::{Act, Step};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Step ids are unique and say what the step does.
pub(super) fn ids(walk: &Walk<'_>, _: &World<'_>, found: &mut Vec<Violation>) {
    let mut seen = BTreeSet::new();
    for placed in &walk.steps {
        let step = placed.step;
        if !seen.insert(&step.id) {
            found.push(Violation::new(Rule::StepIds, &step.id.0, "two steps have this name"));
        }
        if !step.id.0.starts_with(&step.act.id(&step.host).0) {
            found.push(Violation::new(Rule::StepIds, &step.id.0, "the name is another act's"));
        }
    }
}

/// Steps are for hosts that were read, are ours, and are not given up.
pub(super) fn hosts(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let mut pools = Pools::new();
    for claim in world.claims.slots.values() {
        pools.entry(&claim.host).or_default().extend(&claim.pool);
    }
    for placed in &walk.steps {
        if let Some(why) = distrust(walk, world, &pools, placed.step) {
            found.push(Violation::new(Rule::Hosts, &placed.step.id.0, why));
        }
    }
}

/// Pools that claims are on, by host.
type Pools<'a> = BTreeMap<&'a HostName, BTreeSet<&'a PoolId>>;

fn distrust(walk: &Walk<'_>, world: &World<'_>, pools: &Pools<'_>, step: &Step) -> Option<String> {
    let host = &step.host;
    let Some(spec) = world.hosts.get(host) else {
        return Some(format!("{host} is no host of the fleet"));
    };
    if spec.state == HostState::Lost {
        return Some(format!("{host} is given up as lost"));
    }
    let Some(reading) = world.reading(host) else {
        return Some(format!("{host} could not be read"));
    };
    // A name that another host has by now is that host's.
    let was = spec.was.as_ref().filter(|was| !world.hosts.contains_key(*was));
    let names = |name: &HostName| name == host || Some(name) == was;
    let mut claimed = [Some(host), was].into_iter().flatten().filter_map(|name| pools.get(name));
    match &reading.pool {
        PoolView::Absent if claimed.any(|pools| !pools.is_empty()) => {
            Some(format!("the pool that claims are on is gone from {host}"))
        }
        PoolView::Absent => {
            let needs = needs_pool(&step.act) && walk.made_pool(host).is_none();
            needs.then(|| format!("{host} has no pool"))
        }
        PoolView::Present(pool) if pool.fleet != walk.plan.fleet => {
            Some(format!("the pool of {host} is of fleet {}", pool.fleet))
        }
        PoolView::Present(pool) if !names(&pool.host) => {
            Some(format!("the pool of {host} says that it is of {}", pool.host))
        }
        PoolView::Present(pool) if pool.machine != reading.machine => {
            Some(format!("the pool of {host} was made on another machine, {}", pool.machine))
        }
        PoolView::Present(pool) => {
            let other = claimed.flatten().copied().find(|claimed| *claimed != &pool.id)?;
            Some(format!("the pool of {host} is {}, claims are on {other}", pool.id))
        }
    }
}

fn needs_pool(act: &Act) -> bool {
    match act {
        Act::MakePool { .. }
        | Act::FetchImage { .. }
        | Act::StopInstance { .. }
        | Act::SuperviseInstance { .. } => false,
        Act::StartInstance { instance } => !instance.binds.is_empty(),
        Act::MakeVolume { .. }
        | Act::CopyVolume { .. }
        | Act::RemoveClone { .. }
        | Act::RemoveSnapshot { .. }
        | Act::GrowVolume { .. }
        | Act::MarkVolume { .. }
        | Act::RetireVolume { .. }
        | Act::TakeBackVolume { .. }
        | Act::AdoptVolume { .. }
        | Act::DestroyVolume { .. } => true,
    }
}

/// What is touched carries our mark, or is made by the plan.
pub(super) fn own_objects(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for change in &walk.plan.changes {
        if matches!(change.object, Object::Foreign { .. }) {
            found.push(Violation::new(Rule::OwnObjects, &change.object, "it is not ours"));
        }
    }
    for placed in &walk.steps {
        let step = placed.step;
        let Some(reading) = world.reading(&step.host) else { continue };
        let why = match &step.act {
            // Making twice is making once; so a pool or volume that is there is as good.
            Act::MakePool { .. } | Act::FetchImage { .. } | Act::StartInstance { .. } => None,
            Act::MakeVolume { volume } => of_another(reading, volume),
            // Destroyed already.
            Act::DestroyVolume { .. } | Act::RemoveClone { .. } | Act::RemoveSnapshot { .. } => {
                None
            }
            Act::AdoptVolume { name, volume } => not_adoptable(reading, name, volume),
            Act::CopyVolume { of: volume, .. }
            | Act::GrowVolume { volume, .. }
            | Act::MarkVolume { volume, .. }
            | Act::RetireVolume { volume, .. }
            | Act::TakeBackVolume { volume, .. } => {
                let made = walk.makes(volume).is_some_and(|(made, _)| made.step.host == step.host);
                let known = made || reading.volumes.contains_key(volume);
                (!known).then(|| format!("{} has no volume {volume} of ours", step.host))
            }
            Act::StopInstance { instance, slot } => reading
                .instances
                .get(instance)
                .filter(|view| view.slot != *slot)
                .map(|view| format!("instance {instance} is of {}, not of {slot}", view.slot)),
            Act::SuperviseInstance { instance, .. } => {
                let starts = walk.started().any(|(_, spec)| spec.id == *instance);
                let known = starts || reading.instances.contains_key(instance);
                (!known).then(|| format!("{} has no instance {instance} of ours", step.host))
            }
        };
        if let Some(why) = why {
            found.push(Violation::new(Rule::OwnObjects, &step.id.0, why));
        }
    }
}

/// Whose volume it would be taken for, if the host has it under other marks.
fn of_another(reading: &Reading, made: &VolumeSpec) -> Option<String> {
    let VolumeView { spec, state, .. } = reading.volumes.get(&made.id)?;
    let same = (&spec.slot, &spec.source) == (&made.slot, &made.source);
    (!same && *state != VolumeState::Making)
        .then(|| format!("{} is there, as {} of {}", made.id, spec.source, spec.slot))
}

/// Why something that is not ours may not become this volume. What is the volume already is as
/// good.
fn not_adoptable(reading: &Reading, name: &str, volume: &VolumeSpec) -> Option<String> {
    if reading.volumes.contains_key(&volume.id) {
        return None;
    }
    let found = reading.foreign.iter().find(|foreign| foreign.name == name);
    let Some(found) = found else { return Some(format!("there is no {name}")) };
    if found.size != volume.size {
        return Some(format!("{name} has {}, not {}", found.size, volume.size));
    }
    found.cannot.clone()
}

/// Predicates are there, are about the step's own object, and pin what the act does.
pub(super) fn predicates(walk: &Walk<'_>, _: &World<'_>, found: &mut Vec<Violation>) {
    for placed in &walk.steps {
        let step = placed.step;
        let mut broken = |why: &str| {
            found.push(Violation::new(Rule::Predicates, &step.id.0, why));
        };
        if !step.before.iter().any(|fact| own(&step.act, fact)) {
            broken("no precondition is about what the step acts on");
        }
        if !step.after.iter().any(|fact| pins(&step.act, fact)) {
            broken("no result says what the step does");
        }
        let mut facts = step.before.iter().chain(&step.after);
        if facts.any(|fact| !own(&step.act, fact) && !near(&step.act, fact)) {
            broken("a predicate is about something else");
        }
    }
}

/// What a fact is about, if not about the host's pool.
enum Subject<'a> {
    Pool,
    Volume(&'a VolumeId),
    Instance(&'a InstanceId),
    Slot(&'a SlotId),
    Foreign(&'a str),
    Image(&'a str),
}

fn subject(fact: &Predicate) -> Subject<'_> {
    match fact {
        Predicate::PoolAbsent
        | Predicate::PoolIs { .. }
        | Predicate::Room { .. }
        | Predicate::GuestFits { .. } => Subject::Pool,
        Predicate::VolumeAbsent { volume }
        | Predicate::VolumeUnmade { volume }
        | Predicate::VolumeAttached { volume, .. }
        | Predicate::VolumeTaken { volume }
        | Predicate::VolumeMarked { volume, .. }
        | Predicate::VolumeRetired { volume, .. }
        | Predicate::VolumeWhole { volume, .. }
        | Predicate::VolumeCopied { volume, .. }
        | Predicate::VolumeIsClone { volume }
        | Predicate::VolumeIsWayBack { volume }
        | Predicate::VolumeErasable { volume, .. }
        | Predicate::VolumeIdle { volume } => Subject::Volume(volume),
        Predicate::InstanceAbsent { instance }
        | Predicate::InstancePresent { instance }
        | Predicate::InstanceRuns { instance, .. }
        | Predicate::AddressFree { instance, .. }
        | Predicate::InstanceSupervised { instance, .. } => Subject::Instance(instance),
        Predicate::SlotIdle { slot } => Subject::Slot(slot),
        Predicate::Adoptable { name, .. } => Subject::Foreign(name),
        Predicate::ImageAbsent { digest } | Predicate::ImageHere { digest } => {
            Subject::Image(digest)
        }
    }
}

/// Whether a fact is about the act's own object.
fn own(act: &Act, fact: &Predicate) -> bool {
    match (act, subject(fact)) {
        (Act::MakePool { .. }, Subject::Pool) => true,
        (
            Act::MakeVolume { volume }
            | Act::AdoptVolume { volume, .. }
            | Act::CopyVolume { volume, .. },
            Subject::Volume(id),
        ) => volume.id == *id,
        (Act::AdoptVolume { name, .. }, Subject::Foreign(of)) => name == of,
        (
            Act::GrowVolume { volume, .. }
            | Act::MarkVolume { volume, .. }
            | Act::RetireVolume { volume, .. }
            | Act::TakeBackVolume { volume, .. }
            | Act::DestroyVolume { volume, .. }
            | Act::RemoveClone { volume }
            | Act::RemoveSnapshot { volume },
            Subject::Volume(id),
        ) => volume == id,
        (Act::FetchImage { digest, .. }, Subject::Image(of)) => digest == of,
        (Act::StartInstance { instance }, Subject::Instance(id)) => instance.id == *id,
        (Act::StartInstance { instance }, Subject::Slot(slot)) => instance.slot == *slot,
        (
            Act::StopInstance { instance, .. } | Act::SuperviseInstance { instance, .. },
            Subject::Instance(id),
        ) => instance == id,
        (Act::StopInstance { slot, .. }, Subject::Slot(of)) => slot == of,
        _ => false,
    }
}

/// Whether a fact is about something that the act uses: the host's pool, volumes that are bound or
/// copied.
fn near(act: &Act, fact: &Predicate) -> bool {
    match (act, subject(fact)) {
        (Act::StartInstance { instance }, Subject::Volume(id)) => {
            instance.binds.iter().any(|bind| bind.volume == *id)
        }
        (Act::CopyVolume { of, .. }, Subject::Volume(id)) => of == id,
        (_, Subject::Pool) => true,
        _ => false,
    }
}

/// Whether a result says, by itself, that the act was done in full.
fn pins(act: &Act, fact: &Predicate) -> bool {
    match (act, fact) {
        (Act::MakePool { pool, .. }, Predicate::PoolIs { pool: id }) => pool == id,
        (Act::MakeVolume { volume }, Predicate::VolumeAttached { volume: id, size }) => {
            volume.id == *id && volume.size == *size
        }
        (
            Act::CopyVolume { of, volume },
            Predicate::VolumeCopied { volume: id, of: from, kind },
        ) => volume.id == *id && of == from && volume.kind == *kind,
        (Act::GrowVolume { volume, to }, Predicate::VolumeAttached { volume: id, size }) => {
            volume == id && to == size
        }
        (
            Act::MarkVolume { volume, marks } | Act::TakeBackVolume { volume, marks },
            Predicate::VolumeMarked { volume: id, marks: said },
        ) => volume == id && marks == said,
        (Act::AdoptVolume { volume, .. }, Predicate::VolumeMarked { volume: id, marks }) => {
            let VolumeSpec { id: own, slot, source, keeping, .. } = volume;
            (own, slot, source, keeping) == (id, &marks.slot, &marks.source, &marks.keeping)
        }
        (Act::RetireVolume { volume, .. }, Predicate::VolumeRetired { volume: id, .. })
        | (
            Act::DestroyVolume { volume, .. }
            | Act::RemoveClone { volume }
            | Act::RemoveSnapshot { volume },
            Predicate::VolumeAbsent { volume: id },
        ) => volume == id,
        (Act::FetchImage { digest, .. }, Predicate::ImageHere { digest: of }) => digest == of,
        (Act::StartInstance { instance }, Predicate::InstanceRuns { instance: id, release }) => {
            instance.id == *id && instance.release == *release
        }
        (Act::StopInstance { instance, .. }, Predicate::InstanceAbsent { instance: id }) => {
            instance == id
        }
        (
            Act::SuperviseInstance { instance, supervision },
            Predicate::InstanceSupervised { instance: id, supervision: said },
        ) => instance == id && supervision == said,
        _ => false,
    }
}
