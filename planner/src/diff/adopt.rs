//! What a person gives to a slot, a retired volume or what is foreign: the slot is wanted, has no
//! claim, and gets it in place of an empty volume.

use super::GroupDiff;
use super::group::Scope;
use super::instance;
use super::retired::{self, No, Origin, Wanted, WantedVolume};
use super::scale::{self, Numbers};
use super::volume;
use crate::Inputs;
use crate::model::desired::{Group, Mount};
use crate::model::id::Incarnation;
use crate::model::name::{HostName, SourceName};
use crate::model::observed::VolumeView;
use crate::model::permit::Permit;
use crate::model::slot::SlotId;
use crate::model::volume::VolumeState;
use crate::recover::Ground;
use crate::report::{Kind, Report};
use crate::safety::lineage::{Memory, Refusal};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// The slot's group with the slot as the only one that is to be created, on what is given.
///
/// # Errors
/// Why not, and the way out.
pub(crate) fn adopt<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    given: Origin<'a>,
    slot: &SlotId,
    report: &mut Report,
) -> Result<GroupDiff<'a>, No> {
    let refused = |why: String, hint: String| Err((Kind::Refused, why, hint));
    let desired = inputs.desired;
    let Some((app, group)) = desired
        .apps
        .get(&slot.app)
        .and_then(|app| app.groups.get(&slot.group).map(|group| (app, group)))
    else {
        return refused("no manifest has its group".into(), "write the manifest first".into());
    };
    let memory = Memory::of(inputs, &ground.renames, &app.name);
    if let Some(Refusal { why, hint }) = memory.older() {
        return refused(why, hint);
    }
    let of = given.back().map(|at| &at.view.spec.source);
    let mount = mount_for(group, of)?;
    if let Some(at) = given.back() {
        is_put_away(at.view)?;
    }
    wanted(ground, group, slot, mount, given)?;
    if !ground.may_place {
        let why = "the catalog is new and not every host was read";
        return Err((Kind::Unknown, why.into(), "make every host readable".into()));
    }
    let runs = instance::artifact(inputs, app, report)
        .and_then(|artifact| instance::runs(app, group, artifact, report));
    let Some(runs) = runs else {
        let why = "the slot could not be started";
        return Err((Kind::Blocked, why.into(), "see `tiedown plan`".into()));
    };
    let mut claims = ground.claims.values();
    let of_group = |other: &SlotId| other.app == slot.app && other.group == slot.group;
    let failed = claims.any(|claim| {
        of_group(&claim.slot)
            && claim.applied.as_ref() != Some(&runs.release)
            && instance::failed(claim, &runs.release)
    });
    if failed && !inputs.permits.has(Permit::Retry) {
        let why = format!("release {} failed in its group", runs.release);
        return Err((Kind::Waiting, why, "`tiedown apply --retry` tries it again".into()));
    }
    let scope = Scope { inputs, ground, app, group, memory: &memory, released: &None };
    let mut volumes = Vec::new();
    for other in group.mounts.values() {
        volumes.push(match other.source == mount.source {
            true => {
                let incarnation = incarnation(&scope, slot, other, given);
                WantedVolume { mount: other, origin: given, incarnation }
            }
            false => retired::choose(&scope, slot, other, &BTreeSet::new(), false)?,
        });
    }
    let pinned = retired::pinned(&volumes)?;
    let wanted = Wanted { slot: slot.clone(), volumes, pinned, gives_up: None, placed: None };
    Ok(GroupDiff {
        app,
        group,
        runs: Some(runs),
        kept: Vec::new(),
        wanted: vec![wanted],
        strays: Vec::new(),
        released: None,
        unknown: 0,
    })
}

/// The life of the volume in the slot: its own where it has one, else the next of the slot.
fn incarnation(
    scope: &Scope<'_, '_>,
    slot: &SlotId,
    mount: &Mount,
    given: Origin<'_>,
) -> Incarnation {
    if let Some(at) = given.back() {
        return at.view.spec.incarnation;
    }
    volume::next_incarnation(scope.inputs, scope.ground, slot, &mount.source)
}

/// The mount that it is for: the one of its name, or the group's only one.
fn mount_for<'a>(group: &'a Group, of: Option<&SourceName>) -> Result<&'a Mount, No> {
    let named = of.and_then(|source| group.mounts.get(source));
    let only = || group.mounts.values().next().filter(|_| group.mounts.len() == 1);
    named.or_else(only).ok_or_else(|| {
        let why = match of {
            Some(source) => format!("its group has no mount {source}"),
            None => format!("its group has {} mounts", group.mounts.len()),
        };
        let hint = "say which with `adopt` in [tiedown.volumes.SOURCE] of its manifest";
        (Kind::Refused, why, hint.into())
    })
}

/// Whether a volume of the fleet is one that nobody has.
fn is_put_away(view: &VolumeView) -> Result<(), No> {
    let refused = |why: String, hint: &str| Err((Kind::Refused, why, hint.to_string()));
    if !view.spec.kind.is_own() {
        let why = format!("it is a {}", view.spec.kind.as_str());
        return refused(why, "`tiedown volumes restore` makes a volume of one");
    }
    match view.state {
        VolumeState::Retired { .. } => Ok(()),
        VolumeState::Making | VolumeState::Attached | VolumeState::Erasing => {
            let why = format!("it is {}", view.state.as_str());
            refused(why, "only retired volumes can be adopted")
        }
    }
}

/// Whether the slot is one that the manifest asks for and that has nothing of its own yet, where
/// that is which it is given.
fn wanted(
    ground: &Ground<'_>,
    group: &Group,
    slot: &SlotId,
    mount: &Mount,
    given: Origin<'_>,
) -> Result<(), No> {
    let refused = |why: String, hint: String| Err((Kind::Refused, why, hint));
    let (host, name) = (given.there().map(|(host, _)| host), given.named().unwrap_or_default());
    let line = format!("[tiedown.volumes.{}] adopt = \"{name}\"", mount.source);
    if ground.claims.contains_key(slot) || ground.disputed.contains(slot) {
        let why = "the slot has its own already".to_string();
        let hint = format!("ask for one slot more in [tiedown.scale], with {line}");
        return refused(why, hint);
    }
    let claims = ground.claims.keys();
    let mut there = Numbers::new();
    for other in claims.filter(|other| other.app == slot.app && other.group == slot.group) {
        there.entry(other.region.clone()).or_default().insert(other.number.get());
    }
    let numbers = scale::numbers(&group.scale, &there);
    if !numbers.get(&slot.region).is_some_and(|numbers| numbers.contains(&slot.number.get())) {
        let why = "no manifest asks for the slot".to_string();
        let hint = format!("ask for it in [tiedown.scale], with {line}");
        return refused(why, hint);
    }
    let region = host.and_then(|host| ground.trusted.get(host)).map(|host| &host.spec.region);
    if region != Some(&slot.region) {
        let host = host.map_or("no host", HostName::as_str);
        let why = format!("it is on {host}, which is not in {}", slot.region);
        return refused(why, "volumes cannot move yet".to_string());
    }
    Ok(())
}
