//! What `[require]` of `tiedown.toml` asks of a change before it is applied, and what of it is
//! met. Whatever is in doubt is not.

use super::{Check, Pull};
use crate::review::Change;
use crate::settings::Requirements;

/// One requirement, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// What is asked for.
    pub what: &'static str,
    /// Whether it is met.
    pub is_met: bool,
    /// How it stands, in words.
    pub told: String,
}

/// All that is asked for, in the order of the docs.
#[must_use]
pub fn judge(required: &Requirements, pull: &Pull, change: &Change) -> Vec<Requirement> {
    let mut judged = Vec::new();
    let mut say = |what, is_met, told: String| judged.push(Requirement { what, is_met, told });
    if *change.head.as_str() != pull.head {
        let told = format!("the forge has {} under review, not {}", pull.head, change.head);
        say("the commit under review", false, told);
    }
    if required.approvals > 0 {
        let named = |of: &std::collections::BTreeSet<String>| {
            of.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let enough = pull.approved.len() >= required.approvals as usize;
        let told = match (pull.approved.is_empty(), pull.objected.is_empty()) {
            (_, false) => format!("{} wants changes", named(&pull.objected)),
            (true, true) => "nobody has approved this commit".to_owned(),
            (false, true) => {
                let of = required.approvals;
                format!("{} of {of}: {}", pull.approved.len(), named(&pull.approved))
            }
        };
        say("approved", enough && pull.objected.is_empty(), told);
    }
    if required.up_to_date {
        let is_newest = *change.base.as_str() == pull.base;
        let told = match (is_newest, change.is_up_to_date()) {
            (true, true) => "it descends from its base".to_owned(),
            (true, false) => "its base has commits that it has not".to_owned(),
            (false, _) => format!("its base is at {} by now", pull.base),
        };
        say("up to date", is_newest && change.is_up_to_date(), told);
    }
    if !required.checks.is_empty() {
        let wrong: Vec<String> = required
            .checks
            .iter()
            .filter_map(|name| match pull.checks.get(name) {
                Some(Check::Green) => None,
                Some(Check::Running) => Some(format!("{name} has not ended")),
                Some(Check::Red) => Some(format!("{name} failed")),
                None => Some(format!("{name} has not been run")),
            })
            .collect();
        let told = match wrong.is_empty() {
            true => required.checks.join(", "),
            false => wrong.join(", "),
        };
        say("checks", wrong.is_empty(), told);
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::model::release::CommitId;
    use std::collections::BTreeSet;

    #[test]
    fn whatever_is_in_doubt_is_not_met() {
        let commit = |digit: &str| CommitId::parse(&digit.repeat(40)).unwrap();
        let mut change = Change {
            base: commit("a"),
            head: commit("b"),
            merged: commit("b"),
            apps: BTreeSet::new(),
        };
        let mut pull = Pull {
            head: "b".repeat(40),
            base: "a".repeat(40),
            approved: ["one".to_owned()].into(),
            objected: BTreeSet::new(),
            checks: [("test".to_owned(), Check::Green)].into(),
        };
        let mut required =
            Requirements { approvals: 1, up_to_date: true, checks: vec!["test".to_owned()] };
        let unmet = |required: &Requirements, pull: &Pull, change: &Change| {
            let judged = judge(required, pull, change).into_iter();
            judged.filter(|one| !one.is_met).map(|one| one.told).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(unmet(&required, &pull, &change), "");
        required.approvals = 2;
        assert_eq!(unmet(&required, &pull, &change), "1 of 2: one");
        pull.approved.insert("two".to_owned());
        pull.objected.insert("three".to_owned());
        assert_eq!(unmet(&required, &pull, &change), "three wants changes");
        pull.objected.clear();
        for (check, told) in [(Check::Running, "has not ended"), (Check::Red, "failed")] {
            pull.checks.insert("test".to_owned(), check);
            assert_eq!(unmet(&required, &pull, &change), format!("test {told}"));
        }
        pull.checks.clear();
        assert_eq!(unmet(&required, &pull, &change), "test has not been run");
        required.checks.clear();
        change.merged = commit("c");
        assert_eq!(unmet(&required, &pull, &change), "its base has commits that it has not");
        pull.base = "d".repeat(40);
        assert!(unmet(&required, &pull, &change).starts_with("its base is at d"));
        required = Requirements::default();
        pull.head = "e".repeat(40);
        assert!(unmet(&required, &pull, &change).starts_with("the forge has e"));
    }
}
