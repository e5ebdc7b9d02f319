//! Joins a living instance to run one more program in it: same namespaces, same limits of
//! privilege, ended with it.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags};
use rustix::thread::ThreadNameSpaceType as Joined;

use super::launch::Launch;
use super::record::{Identity, Place};
use super::refusal::cannot;
use super::{Refusal, init};
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
    join(&init, &launch).map_err(cannot("enter the instance"))?;
    init::lay_down_privileges().map_err(cannot("lay down privileges"))?;
    // Only a child is in the pid namespace, and so ends when the instance does.
    let mut child = command::visitor(argv, &launch.env, &launch.directory).map_err(|error| {
        Refusal::Program {
            program: argv.first().map(|word| word.display().to_string()).unwrap_or_default(),
            cause: error.to_string(),
        }
    })?;
    let status = child.wait().map_err(cannot("wait for the program"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(137))
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
