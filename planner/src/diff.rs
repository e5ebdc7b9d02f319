//! What differs between what is wanted and what is there, slot by slot. It names every
//! difference and what it would take; whether it may be done, where, and in which order is
//! decided by the stages after it.

mod adopt;
pub(crate) mod command;
pub(crate) mod drift;
mod group;
pub(crate) mod instance;
pub(crate) mod note;
pub(crate) mod restrain;
mod retired;
mod scale;
mod stray;
pub(crate) mod volume;

pub(crate) use adopt::adopt;
pub(crate) use retired::{Doomed, No, Origin, Wanted, WantedVolume, age, cost, foreign, pool_of};

use crate::Inputs;
use crate::model::artifact::Artifact;
use crate::model::claim::Claim;
use crate::model::desired::{App, Group};
use crate::model::host::HostState;
use crate::model::name::{AppName, GroupName};
use crate::model::object::Object;
use crate::model::observed::{InstanceView, VolumeView};
use crate::model::permit::Permit;
use crate::model::release::{Release, ReleaseSpec};
use crate::model::slot::SlotId;
use crate::model::volume::VolumeKind;
use crate::plan::ClaimAct;
use crate::recover::{At, Ground, Trusted};
use crate::report::{Kind, Report};
use crate::safety::lineage::{Memory, Refusal};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use instance::InstanceNeed;
use volume::VolumeDiff;

/// All that differs.
#[derive(Default)]
pub(crate) struct Diff<'a> {
    /// Groups that the manifests have, by app and name.
    pub(crate) groups: Vec<GroupDiff<'a>>,
    /// Slots to be removed, by name.
    pub(crate) gone: Vec<Gone<'a>>,
    /// Clones that no deploy needs any more.
    pub(crate) clones: Vec<StrayClone<'a>>,
    /// Retired volumes whose time has come.
    pub(crate) doomed: Vec<Doomed<'a>>,
    /// What claims remember wrongly, though nothing needs to be done.
    pub(crate) corrections: Vec<ClaimAct>,
    /// Apps whose record must stay as it is, so that what is not done now is asked again.
    pub(crate) pending: BTreeSet<AppName>,
}

/// What differs in a group.
pub(crate) struct GroupDiff<'a> {
    /// The app.
    pub(crate) app: &'a App,
    /// The group.
    pub(crate) group: &'a Group,
    /// What its instances should run; `None` if that cannot be known or run now.
    pub(crate) runs: Option<Runs<'a>>,
    /// Slots that stay.
    pub(crate) kept: Vec<Kept<'a>>,
    /// Slots to be created.
    pub(crate) wanted: Vec<Wanted<'a>>,
    /// Objects that no slot of the group should have.
    pub(crate) strays: Vec<Stray<'a>>,
    /// The release command that counts now; `None`: not known.
    pub(crate) released: Option<Current>,
    /// Slots that cannot be seen or must not be touched and are not known to serve.
    pub(crate) unknown: usize,
}

/// The release command of an app as it is wanted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Current {
    /// The manifest has none.
    None,
    /// It is of this release.
    Command(Release),
}

/// What the instances of a group run.
#[derive(Clone)]
pub(crate) struct Runs<'a> {
    /// The artifact.
    pub(crate) artifact: &'a Artifact,
    /// The release.
    pub(crate) release: Release,
    /// What it is.
    pub(crate) spec: Arc<ReleaseSpec>,
}

/// A slot that stays.
pub(crate) struct Kept<'a> {
    /// What is remembered of it, under its present name; what the plan will make of it, once
    /// lanes were made.
    pub(crate) claim: Claim,
    /// What was remembered of it before the plan.
    pub(crate) before: Claim,
    /// Whether it or its app, group or volumes had another name.
    pub(crate) was_moved: bool,
    /// The name under which the catalog remembers it, if that is another.
    pub(crate) moved_from: Option<SlotId>,
    /// Its host.
    pub(crate) host: Trusted<'a>,
    /// Its main instance.
    pub(crate) main: Option<&'a InstanceView>,
    /// Its volumes.
    pub(crate) volumes: Vec<VolumeDiff<'a>>,
    /// What its instance needs.
    pub(crate) instance: InstanceNeed,
    /// Whether its volumes grow only while nothing uses them, and something does.
    pub(crate) grows_paused: bool,
    /// Whether its instance is kept running otherwise than the manifest says.
    pub(crate) supervise: bool,
}

/// A slot to be removed.
pub(crate) struct Gone<'a> {
    /// What is remembered of it.
    pub(crate) claim: Claim,
    /// The name under which the catalog remembers it, if that is another.
    pub(crate) moved_from: Option<SlotId>,
    /// Its instances, in whatever role.
    pub(crate) instances: Vec<At<'a, InstanceView>>,
    /// Its volumes that are there.
    pub(crate) volumes: Vec<At<'a, VolumeView>>,
}

/// Something that is in nobody's place.
pub(crate) struct Stray<'a> {
    /// The slot it is marked with, under its present name.
    pub(crate) slot: SlotId,
    /// Instances to stop.
    pub(crate) instances: Vec<At<'a, InstanceView>>,
    /// Volumes to retire.
    pub(crate) volumes: Vec<At<'a, VolumeView>>,
    /// Why, in words.
    pub(crate) why: &'static str,
}

/// A clone that was left behind.
pub(crate) struct StrayClone<'a> {
    /// The clone.
    pub(crate) at: At<'a, VolumeView>,
    /// Instances that hold it.
    pub(crate) holders: Vec<At<'a, InstanceView>>,
}

/// Claims of one app by group, in order.
pub(crate) type ByGroup<'g> = BTreeMap<&'g GroupName, Vec<&'g Claim>>;

/// Compares everything.
pub(crate) fn diff<'a>(inputs: &Inputs<'a>, ground: &Ground<'a>, report: &mut Report) -> Diff<'a> {
    let mut diff = Diff::default();
    let mut apps: BTreeMap<&AppName, ByGroup<'_>> = BTreeMap::new();
    for claim in ground.claims.values() {
        let groups = apps.entry(&claim.slot.app).or_default();
        groups.entry(&claim.slot.group).or_default().push(claim);
    }
    let names: BTreeSet<&AppName> =
        apps.keys().copied().chain(inputs.desired.apps.keys()).collect();
    for name in names {
        if inputs.desired.left_out.contains(name) {
            continue;
        }
        let nothing = ByGroup::new();
        let claims = apps.get(name).unwrap_or(&nothing);
        let memory = Memory::of(inputs, &ground.renames, name);
        match inputs.desired.apps.get(name) {
            Some(app) => compare_app(inputs, ground, app, claims, &memory, &mut diff, report),
            None if ground.renames.holds_app(name) => {
                diff.pending.insert(name.clone());
            }
            None => {
                for claim in claims.values().flatten() {
                    remove(inputs, ground, claim, memory.allows_app(), &mut diff, report);
                }
            }
        }
    }
    retired::diff(inputs, ground, &mut diff, report);
    diff.clones = left_clones(inputs, ground);
    diff
}

/// Clones of apps that are looked at; those of held slots are left alone.
fn left_clones<'a>(inputs: &Inputs<'_>, ground: &Ground<'a>) -> Vec<StrayClone<'a>> {
    let clones = ground.seen.volumes.iter().filter(|at| {
        let spec = &at.view.spec;
        let held = ground.claims.get(&spec.slot).is_some_and(|claim| claim.held);
        spec.kind == VolumeKind::Clone && !held && !inputs.desired.left_out.contains(&spec.slot.app)
    });
    let stray = |at: &At<'a, VolumeView>| {
        let id = &at.view.spec.id;
        let host = ground.trusted.get(at.host);
        let instances = host.into_iter().flat_map(|host| host.reading.instances.values());
        let holders = instances.filter(|view| view.volumes.contains(id));
        StrayClone { at: *at, holders: holders.map(|view| At { host: at.host, view }).collect() }
    };
    clones.map(stray).collect()
}

fn compare_app<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    app: &'a App,
    claims: &ByGroup<'_>,
    memory: &Memory<'_>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) {
    let object = || Object::App { app: app.name.clone() };
    if let Some(Refusal { why, hint }) = memory.older() {
        report.say(Kind::Refused, object(), why, &hint);
        return;
    }
    if !app.not_acted_on.is_empty() {
        let why = alloc::format!("read and not acted on: {}", app.not_acted_on.join(", "));
        report.say(Kind::Note, object(), why, "");
    }
    let artifact = instance::artifact(inputs, app, report);
    let nothing = Vec::new();
    let released = match &app.release_command {
        None => Some(Current::None),
        Some(_) => command::of(app, artifact).map(|command| Current::Command(command.release)),
    };
    for group in app.groups.values() {
        let existing = claims.get(&group.name).unwrap_or(&nothing);
        let runs = artifact.and_then(|artifact| instance::runs(app, group, artifact, report));
        let released = &released;
        let scope = group::Scope { inputs, ground, app, group, memory, released };
        group::compare(&scope, existing, runs, diff, report);
    }
    let gone = |name: &GroupName| {
        !app.groups.contains_key(name) && !ground.renames.holds_group(&app.name, name)
    };
    for (_, claims) in claims.iter().filter(|(name, _)| gone(name)) {
        for claim in claims {
            let allowed = memory.allows_slot(&claim.slot, None);
            remove(inputs, ground, claim, allowed, diff, report);
        }
    }
}

/// Forgets a slot of a host that is lost, if that is permitted; else says why not.
fn forget(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    claim: &Claim,
    diff: &mut Diff<'_>,
) -> Option<(Kind, String, &'static str)> {
    let host = &claim.host;
    let spec = inputs.desired.hosts.get(host);
    let lost = spec.is_some_and(|spec| spec.state == HostState::Lost);
    if !lost || ground.answering.contains(host) {
        let why = alloc::format!("not removed: {host} cannot be read");
        return Some((Kind::Unknown, why, "make the host readable"));
    }
    if !inputs.permits.has(Permit::Empty) {
        let why =
            alloc::format!("not removed: {host} is lost, and forgetting it gives up its data");
        return Some((Kind::Refused, why, "allow it with --allow-empty"));
    }
    diff.gone.push(Gone {
        claim: claim.clone(),
        moved_from: ground.moved.get(&claim.slot).cloned(),
        instances: Vec::new(),
        volumes: Vec::new(),
    });
    None
}

/// Takes a slot off, if that is allowed and its host can be seen.
fn remove<'a>(
    inputs: &Inputs<'_>,
    ground: &Ground<'a>,
    claim: &Claim,
    allowed: Result<(), Refusal>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) {
    let slot = &claim.slot;
    let object = || Object::Slot { slot: slot.clone() };
    if let Err(Refusal { why, hint }) = allowed {
        diff.pending.insert(slot.app.clone());
        report.say(Kind::Refused, object(), alloc::format!("not removed: {why}"), &hint);
        return;
    }
    if claim.held {
        diff.pending.insert(slot.app.clone());
        report.say(Kind::Waiting, object(), "not removed: it is held", "tiedown unhold");
        return;
    }
    let Some(host) = ground.trusted.get(&claim.host) else {
        if let Some(refusal) = forget(inputs, ground, claim, diff) {
            diff.pending.insert(slot.app.clone());
            report.say(refusal.0, object(), refusal.1, refusal.2);
        }
        return;
    };
    let mains = ground.seen.mains.get(slot).into_iter().flatten();
    let extras = ground.seen.extras.get(slot).into_iter().flatten();
    let claimed: BTreeSet<_> = claim.volumes.values().map(|volume| &volume.id).collect();
    let mut volumes: Vec<At<'a, VolumeView>> = ground
        .seen
        .attached
        .get(slot)
        .into_iter()
        .flatten()
        .copied()
        .filter(|at| !claimed.contains(&at.view.spec.id))
        .collect();
    for id in claimed {
        if let Some(view) = host.reading.volumes.get(id)
            && !volume::is_retired(view)
        {
            volumes.push(At { host: &host.spec.name, view });
        }
    }
    volumes.sort_by(|a, b| a.view.spec.id.cmp(&b.view.spec.id));
    diff.gone.push(Gone {
        claim: claim.clone(),
        moved_from: ground.moved.get(slot).cloned(),
        instances: mains.chain(extras).copied().collect(),
        volumes,
    });
}
