//! What must not be touched now, and which permit or line would change that. Guards only take
//! away from what differs; they add nothing.

mod empty;
pub(crate) mod lineage;
mod loss;

pub(crate) use loss::{Losses, loss_forbids};

use crate::Inputs;
use crate::diff::Diff;
use crate::recover::Ground;
use crate::report::Report;

/// Takes away what the guards forbid, and says so.
pub(crate) fn guard(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    diff: &mut Diff<'_>,
    report: &mut Report,
) {
    empty::guard(inputs, ground, diff, report);
    loss::guard(inputs, ground, diff, report);
}
