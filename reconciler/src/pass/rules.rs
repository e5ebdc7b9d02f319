//! The rules of passes that nobody watches: `[policy]`, and the times of `[serve]`. They are part
//! of the commit, and so a commit could loosen the very rules that it is judged by: other rules
//! than those in force wait for an approval like all that is dangerous.

use crate::settings::Settings;
use crate::settings::schedule::Schedule;
use executor::orders::Order;
use planner::by_itself::Waiting;
use planner::model::id::digest_of;
use planner::model::policy::Policy;
use serde::{Deserialize, Serialize};

/// What says how a pass by itself is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rules {
    policy: Policy,
    schedule: Schedule,
}

/// Settings with the rules that are in force.
pub struct InForce {
    /// The settings of the commit, but for the rules.
    pub settings: Settings,
    /// What is to be remembered, where the rules of the commit are in force and were not before.
    pub fresh: Option<Order>,
    /// The approval that they came by.
    pub used: Option<String>,
    /// Rules that wait.
    pub waiting: Option<Waiting>,
}

/// Says which rules are in force. The first rules ever are those of the first commit.
#[must_use]
pub fn in_force(mut settings: Settings, orders: &[Order], vouched: bool) -> InForce {
    let asked = Rules { policy: settings.policy, schedule: settings.serve.schedule.clone() };
    let known = orders.iter().find_map(|order| match order {
        Order::Rules { rules } => serde_json::from_str::<Rules>(rules).ok(),
        Order::Approval { .. }
        | Order::Pause { .. }
        | Order::Setback { .. }
        | Order::Passed { .. } => None,
    });
    if known.as_ref() == Some(&asked) {
        return InForce { settings, fresh: None, used: None, waiting: None };
    }
    let json = serde_json::to_string(&asked).expect("rules have string keys only");
    let digest = digest_of(&[b"rules", json.as_bytes()]);
    let approved = approved(orders).any(|approved| *approved == digest);
    let Some(known) = known.filter(|_| !approved && !vouched) else {
        let fresh = Some(Order::Rules { rules: json });
        return InForce { settings, fresh, used: approved.then_some(digest), waiting: None };
    };
    settings.policy = known.policy;
    settings.serve.schedule = known.schedule;
    let why = "tiedown.toml has other rules ([policy], or the times of [serve]) than those in \
               force, which stay";
    let waiting =
        Waiting { app: None, why: vec![why.to_owned()], digest: Some(digest), changes: Vec::new() };
    InForce { settings, fresh: None, used: None, waiting: Some(waiting) }
}

/// Digests that were approved.
pub(super) fn approved(orders: &[Order]) -> impl Iterator<Item = &String> {
    orders.iter().filter_map(|order| match order {
        Order::Approval { digest, .. } => Some(digest),
        Order::Pause { .. }
        | Order::Setback { .. }
        | Order::Rules { .. }
        | Order::Passed { .. } => None,
    })
}
