//! Whatever happens to a fleet, in whatever order: every plan keeps what it promises. Histories
//! are drawn at random from a fixed seed; the oracle below shares nothing with the planner.
//! `PLANNER_CASES` says how many histories are drawn, `PLANNER_SEED` from which seed.

mod deed;
mod oracle;

use crate::fleet::Fleet;
use deed::{Commit, History, How};
use oracle::Before;
use planner::Planned;
use planner::by_itself::{Leave, divide};
use planner::document::SavedPlan;
use planner::model::observed::{HostView, Observed};
use planner::plan::Plan;
use planner::remainder::{Remainder, remainder};
use planner::report::Kind;
use planner::simulate::simulate;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Histories that are drawn if nobody says otherwise.
const CASES: u32 = 1000;

/// Passes after which a fleet that nobody changes any more is at rest.
const PASSES: usize = 6;

#[test]
fn histories_keep_every_promise() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u32>().unwrap());
    let config = Config {
        cases: number("PLANNER_CASES").unwrap_or(CASES),
        rng_seed: RngSeed::Fixed(number("PLANNER_SEED").unwrap_or(1).into()),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/main/properties/regressions.txt"
        )))),
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let done = RefCell::new(BTreeMap::new());
    let run = runner.run(&deed::history(), |history| {
        live(&history, &mut done.borrow_mut());
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
    // A test that plans nothing proves nothing.
    let done = done.into_inner();
    for act in ACTS {
        assert!(done.contains_key(act), "no history came to {act}: {done:?}");
    }
}

/// What histories must come to, at the least: acts, and kinds of report lines.
const ACTS: [&str; 16] = [
    "make-volume",
    "grow-volume",
    "mark-volume",
    "retire-volume",
    "take-back-volume",
    "destroy-volume",
    "snapshot-volume",
    "restore-volume",
    "remove-snapshot",
    "start-instance",
    "stop-instance",
    "refused",
    "unknown",
    "blocked",
    "waiting",
    "at rest",
];

/// How often something was come to.
type Done = BTreeMap<String, usize>;

/// Lives through a history, and at its end comes to rest.
fn live(history: &History, done: &mut Done) {
    let mut fleet = Fleet::new(history.start());
    for commit in &history.commits {
        for deed in &commit.deeds {
            deed.happen(&mut fleet);
        }
        pass(&mut fleet, commit, done);
    }
    // At last everything answers, nobody is in the way, and what failed is tried again.
    for host in fleet.config.hosts.values_mut() {
        host.unread = None;
        host.clock = 0;
        host.state = "active".to_string();
    }
    for claim in fleet.claims.slots.values_mut() {
        claim.held = false;
    }
    let last = Commit { deeds: Vec::new(), how: How::Whole, permits: vec!["retry".to_string()] };
    pass(&mut fleet, &last, done);
}

fn count(planned: &Planned, done: &mut Done) {
    let acts = planned.plan.steps().filter_map(|step| step.id.0.split(' ').next());
    let kinds = planned.report.lines.iter().map(|line| line.kind.as_str());
    for word in acts.chain(kinds) {
        *done.entry(word.to_string()).or_default() += 1;
    }
}

/// What is left of a saved plan, of which nobody but the plan itself has changed anything.
fn left_of(saved: &SavedPlan, fleet: &Fleet) -> Remainder {
    let (observed, claims) = (fleet.observed(), &fleet.claims);
    let left = remainder(&saved.plan, &saved.claims, &observed, claims, fleet.now);
    assert_eq!((&left.stale, &left.skipped), (&Vec::new(), &Vec::new()), "{:#?}", saved.plan);
    left
}

/// Without what the hosts' clocks say, which may be off.
fn timeless(mut observed: Observed) -> Observed {
    for view in observed.values_mut() {
        match view {
            HostView::Read(reading) => reading.at = reading.asked_at,
            HostView::Unread { .. } => {}
        }
    }
    observed
}

/// What of a plan may happen by itself is sound alone, and takes nothing away; with what people
/// approve it is the whole plan.
fn of_itself(fleet: &Fleet, planned: &Planned) {
    let divided = divide(&planned.plan, &Leave::default());
    fleet.checked(&divided.now);
    let (_, claims) = simulate(&fleet.observed(), &fleet.claims, &divided.now, fleet.now);
    assert_eq!(claims.losses, fleet.claims.losses, "by itself it loses {:#?}", divided.now);
    let approved = divided.waiting.iter().filter_map(|waiting| waiting.digest.clone()).collect();
    let divided = divide(&planned.plan, &Leave { approved, ..Leave::default() });
    assert!(divided.now == planned.plan && divided.waiting.is_empty(), "{:#?}", divided.waiting);
}

/// Applies a plan: whole, cut short, or with one slot that does not come up.
fn carry_out(fleet: &mut Fleet, plan: &Plan, how: &How) {
    match *how {
        How::Whole => fleet.apply(plan, &BTreeSet::new()),
        How::Cut(share) => {
            let all = planner::simulate::moments(plan);
            fleet.apply_until(plan, all * usize::from(share) / 256);
        }
        How::Failing(share) => {
            let slots: Vec<_> = oracle::started(plan);
            let fails = slots.get(slots.len() * usize::from(share) / 256).cloned();
            fleet.apply(plan, &fails.into_iter().collect());
        }
    }
}

/// Plans and applies once; if that went through, again until nothing is left to do.
fn pass(fleet: &mut Fleet, commit: &Commit, done: &mut Done) {
    fleet.config.permits.clone_from(&commit.permits);
    let mut may_go_on = true;
    for number in 0..PASSES {
        let planned = fleet.plan();
        assert!(planned == fleet.plan(), "the same world, another plan");
        fleet.checked(&planned.plan);
        if number == 0 {
            fleet.follow_steps(&planned.plan);
        }
        of_itself(fleet, &planned);
        count(&planned, done);
        if planned.plan.is_empty() && planned.plan.changes.is_empty() {
            // What is only remembered anew is remembered for good.
            fleet.apply(&planned.plan, &BTreeSet::new());
            let again = fleet.plan();
            assert!(again.plan.is_empty(), "remembering made work: {:#?}", again.plan.changes);
            if oracle::at_rest(fleet, &again.report) {
                *done.entry("at rest".to_string()).or_default() += 1;
            }
            return;
        }
        assert!(
            may_go_on,
            "it does not come to rest: {:#?}\n{:#?}",
            planned.plan.changes, planned.report
        );
        let before = Before::of(fleet);
        let (observed, claims) = (fleet.observed(), fleet.claims.clone());
        let saved = SavedPlan::new(planned.plan.clone(), planned.report.clone(), &claims);
        let left = left_of(&saved, fleet);
        let steps =
            |plan: &Plan| plan.steps().map(|step| step.id.0.clone()).collect::<BTreeSet<_>>();
        assert_eq!(steps(&left.plan), steps(&planned.plan), "nothing has happened");
        assert_eq!(left.plan.changes, planned.plan.changes, "nothing has happened");
        carry_out(fleet, &planned.plan, &commit.how);
        before.keeps(fleet);
        match commit.how {
            How::Whole => {
                let left = left_of(&saved, fleet);
                assert!(left.plan.is_empty(), "all was done: {:#?}", left.plan.rollouts);
            }
            How::Cut(_) => {
                let left = left_of(&saved, fleet);
                fleet.checked(&left.plan);
                let (whole, remembered) = simulate(&observed, &claims, &saved.plan, fleet.now);
                let mut again = fleet.clone();
                again.apply(&left.plan, &BTreeSet::new());
                let (again_seen, whole) = (timeless(again.observed()), timeless(whole));
                assert_eq!(again_seen, whole, "cut short and applied again");
                assert_eq!(again.claims.slots, remembered.slots, "cut short and applied again");
            }
            How::Failing(_) => {}
        }
        match commit.how {
            How::Whole => {}
            How::Cut(_) | How::Failing(_) => return,
        }
        // Permits are for one pass: what was allowed and refused for another reason is not wanted
        // by the next, so its slot may be tidied up then.
        let allowed = !fleet.config.permits.is_empty() && planned.report.has(Kind::Refused);
        may_go_on =
            allowed || planned.report.has(Kind::Waiting) || planned.report.has(Kind::Blocked);
        fleet.config.permits.clear();
    }
    panic!("it does not come to rest in {PASSES} passes");
}
