//! Restarts: of what is compared, only that the instances of the slots that were named are to be
//! stopped and started again with the release that they run. Another release is a deploy, and
//! refused here.

use crate::Inputs;
use crate::diff::instance::{InstanceNeed, failed};
use crate::diff::volume::VolumeNeed;
use crate::diff::{Diff, GroupDiff, Kept, diff};
use crate::model::name::AppName;
use crate::model::object::Object;
use crate::model::permit::Permit;
use crate::model::release::{CommitId, Release};
use crate::model::slot::SlotId;
use crate::recover::Ground;
use crate::report::{Kind, Report};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};

/// Whose instances are restarted.
pub(super) enum Asked<'r> {
    /// One slot's.
    Slot(&'r SlotId),
    /// All of an app.
    App(&'r AppName),
}

impl Asked<'_> {
    fn names(&self, slot: &SlotId) -> bool {
        match self {
            Self::Slot(asked) => *asked == slot,
            Self::App(app) => **app == slot.app,
        }
    }

    fn object(&self) -> Object {
        match self {
            Self::Slot(slot) => Object::Slot { slot: (*slot).clone() },
            Self::App(app) => Object::App { app: (*app).clone() },
        }
    }
}

/// Compares everything and keeps the restarts that were asked for. `heard` takes what is said
/// of all else.
pub(super) fn restart<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    asked: &Asked<'_>,
    heard: &mut Report,
    report: &mut Report,
) -> Diff<'a> {
    let groups = diff(inputs, ground, heard).groups;
    let mut diff = Diff { groups, ..Diff::default() };
    let mut seen: BTreeSet<SlotId> = BTreeSet::new();
    let retry = inputs.permits.has(Permit::Retry);
    for group in &mut diff.groups {
        group.wanted.clear();
        group.strays.clear();
        let release = group.runs.as_ref().map(|runs| runs.release.clone());
        for kept in &mut group.kept {
            let slot = kept.claim.slot.clone();
            let asked = asked.names(&slot);
            let record = inputs.claims.apps.get(&slot.app);
            let commit = record.and_then(|record| record.commit.as_ref());
            kept.instance = match refusal(kept, release.as_ref(), retry, commit) {
                _ if !asked => InstanceNeed::Nothing,
                None => need(kept),
                Some((why, hint)) => {
                    let object = Object::Slot { slot: slot.clone() };
                    report.say(Kind::Refused, object, format!("not restarted: {why}"), &hint);
                    InstanceNeed::Nothing
                }
            };
            quiet(kept);
            if asked {
                seen.insert(slot);
            }
        }
    }
    diff.groups.retain(works);
    unseen(ground, asked, &seen, heard, report);
    diff
}

fn works(group: &GroupDiff<'_>) -> bool {
    group.kept.iter().any(|kept| kept.instance != InstanceNeed::Nothing)
}

fn need(kept: &Kept<'_>) -> InstanceNeed {
    match kept.main {
        None => InstanceNeed::Start,
        Some(_) => InstanceNeed::Restart { why: "a person asked for it".to_string() },
    }
}

/// Leaves all of the slot but its instance as it is.
fn quiet(kept: &mut Kept<'_>) {
    for volume in &mut kept.volumes {
        volume.need = VolumeNeed::Nothing;
        volume.marks = None;
    }
    kept.supervise = false;
    kept.grows_paused = false;
    kept.moved_from = None;
}

/// Why the instance cannot be started again as it is, and the way out.
pub(super) fn refusal(
    kept: &Kept<'_>,
    release: Option<&Release>,
    retry: bool,
    commit: Option<&CommitId>,
) -> Option<(String, String)> {
    let apply = || "`tiedown apply` sees to that".to_string();
    let Some(release) = release else {
        return Some(("what it runs is not there".into(), "see `tiedown plan`".into()));
    };
    if let Some(main) = kept.main.filter(|main| main.release != *release) {
        let why = format!(
            "it runs release {}, and what was read asks for {release}, which would be a deploy",
            main.release
        );
        let rev = commit.map_or("COMMIT", CommitId::short);
        let hint = format!(
            "`tiedown apply` brings the new release out; to restart the one that runs, say the \
             commit that it was deployed from: --rev {rev}"
        );
        return Some((why, hint));
    }
    // One that came up before and failed since may be what a person wants to repair by this.
    let never_up = kept.claim.applied.as_ref() != Some(release);
    if never_up && failed(&kept.claim, release) && !retry {
        let hint = "`tiedown apply --retry` tries it again";
        return Some((format!("its release {release} failed"), hint.into()));
    }
    if kept.main.is_none() && never_up {
        return Some((format!("it never ran release {release}"), apply()));
    }
    if kept.moved_from.is_some() {
        return Some(("it had another name before, which is not applied yet".into(), apply()));
    }
    let wrong = kept.volumes.iter().find(|volume| match volume.need {
        VolumeNeed::Nothing => false,
        VolumeNeed::Grow { .. } => volume.size_now() < volume.claimed,
        VolumeNeed::Make { .. }
        | VolumeNeed::TakeBack { .. }
        | VolumeNeed::Adopt { .. }
        | VolumeNeed::Retire
        | VolumeNeed::Stay
        | VolumeNeed::Lost => true,
    })?;
    Some((format!("its volume {} is not as it should be", wrong.source), apply()))
}

/// Says of every slot that was named and cannot be compared why not.
pub(super) fn unseen(
    ground: &Ground<'_>,
    asked: &Asked<'_>,
    seen: &BTreeSet<SlotId>,
    heard: &Report,
    report: &mut Report,
) {
    let mut known = false;
    for claim in ground.claims.values().filter(|claim| asked.names(&claim.slot)) {
        known = true;
        let slot = &claim.slot;
        let object = Object::Slot { slot: slot.clone() };
        if seen.contains(slot) {
            continue;
        }
        if claim.held {
            let hint = format!("tiedown unhold {slot}");
            report.say(Kind::Waiting, object, "it is held, so it is left alone", &hint);
        } else if !ground.trusted.contains_key(&claim.host) {
            let why = format!("not restarted: {} cannot be read", claim.host);
            report.say(Kind::Unknown, object, why, "`tiedown status` says why");
        } else {
            let why = "not restarted: no manifest that was read asks for it";
            report.say(Kind::Refused, object, why, "see `tiedown plan`");
        }
    }
    if !known {
        let hint = "`tiedown status` shows slots";
        report.say(Kind::Refused, asked.object(), "nothing of that name runs here", hint);
    }
    // Why an app or a group as a whole cannot be compared.
    let slots = ground.claims.keys().filter(|slot| asked.names(slot) && !seen.contains(*slot));
    let apps: BTreeSet<&AppName> = slots.map(|slot| &slot.app).collect();
    for line in &heard.lines {
        let whole = match &line.object {
            Object::App { .. } | Object::Group { .. } => line.kind.is_wanting(),
            Object::Fleet
            | Object::Host { .. }
            | Object::Pool { .. }
            | Object::Slot { .. }
            | Object::Volume { .. }
            | Object::Instance { .. }
            | Object::Foreign { .. } => false,
        };
        if whole && line.object.app().is_some_and(|app| apps.contains(app)) {
            report.lines.push(line.clone());
        }
    }
}
