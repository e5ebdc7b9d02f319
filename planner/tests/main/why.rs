//! Why something is as it is: who wants it, what there is of it, why it is there, which hosts
//! were passed over.

use crate::fleet::Fleet;
use crate::fleet::config::Config;
use planner::render::{Plain, text};
use planner::why::{Explanation, Held, Standing, Subject, Wanted, why};
use std::collections::BTreeSet;

const CONFIG: &str = "
[hosts.ewr-1]
[hosts.ewr-2]
pool = \"50GB\"
[hosts.ewr-3]
pool = \"5GB\"
[hosts.ewr-4]
state = \"cordoned\"
[hosts.ewr-5]
unread = \"it did not answer\"
[hosts.ord-1]
region = \"ord\"
[apps.web.groups.app]
scale = { ewr = 2 }
mounts = { data = \"10GB\" }
";

fn fleet() -> Fleet {
    let config: Config = toml_edit::de::from_str(CONFIG).unwrap();
    Fleet::new(config)
}

fn settled() -> Fleet {
    let mut fleet = fleet();
    let planned = fleet.plan();
    fleet.apply(&planned.plan, &BTreeSet::new());
    fleet
}

fn ask(fleet: &Fleet, subject: &Subject) -> Explanation {
    let (desired, artifacts) = (fleet.desired(), fleet.artifacts());
    let (observed, policy) = (fleet.observed(), fleet.config.policy());
    why(subject, &desired, &artifacts, &observed, &fleet.claims, &policy, &fleet.permits())
}

fn slot(fleet: &Fleet, name: &str) -> Explanation {
    ask(fleet, &Subject::Slot(name.parse().unwrap()))
}

#[test]
fn a_slot_that_is_to_come_says_where_it_goes_and_why_nowhere_else() {
    let told = slot(&fleet(), "web/app/ewr/1");
    assert!(told.known && told.held.is_empty());
    let shown = text::why(&told, None, &Plain);
    let line = "Wanted by\n  web/fly.toml: [tiedown.scale] app = { ewr = 2 }\n";
    assert!(shown.contains(line), "{shown}");
    assert!(shown.contains("cannot be ewr-3, which needs 10GB, has 5GB\n"), "{shown}");
    let standings: Vec<(&str, Standing, &str)> =
        told.hosts.iter().map(|v| (v.host.as_str(), v.standing, v.why.as_str())).collect();
    assert_eq!(
        standings,
        [
            ("ewr-1", Standing::Chosen, "has no other slot of the group"),
            ("ewr-2", Standing::Behind, "has 1 other slot of the group, ewr-1 has 0"),
            ("ewr-3", Standing::Unfit, "needs 10GB, has 5GB"),
            ("ewr-4", Standing::Unfit, "is cordoned"),
            ("ewr-5", Standing::Unfit, "cannot be read"),
            ("ord-1", Standing::Unfit, "is in ord"),
        ],
        "{shown}"
    );
    assert!(!told.changes.is_empty(), "the plan creates it");
}

#[test]
fn a_slot_that_is_there_says_what_holds_it_and_that_it_stays() {
    let fleet = settled();
    let told = slot(&fleet, "web/app/ewr/2");
    assert!(matches!(&told.wanted, Wanted::By { line, .. } if line.contains("ewr = 2")));
    let kinds: Vec<&str> = told
        .held
        .iter()
        .map(|held| match held {
            Held::Claim(_) => "claim",
            Held::Instance { .. } => "instance",
            Held::Volume { .. } => "volume",
        })
        .collect();
    assert_eq!(kinds, ["claim", "instance", "volume"]);
    assert!(told.place.unwrap().contains("slots never move by themselves"));
    assert_eq!(told.changes, []);
    assert_eq!(told.hosts[0].standing, Standing::Chosen);
}

#[test]
fn what_nobody_knows_is_not_known() {
    let fleet = settled();
    assert!(!slot(&fleet, "web/app/ewr/3").known);
    assert!(!slot(&fleet, "nobody/app/ewr/1").known);
    assert!(!ask(&fleet, &Subject::Host("ams-1".parse().unwrap())).known);
}

#[test]
fn a_volume_says_whose_it_is_and_a_retired_one_what_becomes_of_it() {
    let mut fleet = settled();
    let ids: Vec<_> = fleet
        .claims
        .slots
        .values()
        .map(|c| c.volumes.values().next().unwrap().id.clone())
        .collect();
    let told = ask(&fleet, &Subject::Volume(ids[1].clone()));
    assert!(matches!(&told.wanted, Wanted::By { line, .. } if line.contains("[[mounts]] source")));
    fleet.config = toml_edit::de::from_str(&CONFIG.replace("ewr = 2", "ewr = 1")).unwrap();
    let planned = fleet.plan();
    fleet.apply(&planned.plan, &BTreeSet::new());
    let told = ask(&fleet, &Subject::Volume(ids[1].clone()));
    assert!(matches!(&told.wanted, Wanted::Not { why } if why.contains("it was retired")));
    assert!(told.lines[0].why.contains("kept until it is destroyed by hand"), "{told:#?}");
}

#[test]
fn a_host_says_what_it_holds() {
    let fleet = settled();
    let told = ask(&fleet, &Subject::Host("ewr-1".parse().unwrap()));
    assert_eq!(told.held.len(), 1, "{told:#?}");
    assert!(told.place.unwrap().contains("has promised 10GB of 100GB"));
    let told = ask(&fleet, &Subject::Host("ewr-5".parse().unwrap()));
    let shown = text::why(&told, None, &Plain);
    assert!(shown.contains("it did not answer"), "{shown}");
}
