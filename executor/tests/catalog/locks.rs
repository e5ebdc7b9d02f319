//! Locks between processes: one waits for the other, and a killed holder holds nothing.

use super::open;
use crate::child::Child;
use executor::catalog::{Catalog, CatalogError, Holder, LockName};
use planner::model::time::Timestamp;
use std::io::Read;
use std::time::Duration;

fn web() -> LockName {
    LockName::App("web".parse().unwrap())
}

fn holder(purpose: &str) -> Holder {
    let since = Timestamp(1_000);
    Holder { purpose: purpose.to_owned(), pid: std::process::id(), since }
}

#[test]
fn a_killed_holder_holds_nothing() {
    const NAME: &str = "catalog::locks::a_killed_holder_holds_nothing";
    if let Some(state) = Child::state() {
        let _lock = open(&state).lock(&web(), &holder("apply"), Duration::ZERO).unwrap();
        println!("locked");
        // Until it is killed: nothing is ever written into this pipe.
        let (mut end, _other) = std::io::pipe().unwrap();
        end.read_exact(&mut [0]).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path());
    let mut child = Child::start(NAME, dir.path());
    child.wait_for("locked", 1);
    for name in [web(), LockName::Fleet] {
        let answer = catalog.lock(&name, &holder("other"), Duration::from_millis(120)).map(drop);
        let Err(error @ CatalogError::Locked { .. }) = answer else { panic!("{answer:?}") };
        let text = error.to_string();
        assert!(text.contains(&format!("by apply (pid {}) since 1000", child.pid())), "{text}");
    }
    child.kill();
    for name in [web(), LockName::Fleet] {
        catalog.lock(&name, &holder("other"), Duration::ZERO).unwrap();
    }
}

#[test]
fn two_processes_never_have_a_lock_at_once() {
    const NAME: &str = "catalog::locks::two_processes_never_have_a_lock_at_once";
    const ROUNDS: usize = 10;
    if let Some(state) = Child::state() {
        return contend(&state, ROUNDS);
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("count"), "0").unwrap();
    let mut children: Vec<_> = (0..2).map(|_| Child::start(NAME, dir.path())).collect();
    contend(dir.path(), ROUNDS);
    for child in &mut children {
        let rest = child.rest();
        assert!(rest.iter().any(|line| line.contains("counted")), "{rest:?}");
    }
    let count = std::fs::read_to_string(dir.path().join("count")).unwrap();
    assert_eq!(count, (3 * ROUNDS).to_string());
}

/// Adds one to a file, many times, under a lock: without it, some would be lost.
fn contend(state: &std::path::Path, rounds: usize) {
    let catalog = open(state);
    let file = state.join("count");
    for _ in 0..rounds {
        let _lock = catalog.lock(&web(), &holder("count"), Duration::from_secs(60)).unwrap();
        let count: usize = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        std::thread::yield_now();
        std::fs::write(&file, (count + 1).to_string()).unwrap();
    }
    println!("counted");
}
