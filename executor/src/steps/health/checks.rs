//! The checks of one instance while a gate waits: each is asked in its own time, and all must have
//! passed when they were asked last.

use crate::host::{Answer, Host};
use futures::future::join_all;
use planner::model::health::Check;
use planner::model::id::InstanceId;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause between two asks of one check. Each further one is twice as long, until it is
/// the check's interval: an instance that comes up soon is not kept waiting for a whole interval.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Checks that are being asked.
pub(super) struct Asking<'a> {
    host: &'a dyn Host,
    instance: &'a InstanceId,
    address: Ipv4Addr,
    since: Instant,
    turns: Vec<Turn<'a>>,
}

struct Turn<'a> {
    check: &'a Check,
    due: Instant,
    pause: Duration,
    last: Option<Answer>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        host: &'a dyn Host,
        instance: &'a InstanceId,
        address: Ipv4Addr,
        checks: &'a [Check],
    ) -> Self {
        let since = Instant::now();
        let turns =
            checks.iter().map(|check| Turn { check, due: since, pause: FIRST_PAUSE, last: None });
        Self { host, instance, address, since, turns: turns.collect() }
    }

    /// The process was started again: what it said before is of no account.
    pub(super) fn forget(&mut self) {
        self.since = Instant::now();
        for turn in &mut self.turns {
            (turn.due, turn.pause, turn.last) = (self.since, FIRST_PAUSE, None);
        }
    }

    /// Asks those that are due. When `last_chance` has come, all are.
    pub(super) async fn ask(&mut self, last_chance: Instant) {
        let now = Instant::now();
        let due = |turn: &Turn<'_>| turn.due <= now || now >= last_chance;
        let asks = self.turns.iter_mut().filter(|turn| due(turn)).map(async |turn| {
            let answer = self.host.ask(self.instance, self.address, turn.check).await;
            let interval = Duration::from_millis(turn.check.interval.0);
            turn.pause = match &answer {
                Answer::Passing => interval,
                Answer::Failing { .. } => turn.pause.min(interval),
            };
            turn.due = Instant::now() + turn.pause;
            turn.pause = turn.pause.saturating_mul(2);
            turn.last = Some(answer);
        });
        join_all(asks).await;
    }

    /// Which checks keep the gate waiting and what they said last; none: all have passed.
    pub(super) fn waits_for(&self) -> Option<String> {
        let waiting: Vec<String> =
            self.turns.iter().filter_map(|turn| self.waiting(turn)).collect();
        (!waiting.is_empty()).then(|| waiting.join("; "))
    }

    fn waiting(&self, turn: &Turn<'_>) -> Option<String> {
        let check = turn.check;
        let grace = Duration::from_millis(check.grace_period.0);
        match &turn.last {
            Some(Answer::Passing) => None,
            Some(Answer::Failing { seen }) if self.since.elapsed() < grace => {
                let grace = check.grace_period;
                Some(format!("check {}: {seen}, in its grace period of {grace}", check.name))
            }
            Some(Answer::Failing { seen }) => Some(format!("check {}: {seen}", check.name)),
            None => Some(format!("check {}: not asked yet", check.name)),
        }
    }
}
