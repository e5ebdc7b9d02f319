//! A program that must not be killed is not, also where somebody kills all of its caller's process
//! group and session: systemd, a runner of CI, ssh.

use crate::child::Child;
use executor::command::{Command, Overrun};
use rustix::process::Signal;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const TEST: &str = "left::what_is_left_running_outlives_group_and_session_of_its_caller";

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_left_running_outlives_group_and_session_of_its_caller() {
    if let Some(state) = Child::state() {
        return call(&state).await;
    }
    let place = tempfile::tempdir().unwrap();
    let [began, go, ended] = ["began", "go", "ended"].map(|name| place.path().join(name));
    let mut caller =
        Child::command(TEST, place.path(), "setsid").stdout(Stdio::null()).spawn().unwrap();
    wait_for(&began);
    let killed = signal_session(caller.id(), Signal::KILL);
    assert!(killed >= 1, "nobody was killed");
    caller.wait().unwrap();
    // Its caller is gone, and it goes on to its end.
    std::fs::write(go, "").unwrap();
    wait_for(&ended);
}

/// The caller: starts what may not be killed, and waits for it.
async fn call(place: &Path) {
    let script = "touch began; while [ ! -e go ]; do read -t 0.05 <> <(:); done; touch ended";
    let script = format!("cd {}; {script}", place.display());
    let command = Command::named("bash").unwrap().args(["-c", &script]);
    command.deadline(DEADLINE, Overrun::Leave).output().await.unwrap();
}

/// Waits until a file is there.
pub(crate) fn wait_for(path: &Path) {
    let deadline = Instant::now() + DEADLINE;
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} is not there", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to every process of the session; how many there were.
pub(crate) fn signal_session(session: u32, signal: Signal) -> usize {
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // Field 6 of stat(5), behind a name that may hold anything.
        let field = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3));
        let pid = entry.file_name().to_string_lossy().parse().ok();
        if field == Some(&*session.to_string())
            && let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
        {
            // One may be gone by a signal before.
            killed += usize::from(rustix::process::kill_process(pid, signal).is_ok());
        }
    }
    killed
}
