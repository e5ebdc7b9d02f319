//! Joins a living instance to run one more program in it: same namespaces, same limits of
//! privilege, ended with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags};
use rustix::thread::ThreadNameSpaceType as Joined;

use super::launch::{Launch, Network};
use super::record::{Identity, Place};
use super::refusal::cannot;
use super::{Refusal, init, network};
use crate::command;

/// How long a connection may take to come about; whoever asks may give up earlier.
const CONNECTS: Duration = Duration::from_secs(60);

/// `internal enter DIRECTORY PROGRAM ARGUMENT…`: the program's status, or 126 and a line on standard
/// error.
pub(super) fn main(directory: &Path, argv: &[OsString]) -> ExitCode {
    match enter(directory, argv) {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            use std::io::Write;
            let _ = writeln!(io::stderr(), "{refusal}");
            ExitCode::from(126)
        }
    }
}

fn enter(directory: &Path, argv: &[OsString]) -> Result<u8, Refusal> {
    let place = Place::at(directory);
    let launch = place.read_launch().map_err(cannot("read the launch"))?.opened()?;
    let record = place.read_record().map_err(cannot("read the state"))?;
    let init = record.and_then(|record| record.init).filter(Identity::alive);
    let init = init.ok_or_else(|| cannot("enter the instance")("it does not run"))?;
    // What an image says of environment and directory shows in its first process only.
    let (env, directory) = match &launch.engine {
        None => (launch.env.clone(), launch.directory.clone()),
        Some(_) => as_seen_by(&init).map_err(cannot("look at the container"))?,
    };
    join(&init, &launch).map_err(cannot("enter the instance"))?;
    init::lay_down_privileges().map_err(cannot("lay down privileges"))?;
    // Only a child is in the pid namespace, and so ends when the instance does.
    let mut child = command::visitor(argv, &env, &directory).map_err(|error| Refusal::Program {
        program: argv.first().map(|word| word.display().to_string()).unwrap_or_default(),
        cause: error.to_string(),
    })?;
    let status = child.wait().map_err(cannot("wait for the program"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(137))
}

/// The environment and the working directory of a process.
fn as_seen_by(init: &Identity) -> io::Result<(BTreeMap<String, String>, PathBuf)> {
    let proc = Path::new("/proc").join(init.pid.to_string());
    let environment = std::fs::read(proc.join("environ"))?;
    let variables = environment.split(|byte| *byte == 0).filter_map(|variable| {
        let variable = String::from_utf8_lossy(variable);
        let (name, value) = variable.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Ok((variables.collect(), std::fs::read_link(proc.join("cwd"))?))
}

/// Gives an instance that is alone its address, from within its network namespace, on a thread that
/// never leaves that again.
pub(super) fn give_address(init: &Identity, network: &Network) -> Result<(), Refusal> {
    let (init, network) = (init.clone(), network.clone());
    let given = std::thread::spawn(move || {
        let pid = i32::try_from(init.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| cannot("enter the instance")("it has no process id"))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(cannot("enter the instance"))?;
        let into = rustix::fd::AsFd::as_fd(&pidfd);
        rustix::thread::move_into_thread_name_spaces(into, Joined::NETWORK)
            .map_err(cannot("enter the instance"))?;
        network::enter(&network)
    });
    given.join().unwrap_or_else(|_| Err(cannot("give the instance its address")("it panicked")))
}

fn join(init: &Identity, launch: &Launch) -> rustix::io::Result<()> {
    let pid = i32::try_from(init.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(rustix::io::Errno::SRCH)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    if !init.alive() {
        return Err(rustix::io::Errno::SRCH);
    }
    let mut spaces = Joined::MOUNT
        | Joined::PROCESS_ID
        | Joined::HOST_NAME_AND_NIS_DOMAIN_NAME
        | Joined::INTER_PROCESS_COMMUNICATION;
    if launch.network.is_own() {
        spaces |= Joined::NETWORK;
    }
    if !rustix::process::geteuid().is_root() {
        spaces |= Joined::USER;
    }
    rustix::thread::move_into_thread_name_spaces(rustix::fd::AsFd::as_fd(&pidfd), spaces)
}

/// Connects from the network namespace of the instance, which this thread never leaves again.
pub(super) fn connect(init: &Identity, place: SocketAddrV4) -> io::Result<TcpStream> {
    let pid = i32::try_from(init.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(rustix::io::Errno::SRCH)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    if !init.alive() {
        return Err(rustix::io::Errno::SRCH.into());
    }
    rustix::thread::move_into_thread_name_spaces(rustix::fd::AsFd::as_fd(&pidfd), Joined::NETWORK)?;
    TcpStream::connect_timeout(&place.into(), CONNECTS)
}
