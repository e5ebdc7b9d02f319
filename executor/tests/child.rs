//! A second process: this test binary again, running one of its tests in a part of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const STATE: &str = "EXECUTOR_TEST_STATE";

/// Longer than anything here takes on a slow machine; a child that says nothing has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// A child and what it prints.
pub(crate) struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
}

impl Child {
    /// The directory to work in, if this process is the child.
    pub(crate) fn state() -> Option<PathBuf> {
        std::env::var_os(STATE).map(PathBuf::from)
    }

    /// Runs the test of that full name as a child, in `state`.
    pub(crate) fn start(test: &str, state: &Path) -> Self {
        let mut process = Self::command(test, state, "env").stdout(Stdio::piped()).spawn().unwrap();
        let lines = reading(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// The command for that, by way of a program that becomes the one that it is given.
    pub(crate) fn command(test: &str, state: &Path, by: &str) -> Command {
        let mut command = Command::new(by);
        command
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(STATE, state)
            .stdin(Stdio::null());
        command
    }

    /// Waits until the child has printed so many lines that contain the word; gives the last.
    pub(crate) fn wait_for(&mut self, word: &str, count: usize) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).expect("the child said nothing more");
            if line.contains(word) {
                seen += 1;
            }
            if seen == count {
                return line;
            }
        }
    }

    /// What it printed and nobody has waited for, until its end.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        self.lines.iter().collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn reading(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
