//! Keeps one instance: takes its holds, brings its tree up, restarts it as its policy says, takes
//! it down when asked, and writes down what is. One process per instance; the tree dies with it.

mod contained;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::FlockOperation;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::hold::{self, Holds};
use super::launch::{Launch, Network, Restart};
use super::limits::Cage;
use super::record::{Holder, Identity, Place, Record, State, now_ms};
use super::refusal::{cannot, cannot_at};
use super::tree::{End, Tree};
use super::{Refusal, TOOK_TOO_LONG, kernel, log, network, ports};
use crate::command;

/// The first pause before a restart; each further one in a row is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run this long ends a row of restarts.
const STEADY: Duration = Duration::from_secs(60);

/// `internal launch DIRECTORY`: leaves a supervisor behind that is nobody's child.
pub(super) fn launch(directory: &Path) -> ExitCode {
    let alone = kernel::keep_descriptors_to_ourselves().and_then(|()| kernel::ignore_no_signals());
    match alone.and_then(|()| command::stage_inheriting("supervise", directory)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// `internal supervise DIRECTORY`.
pub(super) fn main(directory: &Path) -> ExitCode {
    // The death of the thread that started the runner would kill it, so there is one thread only.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let place = Place::at(directory);
    let kept = match runtime {
        Ok(runtime) => runtime.block_on(keep(&place)),
        Err(error) => Err(cannot("start")(error)),
    };
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            log::say(&place.log(), &refusal.to_string());
            report(&Err(refusal));
            ExitCode::FAILURE
        }
    }
}

/// Tells whoever started us how it went, once.
fn report(how: &Result<(), Refusal>) {
    if let Ok(mut line) = serde_json::to_vec(how) {
        line.push(b'\n');
        let _ = std::io::stdout().lock().write_all(&line);
    }
}

async fn keep(place: &Place) -> Result<(), Refusal> {
    // In a session of its own, so that no terminal takes it along.
    let _ = rustix::process::setsid();
    // Before anyone can know our id: from here on SIGTERM is a request.
    let term = signal(SignalKind::terminate()).map_err(cannot("listen for SIGTERM"))?;
    let launch = place.read_launch().map_err(cannot("read the launch"))?;
    let myself = Identity::of(std::process::id())
        .ok_or_else(|| cannot("find my own process")("/proc does not show it"))?;
    let lock = lock(place, &launch, &myself)?;
    let cage = Cage::of(&launch);
    let record = Record {
        instance: launch.instance.clone(),
        state: State::Starting,
        supervisor: myself,
        init: None,
        limits: cage.enforcement(),
    };
    let mut supervisor =
        Supervisor { place, launch, record, cage, term, stopping: false, reported: false };
    supervisor.write(State::Starting)?;
    let last = match supervisor.run().await {
        Ok(state) => state,
        Err(why) => {
            log::say(&place.log(), &why.to_string());
            State::Failed { why }
        }
    };
    let how = match &last {
        State::Failed { why } => Err(why.clone()),
        _ => Ok(()),
    };
    supervisor.write(last)?;
    supervisor.report(how);
    drop(lock);
    Ok(())
}

/// Only one supervisor per instance.
fn lock(place: &Place, launch: &Launch, myself: &Identity) -> Result<File, Refusal> {
    let path = place.lock();
    let lock = log::open(&path).map_err(cannot_at("open", &path))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let pid = Holder::read(&path).map_or(0, |holder| holder.supervisor.pid);
            return Err(Refusal::Supervised { pid });
        }
        Err(error) => return Err(cannot_at("lock", &path)(error)),
    }
    let holder =
        Holder { instance: launch.instance.clone(), supervisor: myself.clone(), init: None };
    holder.write(&path).map_err(cannot_at("write", &path))?;
    Ok(lock)
}

/// What a supervisor keeps for one run: a process tree of ours, or a container.
trait Kept {
    /// Until its program has ended.
    async fn end(&mut self) -> Result<End, Refusal>;

    /// Sends its program a signal.
    async fn signal(&mut self, signal: i32);
}

impl Kept for Tree {
    async fn end(&mut self) -> Result<End, Refusal> {
        Self::end(self).await
    }

    async fn signal(&mut self, signal: i32) {
        Self::signal(self, signal).await;
    }
}

struct Supervisor<'a> {
    place: &'a Place,
    launch: Launch,
    record: Record,
    cage: Cage,
    term: Signal,
    stopping: bool,
    reported: bool,
}

impl Supervisor<'_> {
    fn write(&mut self, state: State) -> Result<(), Refusal> {
        self.record.state = state;
        self.place.write_record(&self.record).map_err(cannot("write the state"))
    }

    fn report(&mut self, how: Result<(), Refusal>) {
        if !self.reported {
            self.reported = true;
            report(&how);
        }
    }

    /// From the first run to the last; the state it ends in.
    async fn run(&mut self) -> Result<State, Refusal> {
        let holds = Holds::take(&self.launch)?;
        if let Network::Shared { address, ports: wanted } = &self.launch.network {
            ports::free(*address, wanted)?;
        }
        let (mut restarts, mut row) = (0, 0);
        loop {
            let began = Instant::now();
            let end = match self.launch.engine.clone() {
                Some(engine) => self.once_in_engine(&engine, &holds, restarts).await,
                None => self.once(&holds, restarts).await,
            };
            self.cage.remove();
            network::unplug(&self.launch.network).await?;
            hold::released(&self.launch.binds).await?;
            self.record.init = None;
            let code = match end? {
                _ if self.stopping => break,
                End::Ended(code) => code,
                End::Killed => 137,
            };
            if began.elapsed() >= STEADY {
                row = 0;
            }
            self.heed();
            let again = match self.launch.restart {
                Restart::Always => true,
                Restart::OnFailure { retries } => code != 0 && row < retries,
                Restart::Never => false,
            };
            if !again {
                log::say(&self.place.log(), &format!("the program ended with status {code}"));
                return Ok(State::Finished { code });
            }
            self.pause(code, row, restarts).await?;
            if self.stopping {
                break;
            }
            restarts += 1;
            row += 1;
        }
        drop(holds);
        Ok(State::Stopped)
    }

    /// Takes over how it is kept now: that may be changed while the program runs.
    fn heed(&mut self) {
        // Unreadable: what was last known still holds.
        if let Ok(launch) = self.place.read_launch() {
            self.launch.restart = launch.restart;
            self.launch.kill_signal = launch.kill_signal;
            self.launch.kill_timeout_ms = launch.kill_timeout_ms;
        }
    }

    /// Waits before a restart, or until asked to stop.
    async fn pause(&mut self, code: i32, row: u32, restarts: u32) -> Result<(), Refusal> {
        let pause = FIRST_PAUSE.saturating_mul(1 << row.min(6)).min(LONGEST_PAUSE);
        let seconds = pause.as_secs();
        log::say(
            &self.place.log(),
            &format!("the program ended with status {code}; it is started again in {seconds} s"),
        );
        let until_ms = now_ms() + seconds * 1000;
        self.write(State::Backoff { code, until_ms, restarts })?;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.term.recv() => self.stopping = true,
        }
        Ok(())
    }

    /// One run of the tree, from nothing to nothing.
    async fn once(&mut self, holds: &Holds, restarts: u32) -> Result<End, Refusal> {
        let path = self.place.log();
        let log = log::open(&path).map_err(cannot_at("open", &path))?;
        let mut tree = Tree::start(self.place.directory(), log)?;
        let up = self.bring_up(&mut tree, holds).await;
        let end = match up {
            Ok(true) => {
                let pid = self.record.init.as_ref().map_or(0, |init| init.pid);
                let started_at_ms = now_ms();
                self.write(State::Running { pid, started_at_ms, restarts })?;
                self.report(Ok(()));
                self.watch(&mut tree).await
            }
            Ok(false) => Ok(End::Killed),
            Err(refusal) => Err(refusal),
        };
        tree.destroy().await?;
        end
    }

    /// Until the program runs. False when asked to stop on the way.
    async fn bring_up(&mut self, tree: &mut Tree, holds: &Holds) -> Result<bool, Refusal> {
        let init = tokio::select! {
            ready = tree.ready() => ready?,
            _ = self.term.recv() => { self.stopping = true; return Ok(false); }
        };
        let pid = init.pid;
        // Written down before the program may run: whoever finds us dead knows what to look for.
        self.record.init = Some(init.clone());
        self.write(self.record.state.clone())?;
        holds.sign(&Holder {
            instance: self.record.instance.clone(),
            supervisor: self.record.supervisor.clone(),
            init: Some(init),
        })?;
        network::plug(&self.launch.network, pid).await?;
        self.cage.close_on(pid);
        self.record.limits = self.cage.enforcement();
        tokio::select! {
            up = tree.go() => up.map(|()| true),
            _ = self.term.recv() => { self.stopping = true; Ok(false) }
        }
    }

    /// Until the program has ended, by itself or because we were asked.
    async fn watch(&mut self, kept: &mut impl Kept) -> Result<End, Refusal> {
        let limit = self.launch.ends_within_ms.map(Duration::from_millis);
        let too_long = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = kept.end() => return end,
            _ = self.term.recv() => self.stopping = true,
            () = too_long => {
                let millis = self.launch.ends_within_ms.unwrap_or_default();
                let line = format!("the program did not end within {millis} ms and is killed");
                log::say(&self.place.log(), &line);
                return Ok(End::Ended(TOOK_TOO_LONG));
            }
        }
        self.heed();
        kept.signal(self.launch.kill_signal).await;
        let patience = Duration::from_millis(self.launch.kill_timeout_ms);
        tokio::time::timeout(patience, kept.end()).await.unwrap_or_else(|_| {
            let millis = patience.as_millis();
            let line = format!("the program did not stop within {millis} ms and is killed");
            log::say(&self.place.log(), &line);
            Ok(End::Killed)
        })
    }
}
