//! Slots that go back to what their volumes held before a release that does not come up.

use super::bed::{Bed, manifests};
use executor::apply::Outcome;
use planner::model::id::VolumeId;
use planner::model::instance::Role;
use planner::model::name::HostName;
use planner::model::observed::{InstanceView, VolumeView};
use planner::model::volume::VolumeState;

/// The store alone, with slots that go back.
fn store(version: &str) -> Vec<String> {
    let store = manifests(version, 1).remove(0);
    vec![store.replace("[tiedown.scale]", "[tiedown]\nrevert = \"snapshot\"\n[tiedown.scale]")]
}

/// A slot per region, both up.
async fn up() -> Bed {
    let bed = Bed::new();
    assert!(bed.apply(&store("one")).await.unwrap().is_complete());
    bed
}

/// What is on the host of the slot that is told here.
struct There {
    own: VolumeView,
    retired: Vec<VolumeId>,
    snapshots: Vec<VolumeId>,
    main: Option<InstanceView>,
}

fn host(bed: &Bed) -> HostName {
    let slots = bed.claims().slots;
    slots.values().find(|claim| claim.slot.region.as_str() == "ewr").unwrap().host.clone()
}

fn there(bed: &Bed) -> There {
    let reading = bed.hosts[&host(bed)].reading();
    let ids = |keep: &dyn Fn(&&VolumeView) -> bool| {
        reading.volumes.values().filter(keep).map(|view| view.spec.id.clone()).collect()
    };
    let retired = |view: &VolumeView| matches!(view.state, VolumeState::Retired { .. });
    let mut own = reading.volumes.values().filter(|view| view.state == VolumeState::Attached);
    let mut mains = reading.instances.values().filter(|view| view.role == Role::Main);
    let there = There {
        own: own.next().unwrap().clone(),
        retired: ids(&|view| retired(view) && view.spec.kind.is_own()),
        snapshots: ids(&|view| !view.spec.kind.is_own()),
        main: mains.next().cloned(),
    };
    assert!(own.next().is_none() && mains.next().is_none());
    there
}

/// All that runs there is sick from now on, or well.
fn sicken(bed: &Bed, sick: bool) {
    for claim in bed.claims().slots.values() {
        bed.hosts[&claim.host].sicken(claim.address, sick);
    }
}

fn acts(outcome: &Outcome) -> Vec<&str> {
    outcome.done.iter().filter_map(|(step, _)| step.0.split(' ').next()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_fails_its_gate_goes_back_to_its_data_and_is_remembered() {
    let bed = up().await;
    let before = there(&bed);
    bed.hosts[&host(&bed)].sicken(before.main.as_ref().unwrap().address, true);
    let outcome = bed.apply(&store("two")).await.unwrap();
    assert_eq!(outcome.failures.len(), 1, "{outcome:#?}");
    let steps = acts(&outcome);
    let from = steps.iter().position(|step| *step == "snapshot-volume").unwrap();
    assert_eq!(
        &steps[from - 1..],
        [
            "stop-instance",
            "snapshot-volume",
            "start-instance",
            "stop-instance",
            "restore-volume",
            "retire-volume",
            "start-instance",
        ]
    );
    let after = there(&bed);
    assert_ne!(after.own.spec.id, before.own.spec.id);
    assert_eq!(after.own.spec.origin.as_ref(), after.snapshots.first());
    assert_eq!(after.retired, [before.own.spec.id]);
    let (main, was) = (after.main.unwrap(), before.main.unwrap());
    assert_eq!((main.id, main.release.clone()), (was.id, was.release));
    assert!(main.volumes.iter().eq([&after.own.spec.id]));
    let claims = bed.claims();
    let claim = claims.slots.values().find(|claim| claim.slot.region.as_str() == "ewr").unwrap();
    let claimed = claim.volumes.values().next().unwrap();
    assert_eq!((&claimed.id, claimed.size), (&after.own.spec.id, after.own.spec.size));
    assert_eq!(claim.applied, Some(main.release));
    assert!(claim.failed.as_ref().unwrap().why.contains("status 500"), "{claim:#?}");
    assert_eq!(claims.losses.len(), 1, "what is put away counts against the limit");

    // It is still sick: the snapshot stays.
    let (planned, _) = bed.plan(&store("two")).await;
    assert!(planned.plan.is_empty(), "{:#?}", planned.plan.changes);
    sicken(&bed, false);
    let outcome = bed.apply(&store("two")).await.unwrap();
    assert_eq!(acts(&outcome), ["remove-snapshot"]);
    assert!(bed.apply(&store("three")).await.unwrap().is_complete());
    assert!(there(&bed).snapshots.is_empty());
    let (planned, _) = bed.plan(&store("three")).await;
    assert!(planned.plan.is_empty(), "{:#?}", planned.plan.changes);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_started_the_volume_stays_and_no_snapshot_is_left() {
    let bed = up().await;
    let before = there(&bed);
    for step in ["snapshot-volume", "stop-instance"] {
        bed.hosts[&host(&bed)].fail(step, 1, "the disk said no");
        let outcome = bed.apply(&store("two")).await.unwrap();
        assert!(outcome.failures[0].why.contains("the disk said no"), "{outcome:#?}");
        let after = there(&bed);
        assert_eq!(after.own, before.own, "{step}");
        assert_eq!(after.main, before.main, "{step}");
        assert_eq!((after.retired, after.snapshots), (vec![], vec![]), "{step}");
        assert!(bed.claims().slots.values().all(|claim| claim.failed.is_none()), "{step}");
    }
    assert!(bed.apply(&store("two")).await.unwrap().is_complete());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_goes_back_too() {
    let bed = up().await;
    let before = there(&bed);
    bed.hosts[&host(&bed)].fail("start-instance", 1, "no such program");
    let outcome = bed.apply(&store("two")).await.unwrap();
    assert_eq!(outcome.failures.len(), 1, "{outcome:#?}");
    let after = there(&bed);
    assert_eq!(after.retired, [before.own.spec.id]);
    assert_eq!(after.main.unwrap().id, before.main.unwrap().id);
    let (planned, _) = bed.plan(&store("two")).await;
    let waits = planned.report.lines.iter().any(|line| line.why.contains("no such program"));
    assert!(waits, "{:#?}", planned.report);
}

#[tokio::test(start_paused = true)]
async fn where_the_copy_fails_nothing_is_put_away_and_the_snapshot_stays() {
    let bed = up().await;
    let before = there(&bed);
    sicken(&bed, true);
    bed.hosts[&host(&bed)].fail("restore-volume", 1, "the disk said no");
    let outcome = bed.apply(&store("two")).await.unwrap();
    assert!(outcome.failures.iter().any(|it| it.why.contains("the disk said no")), "{outcome:#?}");
    let after = there(&bed);
    assert_eq!(after.own.spec.id, before.own.spec.id);
    assert_eq!((after.retired.len(), after.snapshots.len()), (0, 1));
    assert!(after.main.is_none(), "it runs on no data that it does not know");
    let (planned, _) = bed.plan(&store("two")).await;
    assert!(!planned.plan.steps().any(|step| step.id.0.starts_with("remove-snapshot")));
    let kept = planned.report.lines.iter().any(|line| line.why.contains("took to go back to"));
    assert!(kept, "{:#?}", planned.report);
}

/// Going back, cut off before and after every write of the catalog and the journal: no volume is
/// ever gone, a slot has one, every plan passes the judge, and a new release comes up.
#[tokio::test(start_paused = true)]
async fn going_back_cut_off_at_every_boundary_loses_nothing() {
    let whole = up().await;
    sicken(&whole, true);
    whole.catalog.cut_at(None);
    assert!(!whole.apply(&store("two")).await.unwrap().is_complete());
    let boundaries = whole.catalog.passed();
    assert!(boundaries > 20, "only {boundaries} boundaries were passed");
    for boundary in 0..boundaries {
        let bed = up().await;
        let before = there(&bed).own.spec.id;
        sicken(&bed, true);
        bed.catalog.cut_at(Some(boundary));
        assert!(bed.apply(&store("two")).await.is_err(), "cut at {boundary} and not noticed");
        bed.catalog.cut_at(None);
        let volumes = bed.hosts[&host(&bed)].reading().volumes;
        assert!(volumes.contains_key(&before), "cut at {boundary}");
        let _ = bed.apply(&store("two")).await.unwrap();
        sicken(&bed, false);
        for _ in 0..2 {
            let outcome = bed.apply(&store("three")).await.unwrap();
            assert!(outcome.is_complete(), "cut at {boundary}: {outcome:#?}");
        }
        let after = there(&bed);
        let kept = after.own.spec.id == before || after.retired.contains(&before);
        assert!(kept && after.main.is_some(), "cut at {boundary}");
        assert!(after.snapshots.is_empty(), "cut at {boundary}");
        let (planned, _) = bed.plan(&store("three")).await;
        assert!(planned.plan.is_empty(), "cut at {boundary}: {:#?}", planned.plan.changes);
    }
}
