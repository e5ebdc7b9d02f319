//! Decides: what a fleet should do next, from what is wanted and what is there.
//!
//! ```text
//! manifests ─► desired ──┐
//! trees, images ─► artifacts ┤
//! catalog ─► claims ─────┼─► diff ─► safety ─► placement ─► rollout ─► PLAN + REPORT
//! hosts ─► observed ─────┤                                     │
//! tiedown.toml ─► policy, permits                     check (independent judge)
//! ```
//!
//! Nothing here can open a file, start a process, read a clock or the environment: the crate is
//! `no_std`, all inputs are values, and the same inputs give the same plan, byte for byte.
#![no_std]

extern crate alloc;

pub mod by_hand;
pub mod by_itself;
pub mod check;
mod diff;
pub mod document;
pub mod manifest;
pub mod model;
mod order;
mod placement;
pub mod plan;
mod recover;
pub mod remainder;
pub mod render;
pub mod report;
mod rollout;
mod safety;
pub mod simulate;
pub mod why;

use model::artifact::Artifacts;
use model::claim::Claims;
use model::desired::Desired;
use model::observed::Observed;
use model::permit::Permits;
use model::policy::Policy;
use plan::Plan;
use report::Report;

/// A plan, and why the rest is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// All that is to be done.
    pub plan: Plan,
    /// What is wanted and not done, and why; and what moved by itself.
    pub report: Report,
}

/// All that a plan is made from.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    desired: &'a Desired,
    artifacts: &'a Artifacts,
    observed: &'a Observed,
    claims: &'a Claims,
    policy: &'a Policy,
    permits: Permits,
}

/// Decides what is to be done next. The same inputs give the same plan; a plan that was carried
/// out in full leads to a plan without changes.
#[must_use]
pub fn plan(
    desired: &Desired,
    artifacts: &Artifacts,
    observed: &Observed,
    claims: &Claims,
    policy: &Policy,
    permits: &Permits,
) -> Planned {
    let inputs = Inputs { desired, artifacts, observed, claims, policy, permits: *permits };
    let mut report = Report::default();
    let ground = recover::recover(&inputs, &mut report);
    let mut diff = diff::diff(&inputs, &ground, &mut report);
    diff::restrain::restrain(&inputs, &mut diff);
    safety::guard(&inputs, &ground, &mut diff, &mut report);
    let ledger = placement::place(&inputs, &ground, &mut diff, &mut report);
    let rolled = rollout::roll_out(&inputs, &ground, &mut diff, ledger, &mut report);
    diff::drift::drift(&inputs, &ground, &diff, &mut report);
    diff::note::shared_ports(&ground, &diff, &mut report);
    order::finish(&inputs, ground, &diff, rolled, report)
}
