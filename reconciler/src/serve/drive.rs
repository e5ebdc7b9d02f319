//! When to look and when to pass: level-triggered, one pass at a time, a newer commit ends the
//! pass that runs at its next step. Knows neither git nor hosts, only time.

use super::backoff::Backoff;
use super::trigger::{Trigger, Triggers};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What is driven.
pub trait Work {
    /// Brings what is followed up to date, and says what is there.
    fn refresh(&self) -> impl Future<Output = Result<Seen, String>>;

    /// One pass over what is there. No step begins once `stop` is set.
    fn pass(&self, why: &BTreeSet<Trigger>, stop: &Arc<AtomicBool>) -> impl Future<Output = Ended>;
}

/// What there is to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The commit.
    pub commit: String,
    /// What people said; another text asks for a pass too, and stops none.
    pub orders: String,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did what it could; the next one is due then.
    Well {
        /// From now.
        again: Duration,
    },
    /// Somebody else runs passes; ask again then.
    Standby {
        /// From now.
        again: Duration,
    },
    /// It came to no end.
    Badly,
}

/// How fast it all goes.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Triggers within this are one.
    pub together: Duration,
    /// How often it is looked whether something was pushed, where nobody says so.
    pub poll: Duration,
    /// The first and the longest wait after something failed.
    pub retry: (Duration, Duration),
}

/// Drives until `shutdown` is true: then the running pass ends at its next step.
pub async fn drive(
    work: &impl Work,
    triggers: &Triggers,
    timing: Timing,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut driving = Driving {
        work,
        triggers,
        timing,
        seen: None,
        untold: BTreeSet::from([Trigger::Start]),
        poll_at: Instant::now(),
        fetching: Backoff::new(timing.retry.0, timing.retry.1),
    };
    let mut passing = Backoff::new(timing.retry.0, timing.retry.1);
    let mut pass_at = Instant::now();
    loop {
        // Before anything was seen there is nothing to pass over.
        let has_seen = driving.seen.is_some();
        let looked = tokio::select! {
            () = ends(&mut shutdown) => return,
            looked = driving.look() => Some(looked),
            () = sleep_until(pass_at), if has_seen => None,
        };
        let why = match looked {
            Some((why, true)) => why,
            Some((_, false)) => continue,
            None => BTreeSet::from([Trigger::Time]),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let ended = {
            let pass = work.pass(&why, &stop);
            tokio::pin!(pass);
            tokio::select! {
                ended = &mut pass => ended,
                () = driving.look_for_newer(&stop) => pass.await,
                () = ends(&mut shutdown) => {
                    stop.store(true, Ordering::Relaxed);
                    pass.await;
                    return;
                }
            }
        };
        let wait = match ended {
            // A newer commit is there: at once.
            Ended::Well { .. } | Ended::Badly if stop.load(Ordering::Relaxed) => Duration::ZERO,
            Ended::Well { again } => {
                passing.went_well();
                again
            }
            Ended::Standby { again } => again,
            Ended::Badly => passing.failed(),
        };
        pass_at = Instant::now() + wait;
    }
}

async fn ends(shutdown: &mut watch::Receiver<bool>) {
    // Whoever could ask for an end and is gone has ended too.
    drop(shutdown.wait_for(|ends| *ends).await);
}

struct Driving<'a, W> {
    work: &'a W,
    triggers: &'a Triggers,
    timing: Timing,
    seen: Option<Seen>,
    /// Triggers after which nobody has looked in full yet.
    untold: BTreeSet<Trigger>,
    poll_at: Instant,
    fetching: Backoff,
}

impl<W: Work> Driving<'_, W> {
    /// Waits for a trigger or for the time, and looks. Says whether something is new. What ends
    /// this early loses no trigger.
    async fn look(&mut self) -> (BTreeSet<Trigger>, bool) {
        if self.untold.is_empty() {
            let why = tokio::select! {
                () = self.triggers.fired() => None,
                () = sleep_until(self.poll_at) => Some(Trigger::Time),
            };
            self.untold.extend(why);
        }
        tokio::time::sleep(self.timing.together).await;
        self.untold.extend(self.triggers.take());
        let changed = match self.work.refresh().await {
            Ok(seen) => {
                self.fetching.went_well();
                self.poll_at = Instant::now() + self.timing.poll;
                let changed = self.seen.as_ref() != Some(&seen);
                self.seen = Some(seen);
                changed
            }
            Err(why) => {
                let wait = self.fetching.failed();
                tracing::warn!(%why, again_in = ?wait, "what is followed could not be read");
                self.poll_at = Instant::now() + wait;
                false
            }
        };
        (std::mem::take(&mut self.untold), changed)
    }

    /// Ends when there is a newer commit, having set `stop`.
    async fn look_for_newer(&mut self, stop: &AtomicBool) {
        let passing = self.seen.clone();
        loop {
            self.look().await;
            let commit = |seen: &Option<Seen>| seen.as_ref().map(|seen| seen.commit.clone());
            if commit(&self.seen) != commit(&passing) {
                tracing::info!("a newer commit is there: the pass ends at its next step");
                stop.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
