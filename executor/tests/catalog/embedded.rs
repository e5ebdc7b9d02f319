//! The embedded catalog's files: whose they are, who may read them, and what a killed process
//! leaves in them.

use super::{claim, fleet, open};
use crate::child::Child;
use executor::catalog::embedded::EmbeddedCatalog;
use executor::catalog::{Catalog, CatalogError};
use executor::names::StateDir;
use planner::model::claim::Claims;
use planner::model::time::Timestamp;
use planner::plan::ClaimAct;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn refusal(state: &Path) -> String {
    match EmbeddedCatalog::open(StateDir::at(state), &fleet()) {
        Err(error @ CatalogError::NotOurs { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_its_user_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::at(dir.path().join("deep/state"));
    let catalog = open(state.path());
    catalog.act(&[ClaimAct::Write(claim(1, 1))], Timestamp(1), "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(state.path()), mode(&state.locks())), (0o700, 0o700));
    for entry in fs::read_dir(state.path()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        }
    }
}

#[test]
fn it_keeps_its_identity_and_refuses_others() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::at(dir.path());
    let id = open(dir.path()).id().unwrap().to_owned();
    assert_eq!(open(dir.path()).id(), Some(id.as_str()));
    let other = EmbeddedCatalog::open(state.clone(), &"staging".parse().unwrap());
    let Err(error @ CatalogError::NotOurs { .. }) = other else { panic!("{other:?}") };
    assert!(error.to_string().ends_with("is of fleet prod, not staging"), "{error}");
    let other = EmbeddedCatalog::open_read_only(state.clone(), &"staging".parse().unwrap());
    assert!(matches!(other, Err(CatalogError::NotOurs { .. })));
    let raw = rusqlite::Connection::open(state.catalog()).unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    assert!(refusal(dir.path()).ends_with("has format 2; this tiedown knows format 1"));
    raw.pragma_update(None, "application_id", 0).unwrap();
    assert!(refusal(dir.path()).ends_with("is a database of another program"));
}

#[test]
fn a_file_that_is_no_database_is_an_error_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::at(dir.path());
    let text = "not a database at all, but a letter to somebody".repeat(20);
    fs::write(state.catalog(), &text).unwrap();
    let answer = EmbeddedCatalog::open(state.clone(), &fleet());
    assert!(matches!(answer, Err(CatalogError::Store { .. })), "{answer:?}");
    assert_eq!(fs::read_to_string(state.catalog()).unwrap(), text);
}

#[test]
fn reading_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::at(dir.path().join("state"));
    let catalog = EmbeddedCatalog::open_read_only(state.clone(), &fleet()).unwrap();
    assert_eq!((catalog.claims().unwrap(), catalog.id()), (Claims::default(), None));
    assert!(catalog.interrupted().unwrap().is_none());
    assert!(matches!(catalog.complete(), Err(CatalogError::Store { .. })));
    assert!(!state.path().exists());
    // A catalog whose making was interrupted before its tables were there.
    fs::create_dir(state.path()).unwrap();
    fs::write(state.catalog(), "").unwrap();
    let catalog = EmbeddedCatalog::open_read_only(state.clone(), &fleet()).unwrap();
    assert_eq!(catalog.claims().unwrap(), Claims::default());
    open(state.path()).act(&[ClaimAct::Write(claim(1, 1))], Timestamp(1), "").unwrap();
    let catalog = EmbeddedCatalog::open_read_only(state, &fleet()).unwrap();
    assert_eq!(catalog.claims().unwrap().slots.len(), 1);
    let answer = catalog.act(&[ClaimAct::Write(claim(2, 1))], Timestamp(1), "");
    assert!(matches!(answer, Err(CatalogError::Store { .. })), "{answer:?}");
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let place = dir.path().join("file/state");
    let answer = EmbeddedCatalog::open(StateDir::at(&place), &fleet());
    let Err(error) = answer else { panic!("it was made") };
    assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
}

#[test]
fn a_killed_writer_leaves_whole_transactions_only() {
    const NAME: &str = "catalog::embedded::a_killed_writer_leaves_whole_transactions_only";
    if let Some(state) = Child::state() {
        let catalog = open(&state);
        for lives in 1.. {
            // Two slots that always change together.
            let acts = [ClaimAct::Write(claim(1, lives)), ClaimAct::Write(claim(2, lives))];
            catalog.act(&acts, Timestamp(1), "").unwrap();
            println!("ack {lives}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut least = 0;
    for acks in [1, 3, 7, 20] {
        let mut child = Child::start(NAME, dir.path());
        let line = child.wait_for("ack", acks);
        child.kill();
        let acknowledged: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
        least = least.max(acknowledged);
        let claims = open(dir.path()).claims().unwrap();
        let lives = |number| {
            let claim = &claims.slots[&claim(number, 1).slot];
            claim.volumes.values().next().unwrap().incarnation.0
        };
        assert_eq!(lives(1), lives(2));
        assert!(lives(1) >= acknowledged);
        assert!(claims.incarnations.values().all(|highest| highest.0 >= least));
    }
}

#[test]
fn a_writer_that_is_killed_within_a_transaction_wrote_nothing() {
    const NAME: &str =
        "catalog::embedded::a_writer_that_is_killed_within_a_transaction_wrote_nothing";
    if let Some(state) = Child::state() {
        let raw = rusqlite::Connection::open(StateDir::at(state).catalog()).unwrap();
        raw.execute_batch("BEGIN IMMEDIATE; DELETE FROM claim; DELETE FROM incarnation;").unwrap();
        println!("in the middle");
        let (mut end, _other) = std::io::pipe().unwrap();
        std::io::Read::read_exact(&mut end, &mut [0]).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let acts: Vec<_> = (1..50).map(|number| ClaimAct::Write(claim(number, 1))).collect();
    open(dir.path()).act(&acts, Timestamp(1), "").unwrap();
    let before = open(dir.path()).claims().unwrap();
    let mut child = Child::start(NAME, dir.path());
    child.wait_for("in the middle", 1);
    // A reader waits for no writer.
    assert_eq!(open(dir.path()).claims().unwrap(), before);
    child.kill();
    assert_eq!(open(dir.path()).claims().unwrap(), before);
    open(dir.path()).act(&[ClaimAct::Write(claim(50, 1))], Timestamp(1), "").unwrap();
    assert_eq!(open(dir.path()).claims().unwrap().slots.len(), 50);
}

#[test]
fn many_can_open_a_new_catalog_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let open = || open(dir.path()).id().map(str::to_owned);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
