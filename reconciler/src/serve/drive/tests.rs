//! The clock is paused: time passes only where everybody waits for it.

use super::*;
use std::sync::Mutex;

const POLL: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(300);
const TIMING: Timing = Timing {
    together: Duration::from_millis(50),
    poll: POLL,
    retry: (Duration::from_secs(1), Duration::from_secs(100)),
};

/// Work whose passes take as long as they are told, and are written down with their moment.
struct Script {
    began: Instant,
    commit: Mutex<Result<&'static str, String>>,
    takes: Mutex<Duration>,
    ends: Mutex<Ended>,
    fetches: Mutex<Vec<u64>>,
    passes: Mutex<Vec<(u64, String)>>,
    stopped: Mutex<usize>,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            commit: Mutex::new(Ok("one")),
            takes: Mutex::new(Duration::ZERO),
            ends: Mutex::new(Ended::Well { again: INTERVAL }),
            fetches: Mutex::default(),
            passes: Mutex::default(),
            stopped: Mutex::default(),
        })
    }

    fn passes(&self) -> Vec<(u64, String)> {
        self.passes.lock().unwrap().clone()
    }

    fn commit(&self, commit: &'static str) {
        *self.commit.lock().unwrap() = Ok(commit);
    }
}

impl Work for Arc<Script> {
    async fn refresh(&self) -> Result<Seen, String> {
        self.fetches.lock().unwrap().push(self.began.elapsed().as_secs());
        let commit = self.commit.lock().unwrap().clone()?;
        Ok(Seen { commit: commit.to_owned(), orders: String::new() })
    }

    async fn pass(&self, _: &BTreeSet<Trigger>, stop: &Arc<AtomicBool>) -> Ended {
        let commit = self.commit.lock().unwrap().clone().unwrap();
        self.passes.lock().unwrap().push((self.began.elapsed().as_secs(), commit.to_owned()));
        let until = Instant::now() + *self.takes.lock().unwrap();
        // Steps of a second each.
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if stop.load(Ordering::Relaxed) {
                *self.stopped.lock().unwrap() += 1;
                break;
            }
        }
        *self.ends.lock().unwrap()
    }
}

/// Drives for so many seconds, and does things on the way.
async fn driven(
    script: &Arc<Script>,
    triggers: &Arc<Triggers>,
    seconds: u64,
    happens: impl Future<Output = ()>,
) {
    let (end, ends) = watch::channel(false);
    let (work, fired) = (Arc::clone(script), Arc::clone(triggers));
    let driver = tokio::spawn(async move { drive(&work, &fired, TIMING, ends).await });
    let until = Instant::now() + Duration::from_secs(seconds);
    happens.await;
    sleep_until(until).await;
    end.send(true).unwrap();
    driver.await.unwrap();
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn triggers_that_come_together_are_one_pass_and_one_that_brings_nothing_is_none() {
    let (script, triggers) = (Script::new(), Arc::new(Triggers::default()));
    driven(&script, &triggers, 200, async {
        seconds(10).await;
        script.commit("two");
        for _ in 0..100 {
            triggers.fire(Trigger::Push);
            triggers.fire(Trigger::Webhook);
        }
        seconds(10).await;
        triggers.fire(Trigger::Webhook);
    })
    .await;
    assert_eq!(script.passes(), [(0, "one".to_owned()), (10, "two".to_owned())]);
    assert!(script.fetches.lock().unwrap().contains(&20), "a webhook leads to a fetch");
}

#[tokio::test(start_paused = true)]
async fn a_pass_comes_by_itself_and_a_push_that_nobody_tells_of_is_found() {
    let (script, triggers) = (Script::new(), Arc::new(Triggers::default()));
    driven(&script, &triggers, 700, async {
        seconds(100).await;
        script.commit("two");
    })
    .await;
    let passes = script.passes();
    assert_eq!(passes[0], (0, "one".to_owned()));
    assert_eq!(passes[1], (120, "two".to_owned()), "found by polling");
    assert_eq!(passes[2], (420, "two".to_owned()), "an interval later");
    assert_eq!(passes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_less_and_less_often_and_at_once_for_a_newer_commit() {
    let (script, triggers) = (Script::new(), Arc::new(Triggers::default()));
    *script.ends.lock().unwrap() = Ended::Badly;
    driven(&script, &triggers, 1500, async {
        seconds(1000).await;
        *script.ends.lock().unwrap() = Ended::Well { again: INTERVAL };
        script.commit("two");
        triggers.fire(Trigger::Push);
        seconds(1).await;
        *script.ends.lock().unwrap() = Ended::Badly;
    })
    .await;
    let at: Vec<u64> = script.passes().iter().map(|(at, _)| *at).collect();
    let new = at.iter().position(|at| *at == 1000).expect("at once for a newer commit");
    let gaps: Vec<u64> = at[..new].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((8..=22).contains(&new), "passes in 1000 s: {at:?}");
    assert!(gaps.iter().max() >= Some(&60), "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap <= 121), "{gaps:?}");
    // It went well once: the next failures begin with short waits.
    let later: Vec<u64> = at.iter().copied().filter(|at| *at >= 1300).collect();
    assert!(later.len() >= 5 && later[1] - later[0] <= 2, "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn a_newer_commit_ends_a_pass_that_runs_at_its_next_step() {
    let (script, triggers) = (Script::new(), Arc::new(Triggers::default()));
    *script.takes.lock().unwrap() = Duration::from_secs(1000);
    driven(&script, &triggers, 100, async {
        seconds(10).await;
        triggers.fire(Trigger::Push);
        seconds(10).await;
        *script.takes.lock().unwrap() = Duration::ZERO;
        script.commit("two");
        triggers.fire(Trigger::Push);
    })
    .await;
    let passes = script.passes();
    assert_eq!(passes[0], (0, "one".to_owned()));
    assert!((20..=22).contains(&passes[1].0) && passes[1].1 == "two", "{passes:?}");
    assert_eq!(*script.stopped.lock().unwrap(), 1, "the push without a commit stopped nothing");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_asked_for_comes_at_the_next_step() {
    let (script, triggers) = (Script::new(), Arc::new(Triggers::default()));
    *script.takes.lock().unwrap() = Duration::from_secs(1000);
    let began = Instant::now();
    driven(&script, &triggers, 30, async {}).await;
    assert!((30..=31).contains(&began.elapsed().as_secs()));
    assert_eq!(*script.stopped.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_asked_for_less_often_and_nothing_is_done_meanwhile() {
    let (script, triggers) = (Script::new(), Arc::new(Triggers::default()));
    *script.commit.lock().unwrap() = Err("the forge is away".to_owned());
    driven(&script, &triggers, 1100, async {
        seconds(900).await;
        script.commit("one");
    })
    .await;
    let fetches = script.fetches.lock().unwrap().clone();
    // Twice as long each time, up to the limit, and a fifth more or less; times are whole seconds.
    let away: Vec<u64> = fetches.iter().copied().filter(|at| *at < 900).collect();
    let mut wait = TIMING.retry.0.as_secs();
    for pair in away.windows(2) {
        let waited = pair[1] - pair[0];
        assert!((wait * 8 / 10..=wait * 12 / 10 + 1).contains(&waited), "{fetches:?}");
        wait = (wait * 2).min(TIMING.retry.1.as_secs());
    }
    assert!(away.len() > 8, "the limit was never reached: {fetches:?}");
    assert!(script.passes().iter().all(|(at, _)| *at >= 900), "{:?}", script.passes());
    assert!(!script.passes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_stands_by_asks_again_and_takes_over() {
    let (script, triggers) = (Script::new(), Arc::new(Triggers::default()));
    *script.ends.lock().unwrap() = Ended::Standby { again: Duration::from_secs(2) };
    driven(&script, &triggers, 100, async {
        seconds(20).await;
        *script.ends.lock().unwrap() = Ended::Well { again: INTERVAL };
    })
    .await;
    let at: Vec<u64> = script.passes().iter().map(|(at, _)| *at).collect();
    assert!((10..=12).contains(&at.len()) && *at.last().unwrap() <= 22, "{at:?}");
}
