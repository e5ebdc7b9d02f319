//! What is left of a saved plan once some of it was done.

use crate::fleet::Fleet;
use crate::fleet::config::Config;
use planner::document::SavedPlan;
use planner::remainder::remainder;
use planner::simulate::{moments, simulate};
use std::collections::BTreeSet;

#[test]
fn a_slot_that_was_found_by_its_marks_and_removed_is_not_remembered_again() {
    let text = "[hosts.ewr-1]
        [apps.blog.groups.app]
        [apps.web.groups.app]
        scale = { ewr = 1 }
        mounts = { data = \"10GB\" }";
    let mut fleet = Fleet::new(toml_edit::de::from_str::<Config>(text).unwrap());
    let planned = fleet.plan();
    fleet.apply(&planned.plan, &BTreeSet::new());
    fleet.config.apps.remove(&"web".parse().unwrap());
    fleet.claims.slots.remove(&"web/app/ewr/1".parse().unwrap());
    let planned = fleet.plan();
    let saved = SavedPlan::new(planned.plan.clone(), planned.report, &fleet.claims);
    let (_, whole) = simulate(&fleet.observed(), &fleet.claims, &saved.plan, fleet.now);
    assert_eq!(saved.plan.corrections.len(), 1, "its marks are claimed first");
    assert!(!whole.slots.contains_key(&"web/app/ewr/1".parse().unwrap()));
    for moment in 0..=moments(&saved.plan) {
        let mut fleet = fleet.clone();
        fleet.apply_until(&saved.plan, moment);
        let (observed, claims) = (fleet.observed(), &fleet.claims);
        let left = remainder(&saved.plan, &saved.claims, &observed, claims, fleet.now);
        fleet.apply(&left.plan, &BTreeSet::new());
        assert_eq!(fleet.claims.slots, whole.slots, "cut short at {moment}");
        assert!(fleet.plan().plan.is_empty(), "cut short at {moment}");
    }
}
