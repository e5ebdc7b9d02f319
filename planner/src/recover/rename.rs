//! Names that changed: hosts with `was`, and `moved` lines of manifests. Claims are read under the
//! names that things have now; nothing else about them changes.

use crate::Inputs;
use crate::model::claim::Claim;
use crate::model::desired::{App, Desired, Move};
use crate::model::host::HostSpec;
use crate::model::id::PoolId;
use crate::model::name::{AppName, GroupName, HostName, SourceName};
use crate::model::object::Object;
use crate::model::observed::{HostView, PoolView, Reading};
use crate::model::slot::SlotId;
use crate::plan::ClaimAct;
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// Old names and what they became. Only moves whose old name is free are here.
#[derive(Default)]
pub(crate) struct Renames {
    apps: BTreeMap<AppName, AppName>,
    groups: BTreeMap<(AppName, GroupName), GroupName>,
    sources: BTreeMap<(AppName, GroupName, SourceName), SourceName>,
    /// Old names whose move is refused because both are there: nothing of theirs is removed.
    held_apps: BTreeSet<AppName>,
    held_groups: BTreeSet<(AppName, GroupName)>,
    held_sources: BTreeSet<(AppName, GroupName, SourceName)>,
}

impl Renames {
    /// Reads the `moved` lines; those whose old name is still in use are refused.
    pub(crate) fn of(
        desired: &Desired,
        claims: &BTreeMap<SlotId, Claim>,
        report: &mut Report,
    ) -> Self {
        let mut renames = Self::default();
        for app in desired.apps.values() {
            for line in &app.moved {
                renames.add(desired, app, line, report);
            }
        }
        renames.refuse_clashes(claims, report);
        renames
    }

    /// Takes back moves onto slots that are there already with volumes or an instance of their
    /// own: what the old name has would be taken for theirs.
    fn refuse_clashes(&mut self, claims: &BTreeMap<SlotId, Claim>, report: &mut Report) {
        for (old, claim) in claims {
            let new = self.slot(old);
            self.refuse_source_clashes(&new, claim, report);
            if new == *old || claims.get(&new).is_none_or(|there| is_copy(there, claim)) {
                continue;
            }
            let why = format!("`moved` would make {old} {new}, which is there already");
            let hint = "remove the line from `moved`; a retired volume is taken with `adopt`";
            report.say(Kind::Refused, Object::App { app: new.app.clone() }, why, hint);
            if self.apps.remove(&old.app).is_some() {
                self.held_apps.insert(old.app.clone());
            } else if self.groups.remove(&(new.app.clone(), old.group.clone())).is_some() {
                self.held_groups.insert((new.app.clone(), old.group.clone()));
            }
        }
    }

    /// The same for two volumes of one slot.
    fn refuse_source_clashes(&mut self, slot: &SlotId, claim: &Claim, report: &mut Report) {
        for source in claim.volumes.keys() {
            let new = self.source(slot, source);
            if new == *source || !claim.volumes.contains_key(&new) {
                continue;
            }
            let why = format!("`moved` would make volume {source} {new}, which is there already");
            let hint = "remove the line from `moved`, and put the mount back or remove it for good";
            report.say(Kind::Refused, Object::App { app: slot.app.clone() }, why, hint);
            let key = (slot.app.clone(), slot.group.clone(), source.clone());
            self.sources.remove(&key);
            self.held_sources.insert(key);
        }
    }

    /// Whether the move of a volume of a slot, under its present name, is refused.
    pub(crate) fn holds_source(&self, slot: &SlotId, old: &SourceName) -> bool {
        self.held_sources.contains(&(slot.app.clone(), slot.group.clone(), old.clone()))
    }

    /// Whether the move of an app, under the name that it had, is refused.
    pub(crate) fn holds_app(&self, old: &AppName) -> bool {
        self.held_apps.contains(old)
    }

    /// Whether the move of a group, under the name that it had, is refused.
    pub(crate) fn holds_group(&self, app: &AppName, old: &GroupName) -> bool {
        self.held_groups.contains(&(app.clone(), old.clone()))
    }

    fn add(&mut self, desired: &Desired, app: &App, line: &Move, report: &mut Report) {
        let name = || app.name.clone();
        let used = match line {
            Move::App { from } => {
                let used = desired.apps.contains_key(from) || desired.left_out.contains(from);
                let says_so = |other: &&App| other.moved.contains(line);
                let taken = desired.apps.values().filter(says_so).count() > 1;
                if !used && !taken {
                    self.apps.insert(from.clone(), name());
                } else if taken {
                    self.held_apps.insert(from.clone());
                }
                (used || taken).then(|| format!("app {from}"))
            }
            Move::Group { from, to } => {
                let used = app.groups.contains_key(from);
                if !used && app.groups.contains_key(to) {
                    self.groups.insert((name(), from.clone()), to.clone());
                }
                used.then(|| format!("group {from}"))
            }
            Move::Source { from, to } => {
                let used = app
                    .groups
                    .values()
                    .any(|group| group.mounts.contains_key(from) && group.mounts.contains_key(to));
                for group in app.groups.values().filter(|group| {
                    group.mounts.contains_key(to) && !group.mounts.contains_key(from)
                }) {
                    let key = (name(), group.name.clone(), from.clone());
                    self.sources.insert(key, to.clone());
                }
                used.then(|| format!("volume {from}"))
            }
        };
        if let Some(old) = used {
            let why = format!(
                "`moved` names {old}, which is still in use under that name, or moved twice"
            );
            let hint = "remove the line from `moved`, or the old name from the manifests";
            report.say(Kind::Refused, Object::App { app: name() }, why, hint);
        }
    }

    /// The name that a slot has now.
    pub(crate) fn slot(&self, old: &SlotId) -> SlotId {
        if self.apps.is_empty() && self.groups.is_empty() {
            return old.clone();
        }
        let app = self.app(&old.app).clone();
        let group = self.group(&app, &old.group).clone();
        SlotId::new(app, group, old.region.clone(), old.number)
    }

    /// The name that an app has now.
    pub(crate) fn app<'n>(&'n self, old: &'n AppName) -> &'n AppName {
        self.apps.get(old).unwrap_or(old)
    }

    /// The names that an app had, if it was renamed.
    pub(crate) fn apps_before<'n>(&'n self, new: &'n AppName) -> impl Iterator<Item = &'n AppName> {
        self.apps.iter().filter(move |(_, to)| *to == new).map(|(from, _)| from)
    }

    /// The name that a group of an app, under its present name, has now.
    pub(crate) fn group<'n>(&'n self, app: &AppName, old: &'n GroupName) -> &'n GroupName {
        self.groups.get(&(app.clone(), old.clone())).unwrap_or(old)
    }

    /// The name that a volume of a slot, under its present name, has now.
    pub(crate) fn source(&self, slot: &SlotId, old: &SourceName) -> SourceName {
        let key = (slot.app.clone(), slot.group.clone(), old.clone());
        self.sources.get(&key).unwrap_or(old).clone()
    }
}

/// Claims under the names that hosts have now.
pub(super) fn follow_hosts(
    inputs: &Inputs<'_>,
    corrections: &mut Vec<ClaimAct>,
) -> BTreeMap<SlotId, Claim> {
    let hosts = &inputs.desired.hosts;
    let mut new_names: BTreeMap<&HostName, &HostName> = hosts
        .values()
        .filter_map(|spec| Some((spec.was.as_ref()?, &spec.name)))
        .filter(|(was, _)| !hosts.contains_key(*was))
        .collect();
    // Renamed once more: a pool bears the first name, claims bear the last, and the pool's
    // identity says that they are of one host.
    for claim in inputs.claims.slots.values().filter(|claim| !hosts.contains_key(&claim.host)) {
        let now = |spec: &&HostSpec| is_of(inputs, spec, claim.pool.as_ref());
        if let Some(spec) = hosts.values().find(now) {
            new_names.entry(&claim.host).or_insert(&spec.name);
        }
    }
    let mut claims = inputs.claims.slots.clone();
    for claim in claims.values_mut() {
        if let Some(name) = new_names.get(&claim.host) {
            claim.host = (*name).clone();
            corrections.push(ClaimAct::Write(claim.clone()));
        }
    }
    claims
}

/// Whether a host that was renamed answers with this pool, under the name that it was made with.
fn is_of(inputs: &Inputs<'_>, spec: &HostSpec, pool: Option<&PoolId>) -> bool {
    match (inputs.observed.get(&spec.name), &spec.was, pool) {
        (
            Some(HostView::Read(Reading { pool: PoolView::Present(found), .. })),
            Some(was),
            Some(id),
        ) => found.id == *id && found.host == *was && found.fleet == inputs.desired.fleet,
        _ => false,
    }
}

/// Claims under the names that slots and volumes have now, and which the catalog has under
/// another: new, old.
pub(super) fn follow_slots(
    claims: BTreeMap<SlotId, Claim>,
    renames: &Renames,
    report: &mut Report,
) -> (BTreeMap<SlotId, Claim>, BTreeMap<SlotId, SlotId>) {
    let mut moved = BTreeMap::new();
    let mut renamed: BTreeMap<SlotId, Claim> = BTreeMap::new();
    let (stay, go): (Vec<_>, Vec<_>) =
        claims.into_iter().partition(|(slot, _)| renames.slot(slot) == *slot);
    for (slot, claim) in stay {
        renamed.insert(slot.clone(), follow_sources(claim, &slot, renames));
    }
    for (old, claim) in go {
        let new = renames.slot(&old);
        if renamed.get(&new).is_some_and(|there| is_copy(there, &claim)) {
            moved.insert(new, old);
            continue;
        }
        if renamed.contains_key(&new) {
            let why = format!("`moved` would make it {new}, which is there already");
            let hint = "remove the line from `moved`; a retired volume is taken with `adopt`";
            report.say(Kind::Refused, Object::Slot { slot: old.clone() }, why, hint);
            renamed.insert(old, claim);
            continue;
        }
        renamed.insert(new.clone(), follow_sources(claim, &new, renames));
        moved.insert(new, old);
    }
    (renamed, moved)
}

/// Whether a move was cut short after the claim was written under its new name.
fn is_copy(new: &Claim, old: &Claim) -> bool {
    let ids = |claim: &Claim| -> Vec<_> {
        let mut ids: Vec<_> = claim.volumes.values().map(|volume| volume.id.clone()).collect();
        ids.sort();
        ids
    };
    new.host == old.host && new.address == old.address && ids(new) == ids(old)
}

fn follow_sources(mut claim: Claim, slot: &SlotId, renames: &Renames) -> Claim {
    claim.slot = slot.clone();
    let volumes = core::mem::take(&mut claim.volumes);
    for (source, volume) in volumes {
        claim.volumes.insert(renames.source(slot, &source), volume);
    }
    claim
}
