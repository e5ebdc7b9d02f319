//! The first process of an instance's pid namespace: builds its root, starts its program, reaps,
//! passes on signals, ends as the program ended. When it ends the kernel ends all others.

use std::io::{self, BufRead};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitCode};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, UnshareFlags};

use super::launch::Launch;
use super::note::{GO, Note, tell};
use super::record::Place;
use super::refusal::{cannot, cannot_at};
use super::{Refusal, jail, kernel, network, runner};
use crate::command;

/// `internal init DIRECTORY`.
pub(super) fn main(directory: &Path) -> ExitCode {
    match run(directory) {
        Ok(code) => {
            tell(&Note::Ended(code));
            ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
        }
        Err(refusal) => {
            tell(&Note::Refused(refusal));
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<i32, Refusal> {
    runner::die_with_parent().map_err(cannot("tie the init to its runner"))?;
    rustix::process::setsid().map_err(cannot("start a session"))?;
    let place = Place::at(directory);
    let launch = place.read_launch().map_err(cannot("read the launch"))?.opened()?;
    let mut namespaces = UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    if launch.network.is_own() {
        namespaces |= UnshareFlags::NEWNET;
    }
    kernel::unshare(namespaces).map_err(cannot("make namespaces"))?;
    tell(&Note::Ready);
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).map_err(cannot("hear the supervisor"))?;
    if read == 0 || line != GO {
        return Err(cannot("go on")("the supervisor is gone"));
    }
    let host_name = launch.instance.as_bytes();
    rustix::system::sethostname(&host_name[..host_name.len().min(64)])
        .map_err(cannot("set the host name"))?;
    network::enter(&launch.network)?;
    jail::build(&launch, &place.root())?;
    lay_down_privileges().map_err(cannot("lay down privileges"))?;
    start(&launch)
}

fn start(launch: &Launch) -> Result<i32, Refusal> {
    // Else the program would seem to be what is not found.
    rustix::process::chdir(&launch.directory)
        .map_err(cannot_at("enter the working directory", &launch.directory))?;
    let program =
        command::instance(&launch.argv, &launch.env, &launch.directory).map_err(|error| {
            Refusal::Program {
                program: launch.argv.first().cloned().unwrap_or_default(),
                cause: error.to_string(),
            }
        })?;
    let pid = Pid::from_child(&program);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(cannot("watch the program"))?;
    // Only now: threads would have kept this process from changing its namespaces.
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || pass_on_signals(&pidfd))
        .map_err(cannot("start a thread"))?;
    tell(&Note::Running);
    reap(&program)
}

/// Waits for every child until the program itself has ended.
fn reap(program: &Child) -> Result<i32, Refusal> {
    let program = Pid::from_child(program);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => {
                let status = std::process::ExitStatus::from_raw(status.as_raw());
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                return Ok(code.unwrap_or(1));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(cannot("wait for the program")(error)),
        }
    }
}

/// Sends the program each signal the supervisor names, one number a line; SIGKILL when the
/// supervisor is gone.
fn pass_on_signals(program: &OwnedFd) {
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        if let Some(signal) = line.trim().parse().ok().and_then(Signal::from_named_raw) {
            let _ = rustix::process::pidfd_send_signal(program.as_fd(), signal);
        }
    }
    let _ = rustix::process::pidfd_send_signal(program.as_fd(), Signal::KILL);
}

/// What a program may gain that runs as root in a jail: enough to own its files, change to
/// another user and listen on low ports; nothing that reaches mounts, devices or the kernel.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SETFCAP);

/// Limits what this process's children can get by exec; its own privileges stay, so that the
/// program may not trace it.
pub(super) fn lay_down_privileges() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        if KEPT.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // INVAL: the kernel does not know this one yet.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    rustix::thread::set_no_new_privs(true)
}
