//! Where and how things are read and written: commits, work trees, bare repositories, formats,
//! closed pipes.

use super::repo::{APP, Repo};
use serde_json::Value;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn a_plan_is_of_the_commit_and_says_what_is_not_committed() {
    let repo = Repo::new();
    repo.write("late/fly.toml", &APP.replace("web", "late"));
    let said = repo.run_untouched(&["plan"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("Plan: 1 to add, 0 to change, 0 to destroy."), "{said}");
    assert!(said.err.contains("not committed, so not read: late/fly.toml"), "{said}");
    let said = repo.run_untouched(&["plan", "--worktree", "--detailed-exitcode"]);
    assert_eq!(said.code, 2, "{said}");
    assert!(said.out.contains("Plan: 2 to add"), "{said}");
    let said = repo.run_untouched(&["plan", "--worktree", "--app", "late"]);
    assert!(said.out.contains("Plan: 1 to add"), "{said}");
}

#[test]
fn a_bare_repository_is_enough() {
    let repo = Repo::new();
    repo.git(&["clone", "-q", "--bare", ".", "bare.git"]);
    let said = repo.run_untouched(&["plan", "--git-dir", "bare.git", "--format", "json"]);
    assert_eq!(said.code, 0, "{said}");
    let plan: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(plan["tiedown"]["summary"]["add"], 1, "{plan:#}");
    assert_eq!(plan["format_version"], "1.2");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let repo = Repo::new();
    let first = repo.run_untouched(&["plan", "--format", "json"]);
    let second = repo.run_untouched(&["plan", "--format", "json"]);
    assert_eq!(first.out, second.out);
}

#[test]
fn commands_that_look_make_nothing_and_say_so() {
    let repo = Repo::new();
    let said = repo.run_untouched(&["status", "--format", "json"]);
    assert_eq!(said.code, 0, "{said}");
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(status["hosts"][0]["name"], "ewr-1");
    assert_eq!(status["hosts"][0]["readable"], true);
    assert_eq!(status["slots"], Value::Array(Vec::new()));
    let said = repo.run_untouched(&["history"]);
    assert_eq!((said.code, said.out.as_str()), (0, "Nothing was applied yet.\n"), "{said}");
    let said = repo.run_untouched(&["drift"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""), "{said}");
    let said = repo.run_untouched(&["observe"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("\"ewr-1\""), "{said}");
    let said = repo.run_untouched(&["config", "show", "web/fly.toml"]);
    let config: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(config["app"], "web");
    let said = repo.run_untouched(&["down"]);
    assert_eq!((said.code, said.out.as_str()), (0, "0 stopped.\n"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let repo = Repo::new();
    let mut command = repo.command(&["completions", "bash"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut one = [0; 1];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut one).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn colours_are_for_terminals() {
    let repo = Repo::new();
    let said = repo.run(&["plan"]);
    assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{said}");
}

#[test]
fn init_writes_what_the_other_commands_read_and_never_overwrites() {
    let repo = Repo::empty();
    repo.write("web/fly.toml", APP);
    let said = repo.run(&["init"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("region = \"ewr\""), "{said}");
    let said = repo.run(&["validate", "--worktree"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "1 manifest: 0 errors, 0 warnings.\n"),
        "{said}"
    );
    let said = repo.run_untouched(&["init"]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.err.contains("is there already and is left as it is"), "{said}");
}

#[test]
fn validate_tells_all_problems_of_all_manifests() {
    let repo = Repo::new();
    repo.write("a/fly.toml", "app = \"a\"\nprimary_region = \"ewr\"\n[[mounts]]\nsorce = \"d\"\n");
    repo.write("b/fly.toml", "app = \"b\"\nprimary_region = \n");
    let said = repo.run_untouched(&["validate", "--worktree"]);
    assert_eq!(said.code, 1, "{said}");
    for place in ["a/fly.toml:4:1", "b/fly.toml:2:17"] {
        assert!(said.out.contains(place), "{place} is not in {said}");
    }
    let said = repo.run_untouched(&["validate", "--worktree", "--format", "json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &told["valid"]), (1, &Value::Bool(false)), "{said}");
    let files: Vec<&str> =
        told["problems"].as_array().unwrap().iter().map(|p| p["file"].as_str().unwrap()).collect();
    assert!(files.contains(&"a/fly.toml") && files.contains(&"b/fly.toml"), "{files:?}");
    let said = repo.run_untouched(&["validate", "a/fly.toml"]);
    assert_eq!(said.code, 1, "{said}");
}

#[test]
fn a_plan_from_observations_is_the_plan_from_looking() {
    let repo = Repo::new();
    assert_eq!(repo.run(&["observe", "-o", "../observed.json"]).code, 0);
    let looked = repo.run_untouched(&["plan", "--format", "json"]);
    let observed =
        repo.run_untouched(&["plan", "--format", "json", "--observed", "../observed.json"]);
    assert_eq!((observed.code, observed.out), (0, looked.out));
}

#[test]
fn doctor_says_what_is_missing_also_where_there_is_no_fleet() {
    let repo = Repo::new();
    let said = repo.run_untouched(&["doctor"]);
    assert!(said.out.contains("host ewr-1: readable"), "{said}");
    let said = repo.run_untouched(&["doctor", "-C", "/"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.out.contains("missing fleet: / is not in a git repository"), "{said}");
}

#[test]
fn doctor_looks_for_what_seals_keys_and_for_programs_of_lvm() {
    let repo = Repo::new();
    let file = repo.state().with_file_name("seal.key");
    let settings = format!(
        "fleet = \"prod\"\nstate_dir = {:?}\n[[hosts]]\nname = \"ewr-1\"\nregion = \"ewr\"\n\
         memory = \"1GB\"\ncpus = 1\nkeys = {{ file = {file:?} }}\n\
         storage = {{ driver = \"lvm\", vg = \"no_such_group\", pool = \"thin\", \
         capacity = \"1GB\" }}\n",
        repo.state()
    );
    repo.write("tiedown.toml", &settings);
    let said = repo.run(&["doctor", "--worktree"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.out.contains("missing keys of ewr-1: what seals the keys"), "{said}");
    for program in ["thin_check", "wipefs", "cryptsetup", "e2image"] {
        assert!(said.out.contains(&format!("{program}: ")), "{said}");
    }
    std::fs::write(&file, [7; 32]).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let said = repo.run(&["doctor", "--worktree"]);
    assert!(said.out.contains("others may read it"), "{said}");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let said = repo.run(&["doctor", "--worktree"]);
    assert!(said.out.contains("ok      keys of ewr-1: 0 keys"), "{said}");
}

#[test]
fn a_simulated_plan_leaves_nothing_to_plan() {
    let repo = Repo::new();
    assert_eq!(repo.run(&["observe", "-o", "../now.json"]).code, 0);
    assert_eq!(repo.run(&["plan", "-o", "../plan.json"]).code, 0);
    let simulate = ["simulate", "../plan.json", "--observed"];
    let said = repo.run(&[&simulate[..], &["../now.json", "-o", "../then.json"]].concat());
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said}");
    let said = repo.run_untouched(&["plan", "--observed", "../then.json"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("No changes."), "{said}");
    let said = repo.run_untouched(&[&simulate[..], &["../plan.json"]].concat());
    assert_eq!(said.code, 1, "a plan is no observation: {said}");
    let said = repo.run_untouched(&[&simulate[..], &["../gone.json"]].concat());
    assert_eq!(said.code, 1, "{said}");
}

#[test]
fn why_answers_also_before_anything_runs() {
    let repo = Repo::new();
    let said = repo.run_untouched(&["why", "web/app/ewr/1"]);
    assert_eq!(said.code, 0, "{said}");
    for words in ["Wanted by", "it goes on ewr-1", "create slot web/app/ewr/1 on ewr-1"] {
        assert!(said.out.contains(words), "{words} is not in {said}");
    }
    let said = repo.run_untouched(&["why", "ewr-1", "--format", "json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &told["why"]["wanted"]["file"]), (0, &Value::from("tiedown.toml")));
    for (unknown, code) in [("web/app/ewr/7", 1), ("ams-1", 1), ("vol_0123456789abcdef", 1)] {
        let said = repo.run_untouched(&["why", unknown]);
        assert_eq!(said.code, code, "{said}");
        assert!(said.err.contains("nothing is known of"), "{said}");
    }
    let said = repo.run_untouched(&["why", "a/b"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("name a slot"), "{said}");
}
