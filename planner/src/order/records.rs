//! What the catalog records of apps: which commit was applied in full last, and what it asked for.
//! A later commit may remove only that, so a record moves on when nothing is left that it alone
//! lets be removed.

use crate::Inputs;
use crate::diff::{Current, Diff, GroupDiff};
use crate::model::claim::{AppRecord, Claim, Shape};
use crate::model::desired::{App, Lineage};
use crate::model::name::AppName;
use crate::model::observed::InstanceState;
use crate::model::release::Release;
use crate::model::slot::SlotId;
use crate::plan::{ClaimAct, Lane, Rollout};
use crate::recover::Ground;
use crate::report::{Kind, Report};
use crate::safety::lineage::Memory;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Apps that something is done for, and that the catalog has no record of under the name that they
/// have now. What was applied under another name was applied: until all that is asked for now is
/// done, it says what may be removed.
pub(super) fn first(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    rollouts: &[Rollout],
) -> Vec<AppRecord> {
    let known = &inputs.claims.apps;
    let touched: BTreeSet<&AppName> = rollouts.iter().filter_map(|r| r.app.as_ref()).collect();
    let apps = inputs.desired.apps.values();
    let new = apps.filter(|app| touched.contains(&app.name) && !known.contains_key(&app.name));
    let first = |app: &App| match Memory::of(inputs, &ground.renames, &app.name).record() {
        Some(before) => AppRecord { app: app.name.clone(), ..before.clone() },
        None => record(inputs, app),
    };
    new.map(first).collect()
}

fn record(inputs: &Inputs<'_>, app: &App) -> AppRecord {
    AppRecord {
        app: app.name.clone(),
        commit: inputs.desired.commit.clone(),
        manifest: app.manifest.clone(),
        shape: app.shape(),
        released: None,
    }
}

/// Apps of which nothing was refused or left to be removed: what they ask for now is remembered
/// as applied once the plan is done.
pub(super) fn last(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    diff: &Diff<'_>,
    rollouts: &[Rollout],
    report: &Report,
) -> Vec<AppRecord> {
    let refused: BTreeSet<&AppName> = report
        .lines
        .iter()
        .filter(|line| line.kind == Kind::Refused)
        .filter_map(|line| line.object.app())
        .collect();
    let (desired, kept_back) = (inputs.desired, keeping_back(inputs, ground, rollouts));
    let left = |app: &AppName| {
        refused.contains(app) || diff.pending.contains(app) || kept_back.contains(app)
    };
    let apps = desired.apps.values();
    let apps = apps.filter(|app| !left(&app.name) && !desired.left_out.contains(&app.name));
    // Any group knows the command of its app.
    let groups: BTreeMap<_, _> = diff.groups.iter().map(|group| (&group.app.name, group)).collect();
    let commands = rollouts.iter().filter(|rollout| rollout.id.is_release_command());
    let commanded: BTreeSet<&AppName> = commands.filter_map(|r| r.app.as_ref()).collect();
    let there = apps.map(|app| {
        let group = groups.get(&app.name);
        let released = group.and_then(|group| released(inputs, ground, group, &commanded));
        AppRecord { released, ..record(inputs, app) }
    });
    // An app that was removed in full asks for nothing any more: if it comes back, its retired
    // volumes are not those of a smaller count.
    let source_is_empty = desired.apps.is_empty() && desired.left_out.is_empty();
    let gone = inputs.claims.apps.values().filter(|record| {
        let app = &record.app;
        let asked = desired.apps.contains_key(app) || desired.left_out.contains(app);
        let descends = desired.lineages.get(app) == Some(&Lineage::Descends);
        descends && !asked && !left(ground.renames.app(app)) && !source_is_empty
    });
    let gone = gone.map(|record| AppRecord {
        commit: desired.commit.clone(),
        shape: Shape::default(),
        released: None,
        ..record.clone()
    });
    there.chain(gone).collect()
}

/// Apps with slots that keep a volume whose mount is gone once the plan is done, whatever keeps it
/// there: a slot that is held or cannot be seen, a release that is not brought out now.
fn keeping_back<'g>(
    inputs: &Inputs<'_>,
    ground: &'g Ground<'_>,
    rollouts: &'g [Rollout],
) -> BTreeSet<&'g AppName> {
    let lanes = rollouts.iter().flat_map(|rollout| &rollout.waves).flat_map(|wave| &wave.lanes);
    let mut ends: BTreeMap<&SlotId, Option<&Claim>> = BTreeMap::new();
    for act in lanes.flat_map(|lane: &Lane| &lane.claims_after) {
        match act {
            ClaimAct::Write(claim) => ends.insert(&claim.slot, Some(claim)),
            ClaimAct::Remove { slot } => ends.insert(slot, None),
            ClaimAct::Hold { .. } | ClaimAct::Failed { .. } | ClaimAct::Loss { .. } => None,
        };
    }
    let end = |claim: &'g Claim| ends.get(&claim.slot).copied().unwrap_or(Some(claim));
    let drops = |claim: &&Claim| {
        let app = inputs.desired.apps.get(&claim.slot.app);
        let group = app.and_then(|app| app.groups.get(&claim.slot.group));
        let mounts = group.map(|group| &group.mounts);
        mounts.is_some_and(|mounts| claim.volumes.keys().any(|s| !mounts.contains_key(s)))
    };
    ground.claims.values().filter_map(end).filter(drops).map(|claim| &claim.slot.app).collect()
}

/// The release command that has been run for the app once the plan is done, which runs those of
/// the apps in `commanded`.
fn released(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    group: &GroupDiff<'_>,
    commanded: &BTreeSet<&AppName>,
) -> Option<Release> {
    let app = &group.app.name;
    let memory = Memory::of(inputs, &ground.renames, app);
    let known = memory.record().and_then(|record| record.released.clone());
    let current = match &group.released {
        None => return known,
        Some(Current::None) => return None,
        Some(Current::Command(release)) => release,
    };
    let mut runs = ground.seen.commands.get(app).into_iter().flatten().map(|at| at.view);
    let ran = runs.any(|view| view.release == *current && view.state == InstanceState::Finished);
    if ran || commanded.contains(app) { Some(current.clone()) } else { known }
}
