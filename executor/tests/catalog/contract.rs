//! What every catalog promises, asked of each adapter.

use super::{claim, fleet, open, release};
use executor::catalog::embedded::EmbeddedCatalog;
use executor::catalog::{Catalog, CatalogError, Holder, LockName};
use executor::names::StateDir;
use executor::orders::{Order, Orders};
use planner::model::claim::{AppRecord, Claims, FailedRelease, Shape};
use planner::model::id::Incarnation;
use planner::model::time::Timestamp;
use planner::plan::ClaimAct;
use std::time::Duration;

#[test]
fn the_embedded_catalog_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract(&|| Box::new(open(dir.path())));
}

#[test]
fn orders_stand_until_they_are_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let open = || open(dir.path());
    assert_eq!(open().orders().unwrap(), []);
    let setback = |failures| Order::Setback {
        app: "web".parse().unwrap(),
        commit: None,
        failures,
        until: NOW,
        why: "status 503".to_owned(),
    };
    let pause = Order::Pause {
        app: "web".parse().unwrap(),
        why: String::new(),
        by: "ops".to_owned(),
        at: NOW,
    };
    for order in [&setback(1), &pause, &setback(2)] {
        open().order(order).unwrap();
    }
    let looking = EmbeddedCatalog::open_read_only(StateDir::at(dir.path()), &fleet()).unwrap();
    assert_eq!(looking.orders().unwrap(), [pause.clone(), setback(2)]);
    assert!(looking.order(&pause).is_err(), "it was opened to be read");
    assert!(open().lift(&setback(0).name()).unwrap());
    assert!(!open().lift(&setback(0).name()).unwrap());
    assert_eq!(open().orders().unwrap(), [pause]);
}

#[test]
fn one_runs_passes_and_nobody_takes_the_fleet_down_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let holder = |purpose: &str| Holder { purpose: purpose.to_owned(), pid: 1, since: NOW };
    let take = |what: &LockName, purpose: &str| {
        open(dir.path()).lock(what, &holder(purpose), Duration::ZERO)
    };
    let first = take(&LockName::Passes, "the first").unwrap();
    let app = take(&LockName::App("web".parse().unwrap()), "by hand").unwrap();
    drop(app);
    for what in [LockName::Passes, LockName::Fleet] {
        match take(&what, "the second") {
            Err(CatalogError::Locked { holder, .. }) => assert_eq!(holder.purpose, "the first"),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{what:?} was taken twice"),
        }
    }
    drop(first);
    assert!(take(&LockName::Passes, "the second").is_ok());
}

const NOW: Timestamp = Timestamp(1_000_000);

/// `open` opens the same catalog anew each time; at first it is empty.
fn contract(open: &dyn Fn() -> Box<dyn Catalog>) {
    assert_eq!(open().claims().unwrap(), Claims::default());
    claims_are_written_and_removed_and_incarnations_stay(open);
    a_failure_is_remembered_with_what_was_seen(&*open());
    losses_are_remembered_for_two_days(open);
    records_and_completeness_are_remembered(open);
    a_lock_has_one_holder(open);
    a_slot_stays_held_whatever_is_written_of_it(open);
}

fn write(number: u32, lives: u32) -> ClaimAct {
    ClaimAct::Write(claim(number, lives))
}

fn remove(number: u32) -> ClaimAct {
    ClaimAct::Remove { slot: claim(number, 1).slot }
}

fn claims_are_written_and_removed_and_incarnations_stay(open: &dyn Fn() -> Box<dyn Catalog>) {
    open().act(&[write(1, 3), write(2, 1)], NOW, "").unwrap();
    let claims = open().claims().unwrap();
    assert_eq!(claims.slots[&claim(1, 3).slot], claim(1, 3));
    assert_eq!(claims.slots.len(), 2);
    open().act(&[write(1, 2), remove(2), remove(2)], NOW, "").unwrap();
    let claims = open().claims().unwrap();
    assert_eq!(claims.slots.into_values().collect::<Vec<_>>(), [claim(1, 2)]);
    let source = "data".parse().unwrap();
    let highest: Vec<_> = claims.incarnations.into_iter().collect();
    let expected = [
        ((claim(1, 1).slot, source), Incarnation(3)),
        ((claim(2, 1).slot, "data".parse().unwrap()), Incarnation(1)),
    ];
    assert_eq!(highest, expected);
}

fn a_failure_is_remembered_with_what_was_seen(catalog: &dyn Catalog) {
    let slot = claim(1, 2).slot;
    let failed = ClaimAct::Failed { slot: slot.clone(), release: release('b') };
    catalog.act(&[failed], NOW, "status 503").unwrap();
    let why = "status 503".to_owned();
    let expected = Some(FailedRelease { release: release('b'), why });
    assert_eq!(catalog.claims().unwrap().slots[&slot].failed, expected);
    let before = catalog.claims().unwrap();
    let unclaimed = ClaimAct::Failed { slot: claim(9, 1).slot, release: release('b') };
    catalog.act(&[unclaimed], NOW, "status 503").unwrap();
    assert_eq!(catalog.claims().unwrap(), before);
}

fn a_slot_stays_held_whatever_is_written_of_it(open: &dyn Fn() -> Box<dyn Catalog>) {
    let slot = claim(1, 4).slot;
    let held = || open().claims().unwrap().slots[&slot].held;
    let hold = |held| ClaimAct::Hold { slot: slot.clone(), held };
    open().act(&[write(1, 4), hold(true)], NOW, "").unwrap();
    assert!(held());
    open().act(&[write(1, 4)], NOW, "").unwrap();
    assert!(held(), "a plan that was made before the hold does not let go of it");
    open().act(&[hold(false)], NOW, "").unwrap();
    assert!(!held());
    let before = open().claims().unwrap();
    let unknown = ClaimAct::Hold { slot: claim(9, 1).slot, held: true };
    // Whether that is an error or nothing, no claim comes of it.
    let _ = open().act(&[unknown], NOW, "");
    assert_eq!(open().claims().unwrap(), before);
}

fn losses_are_remembered_for_two_days(open: &dyn Fn() -> Box<dyn Catalog>) {
    let loss = |app: &str| ClaimAct::Loss { app: app.parse().unwrap() };
    open().act(&[loss("web"), loss("web")], Timestamp(1_000), "").unwrap();
    open().act(&[loss("api")], Timestamp(1_000 + 48 * 3600), "").unwrap();
    assert_eq!(open().claims().unwrap().losses.len(), 3);
    open().act(&[remove(9)], Timestamp(1_001 + 48 * 3600), "").unwrap();
    let expected = [("api".parse().unwrap(), Timestamp(1_000 + 48 * 3600))];
    assert_eq!(open().claims().unwrap().losses, expected);
}

fn records_and_completeness_are_remembered(open: &dyn Fn() -> Box<dyn Catalog>) {
    let mut record = AppRecord {
        app: "web".parse().unwrap(),
        commit: None,
        manifest: "web/fly.toml".to_owned(),
        shape: Shape::default(),
        released: None,
    };
    open().record(&record).unwrap();
    record.manifest = "apps/web/fly.toml".to_owned();
    open().record(&record).unwrap();
    let claims = open().claims().unwrap();
    assert!(!claims.complete);
    assert_eq!(claims.apps.into_values().collect::<Vec<_>>(), [record]);
    open().complete().unwrap();
    open().complete().unwrap();
    assert!(open().claims().unwrap().complete);
}

fn a_lock_has_one_holder(open: &dyn Fn() -> Box<dyn Catalog>) {
    let (web, api) = (LockName::App("web".parse().unwrap()), LockName::App("api".parse().unwrap()));
    let host = LockName::Host("web".parse().unwrap());
    let holder = Holder { purpose: "apply of 1a2b".to_owned(), pid: 7, since: NOW };
    let lock = |name: &LockName| open().lock(name, &holder, Duration::ZERO);
    let held = lock(&web).unwrap();
    assert_eq!(open().holder(&web), Some(holder.clone()));
    assert_eq!(open().holder(&LockName::App("none".parse().unwrap())), None);
    let _others = (lock(&api).unwrap(), lock(&host).unwrap());
    for name in [&web, &LockName::Fleet] {
        match lock(name).map(drop) {
            Err(CatalogError::Locked { holder: found, .. }) => assert_eq!(found, holder),
            other => panic!("{other:?}"),
        }
    }
    drop((held, _others));
    let fleet = lock(&LockName::Fleet).unwrap();
    match lock(&web).map(drop) {
        Err(CatalogError::Locked { what, holder: found }) => {
            assert_eq!((what.as_str(), found), ("the fleet", holder.clone()));
        }
        other => panic!("{other:?}"),
    }
    drop(fleet);
    lock(&web).unwrap();
}
