//! Slots that are wanted and have no claim, with the retired volumes that may be theirs; and
//! what becomes of retired volumes that nobody wants.

use super::group::Scope;
use super::volume::{self, extent, header};
use super::{Diff, GroupDiff};
use crate::Inputs;
use crate::model::claim::Claim;
use crate::model::desired::{Mount, Scale};
use crate::model::id::{Incarnation, PoolId};
use crate::model::name::{FleetName, HostName};
use crate::model::object::Object;
use crate::model::observed::{Foreign, PoolView, VolumeView};
use crate::model::permit::Permit;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::time::{Millis, Timestamp};
use crate::model::volume::{OnRemove, VolumeKind, VolumeState};
use crate::recover::{At, Ground, Trusted};
use crate::report::{Kind, Report};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How far the clock of a host may be from ours for the age of its volumes to be believed.
const CLOCKS_AGREE: Millis = Millis::from_secs(300);

/// A slot to be created.
pub(crate) struct Wanted<'a> {
    /// The slot.
    pub(crate) slot: SlotId,
    /// Its volumes, in the order of their names.
    pub(crate) volumes: Vec<WantedVolume<'a>>,
    /// The host where its volumes are already.
    pub(crate) pinned: Option<&'a HostName>,
    /// What is given up: the claim on a host that is lost.
    pub(crate) gives_up: Option<Box<Claim>>,
    /// Where it goes, once that is decided.
    pub(crate) placed: Option<crate::placement::Placed>,
}

/// A volume of a slot to be created.
pub(crate) struct WantedVolume<'a> {
    /// Its mount.
    pub(crate) mount: &'a Mount,
    /// Where it comes from.
    pub(crate) origin: Origin<'a>,
    /// Which life.
    pub(crate) incarnation: Incarnation,
}

/// Where the volume of a slot to be created comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// Nowhere: it is new and empty.
    Empty,
    /// The slot's own retired one.
    Own(At<'a, VolumeView>),
    /// A retired one that a person names.
    Adopted(At<'a, VolumeView>),
    /// Something that is not ours and that a person names.
    Foreign(At<'a, Foreign>),
}

impl<'a> Origin<'a> {
    /// The retired volume, if it comes from one.
    pub(crate) const fn back(self) -> Option<At<'a, VolumeView>> {
        match self {
            Self::Own(at) | Self::Adopted(at) => Some(at),
            Self::Empty | Self::Foreign(_) => None,
        }
    }

    /// The host where it is, with the size it has there.
    pub(crate) const fn there(self) -> Option<(&'a HostName, Size)> {
        match self {
            Self::Own(at) | Self::Adopted(at) => Some((at.host, at.view.spec.size)),
            Self::Foreign(at) => Some((at.host, at.view.size)),
            Self::Empty => None,
        }
    }

    /// What a person calls it, if one named it.
    pub(super) fn named(self) -> Option<&'a str> {
        match self {
            Self::Adopted(at) => Some(at.view.spec.id.as_str()),
            Self::Foreign(at) => Some(&at.view.name),
            Self::Own(_) | Self::Empty => None,
        }
    }
}

impl Wanted<'_> {
    /// Whether it would start on an empty volume.
    pub(crate) fn makes_empty(&self) -> bool {
        self.volumes.iter().any(|volume| matches!(volume.origin, Origin::Empty))
    }

    /// The slot, to speak about it.
    pub(crate) fn object(&self) -> Object {
        Object::Slot { slot: self.slot.clone() }
    }
}

/// A retired volume to be destroyed.
pub(crate) struct Doomed<'a> {
    /// The volume.
    pub(crate) at: At<'a, VolumeView>,
    /// When it was retired.
    pub(crate) since: Timestamp,
    /// How long ago that is by its host's clock; nothing if its destruction was begun.
    pub(crate) age: Option<Millis>,
}

/// The identity of a host's pool, present or to be made.
pub(crate) fn pool_of(fleet: &FleetName, host: Trusted<'_>) -> PoolId {
    let Trusted { spec, reading } = host;
    match &reading.pool {
        PoolView::Present(pool) => pool.id.clone(),
        PoolView::Absent => PoolId::derive(fleet, &spec.name, &reading.machine, reading.at),
    }
}

/// How long the volume has been retired, by its host's clock; `None` if it is not.
pub(crate) fn age(ground: &Ground<'_>, at: At<'_, VolumeView>) -> Option<Millis> {
    let now = ground.trusted.get(at.host)?.reading.at;
    match at.view.state {
        VolumeState::Retired { since } => Some(now.since(since)),
        VolumeState::Making | VolumeState::Attached | VolumeState::Erasing => None,
    }
}

/// Adds a slot to those to be created, or says why it must not be.
pub(super) fn want<'a>(
    scope: &Scope<'a, '_>,
    slot: SlotId,
    gives_up: Option<&Claim>,
    group: &mut GroupDiff<'a>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) {
    if !scope.ground.may_place {
        postpone(scope, &slot, diff);
        return;
    }
    let mut volumes = Vec::new();
    let taken = taken(scope, group, diff);
    for mount in scope.group.mounts.values() {
        match choose(scope, &slot, mount, &taken, gives_up.is_some()) {
            Ok(volume) => volumes.push(volume),
            Err((kind, why, hint)) => {
                diff.pending.insert(slot.app.clone());
                report.say(kind, Object::Slot { slot }, why, &hint);
                return;
            }
        }
    }
    let pinned = match pinned(&volumes) {
        Ok(pinned) => pinned,
        Err((kind, why, hint)) => {
            diff.pending.insert(slot.app.clone());
            report.say(kind, Object::Slot { slot }, why, &hint);
            return;
        }
    };
    let gives_up = gives_up.cloned().map(Box::new);
    group.wanted.push(Wanted { slot, volumes, pinned, gives_up, placed: None });
}

/// What other new slots of the app take already of what a person named: a line is for one slot.
fn taken<'a>(scope: &Scope<'a, '_>, group: &GroupDiff<'a>, diff: &Diff<'a>) -> BTreeSet<&'a str> {
    if scope.group.mounts.values().all(|mount| mount.adopt.is_none()) {
        return BTreeSet::new();
    }
    // Groups of an app are compared one after the other.
    let of_app = diff.groups.iter().rev().take_while(|other| other.app.name == scope.app.name);
    let wanted = of_app.chain([group]).flat_map(|group| &group.wanted);
    wanted.flat_map(|wanted| &wanted.volumes).filter_map(|v| v.origin.named()).collect()
}

/// Why not, and the way out.
pub(crate) type No = (Kind, String, String);

/// The one host where the volumes of a slot are already, if any is.
pub(super) fn pinned<'a>(volumes: &[WantedVolume<'a>]) -> Result<Option<&'a HostName>, No> {
    let hosts: BTreeSet<&HostName> =
        volumes.iter().filter_map(|volume| Some(volume.origin.there()?.0)).collect();
    if hosts.len() > 1 {
        let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
        let why = format!("its volumes are on several hosts: {}", names.join(", "));
        return Err((Kind::Blocked, why, "choose with `adopt` or `fresh`".into()));
    }
    Ok(hosts.first().copied())
}

/// A slot that is not created now, though it was there before: the record stays as it is, so that
/// the slot still counts as one that returns.
pub(super) fn postpone(scope: &Scope<'_, '_>, slot: &SlotId, diff: &mut Diff<'_>) {
    let given = &scope.inputs.claims.incarnations;
    let mut sources = scope.group.mounts.keys();
    if sources.any(|source| given.contains_key(&(slot.clone(), source.clone()))) {
        diff.pending.insert(slot.app.clone());
    }
}

/// The volume that a new slot gets for a mount.
pub(super) fn choose<'a>(
    scope: &Scope<'a, '_>,
    slot: &SlotId,
    mount: &'a Mount,
    taken: &BTreeSet<&str>,
    lost: bool,
) -> Result<WantedVolume<'a>, No> {
    let (ground, key) = (scope.ground, (slot.clone(), mount.source.clone()));
    let given = scope.inputs.claims.incarnations.get(&key).copied();
    let incarnation = volume::next_incarnation(scope.inputs, ground, slot, &mount.source);
    let new = WantedVolume { mount, origin: Origin::Empty, incarnation };
    let named = mount.adopt.as_deref().filter(|name| !taken.contains(name));
    if let Some(name) = named.filter(|name| !is_done(scope, slot, name)) {
        return adopted(scope, mount, name, incarnation);
    }
    if mount.fresh || lost || scope.inputs.permits.has(Permit::Empty) {
        return Ok(new);
    }
    let retired = ground.seen.retired.get(&key).into_iter().flatten();
    let retired = retired.filter(|at| matches!(at.view.state, VolumeState::Retired { .. }));
    let Some(newest) = retired.max_by_key(|at| at.view.spec.incarnation) else {
        if given.is_some() && !ground.all_read {
            let why = format!(
                "it had a volume {} before, which may be on a host that could not be read",
                mount.source
            );
            let hint = "make every host readable, or say `fresh = true`";
            return Err((Kind::Unknown, why, hint.into()));
        }
        return Ok(new);
    };
    if !returns(scope, slot) {
        return Err(returning(ground, mount, *newest));
    }
    let incarnation = newest.view.spec.incarnation;
    Ok(WantedVolume { mount, origin: Origin::Own(*newest), incarnation })
}

/// Whether the slot was taken off by a smaller count and comes back by a larger one. An app that was
/// removed in between is recorded as asking for nothing, not for a smaller count.
fn returns(scope: &Scope<'_, '_>, slot: &SlotId) -> bool {
    let Scale::Listed(now) = &scope.group.scale else { return false };
    let now = now.get(&slot.region).copied().unwrap_or(0);
    let recorded = scope.memory.recorded(&slot.group).and_then(|shape| shape.scale.as_ref());
    let Some(recorded) = recorded else { return false };
    let before = recorded.get(&slot.region).copied().unwrap_or(0);
    before < now
}

fn returning(ground: &Ground<'_>, mount: &Mount, at: At<'_, VolumeView>) -> No {
    let spec = &at.view.spec;
    let age = age(ground, at).unwrap_or_default();
    let why = format!(
        "a retired volume of it is there: {} on {}, {}, retired {age} ago; it is neither taken \
         back nor replaced by an empty one without a word",
        spec.id, at.host, spec.size
    );
    let hint = format!(
        "in [tiedown.volumes.{}] say adopt = \"{}\" to take it back, or fresh = true to start \
         empty",
        mount.source, spec.id
    );
    (Kind::Refused, why, hint)
}

/// Whether a line that names a volume has nothing to say about this slot: the volume is taken
/// already, or it is another slot's of the same group.
fn is_done(scope: &Scope<'_, '_>, slot: &SlotId, name: &str) -> bool {
    let found = scope.ground.seen.volumes.iter().find(|at| at.view.spec.id.as_str() == name);
    found.is_some_and(|at| {
        let marked = &at.view.spec.slot;
        let same_group = marked.app == slot.app && marked.group == slot.group;
        at.view.state == VolumeState::Attached || (same_group && marked != slot)
    })
}

fn adopted<'a>(
    scope: &Scope<'a, '_>,
    mount: &'a Mount,
    name: &str,
    incarnation: Incarnation,
) -> Result<WantedVolume<'a>, No> {
    let seen = &scope.ground.seen;
    let Some(at) = seen.volumes.iter().find(|at| at.view.spec.id.as_str() == name) else {
        let at = foreign(scope.ground, name)
            .map_err(|(kind, why, hint)| (kind, format!("`adopt` names {name}: {why}"), hint))?;
        return Ok(WantedVolume { mount, origin: Origin::Foreign(at), incarnation });
    };
    if !at.view.spec.kind.is_own() {
        let why = format!("`adopt` names {name}, which is a {}", at.view.spec.kind.as_str());
        return Err((Kind::Refused, why, "`tiedown volumes restore` makes a volume of one".into()));
    }
    match at.view.state {
        VolumeState::Retired { .. } => {
            let incarnation = at.view.spec.incarnation;
            Ok(WantedVolume { mount, origin: Origin::Adopted(*at), incarnation })
        }
        VolumeState::Making | VolumeState::Attached | VolumeState::Erasing => {
            let why = format!("`adopt` names {name}, which is {}", at.view.state.as_str());
            Err((Kind::Refused, why, "only retired volumes can be taken".into()))
        }
    }
}

/// Something that is not ours, by the name that its host has for it.
///
/// # Errors
/// Why it cannot be taken, without its name, and the way out.
pub(crate) fn foreign<'a>(ground: &Ground<'a>, name: &str) -> Result<At<'a, Foreign>, No> {
    let blocked = |why: String, hint: &str| Err((Kind::Blocked, why, hint.into()));
    let all = ground
        .trusted
        .iter()
        .flat_map(|(host, trusted)| trusted.reading.foreign.iter().map(|view| At { host, view }));
    let found: Vec<At<'a, Foreign>> = all.filter(|at| at.view.name == name).collect();
    match found[..] {
        [] => {
            let hint = "`tiedown volumes list` shows volumes, `tiedown plan` what is not ours; what \
                        was adopted before is a volume of the fleet now: take the line out";
            blocked("no readable host has it".into(), hint)
        }
        [at] => match &at.view.cannot {
            None => Ok(at),
            Some(why) => {
                let why = format!("what {} has cannot be adopted: {why}", at.host);
                blocked(why, "copy its files into a new volume")
            }
        },
        [..] => {
            let names: Vec<&str> = found.iter().map(|at| at.host.as_str()).collect();
            let why = format!("it is on {}", names.join(", "));
            blocked(why, "give all but one another name")
        }
    }
}

/// Says of every retired volume what becomes of it, and finds those whose time has come.
pub(super) fn diff<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) {
    let claimed: BTreeSet<_> =
        ground.claims.values().flat_map(|claim| claim.volumes.values().map(|v| &v.id)).collect();
    let back: BTreeSet<_> = diff
        .groups
        .iter()
        .flat_map(|group| &group.wanted)
        .flat_map(|wanted| wanted.volumes.iter().filter_map(|volume| volume.origin.back()))
        .map(|at| at.view.spec.id.clone())
        .collect();
    let desired = &inputs.desired;
    for at in &ground.seen.volumes {
        let spec = &at.view.spec;
        // What a deploy took to go back to goes when its slot is healthy.
        let way_back =
            spec.is_way_back() && ground.claims.contains_key(&ground.renames.slot(&spec.slot));
        let skip = claimed.contains(&spec.id)
            || back.contains(&spec.id)
            || way_back
            || desired.left_out.contains(&spec.slot.app);
        // A clone goes with the deploy that it was made for.
        let half_made = at.view.is_half_made() && spec.kind != VolumeKind::Clone;
        if skip || !(half_made || volume::is_retired(at.view)) {
            continue;
        }
        let object = || Object::Volume {
            slot: spec.slot.clone(),
            source: spec.source.clone(),
            volume: spec.id.clone(),
        };
        let wanted = is_wanted(inputs, ground, &spec.slot);
        match fate(ground, *at) {
            Fate::Kept(why) => report.say(Kind::Note, object(), why, ""),
            Fate::Due { why, .. } if wanted || !inputs.permits.has(Permit::Destroy) => {
                report.say(Kind::Note, object(), why, "destroy it with --allow-destroy");
            }
            Fate::Due { why, .. } if let Some(apart) = clocks_apart(ground, at.host) => {
                let why = format!(
                    "{why}, but the clock of {} is {apart} from ours, so its age is not known",
                    at.host
                );
                report.say(Kind::Refused, object(), why, "set both clocks right");
            }
            Fate::Due { since, .. } => {
                diff.doomed.push(Doomed { at: *at, since, age: age(ground, *at) });
            }
        }
    }
}

/// How far the host's clock is from ours, if that is too far to destroy by it.
fn clocks_apart(ground: &Ground<'_>, host: &HostName) -> Option<Millis> {
    let reading = ground.trusted.get(host)?.reading;
    let (theirs, ours) = (reading.at, reading.asked_at);
    let apart = theirs.since(ours).max(ours.since(theirs));
    (apart > CLOCKS_AGREE).then_some(apart)
}

/// Whether the app still has the group, while the slot has no claim: the slot may come back for
/// the volume in this very plan.
fn is_wanted(inputs: &Inputs<'_>, ground: &Ground<'_>, slot: &SlotId) -> bool {
    let Some(app) = inputs.desired.apps.get(&slot.app) else { return false };
    let Some(group) = app.groups.get(&slot.group) else { return false };
    let listed = match &group.scale {
        Scale::Listed(counts) => counts.get(&slot.region).copied().unwrap_or(0),
        Scale::Unlisted { .. } => 0,
    };
    !ground.claims.contains_key(slot) && slot.number.get() <= listed
}

enum Fate {
    Kept(String),
    Due { since: Timestamp, why: String },
}

fn fate(ground: &Ground<'_>, at: At<'_, VolumeView>) -> Fate {
    let keeping = at.view.spec.keeping;
    let data = if at.view.allocated == Size::ZERO && !at.view.formatted { ", empty" } else { "" };
    let spec = &at.view.spec;
    let what = match &spec.origin {
        Some(of) if spec.kind == VolumeKind::Snapshot => {
            let name = spec.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("snapshot{name} of {of}, taken on {}, {}", at.host, spec.size)
        }
        Some(_) | None => format!("retired on {}, {}{data}", at.host, spec.size),
    };
    match at.view.state {
        VolumeState::Erasing => Fate::Due {
            since: Timestamp::default(),
            why: format!("its destruction on {} was begun and not finished", at.host),
        },
        VolumeState::Retired { since } => {
            let age = age(ground, at).unwrap_or_default();
            let left = Millis(keeping.retention.0.saturating_sub(age.0));
            let reading = ground.trusted.get(at.host).map(|host| host.reading);
            if let Some(copy) = reading.and_then(|reading| reading.copy_of(&spec.id)) {
                let (kind, copy) = (copy.spec.kind.as_str(), &copy.spec.id);
                return Fate::Kept(format!("{what}, {age} ago; kept while its {kind} {copy} is"));
            }
            if keeping.protect {
                return Fate::Kept(format!("{what}, {age} ago; protected"));
            }
            match keeping.on_remove {
                OnRemove::Retain => {
                    Fate::Kept(format!("{what}, {age} ago; kept until it is destroyed by hand"))
                }
                OnRemove::Destroy if left.0 > 0 => {
                    Fate::Kept(format!("{what}, {age} ago; may be destroyed in {left}"))
                }
                OnRemove::Destroy => {
                    Fate::Due { since, why: format!("{what}, {age} ago; may be destroyed now") }
                }
            }
        }
        VolumeState::Making => Fate::Due {
            since: Timestamp::default(),
            why: format!(
                "its making on {} was begun and not finished; nobody ever had it",
                at.host
            ),
        },
        VolumeState::Attached => Fate::Kept(what),
    }
}

/// What a volume of the mount costs in the host's pool, header included.
pub(crate) fn cost(mount: &Mount, host: Trusted<'_>) -> Size {
    mount.size.rounded_up_to(extent(host)).plus(header(host))
}
