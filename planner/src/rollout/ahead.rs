//! What runs ahead of the slots: a canary, one extra instance of the new release; or a second set,
//! one for each slot. Removed when the slots have followed, or when one fails.

use super::extra::Extra;
use super::instance::Crew;
use crate::diff::GroupDiff;
use crate::model::desired::Strategy;
use crate::model::instance::Role;
use crate::model::slot::SlotId;
use crate::placement::Ledger;
use crate::plan::step::Step;
use crate::plan::{ClaimAct, Lane};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Instances that run ahead.
pub(super) struct Ahead {
    /// What they are together, in a word or two.
    pub(super) what: &'static str,
    /// Whether they are gone before any slot is touched; else they go when all have followed.
    pub(super) is_gone_before: bool,
    /// Start them.
    pub(super) start: Vec<Lane>,
    /// Stop them.
    pub(super) stop: Vec<Lane>,
    /// Stop them when a wave failed.
    pub(super) on_failure: Vec<Step>,
    /// The release is remembered as failed for every slot when a wave failed.
    pub(super) claims_on_failure: Vec<ClaimAct>,
}

/// Why nothing runs ahead while something of an earlier try is there.
pub(super) const LEFT: &str = "what was left of an earlier one is removed first";

/// What a strategy has run ahead, in a word or two.
pub(super) const fn word(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Bluegreen => "second set",
        Strategy::Canary | Strategy::Rolling | Strategy::Immediate => "canary",
    }
}

/// Finds places for what the strategy has run ahead, if it has anything do so.
pub(super) fn plan<'a>(
    crew: &Crew<'a, '_>,
    group: &mut GroupDiff<'a>,
    strategy: Strategy,
    ledger: &mut Ledger<'a>,
) -> Result<Option<Ahead>, String> {
    if strategy == Strategy::Canary && !crew.group.mounts.is_empty() {
        return super::clones::plan(crew, group, ledger).map(Some);
    }
    let slots: Vec<SlotId> = group.kept.iter().map(|kept| kept.claim.slot.clone()).collect();
    let (role, beside) = match strategy {
        Strategy::Rolling | Strategy::Immediate => return Ok(None),
        Strategy::Canary => (Role::Canary, &slots[..slots.len().min(1)]),
        Strategy::Bluegreen => (Role::Green, &slots[..]),
    };
    if beside.is_empty() {
        return Err("there is no slot yet".to_string());
    }
    let extras = beside.iter().map(|slot| Extra::of(crew, group, slot, role, ledger));
    let extras = extras.collect::<Result<Vec<Extra>, String>>()?;
    let release = &crew.runs.release;
    Ok(Some(Ahead {
        what: word(strategy),
        is_gone_before: false,
        start: extras.iter().map(|extra| extra.start(crew)).collect(),
        stop: extras.iter().map(Extra::stop).collect(),
        on_failure: extras.iter().map(Extra::stop_step).collect(),
        claims_on_failure: slots
            .into_iter()
            .map(|slot| ClaimAct::Failed { slot, release: release.clone() })
            .collect(),
    }))
}
