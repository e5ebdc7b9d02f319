//! Which strategy brings out a new release, and why; or why the one that was asked for cannot.

use crate::diff::GroupDiff;
use crate::model::desired::{Revert, Strategy};
use crate::plan::Choice;
use crate::report::Kind;
use alloc::format;
use alloc::string::String;

/// Why a strategy cannot be followed, and the way out.
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) why: String,
    pub(super) hint: &'static str,
}

/// The strategy for the slots of a group.
pub(super) fn choose(group: &GroupDiff<'_>) -> Result<Choice, Refusal> {
    let deploy = &group.group.deploy;
    let slots = group.kept.len() + group.unknown;
    let mounted = !group.group.mounts.is_empty();
    let choice = |strategy, why: &str| {
        let max_unavailable = match strategy {
            // All at once is what it is for; of bluegreen the second set serves meanwhile.
            Strategy::Immediate | Strategy::Bluegreen => slots,
            Strategy::Rolling | Strategy::Canary => deploy.max_unavailable.of(slots),
        };
        Ok(Choice { strategy, why: why.into(), max_unavailable, slots })
    };
    if !group.kept.iter().any(super::is_redeploy) {
        return choice(Strategy::Rolling, "no new release is brought out");
    }
    let on_clones = "canary is \"clone\": it is tried on clones of one slot's volumes first";
    match (deploy.strategy, mounted) {
        (None | Some(Strategy::Canary | Strategy::Rolling), true) if deploy.on_clones => {
            choice(Strategy::Canary, on_clones)
        }
        (Some(strategy @ (Strategy::Canary | Strategy::Bluegreen)), true) => Err(Refusal {
            kind: Kind::Refused,
            why: format!(
                "strategy {} needs an extra instance, and there is no extra volume for it",
                strategy.as_str()
            ),
            hint: "set [deploy] strategy = \"rolling\", or canary = \"clone\" in [tiedown]",
        }),
        (Some(Strategy::Immediate), true) if deploy.revert == Revert::Snapshot => Err(Refusal {
            kind: Kind::Refused,
            why: "strategy immediate waits for nothing, so nothing can go back to a snapshot"
                .into(),
            hint: "set [deploy] strategy = \"rolling\", or revert = \"off\" in [tiedown]",
        }),
        (Some(strategy), _) => choice(strategy, "the manifest asks for it"),
        (None, true) => choice(Strategy::Rolling, "the group has mounts"),
        (None, false) if !group.group.has_services => {
            choice(Strategy::Rolling, "the group has no services")
        }
        (None, false) => choice(Strategy::Canary, "the group has services and no mounts"),
    }
}
