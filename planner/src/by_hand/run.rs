//! Runs on demand: where one is done. On volumes, beside a slot whose own instance has ended or was
//! never started, for a volume has one user; without volumes, wherever there is room.

use crate::Inputs;
use crate::diff::volume::VolumeNeed;
use crate::diff::{Kept, command, diff};
use crate::model::artifact::{Artifact, ArtifactKind, Resolved};
use crate::model::desired::{App, Group, Scale};
use crate::model::host::HostState;
use crate::model::id::InstanceId;
use crate::model::instance::{Bind, Role};
use crate::model::name::{AppName, GroupName, HostName, Region};
use crate::model::object::Object;
use crate::model::observed::InstanceView;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::placement::{self, Ledger};
use crate::recover::{At, Ground};
use crate::report::{Kind, Report};
use crate::rollout::{self, Place, Rolled};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// What is to be run.
pub(super) struct Asked<'r> {
    pub(super) app: &'r AppName,
    pub(super) group: &'r GroupName,
    pub(super) argv: Option<&'r [String]>,
}

/// Why not, and the way out.
type No = (Kind, String, &'static str);

/// Plans the run, or says why it is not done. `heard` takes what is said of all else.
pub(super) fn run(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    asked: &Asked<'_>,
    heard: &mut Report,
    report: &mut Report,
) -> Rolled {
    match planned(inputs, ground, asked, heard) {
        Ok(rolled) => rolled,
        Err((kind, why, hint)) => {
            let object = Object::Group { app: asked.app.clone(), group: asked.group.clone() };
            report.say(kind, object, format!("not run: {why}"), hint);
            Rolled::default()
        }
    }
}

fn planned(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    asked: &Asked<'_>,
    heard: &mut Report,
) -> Result<Rolled, No> {
    let refused = |why: &str, hint| (Kind::Refused, why.to_string(), hint);
    let app = inputs.desired.apps.get(asked.app);
    let group = app.and_then(|app| Some((app, app.groups.get(asked.group)?)));
    let Some((app, group)) = group else {
        return Err(refused("no manifest has it", "name a group of an app: APP/GROUP"));
    };
    let artifact = artifact(inputs, app)?;
    let mut once = command::once(group);
    if let Some(argv) = asked.argv {
        once.argv = argv.to_vec();
    }
    if artifact.kind() == ArtifactKind::Tree && once.argv.is_empty() {
        return Err(refused(
            "a source tree has no command of its own",
            "say what to run behind --",
        ));
    }
    let runs = command::runs(app, &once, artifact);
    let groups = diff(inputs, ground, heard).groups;
    let found = groups.iter().find(|of| of.app.name == app.name && of.group.name == group.name);
    let kept: &[Kept<'_>] = found.map_or(&[], |found| &found.kept);
    let mut ledger = placement::place(inputs, ground, &mut crate::diff::Diff::default(), heard);
    let id =
        |slot: &SlotId| InstanceId::derive(&inputs.desired.fleet, slot, Role::Run, &runs.release);
    let kind = artifact.kind();
    let place = match once.mounts.is_empty() {
        true => anywhere(inputs, ground, (app, &once), kept, kind, &mut ledger)?,
        false => on_volumes(ground, &once, kept, kind, &mut ledger)?,
    };
    let extras = ground.seen.extras.get(&place.slot).into_iter().flatten();
    let mut same = extras.filter(|at| at.view.id == id(&place.slot));
    let left = same.next().copied();
    if left.is_some_and(|at| at.view.state.is_alive()) {
        let why = format!("it runs already, beside {}", place.slot);
        return Err((Kind::Waiting, why, "`tiedown logs` shows what it says"));
    }
    Ok(rollout::run(inputs, app, &once, &runs, Place { left, ..place }))
}

fn artifact<'a>(inputs: &Inputs<'a>, app: &App) -> Result<&'a Artifact, No> {
    match inputs.artifacts.get(&app.name) {
        Some(Resolved::Found(artifact)) => Ok(artifact),
        Some(Resolved::Missing { why, .. }) => {
            Err((Kind::Blocked, why.clone(), "see `tiedown plan`"))
        }
        None => Err((Kind::Blocked, "what it runs was not looked up".to_string(), "")),
    }
}

/// Beside the first slot whose volumes are there and have no user.
fn on_volumes(
    ground: &Ground<'_>,
    group: &Group,
    kept: &[Kept<'_>],
    kind: ArtifactKind,
    ledger: &mut Ledger<'_>,
) -> Result<Place<'static>, No> {
    if kept.is_empty() {
        let why = "it has no slot that can be used, and so no volume";
        return Err((Kind::Refused, why.to_string(), "give it one in [tiedown.scale] and apply"));
    }
    let mut users = Vec::new();
    for kept in kept {
        if let Some(user) = user(ground, kept) {
            users.push(format!("instance {} uses those of {}", user.id, kept.claim.slot));
            continue;
        }
        let volumes = volumes(group, kept);
        let can = kept.host.reading.runs.contains(&kind);
        let (Some(volumes), true) = (volumes, can) else { continue };
        let account = ledger.account(&kept.claim.host);
        let Some(address) = account.and_then(|account| account.take_extra(group.guest)) else {
            continue;
        };
        let (slot, host) = (kept.claim.slot.clone(), kept.claim.host.clone());
        return Ok(Place { slot, host, address, volumes, left: None });
    }
    if users.is_empty() {
        let why = "no slot of it has its volumes and room for one instance more";
        return Err((Kind::Blocked, why.to_string(), "see `tiedown plan`"));
    }
    let why = format!("a volume has one user, and {}", users.join("; "));
    Err((Kind::Refused, why, "wait until it ends, or add a slot"))
}

/// Who uses the slot's volumes.
fn user<'a>(ground: &Ground<'a>, kept: &Kept<'a>) -> Option<&'a InstanceView> {
    let extras = ground.seen.extras.get(&kept.claim.slot).into_iter().flatten();
    let extras = extras.map(|at: &At<'a, InstanceView>| at.view);
    let mut all = kept.main.into_iter().chain(extras);
    all.find(|view| {
        let holds = view.role == Role::Main || !view.volumes.is_empty();
        holds && !view.state.is_over()
    })
}

/// All volumes of the group's mounts, if they are there as they should be.
fn volumes(group: &Group, kept: &Kept<'_>) -> Option<Vec<(Bind, Size)>> {
    let mounts = group.mounts.values();
    let of = |mount: &crate::model::desired::Mount| {
        let volume = kept.volumes.iter().find(|volume| volume.source == mount.source)?;
        let there = match volume.need {
            VolumeNeed::Nothing | VolumeNeed::Grow { .. } => volume.view?,
            VolumeNeed::Make { .. }
            | VolumeNeed::Adopt { .. }
            | VolumeNeed::TakeBack { .. }
            | VolumeNeed::Retire
            | VolumeNeed::Stay
            | VolumeNeed::Lost => return None,
        };
        let bind = Bind {
            volume: volume.id.clone(),
            source: mount.source.clone(),
            destination: mount.destination.clone(),
        };
        Some((bind, there.spec.size))
    };
    mounts.map(of).collect()
}

/// On the host of a slot of the group, or of its region, or on any.
fn anywhere(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    (app, group): (&App, &Group),
    kept: &[Kept<'_>],
    kind: ArtifactKind,
    ledger: &mut Ledger<'_>,
) -> Result<Place<'static>, No> {
    let beside = kept.iter().map(|kept| (kept.claim.slot.clone(), kept.claim.host.clone()));
    let active = ground.trusted.values().filter(|host| host.spec.state == HostState::Active);
    let mut hosts: Vec<(bool, HostName, Region)> = active
        .map(|host| {
            (!wants(group, &host.spec.region), host.spec.name.clone(), host.spec.region.clone())
        })
        .collect();
    hosts.sort();
    let free = hosts.into_iter().map(|(_, host, region)| {
        let number = NonZeroU32::MIN;
        let (app, group) = (app.name.clone(), group.name.clone());
        (SlotId::new(app, group, region, number), host)
    });
    let held = |slot: &SlotId| ground.claims.get(slot).is_some_and(|claim| claim.held);
    for (slot, host) in beside.chain(free).filter(|(slot, _)| !held(slot)) {
        let trusted = ground.trusted.get(&host);
        if !trusted.is_some_and(|host| host.reading.runs.contains(&kind)) {
            continue;
        }
        if let Some(address) = ledger.account(&host).and_then(|a| a.take_extra(group.guest)) {
            return Ok(Place { slot, host, address, volumes: Vec::new(), left: None });
        }
    }
    let why = format!("no host of fleet {} has room for it", inputs.desired.fleet);
    Err((Kind::Blocked, why, "make room, or give its [[vm]] less"))
}

fn wants(group: &Group, region: &Region) -> bool {
    match &group.scale {
        Scale::Listed(counts) => counts.contains_key(region),
        Scale::Unlisted { first } => first == region,
    }
}
