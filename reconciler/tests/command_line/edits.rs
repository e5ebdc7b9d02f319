//! `tiedown edit` on real work trees: what it writes, shows, commits and refuses.

use super::repo::Repo;
use serde_json::Value;
use std::fs;

const APP: &str = "# ours\r\napp = \"web\"\r\n[[mounts]] # disk\r\nsource = 'data'\r\n\
    destination = '/data'\r\ninitial_size = '10gb' # grows\r\n[tiedown.scale]\r\n\
    app = { ewr = 2 } # two";

fn with_app() -> Repo {
    let repo = Repo::new();
    repo.write("web/fly.toml", APP);
    repo.commit();
    repo.git(&["config", "user.name", "t"]);
    repo.git(&["config", "user.email", "t@example.com"]);
    repo
}

fn on_disk(repo: &Repo) -> String {
    fs::read_to_string(repo.dir().join("web/fly.toml")).unwrap()
}

#[test]
fn scale_changes_one_number_and_shows_it() {
    let repo = with_app();
    let said = repo.run(&["edit", "scale", "web", "app", "ewr=3"]);
    assert_eq!(said.code, 0, "{said}");
    for line in [
        "--- web/fly.toml",
        "+++ web/fly.toml",
        "-app = { ewr = 2 } # two",
        "+app = { ewr = 3 } # two",
    ] {
        assert!(said.out.lines().any(|told| told == line), "{line:?} is not in {said}");
    }
    assert_eq!(on_disk(&repo), APP.replace("ewr = 2", "ewr = 3"));
    assert_eq!(repo.git(&["rev-list", "--count", "HEAD"]).trim(), "2");
    let said = repo.run(&["edit", "scale", "web", "app", "ewr=2"]);
    assert_eq!((said.code, on_disk(&repo).as_str()), (0, APP), "{said}");
    let said = repo.run_untouched(&["edit", "scale", "web", "app", "ewr=2"]);
    assert_eq!((said.code, said.out.as_str()), (0, "web/fly.toml says so already.\n"), "{said}");
    let said = repo.run(&["edit", "scale", "web", "app", "ord=1", "--format", "json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&told["changed"], &told["commit"]), (&Value::Bool(true), &Value::Null), "{said}");
    let said = repo.run(&["edit", "scale", "web", "app", "ord=none"]);
    assert_eq!((said.code, on_disk(&repo).as_str()), (0, APP), "{said}");
}

#[test]
fn a_commit_holds_the_change_and_nothing_else() {
    let repo = with_app();
    repo.write("staged.txt", "staged\n");
    repo.git(&["add", "staged.txt"]);
    repo.write("loose.txt", "loose\n");
    let said = repo.run(&["edit", "size", "web", "data", "20GB", "--commit"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(on_disk(&repo), APP.replace("'10gb'", "'20GB'"));
    let names = repo.git(&["show", "--format=%s", "--name-status", "HEAD"]);
    assert_eq!(names, "Grow data of web to 20GB\n\nM\tweb/fly.toml\n");
    assert_eq!(repo.git(&["status", "--porcelain"]), "A  staged.txt\n?? loose.txt\n");
    let head = repo.git(&["rev-parse", "HEAD"]);
    assert!(said.err.contains(head.trim()), "{said}");
    let said = repo.run(&["edit", "scale", "web", "app", "ewr=4", "--commit", "--format", "json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["commit"].as_str(), Some(repo.git(&["rev-parse", "HEAD"]).trim()), "{said}");
}

#[test]
fn what_is_refused_changes_nothing() {
    let repo = with_app();
    for (args, parts) in [
        (&["size", "web", "data", "5GB"][..], &["web/fly.toml:6", "volumes never shrink"][..]),
        (&["size", "web", "date", "50GB"], &["has the source \"date\"", "did you mean data?"]),
        (&["size", "web", "data", "1500MB"], &["it would be cut to 1 GB"]),
        (&["scale", "wbe", "app", "ewr=3"], &["names the app \"wbe\"", "did you mean web?"]),
        (&["scale", "web", "worker", "ewr=3"], &["no process group \"worker\"", "there are app"]),
        (&["scale", "web", "app", "EWR=3"], &["EWR"]),
        (&["scale", "web", "app", "ewr=-3"], &["is not a number of slots"]),
        (&["scale", "web", "app", "ewr"], &["write REGION=N"]),
        (&["scale", "web", "app", "ewr=3", "--rev", "HEAD~0"], &["edited on disk"]),
    ] {
        let said = repo.run_untouched(&[&["edit"], args].concat());
        assert_eq!(said.code, 1, "{said}");
        for part in parts {
            assert!(said.err.contains(part), "{part:?} is not in {said}");
        }
    }
    repo.write("web/fly.toml", &APP.replace("# ours", "# theirs"));
    let said = repo.run_untouched(&["edit", "scale", "web", "app", "ewr=3", "--commit"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("has changes that are not committed"), "{said}");
    repo.write("web/fly.toml", "app = \"web\"\n[[mounts]\n");
    let said = repo.run_untouched(&["edit", "scale", "web", "app", "ewr=3"]);
    assert_eq!(said.code, 1, "{said}");
    repo.write("two/fly.toml", "app = \"web\"\n");
    repo.write("web/fly.toml", APP);
    let said = repo.run_untouched(&["edit", "scale", "web", "app", "ewr=3"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(
        said.err.contains("two/fly.toml:1:7") && said.err.contains("web/fly.toml:2:7"),
        "{said}"
    );
}

#[test]
fn nobody_commits_without_a_name() {
    let repo = Repo::new();
    let said = repo.run_untouched(&["edit", "scale", "web", "app", "ewr=3", "--commit"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("git config user.name"), "{said}");
    assert_eq!(repo.git(&["rev-list", "--count", "HEAD"]).trim(), "1");
}
