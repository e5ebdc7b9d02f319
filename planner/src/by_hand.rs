//! Plans for what a person asks for beside the manifests: holds, restarts, snapshots,
//! retired volumes destroyed, restored or given to a slot. They go through the same stages and the same guards as all
//! plans, and do nothing but what was asked.

mod adopt;
mod hold;
mod restart;
mod restore;
mod run;
mod snapshot;
mod volume;

use crate::diff::Diff;
use crate::model::artifact::Artifacts;
use crate::model::claim::Claims;
use crate::model::desired::Desired;
use crate::model::id::VolumeId;
use crate::model::name::{AppName, GroupName, SnapshotName};
use crate::model::observed::Observed;
use crate::model::permit::Permits;
use crate::model::policy::Policy;
use crate::model::slot::SlotId;
use crate::recover::{Ground, recover};
use crate::report::Report;
use crate::rollout::{Rolled, roll_out};
use crate::{Inputs, Planned, order, placement, safety};
use alloc::string::String;
use alloc::vec::Vec;

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A slot is left alone by every pass, until it is no longer held.
    Hold {
        /// Which.
        slot: SlotId,
    },
    /// A slot is no longer held.
    Unhold {
        /// Which.
        slot: SlotId,
    },
    /// The instance of a slot is stopped and started, with the release that it runs.
    RestartSlot {
        /// Which.
        slot: SlotId,
    },
    /// The instances of all slots of an app are, no more at once than may be down.
    RestartApp {
        /// Which.
        app: AppName,
    },
    /// An instance of a group is started that is to end by itself, and its end is waited for.
    Run {
        /// The app.
        app: AppName,
        /// The group.
        group: GroupName,
        /// Program and arguments instead of the group's own.
        argv: Option<Vec<String>>,
    },
    /// A retired volume and its data go.
    Destroy {
        /// Which.
        volume: VolumeId,
    },
    /// A snapshot is taken of a volume.
    Snapshot {
        /// Of which.
        volume: VolumeId,
        /// What it is called.
        name: Option<SnapshotName>,
    },
    /// The slot that a snapshot or retired volume was of goes to a new volume with its data.
    Restore {
        /// Which.
        volume: VolumeId,
    },
    /// A volume becomes the own of a slot that is wanted and has none.
    Adopt {
        /// Which.
        given: Given,
        /// Whose it becomes.
        slot: SlotId,
    },
}

/// What a person gives to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A retired volume of the fleet.
    Retired(VolumeId),
    /// What is not the fleet's, by the name that its host has for it.
    Foreign(String),
}

impl Request {
    /// Whether what manifests ask for matters to it.
    #[must_use]
    pub const fn needs_manifests(&self) -> bool {
        match self {
            Self::Hold { .. }
            | Self::Unhold { .. }
            | Self::Destroy { .. }
            | Self::Snapshot { .. } => false,
            Self::RestartSlot { .. }
            | Self::RestartApp { .. }
            | Self::Restore { .. }
            | Self::Run { .. }
            | Self::Adopt { .. } => true,
        }
    }
}

/// Decides how the request is done, or says why it is not. What is asked for and so already makes
/// an empty plan.
#[must_use]
pub fn plan(
    request: &Request,
    desired: &Desired,
    artifacts: &Artifacts,
    observed: &Observed,
    claims: &Claims,
    policy: &Policy,
    permits: &Permits,
) -> Planned {
    let named = match request {
        Request::Adopt { given: Given::Foreign(name), slot } => {
            Some(adopt::naming(desired, name, slot))
        }
        _ => None,
    };
    let desired = named.as_ref().unwrap_or(desired);
    let inputs = Inputs { desired, artifacts, observed, claims, policy, permits: *permits };
    // What is said of the fleet as a whole; only what bears on the request is passed on.
    let mut heard = Report::default();
    let ground = recover(&inputs, &mut heard);
    let mut report = Report::default();
    let (diff, rolled) = match request {
        Request::Hold { slot } => (Diff::default(), hold::hold(&ground, slot, true, &mut report)),
        Request::Unhold { slot } => {
            (Diff::default(), hold::hold(&ground, slot, false, &mut report))
        }
        Request::RestartSlot { slot } => {
            let asked = restart::Asked::Slot(slot);
            let diff = restart::restart(&inputs, &ground, &asked, &mut heard, &mut report);
            carry_on(&inputs, &ground, diff, &mut report)
        }
        Request::RestartApp { app } => {
            let asked = restart::Asked::App(app);
            let diff = restart::restart(&inputs, &ground, &asked, &mut heard, &mut report);
            carry_on(&inputs, &ground, diff, &mut report)
        }
        Request::Run { app, group, argv } => {
            let asked = run::Asked { app, group, argv: argv.as_deref() };
            let rolled = run::run(&inputs, &ground, &asked, &mut heard, &mut report);
            (Diff::default(), rolled)
        }
        Request::Destroy { volume } => {
            let diff = volume::destroy(&inputs, &ground, volume, &mut report);
            carry_on(&inputs, &ground, diff, &mut report)
        }
        Request::Snapshot { volume, name } => {
            let name = name.as_ref();
            let rolled = snapshot::snapshot(&inputs, &ground, volume, name, &mut report);
            (Diff::default(), rolled)
        }
        Request::Restore { volume } => {
            let rolled = restore::restore(&inputs, &ground, volume, &mut heard, &mut report);
            (Diff::default(), rolled)
        }
        Request::Adopt { given, slot } => {
            let diff = match given {
                Given::Retired(id) => adopt::retired(&inputs, &ground, id, slot, &mut report),
                Given::Foreign(name) => {
                    adopt::foreign(&inputs, &ground, name, slot, &mut heard, &mut report)
                }
            };
            carry_on(&inputs, &ground, diff, &mut report)
        }
    };
    finish(&inputs, ground, &diff, rolled, report)
}

/// The stages after the comparison, as for every plan.
fn carry_on<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    mut diff: Diff<'a>,
    report: &mut Report,
) -> (Diff<'a>, Rolled) {
    safety::guard(inputs, ground, &mut diff, report);
    let ledger = placement::place(inputs, ground, &mut diff, report);
    let rolled = roll_out(inputs, ground, &mut diff, ledger, report);
    (diff, rolled)
}

/// Puts the plan together. It records no app as applied, and what it does not do it corrects
/// nothing for.
fn finish(
    inputs: &Inputs<'_>,
    ground: Ground<'_>,
    diff: &Diff<'_>,
    rolled: Rolled,
    report: Report,
) -> Planned {
    let mut planned = order::finish(inputs, ground, diff, rolled, report);
    planned.plan.records.clear();
    planned.report.lines.retain(|line| line.kind.is_wanting());
    if planned.plan.is_empty() {
        planned.plan.corrections.clear();
        planned.plan.completes_catalog = false;
    }
    planned
}
