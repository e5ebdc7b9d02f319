//! The stage between supervisor and init: gives up the host's namespaces and starts the init as the
//! first process of a new pid namespace. Builds nothing; it exists because a process cannot enter
//! a pid namespace itself.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Timespec;
use rustix::process::Signal;
use rustix::thread::UnshareFlags;

use super::note::{Note, tell};
use super::refusal::cannot;
use super::{Refusal, kernel};
use crate::command;

/// `internal run DIRECTORY`.
pub(super) fn main(directory: &Path) -> ExitCode {
    match run(directory) {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            tell(&Note::Refused(refusal));
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<u8, Refusal> {
    die_with_parent().map_err(cannot("tie the runner to its supervisor"))?;
    enter_namespaces().map_err(cannot("make namespaces"))?;
    // Changing credentials clears the request (PR_SET_PDEATHSIG(2const)).
    die_with_parent().map_err(cannot("tie the runner to its supervisor"))?;
    let mut init = command::stage_inheriting("init", directory)
        .map_err(cannot("start the first process of a pid namespace"))?;
    tell(&Note::Init(init.id()));
    let status = init.wait().map_err(cannot("wait for the init"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(137))
}

/// SIGKILL to this process when its parent ends, however it ends. A parent that ended before this
/// call is noticed by its end of our standard input being closed.
pub(super) fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let stdin = rustix::stdio::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::empty())];
    rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    if polled[0].revents().contains(PollFlags::HUP) {
        return Err(io::Error::other("the supervisor is gone"));
    }
    Ok(())
}

/// The namespaces that the children get: pid, and as an ordinary user a user namespace in which
/// the user is root.
pub(super) fn enter_namespaces() -> io::Result<()> {
    let uid = rustix::process::geteuid();
    let gid = rustix::process::getegid();
    if !uid.is_root() {
        kernel::unshare(UnshareFlags::NEWUSER)?;
        // Without this an ordinary user may not map its group (user_namespaces(7)).
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {} 1", uid.as_raw()))?;
        fs::write("/proc/self/gid_map", format!("0 {} 1", gid.as_raw()))?;
    }
    kernel::unshare(UnshareFlags::NEWPID)
}
