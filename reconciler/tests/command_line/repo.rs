//! A git repository and a state directory for one test, and the binary in an environment that
//! holds nothing of the caller's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// An app that needs nothing but a shell.
pub(crate) const APP: &str =
    "app = \"web\"\nprimary_region = \"ewr\"\n[processes]\napp = \"sleep 1000\"\n";

pub(crate) struct Repo {
    root: TempDir,
}

impl Repo {
    /// With a commit that holds a fleet of one host and one app.
    pub(crate) fn new() -> Self {
        let repo = Self::empty();
        repo.write("tiedown.toml", &repo.settings("5GB"));
        repo.write("web/fly.toml", APP);
        repo.commit();
        repo
    }

    /// Without a commit.
    pub(crate) fn empty() -> Self {
        let repo = Self { root: TempDir::new().unwrap() };
        fs::create_dir_all(repo.dir()).unwrap();
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    /// A tiedown.toml with one host.
    pub(crate) fn settings(&self, capacity: &str) -> String {
        format!(
            "fleet = \"f\"\nstate_dir = {:?}\n[[hosts]]\nname = \"ewr-1\"\nregion = \"ewr\"\n\
             subnet = \"127.99.1.0/24\"\nmemory = \"4GB\"\ncpus = 8\n\
             storage = {{ driver = \"local\", capacity = {capacity:?} }}\n",
            self.state()
        )
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "m"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(["-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(self.dir())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiedown"));
        command
            .args(args)
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.root.path().join("home"))
            .env("XDG_STATE_HOME", self.root.path().join("xdg"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::of(&self.command(args).output().unwrap())
    }

    /// Runs it, and insists that it changed no file anywhere.
    pub(crate) fn run_untouched(&self, args: &[&str]) -> Said {
        let before = files(self.root.path());
        let said = self.run(args);
        let after = files(self.root.path());
        assert_eq!(before, after, "{args:?} changed files: {said}");
        said
    }
}

/// Every file with its content.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            found.insert(path, Vec::new());
        } else {
            let content = fs::read(&path).unwrap_or_default();
            found.insert(path, content);
        }
    }
    found
}

pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let code = output.status.code().unwrap_or(-1);
        Self { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// How often it said `error:` at the beginning of a line.
    pub(crate) fn errors(&self) -> usize {
        self.err.lines().filter(|line| line.starts_with("error")).count()
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}--- stderr\n{}---", self.code, self.out, self.err)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
