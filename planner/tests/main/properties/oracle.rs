//! What must be so whatever happened, by counting what is on the machines.

use crate::fleet::Fleet;
use planner::model::id::VolumeId;
use planner::model::instance::Role;
use planner::model::name::{HostName, SourceName};
use planner::model::observed::{PoolView, Reading};
use planner::model::slot::SlotId;
use planner::model::volume::{OnRemove, VolumeState};
use planner::plan::Plan;
use planner::plan::step::Act;
use planner::report::Report;
use std::collections::{BTreeMap, BTreeSet};

/// Volumes and where they were attached, before an apply.
pub(super) struct Before {
    volumes: BTreeMap<VolumeId, Kept>,
    permits: Vec<String>,
}

struct Kept {
    attached: Option<(SlotId, SourceName)>,
    may_go: bool,
    size: u64,
    /// The slot that may go back to it.
    way_back: Option<SlotId>,
}

impl Before {
    pub(super) fn of(fleet: &Fleet) -> Self {
        let mut volumes = BTreeMap::new();
        let all = fleet.machines.iter();
        let all = all.flat_map(|(host, machine)| machine.volumes.values().map(move |v| (host, v)));
        for (host, view) in all {
            let clock = fleet.config.hosts.get(host).map_or(0, |host| host.clock);
            let (attached, due) = match view.state {
                VolumeState::Attached => {
                    (Some((view.spec.slot.clone(), view.spec.source.clone())), false)
                }
                VolumeState::Retired { since } => {
                    (None, fleet.now.since(since) >= view.spec.keeping.retention)
                }
                VolumeState::Making | VolumeState::Erasing => (None, true),
            };
            let keeping = view.spec.keeping;
            let clock_right = clock.abs() <= 300 || view.state == VolumeState::Erasing;
            let may_go = view.is_half_made()
                || due && clock_right && !keeping.protect && keeping.on_remove == OnRemove::Destroy;
            let size = view.spec.size.bytes();
            let way_back = view.spec.is_way_back().then(|| view.spec.slot.clone());
            volumes.insert(view.spec.id.clone(), Kept { attached, may_go, size, way_back });
        }
        Self { volumes, permits: fleet.config.permits.clone() }
    }

    /// No data is lost, none is replaced by nothing, nothing shrinks, no pool is oversold, no two
    /// instances share a volume.
    pub(super) fn keeps(&self, fleet: &Fleet) {
        let permitted = |word: &str| self.permits.iter().any(|permit| permit == word);
        let now: BTreeMap<_, _> = volumes(fleet).collect();
        for (id, kept) in &self.volumes {
            let Some(view) = now.get(id) else {
                if let Some(slot) = &kept.way_back {
                    assert!(is_up(fleet, slot), "{id} goes, and {slot} is not healthy");
                    continue;
                }
                assert!(kept.may_go && permitted("destroy"), "{id} is destroyed");
                continue;
            };
            assert!(view.spec.size.bytes() >= kept.size, "{id} shrank");
            let Some((slot, source)) = &kept.attached else { continue };
            if permitted("empty") {
                continue;
            }
            let others = now.values().filter(|other| {
                other.spec.id != *id
                    && other.state == VolumeState::Attached
                    && (&other.spec.slot, &other.spec.source) == (slot, source)
                    && !self.volumes.contains_key(&other.spec.id)
            });
            let stays = view.state == VolumeState::Attached;
            for other in others {
                // Its marks may have moved to another name, and a new one taken the old name.
                let moved = (&view.spec.slot, &view.spec.source) != (slot, source);
                let back = !stays && other.spec.origin.is_some();
                assert!(stays && moved || back, "{id} of {slot} is replaced by {}", other.spec.id);
            }
        }
        for (host, machine) in &fleet.machines {
            let PoolView::Present(pool) = &machine.pool else { continue };
            assert!(machine.promised() <= pool.size, "{host} is oversold");
            alone(host, machine);
        }
    }
}

/// Whether the slot runs what was brought up last. One that has another name by now is not judged.
fn is_up(fleet: &Fleet, slot: &SlotId) -> bool {
    let Some(claim) = fleet.claims.slots.get(slot) else { return true };
    let instances = fleet.machines.values().flat_map(|machine| machine.instances.values());
    let mut mains = instances.filter(|view| view.role == Role::Main && view.slot == *slot);
    mains.any(|view| claim.applied.as_ref() == Some(&view.release) && view.healthy != Some(false))
}

fn volumes(
    fleet: &Fleet,
) -> impl Iterator<Item = (VolumeId, &planner::model::observed::VolumeView)> {
    let machines = fleet.machines.values();
    machines.flat_map(|machine| machine.volumes.iter().map(|(id, view)| (id.clone(), view)))
}

/// No volume has two instances, no slot has two main ones, on one host.
fn alone(host: &HostName, machine: &Reading) {
    let mut held = BTreeSet::new();
    let mut slots = BTreeSet::new();
    for view in machine.instances.values() {
        for volume in &view.volumes {
            assert!(held.insert(volume), "{volume} on {host} has two instances");
            let attached = machine.volumes.get(volume);
            let attached = attached.is_some_and(|view| view.state == VolumeState::Attached);
            assert!(attached, "{} on {host} runs on {volume}, which is not attached", view.slot);
        }
        if view.role == Role::Main {
            assert!(slots.insert(&view.slot), "{} on {host} has two instances", view.slot);
        }
    }
}

/// When nothing is left to do and nothing is wanting, instances are volume sets, and as many as
/// were asked for. Whether that was so.
pub(super) fn at_rest(fleet: &Fleet, report: &Report) -> bool {
    if report.leaves_wanting() {
        return false;
    }
    let mut mains: BTreeMap<SlotId, usize> = BTreeMap::new();
    let mut attached: BTreeMap<SlotId, BTreeSet<SourceName>> = BTreeMap::new();
    for (host, machine) in &fleet.machines {
        let gone = |config: &crate::fleet::config::HostConfig| config.state == "lost";
        if fleet.config.hosts.get(host).is_none_or(gone) {
            continue;
        }
        for view in machine.instances.values() {
            if view.role == Role::Release && view.state.is_over() {
                // Its exit status is kept.
                continue;
            }
            assert_eq!(view.role, Role::Main, "{} is left behind", view.id);
            *mains.entry(view.slot.clone()).or_default() += 1;
        }
        for view in machine.volumes.values().filter(|v| v.state == VolumeState::Attached) {
            let spec = &view.spec;
            let new = attached.entry(spec.slot.clone()).or_default().insert(spec.source.clone());
            assert!(new, "{} has two {}", spec.slot, spec.source);
        }
    }
    let mut wanted: BTreeSet<SlotId> = BTreeSet::new();
    for slot in mains.keys().chain(attached.keys()) {
        let app = fleet.config.apps.get(&slot.app);
        let group = app.and_then(|app| app.groups.get(&slot.group));
        let Some(group) = group else { panic!("{slot} is still there") };
        assert_eq!(mains.get(slot), Some(&1), "instances of {slot}");
        let sources: BTreeSet<SourceName> = group.mounts.keys().cloned().collect();
        assert_eq!(attached.get(slot).cloned().unwrap_or_default(), sources, "volumes of {slot}");
        assert!(fleet.claims.slots.contains_key(slot), "{slot} has no claim");
        wanted.insert(slot.clone());
    }
    for (app, config) in &fleet.config.apps {
        for (group, config) in &config.groups {
            let Some(scale) = &config.scale else { continue };
            for (region, count) in scale {
                let of =
                    |slot: &&SlotId| (&slot.app, &slot.group, &slot.region) == (app, group, region);
                let there = u32::try_from(wanted.iter().filter(of).count()).unwrap();
                assert_eq!(there, *count, "slots of {app}/{group} in {region}");
            }
        }
    }
    true
}

/// Slots whose instances the plan starts.
pub(super) fn started(plan: &Plan) -> Vec<SlotId> {
    let slots = plan.steps().filter_map(|step| match &step.act {
        Act::StartInstance { instance } => Some(instance.slot.clone()),
        _ => None,
    });
    slots.collect()
}
