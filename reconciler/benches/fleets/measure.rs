//! What one command costs, by the kernel's own account of it: it runs under a process of its own,
//! so that nobody else's children are counted.

use nix::sys::resource::{UsageWho, getrusage};
use std::process::{Command, Stdio};

/// The argument that makes this program run one command and tell what it cost.
pub(crate) const ALONE: &str = "--alone";

/// What a command cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time of all its threads.
    pub(crate) cpu_seconds: f64,
    /// The most memory that it had at once.
    pub(crate) peak_mib: f64,
}

/// Runs a command, insists on what it says in its results, and says what it cost.
pub(crate) fn measured(command: Command, says: &str) -> Cost {
    let mut outer = Command::new(std::env::current_exe().unwrap());
    outer.arg(ALONE).arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    let output = outer.output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {err}");
    assert!(out.contains(says), "{command:?} does not say {says:?}: {out:.2000}\n{err:.2000}");
    let told = err.lines().last().unwrap();
    let mut numbers = told.split(' ').map(|number| number.parse().unwrap());
    Cost { cpu_seconds: numbers.next().unwrap(), peak_mib: numbers.next().unwrap() }
}

/// Runs the command and writes what it cost as the last line of standard error.
#[allow(clippy::print_stderr, reason = "the result is for the process above")]
pub(crate) fn alone(args: &[String]) -> i32 {
    let status = Command::new(&args[0]).args(&args[1..]).stdin(Stdio::null()).status().unwrap();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds = |time: nix::sys::time::TimeVal| {
        std::time::Duration::from_micros(
            u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap(),
        )
        .as_secs_f64()
    };
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    // Linux counts it in KiB.
    let peak = std::time::Duration::from_micros(u64::try_from(usage.max_rss()).unwrap());
    eprintln!("\n{cpu} {}", peak.as_secs_f64() * 1_000_000.0 / 1024.0);
    status.code().unwrap_or(1)
}
