//! The `process` runtime: an instance is one process tree in its own pid and mount namespace (and
//! network namespace as root), kept by a supervisor that outlives whoever started it.
//!
//! Chain: supervisor, runner, init, program. Each dies with the one before it. This file starts,
//! reads, stops and removes instances; it decides nothing about which.

mod container;
mod enter;
mod hold;
mod init;
mod jail;
mod kernel;
mod launch;
mod limits;
mod log;
mod mounts;
mod network;
mod note;
pub mod port;
mod ports;
mod probe;
mod record;
mod refusal;
mod runner;
mod supervisor;
mod tree;

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{ChildStdout, ExitCode};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Timespec;
use rustix::process::{Pid, PidfdFlags, Signal};

pub(in crate::runtime) use self::container::clear as clear_container;
pub use self::launch::{
    Bind, BindSource, GuestFile, InEngine, Launch, Limits, Network, Restart, SealedIn, SecretFile,
};
pub use self::network::{ensure_bridge, free_for_bridge, remove_bridge};
pub use self::probe::{Capabilities, Lack, probe};
pub use self::record::{Enforcement, Identity, Record, State};
use self::record::{Holder, Place};
pub use self::refusal::Refusal;
use crate::command;

/// The status of a program that was killed because it took too long, as timeout(1) has it.
const TOOK_TOO_LONG: i32 = 124;
/// How long a killed tree may take to be gone.
const DYING: Duration = Duration::from_secs(15);

/// Why an operation on an instance did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was refused, or failed on its way up. Nothing of it runs.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its directory or a process could not be read or written.
    #[error("cannot {step} in {}", directory.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// The instance's directory.
        directory: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It did not get there in time; it goes on in the background.
    #[error("instance in {} is not {wanted} after {} s", directory.display(), waited.as_secs())]
    Late {
        /// The instance's directory.
        directory: std::path::PathBuf,
        /// What was waited for.
        wanted: &'static str,
        /// How long.
        waited: Duration,
    },
    /// It lives, so it cannot be removed.
    #[error("instance in {} still lives", directory.display())]
    Alive {
        /// The instance's directory.
        directory: std::path::PathBuf,
    },
}

fn failed(step: &'static str, directory: &Path) -> impl FnOnce(io::Error) -> Error {
    let directory = directory.to_owned();
    move |source| Error::Io { step, directory, source }
}

/// Starts an instance and waits until its program runs (or has already ended by itself).
///
/// `program` is the binary that answers `internal …` with [`internal_main`]; `directory` is the
/// instance's own and is made. Blocks up to `patience`; after [`Error::Late`] the supervisor goes on.
///
/// # Errors
/// [`Error::Refused`] when the instance is not up and nothing of it is left.
pub fn start(
    program: &Path,
    directory: &Path,
    launch: &Launch,
    patience: Duration,
) -> Result<Record, Error> {
    let place = Place::at(directory);
    if let Some(holder) = Holder::read(&place.lock()).filter(|holder| holder.supervisor.alive()) {
        let done = state(directory)?.is_some_and(|record| record.is_over(&holder.supervisor));
        if !done || !ended(&holder.supervisor, DYING, None) {
            return Err(Refusal::Supervised { pid: holder.supervisor.pid }.into());
        }
    }
    place.make().map_err(failed("make room", directory))?;
    place.write_launch(launch).map_err(failed("write the launch", directory))?;
    let log = log::open(&place.log()).map_err(failed("open the log", directory))?;
    let pipe = command::detach(program, directory, log)
        .map_err(failed("launch the supervisor", directory))?;
    let reported = wait_for_report(pipe, patience).map_err(failed("hear", directory))?;
    let Some(line) = reported else {
        return Err(Error::Late { directory: directory.into(), wanted: "up", waited: patience });
    };
    let how: Result<(), Refusal> = serde_json::from_str(&line).map_err(|_| {
        failed("hear the supervisor", directory)(io::Error::other("it died on its way up"))
    })?;
    how?;
    state(directory)?.ok_or_else(|| {
        failed("read the state", directory)(io::Error::from(io::ErrorKind::NotFound))
    })
}

/// One line from the supervisor, or nothing when it takes too long.
fn wait_for_report(pipe: ChildStdout, patience: Duration) -> io::Result<Option<String>> {
    let mut polled = [PollFd::new(&pipe, PollFlags::IN)];
    if rustix::event::poll(&mut polled, Some(&timespec(patience)))? == 0 {
        return Ok(None);
    }
    let mut line = String::new();
    BufReader::new(pipe).read_line(&mut line)?;
    Ok(Some(line))
}

/// Keeps an instance differently from now on, without touching its program: when to start it again,
/// how to stop it. A supervisor heeds it when its program ends or is to stop.
///
/// # Errors
/// [`Error::Io`], also when it was never started.
pub fn supervise(
    directory: &Path,
    restart: Restart,
    kill_signal: i32,
    kill_timeout: Duration,
) -> Result<(), Error> {
    let place = Place::at(directory);
    let mut launch = place.read_launch().map_err(failed("read the launch", directory))?;
    launch.restart = restart;
    launch.kill_signal = kill_signal;
    launch.kill_timeout_ms = u64::try_from(kill_timeout.as_millis()).unwrap_or(u64::MAX);
    place.write_launch(&launch).map_err(failed("write the launch", directory))
}

/// What is known of the instance in `directory`, corrected by what lives; nothing if it was never
/// started.
///
/// # Errors
/// [`Error::Io`].
pub fn state(directory: &Path) -> Result<Option<Record>, Error> {
    Place::at(directory).read_record().map_err(failed("read the state", directory))
}

/// Whether a process of the instance's tree listens there, as the machine's network is shared.
///
/// # Errors
/// Who does instead, in words.
pub fn listens(directory: &Path, place: SocketAddr) -> Result<(), String> {
    let record = state(directory).map_err(|error| error.to_string())?;
    let init = record.and_then(|record| record.init).filter(Identity::alive);
    let init = init.ok_or_else(|| "the instance does not run".to_owned())?;
    ports::listens(init.pid, place)
}

/// Connects from within the network namespace of an instance that nothing else leads to. A socket
/// stays in the namespace that it was made in.
///
/// # Errors
/// What the system says, also where the instance does not run.
pub async fn connect(directory: &Path, place: SocketAddrV4) -> io::Result<tokio::net::TcpStream> {
    let record = state(directory).map_err(io::Error::other)?;
    let init = record.and_then(|record| record.init).filter(Identity::alive);
    let init = init.ok_or_else(|| io::Error::other("the instance does not run"))?;
    let (sender, connected) = tokio::sync::oneshot::channel();
    // A thread of its own: it does not come back from where it goes.
    std::thread::Builder::new().name("connect".to_owned()).spawn(move || {
        // Nobody waits any more.
        let _ = sender.send(enter::connect(&init, place));
    })?;
    let stream = connected.await.map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// The records of all instances whose directories are in `parent`, by directory name. No `parent`:
/// no instances.
///
/// # Errors
/// [`Error::Io`] when one cannot be read: a listing cut short would be a lie.
pub fn list(parent: &Path) -> Result<Vec<Record>, Error> {
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list instances", parent))?,
    };
    let mut directories = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(failed("list instances", parent))?;
    directories.sort();
    let records = directories.iter().filter(|path| path.is_dir()).map(|path| state(path));
    records.filter_map(Result::transpose).collect()
}

/// Stops an instance and waits until nothing of it is left: no process, mount, loop device or
/// hold. One that has finished, failed or stopped is left as it is; of one that died the remains
/// are cleared away.
///
/// Blocks up to the launch's kill timeout and some seconds for the kernel; a supervisor that does
/// not answer is killed, and its tree with it.
///
/// # Errors
/// [`Error::Late`] when something remains.
pub fn stop(directory: &Path) -> Result<Option<Record>, Error> {
    let place = Place::at(directory);
    let Some(holder) = Holder::read(&place.lock()) else { return state(directory) };
    if holder.supervisor.alive() {
        let launch = place.read_launch().map_err(failed("read the launch", directory))?;
        let patience = Duration::from_millis(launch.kill_timeout_ms) + DYING;
        if !ended(&holder.supervisor, patience, Some(Signal::TERM))
            && !ended(&holder.supervisor, DYING, Some(Signal::KILL))
        {
            return Err(late(directory, DYING));
        }
    }
    let Some(mut record) = state(directory)? else { return Ok(None) };
    let State::Died { .. } = record.state else { return Ok(Some(record)) };
    if let Some(init) = record.init.as_ref().filter(|init| init.alive())
        && !ended(init, DYING, Some(Signal::KILL))
    {
        return Err(late(directory, DYING));
    }
    record.state = State::Stopped;
    place.write_record(&record).map_err(failed("write the state", directory))?;
    Ok(Some(record))
}

fn late(directory: &Path, waited: Duration) -> Error {
    Error::Late { directory: directory.to_owned(), wanted: "stopped", waited }
}

/// Waits until this very process has ended, after sending it a signal. False when it has not.
fn ended(process: &Identity, patience: Duration, signal: Option<Signal>) -> bool {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return true };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return !process.alive();
    };
    // Between reading and opening the id may have gone to another process.
    if !process.alive() {
        return true;
    }
    if let Some(signal) = signal {
        let _ = rustix::process::pidfd_send_signal(&pidfd, signal);
    }
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&timespec(left))) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return !process.alive(),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    let tv_sec = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: i64::from(duration.subsec_nanos()) }
}

/// Runs one more program inside a running instance, on this process's standard streams, and gives
/// its exit status; 126 when the instance does not run or the program cannot be started.
///
/// # Errors
/// [`Error::Io`] when `program` (our own binary) cannot be run.
pub fn exec(program: &Path, directory: &Path, argv: &[OsString]) -> Result<i32, Error> {
    let status =
        command::enter(program, directory, argv).map_err(failed("run a program", directory))?;
    Ok(status.code().unwrap_or(137))
}

/// Removes the directory of an instance that does not live, log included.
///
/// # Errors
/// [`Error::Alive`] when it lives.
pub fn remove(directory: &Path) -> Result<(), Error> {
    let alive = state(directory)?.is_some_and(|record| {
        record.supervisor.alive() || record.init.as_ref().is_some_and(Identity::alive)
    });
    if alive {
        return Err(Error::Alive { directory: directory.to_owned() });
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(failed("remove files", directory)),
    }
}

/// The hidden half of the binary: `internal STAGE ARGUMENT`. To be called first thing in `main`,
/// before any thread exists, with the arguments after `internal`.
#[must_use]
pub fn internal_main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (stage, argument) = (args.next(), args.next());
    let (Some(stage), Some(argument)) = (stage, argument) else { return ExitCode::from(2) };
    let directory = Path::new(&argument);
    match stage.to_str() {
        Some("launch") => supervisor::launch(directory),
        Some("supervise") => supervisor::main(directory),
        Some("guard") => container::guard(directory),
        Some("run") => runner::main(directory),
        Some("init") => init::main(directory),
        Some("enter") => enter::main(directory, &args.collect::<Vec<_>>()),
        Some("probe") => probe::main(&argument),
        _ => ExitCode::from(2),
    }
}
