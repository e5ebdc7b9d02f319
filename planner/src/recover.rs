//! Where the planner stands before it compares anything: which hosts can be trusted, what is
//! claimed after renames and what marks add to it, and what was seen of each slot. It decides no
//! change of a host; it only corrects what the catalog remembers.

mod marks;
mod rename;
mod seen;
mod trust;

pub(crate) use rename::Renames;
pub(crate) use seen::{At, Seen};

use crate::Inputs;
use crate::model::claim::Claim;
use crate::model::host::{HostSpec, HostState};
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::Reading;
use crate::model::permit::Permit;
use crate::model::slot::SlotId;
use crate::plan::ClaimAct;
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

/// A host whose answer can be believed.
#[derive(Clone, Copy)]
pub(crate) struct Trusted<'a> {
    /// As `tiedown.toml` describes it.
    pub(crate) spec: &'a HostSpec,
    /// What it said.
    pub(crate) reading: &'a Reading,
}

/// What the planner stands on.
pub(crate) struct Ground<'a> {
    /// Claims by slot, under the names that slots have now.
    pub(crate) claims: BTreeMap<SlotId, Claim>,
    /// Slots that the catalog still remembers under another name: new, old.
    pub(crate) moved: BTreeMap<SlotId, SlotId>,
    /// What the catalog must learn first.
    pub(crate) corrections: Vec<ClaimAct>,
    /// Hosts that can be believed.
    pub(crate) trusted: BTreeMap<&'a HostName, Trusted<'a>>,
    /// Lost hosts that answered: nothing is concluded from what they say.
    pub(crate) answering: BTreeSet<&'a HostName>,
    /// Whether every host can be believed, but for those given up.
    pub(crate) all_read: bool,
    /// Whether anything new may be placed at all.
    pub(crate) may_place: bool,
    /// What trusted hosts have of each slot.
    pub(crate) seen: Seen<'a>,
    /// Slots that two hosts hold, with no claim to say which: left alone.
    pub(crate) disputed: BTreeSet<SlotId>,
    /// Names that changed.
    pub(crate) renames: Renames,
}

/// Judges hosts, follows renames and rebuilds claims from marks.
pub(crate) fn recover<'a>(inputs: &Inputs<'a>, report: &mut Report) -> Ground<'a> {
    let renames = Renames::of(inputs.desired, &inputs.claims.slots, report);
    let mut corrections = Vec::new();
    let hosts = rename::follow_hosts(inputs, &mut corrections);
    let (mut claims, moved) = rename::follow_slots(hosts, &renames, report);
    let trusted = trust::judge(inputs, &claims, report);
    let (trusted, lost): (BTreeMap<_, _>, BTreeMap<_, _>) =
        trusted.into_iter().partition(|(_, host)| host.spec.state != HostState::Lost);
    let seen = Seen::of(&trusted, &renames);
    let disputed = marks::rebuild(&trusted, &seen, &renames, &mut claims, &mut corrections, report);
    // What nobody remembers and a lost host that answers has is not started anew elsewhere without
    // the permit to give it up.
    let on_lost = Seen::of(&lost, &renames);
    marks::rebuild(&lost, &on_lost, &renames, &mut claims, &mut corrections, report);
    let answering: BTreeSet<&HostName> = lost.into_keys().collect();
    // What a lost host has is given up with a permit only, also where no claim says what it is.
    let may_give_up = inputs.permits.has(Permit::Empty);
    let all_read = inputs.desired.hosts.values().all(|host| match host.state {
        HostState::Active | HostState::Cordoned => trusted.contains_key(&host.name),
        HostState::Lost => answering.contains(&host.name) || may_give_up,
    });
    let may_place = inputs.claims.complete || all_read || may_give_up;
    if !may_place {
        let why = "the catalog is new and not every host was read, so nothing new is placed: a \
                   slot that seems to be missing may be on a host that did not answer";
        let hint = "make every host readable; to give up what may be on those that are lost, say \
                    --allow-empty";
        report.say(Kind::Unknown, Object::Fleet, why, hint);
    }
    report_removed_hosts(inputs, &claims, report);
    Ground {
        claims,
        moved,
        corrections,
        trusted,
        answering,
        all_read,
        may_place,
        seen,
        disputed,
        renames,
    }
}

/// Hosts that left `tiedown.toml` while they hold claims: nothing is concluded from that.
fn report_removed_hosts(
    inputs: &Inputs<'_>,
    claims: &BTreeMap<SlotId, Claim>,
    report: &mut Report,
) {
    let mut held: BTreeMap<&HostName, (usize, usize)> = BTreeMap::new();
    for claim in claims.values().filter(|c| !inputs.desired.hosts.contains_key(&c.host)) {
        let (slots, volumes) = held.entry(&claim.host).or_default();
        *slots += 1;
        *volumes += claim.volumes.len();
    }
    for (host, (slots, volumes)) in held {
        let why = format!(
            "it is no longer in tiedown.toml while it holds {}; they are left alone",
            counted(slots, volumes)
        );
        let hint = "put it back; to give it up, drain it first or set state = \"lost\"";
        report.say(Kind::Refused, Object::Host { host: host.clone() }, why, hint);
    }
}

/// `2 slots with 3 volumes`, in words.
fn counted(slots: usize, volumes: usize) -> alloc::string::String {
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    if volumes == 0 {
        return format!("{slots} slot{}", plural(slots));
    }
    format!("{slots} slot{} with {volumes} volume{}", plural(slots), plural(volumes))
}
