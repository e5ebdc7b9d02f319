//! GitOps with nothing but a bare repository: `git push`, and two hooks.

use super::fleet::{Fleet, eventually};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A bare repository beside the fleet's own, with both hooks.
pub(super) fn bare(fleet: &Fleet) -> PathBuf {
    let bare = fleet.root_path().join("bare.git");
    fleet.git(&["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    for hook in ["pre-receive", "post-receive"] {
        let path = bare.join("hooks").join(hook);
        let binary = env!("CARGO_BIN_EXE_tiedown");
        fs::write(&path, format!("#!/bin/sh\nexec {binary} hook {hook}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fleet.git(&["remote", "add", "hosts", bare.to_str().unwrap()]);
    bare
}

fn push(fleet: &Fleet) -> Command {
    let mut command = Command::new("git");
    command
        .args(["push", "hosts", "HEAD:main"])
        .current_dir(fleet.repo())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    command
}

/// What the pusher sees, and whether the push came in.
fn pushed(fleet: &Fleet) -> (bool, String) {
    let output: Output = push(fleet).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn head(fleet: &Fleet) -> String {
    fleet.git(&["rev-parse", "hosts/main"])
}

#[test]
fn hosts_follow_a_push_and_a_bad_push_stays_out() {
    let fleet = Fleet::new(170);
    bare(&fleet);
    fleet.store("one", "{ ewr = 2, ord = 1 }");
    fleet.commit("three stores");
    let (is_in, told) = pushed(&fleet);
    assert!(is_in, "{told}");
    for words in
        ["Plan: 6 to add, 0 to change, 0 to destroy.", "store/app: done", "Applied: 6 added"]
    {
        assert!(told.contains(&format!("remote: {words}")), "{words} is not in\n{told}");
    }
    assert_eq!(fleet.slots().len(), 3);
    fleet.assert_one_to_one();
    fleet.post_everywhere("kept");

    // A mistake in a manifest: said with its place, and nothing comes in.
    let before = head(&fleet);
    fleet.store("two", "{ ewr = 2, ord = 1 }");
    let path = fleet.repo().join("store/fly.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("destination = \"/data\"", "destination = \"data\"")).unwrap();
    fleet.commit("a mistake");
    let (is_in, told) = pushed(&fleet);
    assert!(!is_in, "{told}");
    assert!(
        told.contains("store/fly.toml") && told.contains("pre-receive hook declined"),
        "{told}"
    );
    assert_eq!(head(&fleet), before);

    // A guard refuses: the volume has data and would be started empty under another name.
    fs::write(&path, text.replace("source = \"data\"", "source = \"other\"")).unwrap();
    fleet.commit("a rename without saying so");
    let (is_in, told) = pushed(&fleet);
    assert!(!is_in, "{told}");
    assert!(told.contains("the push is refused") && told.contains("source:data=other"), "{told}");
    assert_eq!(head(&fleet), before);

    // The branch itself stays.
    let output = fleet.git_output(&["push", "hosts", ":main"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("what the hosts follow"), "{told}");

    // Another branch is nobody's business.
    let output = fleet.git_output(&["push", "hosts", "HEAD:refs/heads/wip"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
}

#[test]
fn what_takes_something_away_comes_in_and_waits_for_a_person() {
    let fleet = Fleet::new(171);
    let bare = bare(&fleet);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("two stores");
    assert!(pushed(&fleet).0);
    fleet.post_everywhere("kept");
    fleet.store("two", "{ ewr = 1 }");
    fleet.commit("one store, and a new release");
    let (is_in, told) = pushed(&fleet);
    assert!(is_in && told.contains("it removes store/app/ewr/2"), "{told}");
    let env = |fleet: &Fleet| {
        let slots = fleet.slots();
        slots
            .iter()
            .map(|(_, at, _)| fleet.http(at, "GET", "/env", "").unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(fleet.slots().len(), 2, "nothing was taken away");
    assert!(env(&fleet)[0].contains("VERSION=two"), "what is safe went on");

    // Approved by digest, the next pass does it.
    let digest = told.split("tiedown approve ").nth(1).unwrap();
    let digest: String = digest.chars().take_while(char::is_ascii_hexdigit).collect();
    let of_bare = |args: &[&str]| {
        let git_dir = ["--git-dir", bare.to_str().unwrap()];
        fleet.run_at(&fleet.root_path().join("bare.git"), &[args, &git_dir].concat())
    };
    let said = of_bare(&["approve", "00000000"]);
    assert!(said.code == 1 && said.err.contains("the plan is another"), "{said}");
    let said = of_bare(&["approve", &digest]);
    assert_eq!(said.code, 0, "{said}");
    let said = of_bare(&["serve", "--once"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(fleet.slots().len(), 1);
    assert_eq!(of_bare(&["approve"]).out, "Nothing waits for a person.\n");
    let said = of_bare(&["serve", "--once"]);
    assert!(said.code == 0 && said.out.contains("No changes."), "{said}");
}

#[test]
fn a_pass_goes_on_when_nobody_listens_any_more() {
    let fleet = Fleet::new(172);
    bare(&fleet);
    fleet.store("one", "{ ewr = 3, ord = 1 }");
    fleet.commit("four stores");
    let mut push = push(&fleet);
    let mut push =
        push.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    // The pass has begun when there is a catalog.
    eventually("the pass begins", || fleet.state().join("catalog.db").exists());
    let group = format!("-{}", push.id());
    assert!(Command::new("kill").args(["-9", "--", &group]).status().unwrap().success());
    push.wait().unwrap();
    eventually("all is there", || fleet.run(&["plan", "--detailed-exitcode"]).code == 0);
    // It may still look whether more is to be done.
    let said = fleet.run(&["serve", "--once", "--lock-timeout", "60"]);
    assert!(said.code == 0 && said.out.contains("No changes."), "{said}");
    assert_eq!(fleet.slots().len(), 4);
    fleet.assert_one_to_one();
}
