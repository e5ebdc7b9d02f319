//! Holding a slot, and letting it go: nothing on a host, one fact in the catalog, under the
//! app's lock.

use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::plan::change::{Change, Field, Verb};
use crate::plan::{ClaimAct, Gate, Lane, Rollout, RolloutId, Wave};
use crate::recover::Ground;
use crate::report::{Kind, Report};
use crate::rollout::Rolled;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

/// Holds a slot or lets it go; nothing if it is so already.
pub(super) fn hold(ground: &Ground<'_>, slot: &SlotId, held: bool, report: &mut Report) -> Rolled {
    let object = Object::Slot { slot: slot.clone() };
    let Some(claim) = ground.claims.get(slot) else {
        let why = "it is not known, so it cannot be held";
        report.say(Kind::Refused, object, why, "`tiedown status` shows slots");
        return Rolled::default();
    };
    if claim.held == held {
        return Rolled::default();
    }
    let reason = match held {
        true => "a person repairs it: every pass leaves it alone until it is let go",
        false => "a person lets it go: from now on passes see to it again",
    };
    let change = Change {
        object: object.clone(),
        verb: Verb::Update,
        host: claim.host.clone(),
        fields: vec![Field {
            name: "held".to_string(),
            before: Some(claim.held.to_string()),
            after: Some(held.to_string()),
        }],
        reasons: vec![reason.to_string()],
    };
    let lane = Lane {
        object,
        claims_before: Vec::new(),
        steps: Vec::new(),
        gate: Gate::Open,
        claims_after: vec![ClaimAct::Hold { slot: slot.clone(), held }],
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: Vec::new(),
    };
    let title = if held { "hold" } else { "let go" };
    let rollout = Rollout {
        id: RolloutId(format!("{}/{}/hold", slot.app, slot.group)),
        app: Some(slot.app.clone()),
        group: Some(slot.group.clone()),
        strategy: None,
        after: Vec::new(),
        waves: vec![Wave { title: title.to_string(), lanes: vec![lane] }],
        on_failure: Vec::new(),
        claims_on_failure: Vec::new(),
    };
    Rolled { rollouts: vec![rollout], changes: vec![change] }
}
