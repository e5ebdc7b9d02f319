//! Bad input: each gives one clear message with its place and the way out, its exit code, and
//! nothing is touched.

use super::repo::{APP, Repo, Said};
use executor::storage::local::{LocalKind, LocalStorage};
use executor::storage::{PoolMarks, Storage};
use planner::model::id::{MachineId, PoolId};
use planner::model::size::Size;
use std::fs;

/// Plans and applies, and insists on the code, on all parts of the message, on one error, and on
/// untouched files.
fn assert_refused(repo: &Repo, args: &[&str], code: i32, parts: &[&str]) -> Said {
    let mut last = None;
    for command in [&["plan"][..], &["apply", "--auto-approve"][..]] {
        let said = repo.run_untouched(&[command, args].concat());
        assert_eq!(said.code, code, "{command:?} {said}");
        let all = format!("{}{}", said.out, said.err);
        for part in parts {
            assert!(all.contains(part), "{part:?} is not in what {command:?} said: {said}");
        }
        last = Some(said);
    }
    last.unwrap()
}

#[test]
fn a_missing_tiedown_toml() {
    let repo = Repo::empty();
    repo.write("web/fly.toml", APP);
    repo.commit();
    let parts = ["error: there is no tiedown.toml in commit", "hint: `tiedown init` writes one"];
    let said = assert_refused(&repo, &[], 1, &parts);
    assert_eq!(said.errors(), 1, "{said}");
    repo.write("tiedown.toml", &repo.settings("5GB"));
    assert_refused(&repo, &[], 1, &["hint: commit it, or read it from disk with --worktree"]);
}

#[test]
fn a_wrong_or_broken_tiedown_toml() {
    let repo = Repo::new();
    repo.write("tiedown.toml", &repo.settings("5GB").replace("region", "regoin"));
    repo.commit();
    let parts = ["tiedown.toml:5:1", "regoin = \"ewr\"", "did you mean `region`?", "mistakes"];
    assert_refused(&repo, &[], 1, &parts);
    repo.write("tiedown.toml", "fleet = \"f\"\n[[hosts]\n");
    repo.commit();
    assert_refused(&repo, &[], 1, &["this is not TOML", "tiedown.toml:2:"]);
    // One mistake is told once, though what follows from it would be mistakes too.
    let settings = repo.settings("5GB");
    let host = settings.split_once("[[hosts]]").unwrap().1;
    repo.write("tiedown.toml", &format!("{settings}[[hosts]]{host}"));
    repo.commit();
    let said = assert_refused(&repo, &[], 1, &["two hosts are called ewr-1", "has a mistake"]);
    assert!(!said.err.contains("overlap") && !said.err.contains("one pool"), "{said}");
}

#[test]
fn a_commit_without_manifests() {
    let repo = Repo::empty();
    repo.write("tiedown.toml", &repo.settings("5GB"));
    repo.commit();
    for args in [&["plan"][..], &["apply", "--auto-approve"]] {
        let said = repo.run(args);
        assert_eq!(said.code, 0, "{said}");
        assert!(said.out.contains("No changes."), "{said}");
        assert!(said.err.contains("warning: no manifest in commit"), "{said}");
    }
}

#[test]
fn a_broken_manifest() {
    let repo = Repo::new();
    repo.write("web/fly.toml", "app = \"web\"\n[[mounts]\n");
    repo.commit();
    assert_refused(&repo, &[], 1, &["web/fly.toml:2:", "[[mounts]", "the manifests have mistakes"]);
}

#[test]
fn two_manifests_that_name_one_app() {
    let repo = Repo::new();
    repo.write("old/fly.toml", APP);
    repo.commit();
    let parts = [
        "2 manifests name the app web",
        "old/fly.toml:1:7",
        "web/fly.toml:1:7",
        "`include` or `exclude` of [apps]",
    ];
    assert_refused(&repo, &[], 1, &parts);
    repo.write(
        "tiedown.toml",
        &format!("{}[apps]\nexclude = [\"old/**\"]\n", repo.settings("5GB")),
    );
    repo.commit();
    assert_eq!(repo.run(&["plan"]).code, 0);
}

#[test]
fn a_region_without_hosts() {
    let repo = Repo::new();
    repo.write("web/fly.toml", &APP.replace("ewr", "sjc"));
    repo.commit();
    assert_refused(&repo, &[], 1, &["web/fly.toml:2:", "sjc", "ewr"]);
}

#[test]
fn a_volume_too_large_for_every_pool() {
    let repo = Repo::new();
    let mount = "[[mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"9gb\"\n";
    repo.write("web/fly.toml", &format!("{APP}{mount}"));
    repo.commit();
    let said = repo.run_untouched(&["plan"]);
    assert_eq!(said.code, 8, "{said}");
    let parts = ["web/app/ewr/1", "ewr-1 needs 9GB, has 5GB", "it is asked for in web/fly.toml"];
    assert!(parts.iter().all(|part| said.out.contains(part)), "{said}");
}

#[test]
fn hostile_names() {
    let long = "x".repeat(300);
    for name in ["a'b", "../x", "$(touch pwned)", "a b", "é", "A;B", "", &long] {
        let repo = Repo::new();
        repo.write("web/fly.toml", &APP.replace("\"web\"", &format!("{name:?}")));
        repo.commit();
        assert_refused(&repo, &[], 1, &["web/fly.toml:1:"]);
        let quoted = format!("{name:?}");
        repo.write("web/fly.toml", APP);
        repo.write("tiedown.toml", &repo.settings("5GB").replace("\"f\"", &quoted));
        repo.commit();
        assert_refused(&repo, &[], 1, &["tiedown.toml:1:9", "fleet name"]);
        repo.write("tiedown.toml", &repo.settings("5GB").replace("\"ewr-1\"", &quoted));
        repo.commit();
        assert_refused(&repo, &[], 1, &["tiedown.toml:4:8", "host name"]);
    }
}

#[test]
fn an_app_that_nobody_knows() {
    let repo = Repo::new();
    assert_refused(&repo, &["--app", "wbe"], 1, &["no app \"wbe\"", "did you mean web?"]);
}

#[test]
fn a_commit_that_does_not_exist() {
    let repo = Repo::new();
    for rev in ["deadbeef", "no-branch", "$(x)"] {
        assert_refused(
            &repo,
            &["--rev", rev],
            1,
            &["there is no commit", rev, "hint: fetch it first"],
        );
    }
}

#[test]
fn an_empty_repository_and_none_at_all() {
    let repo = Repo::empty();
    assert_refused(&repo, &[], 1, &["has no commit yet", "--worktree"]);
    let nowhere = tempfile::tempdir().unwrap();
    let nowhere = nowhere.path().to_str().unwrap();
    assert_refused(&repo, &["-C", nowhere], 1, &["is not in a git repository", "-C DIR"]);
    assert_refused(&repo, &["-C", "/no/such/place"], 1, &["there is no directory /no/such/place"]);
}

#[test]
fn nobody_to_ask() {
    let repo = Repo::new();
    let said = repo.run_untouched(&["apply"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("--auto-approve"), "{said}");
    let said = repo.run_untouched(&["down", "--purge"]);
    assert_eq!(said.code, 1, "{said}");
}

#[test]
fn a_saved_plan_that_was_altered() {
    let repo = Repo::new();
    let said = repo.run(&["plan", "-o", "plan.json"]);
    assert_eq!(said.code, 0, "{said}");
    let text = fs::read_to_string(repo.dir().join("plan.json")).unwrap();
    repo.write("plan.json", &text.replace("sleep", "rm"));
    let said = repo.run_untouched(&["apply", "plan.json"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("its contents were altered after it was written"), "{said}");
}

#[test]
fn a_state_directory_that_is_gone() {
    let repo = Repo::new();
    let user = rustix::process::geteuid().as_raw();
    let memory = format!("{{\"state_dir\": {:?}, \"catalog\": \"01ABC\"}}", repo.state());
    repo.write(&format!(".git/tiedown/f.{user}.json"), &memory);
    let state = repo.state();
    let parts = ["there is no catalog", state.to_str().unwrap(), "--allow-empty"];
    assert_refused(&repo, &[], 4, &parts);
    // Nor does any other command take what is not there for nothing.
    for args in [
        &["status"][..],
        &["drift"],
        &["observe"],
        &["history"],
        &["logs", "web"],
        &["volumes", "list"],
        &["why", "ewr-1"],
        &["resume"],
        &["down"],
        &["down", "--purge", "--auto-approve"],
    ] {
        let said = repo.run_untouched(args);
        assert_eq!((said.code, said.errors()), (4, 1), "{args:?} {said}");
        assert!(said.err.contains("there is no catalog"), "{args:?} {said}");
    }
    let said = repo.run_untouched(&["plan", "--allow-empty"]);
    assert_eq!(said.code, 0, "{said}");
}

/// Makes a pool where the fleet's host would have its own.
fn make_pool(repo: &Repo, fleet: &str, host: &str) {
    let dir = repo.state().join("hosts/ewr-1");
    let (fleet, host): (planner::model::name::FleetName, planner::model::name::HostName) =
        (fleet.parse().unwrap(), host.parse().unwrap());
    let marks = PoolMarks {
        id: PoolId::parse("01234567-89ab-8cde-8f01-23456789abcd").unwrap(),
        fleet: fleet.clone(),
        host: host.clone(),
        machine: MachineId::parse("0123456789abcdef0123456789abcdef").unwrap(),
    };
    // As this machine would have made it.
    let directories = repo.run(&["doctor"]).out.contains("volumes: directories");
    let kind = if directories { LocalKind::Directory } else { LocalKind::Image };
    let storage = LocalStorage::new(fleet, host, dir, kind);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(storage.make_pool(&marks, Size::from_gb(5))).unwrap();
}

#[test]
fn a_pool_of_another_fleet_or_that_was_swapped() {
    for (fleet, host, code) in [("other", "ewr-1", 7), ("f", "ord-9", 4)] {
        let repo = Repo::new();
        let mount =
            "[[mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n";
        repo.write("web/fly.toml", &format!("{APP}{mount}"));
        repo.commit();
        make_pool(&repo, fleet, host);
        let said = repo.run_untouched(&["plan"]);
        assert_eq!(said.code, code, "{fleet} {host} {said}");
        assert!(said.out.contains("ewr-1"), "{said}");
        let told = if fleet == "f" { host } else { fleet };
        assert!(said.out.contains(told), "{told} is not in {said}");
        assert!(!said.out.contains("create"), "nothing is planned on it: {said}");
    }
}

#[test]
fn mistakes_of_usage_are_errors_with_help() {
    let repo = Repo::new();
    for args in
        [&["plam"][..], &["apply", "--parallelism", "0"], &["plan", "--rev", "x", "--worktree"]]
    {
        let said = repo.run_untouched(args);
        assert_eq!(said.code, 1, "{said}");
        assert!(said.err.contains("--help"), "{said}");
    }
}
