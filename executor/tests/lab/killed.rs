//! LVM goes on to its end, whoever ends the process that started it and however: the pool is whole
//! before anybody has put anything right.

use super::bed;
use super::between::{CUT, ENDED, GO, HELD, put_programs_between};
use super::interrupted::settled;
use crate::child::Child;
use crate::left::{signal_session, wait_for};
use crate::storage::contract::{got, put};
use crate::storage::spec;
use executor::ensure::Ensured;
use executor::storage::{Storage, StorageError};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec};
use rustix::process::Signal;
use std::path::Path;
use std::process::Stdio;

const TEST: &str = "lab::killed::lvm_goes_on_to_its_end_when_its_caller_is_killed";

/// Acts, the change of LVM in them at which the caller is ended, and by which signals, one after
/// another: a runner of CI kills at once; ssh hangs up and asks first; a manager of services asks
/// and then kills. An ordinary run does the first two, `BOUNDARIES=all` all of them.
const ENDS: &[(&str, u32, &[Signal])] = &[
    ("make", 6, &[Signal::KILL]),
    ("grow", 4, &[Signal::HUP, Signal::TERM]),
    ("snapshot", 8, &[Signal::TERM, Signal::KILL]),
    ("make two", 9, &[Signal::HUP, Signal::KILL]),
    ("destroy", 8, &[Signal::KILL]),
];

#[tokio::test]
async fn lvm_goes_on_to_its_end_when_its_caller_is_killed() {
    if let Some(act) = Child::state() {
        drop(perform(&act.display().to_string()).await);
        return;
    }
    let all = std::env::var("BOUNDARIES").is_ok_and(|asked| asked == "all");
    let set = [("BOUNDARIES", if all { "all" } else { "usual" }.to_owned())];
    if !bed::inside_with(TEST, &set) {
        return;
    }
    let storage = bed::with_pool().await;
    for number in [1, 2] {
        storage.make(&spec(number)).await.unwrap();
    }
    put(&storage.attachment(&spec(1).id).await.unwrap(), "precious").await;
    storage.retire(&spec(2).id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    put_programs_between().await;
    for (act, change, signals) in &ENDS[..if all { ENDS.len() } else { 2 }] {
        println!("{act}: its caller ended at change {change} of LVM by {signals:?}");
        end_the_caller(act, *change, signals);
        settled().await;
        let answer = perform(act).await.unwrap_or_else(|error| panic!("{act}: {error:?}"));
        assert_ne!(answer, Ensured::AlreadySo, "{act} was done before its caller was killed");
        assert_eq!(perform(act).await.unwrap(), Ensured::AlreadySo, "{act}");
        settled().await;
    }
    assert_eq!(got(&bed::open().attachment(&spec(1).id).await.unwrap()).await, "precious");
}

async fn perform(act: &str) -> Result<Ensured, StorageError> {
    let storage = bed::open();
    match act {
        "make" => storage.make(&spec(3)).await,
        "make two" => {
            let answers = storage.make_all(&[spec(4), spec(5)]).await;
            let answers: Result<Vec<_>, _> = answers.into_iter().collect();
            answers.map(|all| all[0])
        }
        "grow" => storage.grow(&spec(1).id, Size::from_mib(48)).await,
        "snapshot" => {
            let (kind, size) = (VolumeKind::Snapshot, Size::from_mib(48));
            let copy = VolumeSpec { kind, size, origin: Some(spec(1).id), ..spec(6) };
            storage.copy(&spec(1).id, &copy, Timestamp(2)).await
        }
        "destroy" => storage.destroy(&spec(2).id).await,
        other => panic!("no act {other}"),
    }
}

/// Has another process do it, ends that when LVM is about to make that change, and lets LVM go on.
fn end_the_caller(act: &str, change: u32, signals: &[Signal]) {
    std::fs::write(CUT, format!("{change} hold\n")).unwrap();
    let mut caller = Child::command(TEST, Path::new(act), "setsid");
    let mut caller = caller.stdout(Stdio::null()).spawn().unwrap();
    wait_for(Path::new(HELD));
    for signal in signals {
        signal_session(caller.id(), *signal);
    }
    assert!(!caller.wait().unwrap().success(), "{act}: the caller came to its end");
    assert!(!Path::new(ENDED).exists(), "{act}: LVM ended with its caller");
    std::fs::write(GO, "").unwrap();
    wait_for(Path::new(ENDED));
    assert_eq!(std::fs::read_to_string(ENDED).unwrap().trim(), "0", "{act}");
    for file in [CUT, HELD, GO, ENDED] {
        std::fs::remove_file(file).unwrap();
    }
}
