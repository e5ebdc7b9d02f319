//! The process runtime: real processes in real namespaces, as whoever runs the tests and, when that
//! is root, as an ordinary user too.

pub(crate) mod bed;
mod deaths;
mod life;
mod networks;
mod volumes;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Root and an ordinary user take different ways through the runtime, so all tests of this module
/// run again as a user without any privilege.
#[test]
fn as_an_ordinary_user() {
    if !bed::root() {
        return bed::skip("these tests run as an ordinary user already");
    }
    let home = tempfile::Builder::new().prefix("tiedown-user-").tempdir().expect("a directory");
    let user = 65534;
    std::os::unix::fs::chown(home.path(), Some(user), Some(user)).expect("give it away");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("open it");
    // Where they were built need not be readable to others.
    let tests = home.path().join("tests");
    let internal = home.path().join("internal");
    fs::copy(std::env::current_exe().expect("this test"), &tests).expect("copy the tests");
    fs::copy(bed::internal(), &internal).expect("copy the binary");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"])
        .arg(&tests)
        .args(["process::", "--nocapture", "--skip", "as_an_ordinary_user"])
        .env("EXECUTOR_INTERNAL", &internal)
        .env("TMPDIR", home.path())
        .current_dir(home.path())
        .output()
        .expect("setpriv of util-linux");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for skipped in err.lines().filter(|line| line.starts_with("SKIPPED")) {
        bed::shout(&format!("as user {user}: {skipped}"));
    }
    assert!(output.status.success(), "the tests failed as an ordinary user:\n{out}\n{err}");
    assert!(!out.contains("running 0 tests"), "no tests ran as an ordinary user");
}
