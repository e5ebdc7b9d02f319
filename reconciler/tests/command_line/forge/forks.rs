//! Changes of forks, planned by a job that has secrets: whatever is in the fork's commit is data.

use super::ci::{Step, Variables, on_github, on_gitlab, on_woodpecker, run, shallow, step};
use super::description::Description;
use super::server::{READER, Server, TOKEN};
use crate::command_line::repo::{APP, Repo};
use crate::skipped;
use notify::{EventKind, RecursiveMode, Watcher};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SECRET: &str = "tern-harbour-oak-4711";
const PRIVATE: &str = "what-only-this-machine-has-9923";

/// A base repository, a fork's commit in it as forges keep it, and what would show that something
/// of that commit was run or followed.
struct Forked {
    repo: Repo,
    head: String,
    /// Exists once anything of the fork's was run.
    canary: PathBuf,
}

impl Forked {
    fn new(reference: &str) -> Self {
        let repo = Repo::new();
        let root = repo.dir().join("..").canonicalize().unwrap();
        let canary = root.join("canary");
        fs::write(root.join("private"), PRIVATE).unwrap();
        let mut set = repo.command(&["secrets", "set", "web", "API_TOKEN"]);
        let mut set =
            set.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        set.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
        assert!(set.wait().unwrap().success());
        let mut forked = Self { repo, head: String::new(), canary };
        forked.repo.git(&["checkout", "-q", "-b", "fork"]);
        forked.write_manifests(&root);
        forked.write_repository();
        forked.repo.git(&["add", "-A"]);
        let gitlink = format!("160000,{},sub", "1".repeat(40));
        forked.repo.git(&["update-index", "--add", "--cacheinfo", &gitlink]);
        forked.repo.git(&["commit", "-q", "-m", "$(touch canary)"]);
        forked.head = forked.repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
        forked.repo.git(&["update-ref", reference, "HEAD"]);
        forked.repo.git(&["checkout", "-q", "-f", "main"]);
        forked.repo.git(&["branch", "-q", "-D", "fork"]);
        // The base goes on, so that both are merged.
        forked.repo.write("README.md", "words\n");
        forked.repo.commit();
        forked
    }

    fn touch(&self) -> String {
        format!("touch {}", self.canary.display())
    }

    /// Manifests and settings that ask for everything.
    fn write_manifests(&self, root: &Path) {
        let touch = self.touch();
        let repo = &self.repo;
        let hostile = format!(
            "[env]\nA = \"$({touch})\"\nB = \"`{touch}`\"\n\
             [deploy]\nrelease_command = \"{touch}\"\n\
             [[files]]\nguest_path = \"/etc/secret\"\nsecret_name = \"API_TOKEN\"\n\
             [[files]]\nguest_path = \"/etc/link\"\nlocal_path = \"link\"\n"
        );
        repo.write("web/fly.toml", &format!("{APP}{hostile}"));
        symlink(root.join("private"), repo.dir().join("web/link")).unwrap();
        // Its source leads out of the repository.
        let out = APP.replace("web", "out");
        repo.write("out/fly.toml", &format!("{out}[tiedown]\nsource = \"../../..\"\n"));
        // A manifest that is a link, and a directory that is one.
        fs::create_dir(repo.dir().join("linked")).unwrap();
        symlink(root.join("private"), repo.dir().join("linked/fly.toml")).unwrap();
        symlink("/", repo.dir().join("everything")).unwrap();
        let state = root.join("theirs");
        let settings = repo
            .settings("5GB")
            .replace(&format!("state_dir = {:?}", repo.state()), &format!("state_dir = {state:?}"));
        let settings = settings.replace("cpus = 8\n", "cpus = 8\nkeys = { ask = true }\n");
        let more = format!(
            "[policy]\nauto = \"all\"\n[require]\napprovals = 0\n\
             [endpoints]\nfile = {state:?}\ncommand = [\"sh\", \"-c\", \"{touch}\"]\n"
        );
        repo.write("tiedown.toml", &format!("{settings}{more}"));
    }

    /// All that git or a shell might take for its own.
    fn write_repository(&self) {
        let touch = self.touch();
        let repo = &self.repo;
        repo.write(".gitattributes", "* filter=evil merge=evil diff=evil ident\n");
        let url = format!("ext::sh -c {}", touch.replace(' ', "% "));
        let modules = "[submodule \"sub\"]\n\tpath = sub\n\tupdate = !";
        repo.write(".gitmodules", &format!("{modules}{touch}\n\turl = {url}\n"));
        for name in ["post-checkout", "post-merge", "pre-commit", "reference-transaction"] {
            for directory in ["hooks", ".githooks", ".husky"] {
                let path = format!("{directory}/{name}");
                repo.write(&path, &format!("#!/bin/sh\n{touch}\n"));
                let executable = fs::Permissions::from_mode(0o755);
                fs::set_permissions(repo.dir().join(path), executable).unwrap();
            }
        }
        for name in [".bashrc", ".envrc", ".profile", "tiedown", "git", "Makefile"] {
            repo.write(name, &format!("#!/bin/sh\n{touch}\n"));
        }
    }

    /// A clone of the base, in which git would run the fork's wishes if it were asked to.
    fn clone(&self) -> PathBuf {
        let clone = shallow(&self.repo, "main");
        let touch = self.touch();
        for (key, value) in [
            ("filter.evil.smudge", touch.as_str()),
            ("filter.evil.clean", &touch),
            ("merge.evil.driver", &touch),
            ("diff.evil.textconv", &touch),
            ("diff.evil.command", &touch),
            ("protocol.ext.allow", "always"),
            ("fetch.recurseSubmodules", "true"),
            ("submodule.recurse", "true"),
        ] {
            let clone = clone.to_str().unwrap();
            self.repo.git(&["-C", clone, "config", key, value]);
        }
        clone
    }
}

/// Whether a file in the directory was opened meanwhile.
fn opens(directory: &Path, during: impl FnOnce()) -> bool {
    let (tell, told) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(tell).unwrap();
    watcher.watch(directory, RecursiveMode::Recursive).unwrap();
    during();
    // What is told comes in order: after this one there is none of before.
    let last = directory.join("last");
    fs::write(&last, "").unwrap();
    let mut opened = false;
    for event in told {
        let event = event.unwrap();
        if event.paths.contains(&last) {
            break;
        }
        let is_directory = event.paths.iter().all(|path| path.is_dir());
        opened |= matches!(event.kind, EventKind::Access(_)) && !is_directory;
    }
    fs::remove_file(last).unwrap();
    opened
}

/// Runs the step of the repository's own job on a fork's change.
fn plans_forks(
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
    let reference =
        if kind == "gitlab" { "refs/merge-requests/7/head" } else { "refs/pull/7/head" };
    let forked = Forked::new(reference);
    let repo = &forked.repo;
    {
        let mut state = server.state();
        state.observed = repo.run(&["observe"]).out;
        state.head.clone_from(&forked.head);
        state.base = repo.git(&["rev-parse", "main"]).trim().to_owned();
        state.is_of_fork = true;
    }
    let variables = variables(&server, &forked.head);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let clone = forked.clone();
    let mut output = None;
    let secrets = repo.state().join("secrets");
    let opened = opens(&secrets, || {
        output = Some(run(repo, &clone, step, shell, &variables));
    });
    let output = output.unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = format!("{out}{err}");
    assert!(!opened, "no secret is read: {told}");
    assert!(!forked.canary.exists(), "something of the fork's was run: {told}");
    assert!(!clone.join("out").exists(), "nothing of it is checked out");
    assert!(!repo.state().join("../theirs").exists(), "its settings are not the fleet's");
    assert!(out.contains("Comment: made."), "{told}");
    let state = server.state();
    assert_eq!(state.wrong, Vec::<String>::new(), "{told}");
    let [(_, _, body)] = state.comments.as_slice() else { panic!("{told}") };
    for line in [
        "touches `out`, `web`; plan `",
        "is not a directory of",
        "the change alters `state_dir`, [policy], [endpoints]",
    ] {
        assert!(body.contains(line), "{line} is not in {body}");
    }
    for secret in [TOKEN, READER, SECRET, PRIVATE] {
        assert!(!told.contains(secret) && !body.contains(secret), "{secret}: {told}{body}");
    }
    // GitLab keeps no status of a commit that is in no branch of the project.
    assert_eq!(state.statuses.len(), usize::from(kind != "gitlab"), "{told}");
    drop(state);
    shown_by_others(&forked, &clone, &secrets);
}

/// That the canary sings and the watch sees, where they should.
fn shown_by_others(forked: &Forked, clone: &Path, secrets: &Path) {
    let opened = opens(secrets, || {
        let said = forked.repo.run(&["secrets", "list"]);
        assert!(said.code == 0 && said.out.contains("API_TOKEN"), "{said}");
    });
    assert!(opened, "a command that reads secrets is seen");
    let mut checkout = Command::new("git");
    checkout.args(["checkout", "-q", "--no-recurse-submodules", &forked.head]).current_dir(clone);
    checkout.stderr(Stdio::null()).status().unwrap();
    assert!(forked.canary.exists(), "a checkout would have run what the commit asks for");
}

#[test]
fn the_action_plans_pull_requests_of_forks_after_their_own_run() {
    let step = step("action.yml", "env:");
    let shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];
    plans_forks("github", &step, &shell, &|server, head| {
        let mut set = on_github(server, "refs/heads/main");
        set.extend([("BASE", String::new()), ("HEAD", head.to_owned())]);
        set
    });
}

#[test]
fn gitlab_ci_plans_merge_requests_of_forks_on_a_schedule() {
    let step = step("docs/ci/gitlab-forks.yml", "variables:");
    plans_forks("gitlab", &step, &["bash", "-eo", "pipefail"], &|server, _| on_gitlab(server));
}

#[test]
fn woodpecker_plans_pull_requests_of_forks_by_cron() {
    let step = step("docs/ci/woodpecker-forks.yml", "environment:");
    plans_forks("gitea", &step, &["sh", "-e"], &|server, _| on_woodpecker(server));
}

#[test]
fn changes_of_the_repository_itself_are_told_from_those_of_forks() {
    for kind in ["github", "gitea", "gitlab"] {
        let Some(server) = super::server(kind) else { continue };
        let repo = Repo::new();
        let head = "5".repeat(40);
        server.state().head.clone_from(&head);
        let api = server.api();
        let site = ["changes", "--forge", kind, "--api", &api, "--repository", "ops/fleet"];
        let ask = |more: &[&str]| {
            let mut command = repo.command(&[site.as_slice(), more].concat());
            let said = command.env("TIEDOWN_FORGE_TOKEN", TOKEN).output().unwrap();
            assert!(said.status.success(), "{said:?}");
            String::from_utf8(said.stdout).unwrap()
        };
        let reference = if kind == "gitlab" { "merge-requests" } else { "pull" };
        let line = format!("7 {head} main refs/{reference}/7/head\n");
        assert_eq!(ask(&[]), line);
        assert_eq!(ask(&["--forks"]), "");
        server.state().is_of_fork = true;
        assert_eq!(ask(&["--forks"]), line);
        assert_eq!(ask(&["--forks", "--head", &head]), line);
        assert_eq!(ask(&["--forks", "--head", &"6".repeat(40)]), "");
        let document: serde_json::Value = ask(&["--format", "json"]).parse().unwrap();
        assert_eq!(document["changes"][0]["is_of_fork"], true);
        assert_eq!(server.state().wrong, Vec::<String>::new());
    }
}

#[test]
fn no_file_outside_of_the_commit_is_read_for_a_change() {
    let repo = Repo::new();
    fs::write(repo.dir().join("../private"), PRIVATE).unwrap();
    let private = repo.dir().join("../private").canonicalize().unwrap();
    let observed = repo.dir().join("../observed.json");
    fs::write(&observed, repo.run(&["observe"]).out).unwrap();
    symlink(private.parent().unwrap(), repo.dir().join("above")).unwrap();
    repo.commit();
    let absolute = private.to_str().unwrap();
    for path in ["../../private", "../above/private", absolute] {
        repo.git(&["checkout", "-q", "-B", "change", "main"]);
        let file = format!("[[files]]\nguest_path = \"/etc/x\"\nlocal_path = {path:?}\n");
        repo.write("web/fly.toml", &format!("{APP}{file}"));
        repo.commit();
        repo.git(&["checkout", "-q", "main"]);
        let observed = observed.to_str().unwrap();
        let plan = ["plan", "--base", "main", "--head", "change", "--observed", observed];
        let said = repo.run(&plan);
        let told = ["there is no file", "is not a path in the repository"];
        assert!(said.code == 1 && told.iter().any(|told| said.err.contains(told)), "{said}");
        assert!(!said.to_string().contains(PRIVATE), "{said}");
    }
}

/// Ends with the test, however that ends.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_plan_takes_no_secret_where_anybody_may_read() {
    let repo = Repo::new();
    let settings = fs::read_to_string(repo.dir().join("tiedown.toml")).unwrap();
    repo.write("tiedown.toml", &format!("{settings}[policy]\nauto = \"none\"\n"));
    repo.commit();
    repo.git(&["checkout", "-q", "-b", "change"]);
    repo.write("web/main.sh", "two\n");
    repo.commit();
    repo.git(&["checkout", "-q", "main"]);
    let listen = ["serve", "--listen", "0.0.0.0:0"];
    let said = repo.run(&listen);
    assert!(said.code == 1 && said.err.contains("or say --public"), "{said}");
    let listen = [listen.as_slice(), &["--public"]].concat();
    let both = repo.command(&listen).env("TIEDOWN_API_TOKEN", READER).output().unwrap();
    assert!(String::from_utf8_lossy(&both.stderr).contains("either public or has a token"));
    let mut server = repo.command(&listen).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(server.stderr.take().unwrap());
    let _server = Ends(server);
    let mut lines = log.lines().map_while(Result::ok);
    let address = |line: String| line.split_once("address=0.0.0.0:").map(|(_, at)| at.to_owned());
    let port = lines.find_map(address).expect("it says where it listens");
    // Nobody may leave it with a pipe that is full.
    std::thread::spawn(move || lines.for_each(drop));
    let url = format!("http://127.0.0.1:{}", port.trim());
    let plan = ["plan", "--base", "main", "--head", "change", "--server", &url];
    let deadline = Instant::now() + Duration::from_secs(60);
    let said = loop {
        let said = repo.run(&plan);
        if !said.err.contains("no pass has ended yet") {
            break said;
        }
        assert!(Instant::now() < deadline, "{said}");
    };
    assert!(said.code == 0 && said.out.contains("Plan: 1 to add, 0 to change"), "{said}");
}
