//! What apply intended and what came of it: what every journal promises, asked of each adapter.

use crate::catalog::open;
use executor::catalog::embedded::EmbeddedCatalog;
use executor::ensure::Ensured;
use executor::journal::{Journal, RunEnd, RunId, RunStart, StepEnd};
use planner::model::time::Timestamp;
use planner::plan::change::Summary;
use planner::plan::step::{Act, Step};

fn start(at: u64) -> RunStart {
    RunStart {
        at: Timestamp(at),
        plan: "f".repeat(64),
        commit: None,
        summary: Summary { import: 3, add: 1, change: 2, destroy: 0 },
        by: "ada (pid 7)".to_owned(),
    }
}

fn step(volume: &str) -> Step {
    let host = "ewr-1".parse().unwrap();
    let volume = planner::model::id::VolumeId::parse(volume).unwrap();
    let act = Act::DestroyVolume { volume, retired: Timestamp(1) };
    Step { id: act.id(&host), host, before: Vec::new(), after: Vec::new(), act }
}

#[test]
fn the_embedded_journal_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract(&|| Box::new(open(dir.path())));
}

fn contract(open: &dyn Fn() -> Box<dyn Journal>) {
    let (one, two) = (step("vol_00000000000000aa"), step("vol_00000000000000bb"));
    assert!(open().runs(10, true).unwrap().is_empty());
    let first = open().begin(&start(5)).unwrap();
    open().intend(&first, &one, Timestamp(6)).unwrap();
    let done = StepEnd::Done { ensured: Ensured::Made };
    open().outcome(&first, &one, &done).unwrap();
    open().outcome(&first, &one, &done).expect_err("it has ended");
    open().outcome(&first, &two, &done).expect_err("it was not begun");
    open().intend(&first, &two, Timestamp(7)).unwrap();
    let runs = open().runs(10, true).unwrap();
    assert_eq!((&runs[0].id, &runs[0].start, runs[0].end), (&first, &start(5), None));
    let steps: Vec<_> = runs[0].steps.iter().map(|s| (s.step.as_str(), s.at.0, &s.end)).collect();
    assert_eq!(
        steps,
        [
            ("destroy-volume vol_00000000000000aa", 6, &Some(done)),
            ("destroy-volume vol_00000000000000bb", 7, &None)
        ]
    );
    // Tried again: the second try has an end, the first never has one.
    open().intend(&first, &two, Timestamp(8)).unwrap();
    let failed = StepEnd::Failed { why: "no space".to_owned() };
    open().outcome(&first, &two, &failed).unwrap();
    let ends: Vec<_> = open().runs(1, true).unwrap().remove(0).steps;
    assert_eq!(ends.iter().filter(|step| step.end.is_none()).count(), 1);
    assert_eq!(ends[2].end, Some(failed));
    open().end(&first, RunEnd::Partly, Timestamp(9)).unwrap();
    open().end(&first, RunEnd::Done, Timestamp(9)).expect_err("it has ended");
    let unknown = RunId("01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned());
    open().intend(&unknown, &one, Timestamp(9)).expect_err("there is no such run");
    open().end(&unknown, RunEnd::Done, Timestamp(9)).expect_err("there is no such run");
    let mut ids = vec![first];
    ids.extend((0..20).map(|_| open().begin(&start(3)).unwrap()));
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    ids.reverse();
    let newest: Vec<_> = open().runs(5, false).unwrap();
    assert!(newest.iter().all(|run| run.steps.is_empty()));
    assert_eq!(newest.into_iter().map(|run| run.id).collect::<Vec<_>>(), ids[..5]);
    let oldest = open().runs(usize::MAX, false).unwrap().pop().unwrap();
    assert_eq!(oldest.end, Some((RunEnd::Partly, Timestamp(9))));
}

#[test]
fn the_newest_run_without_an_end_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let catalog: EmbeddedCatalog = open(dir.path());
    assert!(catalog.interrupted().unwrap().is_none());
    let killed = catalog.begin(&start(1)).unwrap();
    catalog.intend(&killed, &step("vol_00000000000000aa"), Timestamp(2)).unwrap();
    let found = open(dir.path()).interrupted().unwrap().unwrap();
    assert_eq!((found.id, found.steps.len()), (killed, 1));
    let next = catalog.begin(&start(3)).unwrap();
    catalog.end(&next, RunEnd::Done, Timestamp(4)).unwrap();
    assert!(catalog.interrupted().unwrap().is_none());
}
