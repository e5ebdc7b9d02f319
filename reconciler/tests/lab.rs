//! `tiedown` on real encrypted LVM volumes, inside a Linux host that runs as one process
//! (`fixtures/lab/run`): what a person does with the fleet of `fixtures/lab/fleet`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How often tiedown is killed at a random moment in an ordinary run; `KILLS` says otherwise.
const KILLS: &str = "1";

/// At how many boundaries of steps it is killed in an ordinary run; `STEPS` says otherwise.
const STEPS: &str = "2";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/lab")
}

/// What boots lab hosts, and what the story runs in them.
const NEEDED: [&str; 8] =
    ["linux.uml", "lvm", "thin_check", "cryptsetup", "modprobe", "cc", "git", "perl"];

/// Whether these programs are here; if not, says so where it is seen.
fn works(what: &str, needed: &[&str]) -> bool {
    let missing: Vec<_> =
        needed.iter().filter(|name| executor::command::find(name).is_none()).collect();
    if !missing.is_empty() {
        crate::skipped(&format!("{what}: {missing:?} not installed; run fixtures/prepare.sh"));
    }
    missing.is_empty()
}

/// Tells one part of the story in a lab host on `place`. The power is cut when it says "== cut";
/// otherwise it must come to its end.
fn tell(place: &Path, part: &[&str]) {
    tell_of("story", place, part);
}

/// The same of another script.
fn tell_of(script: &str, place: &Path, part: &[&str]) {
    let mut process = Command::new(fixtures().join("run"))
        .args(["-d", &place.display().to_string(), "-t", "900"])
        .arg(fixtures().join(script))
        .arg(env!("CARGO_BIN_EXE_tiedown"))
        .args(part)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(process.stdout.take().unwrap()).split(b'\n') {
        said.push(String::from_utf8_lossy(&line.unwrap()).into_owned());
        if said.last().is_some_and(|line| line == "== cut") {
            process.kill().unwrap();
        }
    }
    // The output has ended: nothing of the host is left.
    process.wait().unwrap();
    let end = if matches!(part[0], "first" | "containers") { "== cut" } else { "== told" };
    assert!(said.iter().any(|line| line == end), "{part:?}:\n{}", said.join("\n"));
}

#[test]
fn a_fleet_on_lvm_keeps_its_notes_whatever_is_killed_or_cut() {
    if works("fleets on LVM", &NEEDED) {
        let place = tempfile::tempdir().unwrap();
        let often = |name, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
        tell(place.path(), &["first"]);
        tell(place.path(), &["kill", &often("KILLS", KILLS)]);
        tell(place.path(), &["steps", &often("STEPS", STEPS)]);
        tell(place.path(), &["again"]);
    }
}

/// A container of a real Docker Engine on an encrypted thin volume: what it wrote and fsynced is
/// there in the container of the next release, and after a power cut in that of a new boot.
#[test]
fn a_container_on_lvm_keeps_its_notes_through_a_release_and_a_power_cut() {
    let needed = [&NEEDED[..], &["dockerd", "docker", "ldd", "tar"]].concat();
    if works("containers on LVM", &needed) {
        let place = tempfile::tempdir().unwrap();
        tell(place.path(), &["containers"]);
        tell(place.path(), &["again"]);
    }
}

/// The units as systemd itself runs them: what they start stays when they end, ends at a step, is
/// started again when it was killed, and is brought back after a power cut. `UNITS_ON=lvm` has it on
/// LVM pools, which takes long.
#[test]
fn systemd_runs_the_units_and_ends_nothing_that_they_started() {
    let needed = [&NEEDED[..], &["systemctl", "unshare", "nsenter"]].concat();
    if works("units run by systemd", &needed) {
        let place = tempfile::tempdir().unwrap();
        let on = std::env::var("UNITS_ON").unwrap_or_default();
        let first = ["first", on.as_str()];
        tell_of("units", place.path(), if on.is_empty() { &first[..1] } else { &first });
        tell_of("units", place.path(), &["again"]);
    }
}
