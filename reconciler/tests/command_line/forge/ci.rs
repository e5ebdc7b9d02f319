//! The scripts that CI systems are given, run as those run them: in a clone that is too shallow,
//! with the variables that they set, against a forge and a server of hosts.

use super::description::Description;
use super::server::{READER, Server, TOKEN};
use crate::command_line::repo::Repo;
use crate::skipped;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(super) type Variables = Vec<(&'static str, String)>;

/// What GitHub sets for every job, and what `action.yml` gives its script.
pub(super) fn on_github(server: &Server, reference: &str) -> Variables {
    vec![
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_API_URL", server.api()),
        ("GITHUB_REPOSITORY", "ops/fleet".to_owned()),
        ("GITHUB_REF", reference.to_owned()),
        ("TIEDOWN_API_TOKEN", READER.to_owned()),
        ("TIEDOWN_FORGE_TOKEN", TOKEN.to_owned()),
        ("SERVER", format!("http://{}", server.address)),
        ("DIRECTORY", ".".to_owned()),
        ("NAME", "tiedown".to_owned()),
    ]
}

/// What GitLab sets for every job, and a person for those of the fleet.
pub(super) fn on_gitlab(server: &Server) -> Variables {
    vec![
        ("GITLAB_CI", "true".to_owned()),
        ("CI_API_V4_URL", server.api()),
        ("CI_PROJECT_PATH", "ops/fleet".to_owned()),
        ("GITLAB_TOKEN", TOKEN.to_owned()),
        ("TIEDOWN_API_TOKEN", READER.to_owned()),
        ("TIEDOWN_SERVER", format!("http://{}", server.address)),
    ]
}

/// What Woodpecker sets for every step, and a person for those of the fleet.
pub(super) fn on_woodpecker(server: &Server) -> Variables {
    vec![
        ("CI", "woodpecker".to_owned()),
        ("CI_FORGE_TYPE", "forgejo".to_owned()),
        ("CI_FORGE_URL", format!("http://{}", server.address)),
        ("CI_REPO", "ops/fleet".to_owned()),
        ("TIEDOWN_FORGE_TOKEN", TOKEN.to_owned()),
        ("TIEDOWN_API_TOKEN", READER.to_owned()),
        ("TIEDOWN_SERVER", format!("http://{}", server.address)),
    ]
}

/// A step of a CI system.
pub(super) struct Step {
    script: String,
    /// Variables that the file gives it.
    given: BTreeSet<String>,
}

/// The last block of lines that `key` of a YAML file begins with `|`, and what `environment` gives.
pub(super) fn step(file: &str, environment: &str) -> Step {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let block = |begin: usize| {
        let than = indent(lines[begin]);
        let within = |line: &&&str| line.is_empty() || indent(line) > than;
        lines[begin + 1..].iter().take_while(within).copied().collect::<Vec<_>>()
    };
    let last = |what: &dyn Fn(&str) -> bool| lines.iter().rposition(|line| what(line.trim()));
    let script = block(last(&|line| line == "run: |" || line == "- |").unwrap());
    let given = last(&|line| line == environment).map(block).unwrap_or_default();
    let name = |line: &&str| line.trim().split_once(':').map(|(name, _)| name.to_owned());
    let cut = indent(script[0]);
    let script = script.iter().map(|line| line.get(cut..).unwrap_or_default());
    Step {
        script: script.collect::<Vec<_>>().join("\n"),
        given: given.iter().filter_map(name).collect(),
    }
}

/// A clone as CI systems make them, of one commit only.
pub(super) fn shallow(repo: &Repo, branch: &str) -> PathBuf {
    let clone = repo.dir().join("../clone");
    let _ = fs::remove_dir_all(&clone);
    let origin = format!("file://{}", repo.dir().display());
    let clone_text = clone.to_str().unwrap();
    repo.git(&["clone", "-q", "--depth", "1", "--branch", branch, &origin, clone_text]);
    clone
}

pub(super) fn run(
    repo: &Repo,
    clone: &Path,
    step: &Step,
    shell: &[&str],
    variables: &[(&str, &str)],
) -> Output {
    let mut lines = step.script.lines();
    let read: Vec<&str> = lines
        .find_map(|line| line.trim().strip_prefix("while read -r "))
        .map_or(Vec::new(), |names| {
            names.split([' ', ';']).take_while(|name| *name != "do").collect()
        });
    // What the file does not give, the system must.
    for word in step.script.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$') {
        let Some(name) = word.strip_prefix('$').filter(|name| !name.is_empty()) else { continue };
        let is_known = step.given.contains(name)
            || variables.iter().any(|(known, _)| *known == name)
            || read.contains(&name)
            || step.script.contains(&format!("{name}="));
        assert!(is_known, "nobody sets {name}");
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_tiedown")).parent().unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", binary.display());
    Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &step.script])
        .current_dir(clone)
        .env_clear()
        .env("PATH", path)
        .env("HOME", repo.dir())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Runs a step on a pull request of the repository, and on one of a fork.
fn reviews(
    kind: &'static str,
    step: &Step,
    shell: &[&str],
    variables: &dyn Fn(&Server, &str) -> Variables,
) {
    let Some(description) = Description::of(kind) else {
        skipped(&format!("{kind}: its description is not there; fixtures/prepare.sh fetches it"));
        return;
    };
    let server = Server::start(kind, description);
    let repo = super::repo();
    let observed = repo.run(&["observe", "--rev", "main"]);
    let head = repo.git(&["rev-parse", "change"]).trim().to_owned();
    {
        let mut state = server.state();
        state.observed = observed.out;
        state.head.clone_from(&head);
        state.base = repo.git(&["rev-parse", "main"]).trim().to_owned();
    }
    let variables = variables(&server, &head);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    of_fork(&server, &repo, step, shell, &variables);
    let output = run(&repo, &shallow(&repo, "change"), step, shell, &variables);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{out}{err}");
    let state = server.state();
    assert_eq!(state.wrong, Vec::<String>::new());
    assert!(out.contains("Comment: made. Wanting: approved, checks. Plan: 1 to add"), "{out}{err}");
    assert_eq!((state.comments.len(), state.statuses.len()), (1, 1));
    assert_eq!(state.statuses[0][0], head);
    for secret in [TOKEN, READER] {
        assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
    }
}

/// The same step where there are no secrets: a plan in the log where anybody may read what hosts
/// say, else none, and never a comment.
fn of_fork(server: &Server, repo: &Repo, step: &Step, shell: &[&str], variables: &[(&str, &str)]) {
    let secrets = ["TIEDOWN_API_TOKEN", "TIEDOWN_FORGE_TOKEN", "GITLAB_TOKEN"];
    // GitLab runs it in the fork, from which the repository is asked for by its address.
    let url = format!("file://{}", repo.dir().display());
    let named = repo.dir().with_extension("git");
    std::os::unix::fs::symlink(repo.dir(), named).unwrap();
    let without: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| match *name {
            name if secrets.contains(&name) => (name, ""),
            "CI_PROJECT_PATH" => ("CI_PROJECT_PATH", "somebody/fleet"),
            "CI_MERGE_REQUEST_PROJECT_URL" => ("CI_MERGE_REQUEST_PROJECT_URL", url.as_str()),
            name => (name, *value),
        })
        .collect();
    for is_public in [false, true] {
        server.state().is_public = is_public;
        let output = run(repo, &shallow(repo, "change"), step, shell, &without);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && out.contains("1 manifest: 0 errors"), "{out}{err}");
        let (plan, none) = ("Plan: 1 to add", "there is no plan here.");
        assert_eq!((out.contains(plan), out.contains(none)), (is_public, !is_public), "{out}{err}");
    }
    assert_eq!(server.state().writes, 0, "nothing is written for a fork");
}

#[test]
fn the_action_reviews_a_pull_request() {
    let step = step("action.yml", "env:");
    reviews(
        "github",
        &step,
        &["bash", "--noprofile", "--norc", "-eo", "pipefail"],
        &|server, head| {
            let mut set = on_github(server, "refs/pull/7/merge");
            set.extend([("BASE", "main".to_owned()), ("HEAD", head.to_owned())]);
            set
        },
    );
}

#[test]
fn gitlab_ci_reviews_a_merge_request() {
    let step = step("docs/ci/gitlab.yml", "variables:");
    reviews("gitlab", &step, &["bash", "-eo", "pipefail"], &|server, head| {
        let mut set = on_gitlab(server);
        set.extend([
            ("CI_MERGE_REQUEST_PROJECT_PATH", "ops/fleet".to_owned()),
            ("CI_MERGE_REQUEST_PROJECT_URL", "https://git.example.com/ops/fleet".to_owned()),
            ("CI_MERGE_REQUEST_IID", "7".to_owned()),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main".to_owned()),
            ("CI_COMMIT_SHA", head.to_owned()),
        ]);
        set
    });
}

#[test]
fn woodpecker_reviews_a_pull_request() {
    let step = step("docs/ci/woodpecker.yml", "environment:");
    reviews("gitea", &step, &["sh", "-e"], &|server, head| {
        let mut set = on_woodpecker(server);
        set.extend([
            ("CI_COMMIT_PULL_REQUEST", "7".to_owned()),
            ("CI_COMMIT_TARGET_BRANCH", "main".to_owned()),
            ("CI_COMMIT_SHA", head.to_owned()),
        ]);
        set
    });
}
