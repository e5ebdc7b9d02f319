//! Lab hosts themselves: what they give back, and that nothing of them is left.

use super::bed;
use crate::storage::skipped;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_lab_host_gives_back_the_status_keeps_its_limit_and_leaves_nothing() {
    if !bed::works() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let script =
        "touch /usr/left && echo written; echo said; echo $GIVEN >/tmp/it; cat /tmp/it; exit 7";
    let output = host(place.path(), "240", script);
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(124) {
        return skipped("the status of a lab host: this machine was too slow to boot one");
    }
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(said.contains("said\n") && said.contains("a value\n"), "{said}");
    assert!(!said.contains("written") && !Path::new("/usr/left").exists(), "{said}");
    nothing_is_left(place.path());
    let output = host(place.path(), "3", "sleep 600");
    assert_eq!(output.status.code(), Some(124), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the power was cut after 3 s"));
    nothing_is_left(place.path());
}

fn host(place: &Path, limit: &str, script: &str) -> Output {
    Command::new(bed::program())
        .args(["-t", limit, "-e", "GIVEN=a value", "sh", "-c", script])
        .env("TMPDIR", place)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// No file, and soon no process: the kernel of a host that was cut ends its processes by itself.
fn nothing_is_left(place: &Path) {
    assert_eq!(std::fs::read_dir(place).unwrap().count(), 0, "files are left");
    let name = place.to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while processes(name) > 0 {
        assert!(Instant::now() < deadline, "processes of a lab host are left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn processes(place: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(place)).count()
}
