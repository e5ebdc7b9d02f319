//! A lab host around a test, and a volume group in it.

use crate::storage::{POOL_SIZE, fleet, marks, skipped};
use executor::command::{self, Command};
use executor::keys::Keys;
use executor::keys::seal::SealedBy;
use executor::keys::sealed::SealedKeys;
use executor::names::HostDir;
use executor::storage::Storage;
use executor::storage::lvm::LvmStorage;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Set in a lab host to the name of the test that it is for.
const INSIDE: &str = "EXECUTOR_TEST_LAB";

/// Seconds until the power of a lab host is cut: far more than a test takes on a machine that has
/// nothing else to do.
const LIMIT: &str = "1800";

/// The volume group of every lab host.
pub(crate) const GROUP: &str = "vg0";

/// The program that boots a lab host.
pub(crate) fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/lab/run")
}

/// Whether lab hosts can be booted here; if not, says so where it is seen.
pub(crate) fn works() -> bool {
    let needed = ["linux.uml", "lvm", "thin_check", "cryptsetup", "modprobe", "cc"];
    let missing: Vec<_> = needed.into_iter().filter(|name| command::find(name).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    skipped(&format!("volumes on LVM: {missing:?} not installed; run fixtures/prepare.sh"));
    false
}

/// Whether this is the lab host that runs the test of that full name. If not, boots one for it,
/// and fails as it does.
pub(crate) fn inside(test: &str) -> bool {
    inside_with(test, &[])
}

/// The same with more variables in the test's environment there, and what it said shown.
pub(crate) fn inside_with(test: &str, set: &[(&str, String)]) -> bool {
    if std::env::var(INSIDE).is_ok_and(|name| name == test) {
        return true;
    }
    if works() {
        let output = std::process::Command::new(program())
            .args(["-t", LIMIT, "-e", &format!("{INSIDE}={test}"), "-e", "RUST_BACKTRACE=0"])
            .args(set.iter().flat_map(|(name, value)| ["-e".to_owned(), format!("{name}={value}")]))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "in the lab ({}):\n{out}\n{err}", output.status);
        assert!(out.contains("1 passed"), "the lab did not run {test}:\n{out}\n{err}");
        if !set.is_empty() {
            println!("{out}");
        }
    }
    false
}

/// Runs a program with these words; what it wrote.
pub(crate) async fn run(line: &str) -> String {
    let mut words = line.split_ascii_whitespace();
    let command = Command::named(words.next().unwrap()).unwrap().args(words);
    let output = command.output().await.unwrap_or_else(|error| panic!("{line}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the host keeps its state: on a disk that survives.
pub(crate) fn dir() -> HostDir {
    HostDir::at("/mnt/ewr-1")
}

/// The storage of the lab host, as a new process opens it.
pub(crate) fn open() -> LvmStorage {
    open_with(Box::new(SealedKeys::new(fleet(), dir(), SealedBy::Own)))
}

/// The same with other keys.
pub(crate) fn open_with(keys: Box<dyn Keys>) -> LvmStorage {
    LvmStorage::new(fleet(), "ewr-1".parse().unwrap(), dir(), GROUP, "thin", keys)
}

/// A volume group on the lab host's disk.
pub(crate) async fn make_group() {
    run("pvcreate -q -y --metadatasize 16m /dev/ubdb").await;
    run(&format!("vgcreate -q --setautoactivation n {GROUP} /dev/ubdb")).await;
}

/// A group with a pool of ours in it.
pub(crate) async fn with_pool() -> LvmStorage {
    make_group().await;
    let storage = open();
    storage.make_pool(&marks(1), POOL_SIZE).await.unwrap();
    storage
}
