//! Saved documents come back as they were, or not at all.

use crate::by_hand::{Owned, deploy, fleet};
use planner::document::{DocumentError, ObservedDocument, SavedPlan};
use planner::report::Report;

fn saved() -> SavedPlan {
    SavedPlan::new(deploy(), Report::default(), &Owned::new().claims)
}

#[test]
fn a_plan_comes_back_as_it_was() {
    let text = saved().to_json();
    assert_eq!(SavedPlan::from_json(text.clone()).unwrap(), saved());
    // Laid out anew it is the same.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(SavedPlan::from_json(value.to_string()).unwrap(), saved());
    let spaced = text.replace('\n', "\r\n\t");
    assert_eq!(SavedPlan::from_json(spaced).unwrap(), saved());
}

#[test]
fn observations_come_back_as_they_were() {
    let Owned { hosts, observed, claims, policy, .. } = Owned::new().after(&deploy());
    let document = ObservedDocument {
        fleet: fleet(),
        hosts,
        observed,
        claims,
        policy,
        secrets: Default::default(),
    };
    assert_eq!(ObservedDocument::from_json(document.to_json()).unwrap(), document);
}

#[test]
fn what_was_altered_is_refused() {
    let text = saved().to_json();
    for (from, to) in [
        ("10.77.1.11", "10.77.1.12"),
        ("\"completes_catalog\": true", "\"completes_catalog\": false"),
        ("the group has mounts", "the group has MOUNTS"),
        ("\"changes\": [", "\"more\": 1, \"changes\": ["),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        let error = SavedPlan::from_json(altered).unwrap_err();
        assert!(matches!(error, DocumentError::Altered), "{from}: {error}");
    }
}

#[test]
fn other_documents_are_refused_by_name() {
    let text = saved().to_json();
    let told = |text: &str| SavedPlan::from_json(text.to_owned()).unwrap_err().to_string();
    let newer = text.replacen("\"version\": 1", "\"version\": 2", 1);
    assert_eq!(told(&newer), "it has version 2 of the plan document, this program reads version 1");
    let other = text.replacen("\"tiedown\": \"plan\"", "\"tiedown\": \"observed\"", 1);
    assert_eq!(told(&other), "it is not a plan document, it says that it is \"observed\"");
    assert_eq!(told("{}"), "it is not a plan document");
    assert_eq!(told("not json"), "it is not a plan document");
}
