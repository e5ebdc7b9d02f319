//! Secrets: instances get them, a change of one is a release, and no value stands anywhere but in
//! what runs.

use super::fleet::{Fleet, Said, eventually, kill_9, store_manifest};
use super::stories::ORDINARY_USER;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const FIRST: &str = "tern-harbour-oak-4711";
const SECOND: &str = "plover-quarry-elm-0815";

fn set(fleet: &Fleet, names: &[&str], input: &str) -> Said {
    let mut args = vec!["secrets", "set", "store"];
    args.extend(names);
    let mut command = fleet.command(&args);
    fed(&mut command, input)
}

/// Runs a command with this on its standard input.
fn fed(command: &mut Command, input: &str) -> Said {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Said::of(&child.wait_with_output().unwrap())
}

/// A program that says on its volume whether the file has what the environment has.
fn write_store(fleet: &Fleet) {
    fleet.store("one", "{ ewr = 1 }");
    let program = "perl run.pl";
    let compares = "sh -c 'test \\\"$(cat /etc/store/token)\\\" = \\\"$API_TOKEN\\\" && echo same > \
                    /data/lines; exec perl run.pl'";
    let manifest = store_manifest("store", "one", "{ ewr = 1 }").replace(program, compares);
    let file = "[[files]]\nguest_path = \"/etc/store/token\"\nsecret_name = \"API_TOKEN\"\n";
    fleet.write("store/fly.toml", &(manifest + file));
}

#[test]
fn instances_get_secrets_and_nothing_else_does() {
    secrets(&Fleet::new(151));
}

#[test]
fn the_same_as_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        crate::skipped(
            "secrets as another user: only root can become one; this is an ordinary one",
        );
        return;
    }
    secrets(&Fleet::of_user(152, Some(ORDINARY_USER)));
}

fn secrets(fleet: &Fleet) {
    write_store(fleet);
    fleet.commit("first");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "{said}");
    let why = "/etc/store/token is the secret API_TOKEN, which is not set";
    assert!(said.out.contains(why), "{said}");
    assert!(said.out.contains("tiedown secrets set store API_TOKEN"), "{said}");

    let said = set(fleet, &["API_TOKEN"], &format!("{FIRST}\n"));
    assert_eq!((said.code, said.out.as_str()), (0, "API_TOKEN of store is set.\n"), "{said}");
    let mut said_so_far = fleet.apply().to_string();
    has(fleet, FIRST);
    fleet.assert_fixpoint();

    let said = set(fleet, &["API_TOKEN", "OTHER"], &format!("OTHER=x=y\nAPI_TOKEN={SECOND}\n"));
    assert_eq!(said.code, 0, "{said}");
    let plan = fleet.state().join("../plan.json");
    let said = fleet.run(&["plan", "-o", plan.to_str().unwrap()]);
    assert!(said.out.contains("secrets.API_TOKEN: version 1 → version 2"), "{said}");
    said_so_far += &said.to_string();
    said_so_far += &fleet.apply().to_string();
    has(fleet, SECOND);
    // As a supervisor that is gone takes its instance with it, it is started anew.
    for pid in fleet.processes() {
        kill_9(pid);
    }
    fleet.apply();
    has(fleet, SECOND);

    for args in [
        &["status", "--format", "json"][..],
        &["history", "--format", "json"],
        &["logs", "store"],
        &["observe"],
        &["plan", "--format", "json"],
        &["secrets", "list", "--format", "json"],
        &["why", "store/app/ewr/1"],
    ] {
        said_so_far += &fleet.run(args).to_string();
    }
    assert!(said_so_far.contains("API_TOKEN"));
    for value in [FIRST, SECOND] {
        assert!(!said_so_far.contains(value), "{value} was said: {said_so_far}");
        assert_nowhere(fleet.root_path(), value);
        assert_in_no_argument(value);
    }
    let said = fleet.run(&["secrets", "unset", "store", "OTHER"]);
    assert_eq!(said.code, 0, "{said}");
    fleet.apply();
    let address = fleet.slots()[0].1.clone();
    assert!(!fleet.http(&address, "GET", "/env", "").unwrap().contains("OTHER="));
}

fn has(fleet: &Fleet, value: &str) {
    let address = fleet.slots()[0].1.clone();
    let env = fleet.http(&address, "GET", "/env", "").unwrap();
    assert!(env.contains(&format!("API_TOKEN={value}\n")), "{env}");
    eventually("the file", || fleet.lines(&address) == "same\n");
}

/// No file below has the value in it, volumes and the repository among them.
fn assert_nowhere(directory: &Path, value: &str) {
    let mut grep = Command::new("grep");
    // By standard input, so that it is in nobody's arguments here either.
    grep.args(["-rlaF", "-f", "-"]).arg(directory);
    let found = fed(&mut grep, value);
    assert_eq!(found.code, 1, "{value} is in {found}");
}

fn assert_in_no_argument(value: &str) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        assert!(!arguments.contains(value), "{value} is an argument: {arguments}");
    }
}

#[test]
fn a_value_among_the_arguments_is_refused_and_not_repeated() {
    let fleet = Fleet::new(153);
    write_store(&fleet);
    fleet.commit("first");
    let said = set(&fleet, &["API_TOKEN=hunter2"], "");
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("the value of API_TOKEN stands among the arguments"), "{said}");
    assert!(!said.to_string().contains("hunter2"), "{said}");
    for (names, input, why) in [
        (&["API_TOKEN"][..], "\n", "the value of API_TOKEN is empty"),
        (&["API_TOKEN"], "a\0b", "the value of API_TOKEN is no text that an environment can hold"),
        (&["API_TOKEN", "B"], "API_TOKEN=a\n", "standard input has no value of B"),
        (&["FLY_APP_NAME"], "x", "FLY_APP_NAME is a variable that tiedown sets itself"),
        (&["2"], "x", "\"2\" is not a valid secret name"),
    ] {
        let said = set(&fleet, names, input);
        assert_eq!(said.code, 1, "{said}");
        assert!(said.err.contains(why), "{said}");
    }
    let said = fleet.run(&["secrets", "list"]);
    assert_eq!((said.code, said.out.as_str()), (0, "No secrets are set.\n"), "{said}");
    let said = set(&fleet, &["API_TOKEN=-"], "  with spaces \r\n");
    assert_eq!(said.code, 0, "{said}");
    let said = fleet.run(&["secrets", "list", "store"]);
    assert!(said.out.contains("store  API_TOKEN  1"), "{said}");
    let said = fleet.run(&["secrets", "list", "stor"]);
    assert_eq!(said.out, "No secrets are set.\n");
}
