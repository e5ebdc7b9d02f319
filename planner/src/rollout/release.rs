//! The release command: once for each release, before anything of the app changes; never for scale
//! or heal. What it left on its host says whether it ran: finished, it is taken; running, it is
//! waited for; failed or unseen to its end, it is not run again by itself.

use super::instance::{Berth, Crew};
use super::{Site, is_redeploy, rollout, step};
use crate::diff::instance::InstanceNeed;
use crate::diff::{Diff, GroupDiff, Runs, command};
use crate::model::claim::Claim;
use crate::model::desired::{App, Group, ReleaseCommand};
use crate::model::guest::Guest;
use crate::model::instance::Role;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::{InstanceState, InstanceView};
use crate::model::permit::Permit;
use crate::model::slot::SlotId;
use crate::plan::change::{Change, Field, Verb};
use crate::plan::step::Step;
use crate::plan::{ClaimAct, Gate, Lane, Rollout, RolloutId, Wave};
use crate::recover::At;
use crate::report::Kind;
use crate::safety::lineage::Memory;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What an app's release command needs before its release is brought out.
pub(super) struct First {
    /// Runs it.
    pub(super) rollout: Rollout,
    /// What is told of it.
    pub(super) change: Change,
}

/// Why the release waits, and the way out.
type Wait = (Kind, String, &'static str);

const LESS: &str = "make room, or give it less in [deploy.release_command_vm]";

/// Where it runs.
struct Place {
    slot: SlotId,
    host: HostName,
    address: Ipv4Addr,
}

/// What is run for groups that bring out a new release, by app. Where it cannot be run, the
/// release is held back.
pub(super) fn plan<'a>(site: &mut Site<'a, '_>, diff: &mut Diff<'a>) -> Vec<First> {
    let mut first = Vec::new();
    for groups in diff.groups.chunk_by_mut(|a, b| a.app.name == b.app.name) {
        let Some(command) = groups.first().and_then(|group| group.app.release_command.as_ref())
        else {
            continue;
        };
        if !groups.iter().any(is_new) {
            continue;
        }
        match one(site, groups, command) {
            Ok(run) => first.extend(run),
            Err((kind, why, hint)) => {
                let app = groups[0].app.name.clone();
                let why = format!("the new release is not brought out: {why}");
                site.report.say(kind, Object::App { app: app.clone() }, why, hint);
                groups.iter_mut().for_each(hold_back);
                diff.pending.insert(app);
            }
        }
    }
    first
}

/// Whether the group brings out a release that none of its slots has run.
fn is_new(group: &GroupDiff<'_>) -> bool {
    let Some(runs) = &group.runs else { return false };
    let ran = group.kept.iter().any(|kept| kept.before.applied.as_ref() == Some(&runs.release));
    let starts = group.kept.iter().any(|kept| kept.instance != InstanceNeed::Nothing);
    let placed = group.wanted.iter().any(|wanted| wanted.placed.is_some());
    group.kept.iter().any(is_redeploy) || !ran && (starts || placed)
}

fn hold_back(group: &mut GroupDiff<'_>) {
    if !is_new(group) {
        return;
    }
    group.wanted.clear();
    for kept in
        group.kept.iter_mut().filter(|kept| is_redeploy(kept) || kept.before.applied.is_none())
    {
        kept.instance = InstanceNeed::Nothing;
    }
}

fn one<'a>(
    site: &mut Site<'a, '_>,
    groups: &[GroupDiff<'a>],
    command: &ReleaseCommand,
) -> Result<Option<First>, Wait> {
    let app = groups[0].app;
    let artifact = groups.iter().find_map(|group| Some(group.runs.as_ref()?.artifact));
    let (Some(group), Some(runs)) = (command::group(app), command::of(app, artifact)) else {
        let why = "its release command cannot be run".to_string();
        return Err((Kind::Blocked, why, "see what is said of its default group"));
    };
    let record = Memory::of(site.inputs, &site.ground.renames, &app.name).record();
    if record.and_then(|record| record.released.as_ref()) == Some(&runs.release) {
        return Ok(None);
    }
    let crew = Crew { inputs: site.inputs, app, group: &group, runs: &runs };
    let there = there(site, app, &runs);
    let retry = site.inputs.permits.has(Permit::Retry);
    let (place, again) = match there {
        None => (place(site, groups, command, &crew, retry)?, None),
        Some(at) => {
            match &at.view.state {
                InstanceState::Finished => return Ok(None),
                InstanceState::Running | InstanceState::Restarting => {}
                InstanceState::Failed { .. }
                | InstanceState::Died { .. }
                | InstanceState::Stopped
                    if retry => {}
                InstanceState::Failed { why } => {
                    let why = format!("its release command failed: {why}");
                    let hint = "change what it runs, or run it again with --retry";
                    return Err((Kind::Waiting, why, hint));
                }
                InstanceState::Died { .. } | InstanceState::Stopped => {
                    let why = "it is not known how far its release command came".to_string();
                    let hint = "see `tiedown logs`, then run it again with --retry";
                    return Err((Kind::Refused, why, hint));
                }
            }
            let again = !at.view.state.is_alive();
            let guest = match again {
                true => crew.group.guest,
                false => Guest::new(at.view.memory, at.view.cpus),
            };
            let account = site.ledger.account(at.host);
            if let Some(Err(why)) = account.map(|account| account.take(guest.memory, guest.cpus)) {
                let why = format!("{} has no room for its release command: {why}", at.host);
                return Err((Kind::Blocked, why, LESS));
            }
            let place = Place {
                slot: at.view.slot.clone(),
                host: at.host.clone(),
                address: at.view.address,
            };
            (place, again.then_some(at))
        }
    };
    let failing = groups.iter().filter(|group| is_new(group)).flat_map(|group| {
        let release = group.runs.as_ref().map(|runs| runs.release.clone());
        let slots = group.kept.iter().map(|kept| kept.claim.slot.clone());
        slots.filter_map(move |slot| Some(ClaimAct::Failed { slot, release: release.clone()? }))
    });
    Ok(Some(first(&crew, command, &place, again, failing.collect())))
}

/// The command of this release, wherever it was begun.
fn there<'a>(site: &Site<'a, '_>, app: &App, runs: &Runs<'_>) -> Option<At<'a, InstanceView>> {
    let mut all = site.ground.seen.commands.get(&app.name).into_iter().flatten();
    all.find(|at| at.view.release == runs.release).copied()
}

/// Beside the lowest slot of its group that has a place, or of any group. It may have been begun
/// there before, so a slot whose host does not say is not passed over without being asked to.
fn place(
    site: &mut Site<'_, '_>,
    groups: &[GroupDiff<'_>],
    command: &ReleaseCommand,
    crew: &Crew<'_, '_>,
    retry: bool,
) -> Result<Place, Wait> {
    let app = &crew.app.name;
    let of_app = |claim: &&Claim| claim.slot.app == *app && !claim.held;
    let claims = site.ground.claims.values().filter(of_app);
    let claimed = claims.map(|claim| (claim.slot.clone(), claim.host.clone()));
    let wanted = groups.iter().flat_map(|group| &group.wanted);
    let wanted = wanted.filter_map(|w| Some((w.slot.clone(), w.placed.as_ref()?.host.clone())));
    let mut all: Vec<(SlotId, HostName)> = claimed.chain(wanted).collect();
    all.sort_by_key(|(slot, _)| (slot.group != command.group, slot.clone()));
    for (slot, host) in all {
        let Some(trusted) = site.ground.trusted.get(&host) else {
            if retry {
                continue;
            }
            let why = format!("its release command may have run on {host}, which cannot be read");
            return Err((
                Kind::Unknown,
                why,
                "make the host readable; or run it elsewhere with --retry",
            ));
        };
        let can = trusted.reading.runs.contains(&crew.runs.artifact.kind());
        let account = site.ledger.account(&host).filter(|_| can);
        if let Some(address) = account.and_then(|account| account.take_extra(crew.group.guest)) {
            return Ok(Place { slot, host, address });
        }
    }
    let why = "no host of the app has room for its release command".to_string();
    Err((Kind::Blocked, why, LESS))
}

fn first(
    crew: &Crew<'_, '_>,
    command: &ReleaseCommand,
    place: &Place,
    again: Option<At<'_, InstanceView>>,
    claims_on_failure: Vec<ClaimAct>,
) -> First {
    let Place { slot, host, address } = place;
    let berth = Berth { slot, role: Role::Release, host, address: *address };
    let mut instance = crew.instance(berth, Vec::new());
    instance.ends_within = Some(command.timeout);
    let id = instance.id.clone();
    let object = Object::Instance { slot: slot.clone(), instance: id.clone() };
    let mut steps: Vec<Step> =
        again.iter().map(|at| step::stop_instance(at.host, at.view)).collect();
    steps.push(step::start_instance(host, instance, &[], crew.inputs.desired.hosts.get(host)));
    let what = "the release command".to_string();
    let lane = Lane {
        object: object.clone(),
        claims_before: Vec::new(),
        steps,
        gate: Gate::Finishes { host: host.clone(), instance: id, what },
        claims_after: Vec::new(),
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure,
    };
    let name = RolloutId::release_command(&crew.app.name, &crew.group.name);
    let mut rollout = rollout(name.0, Some(&crew.app.name), Some(&crew.group.name));
    rollout.waves = vec![Wave { title: "run the release command".to_string(), lanes: vec![lane] }];
    First { rollout, change: told(crew.group, crew.app, command, object, host) }
}

fn told(
    group: &Group,
    app: &App,
    command: &ReleaseCommand,
    object: Object,
    host: &HostName,
) -> Change {
    let field = |name: &str, value: String| Field {
        name: name.to_string(),
        before: None,
        after: Some(value),
    };
    Change {
        object,
        verb: Verb::Run,
        host: host.clone(),
        fields: vec![
            field("command", command.argv.join(" ")),
            field("may take", command.timeout.to_string()),
            field("memory", group.guest.memory.to_string()),
        ],
        reasons: vec![
            format!("the release command of {}: once for this release, before all else", app.name),
            "what it does cannot be undone".to_string(),
        ],
    }
}
