//! A fleet for one test: a git repository, a state directory, the binary, and what it says.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a test waits for a state before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers of the fleets that are there now.
static NETS: Mutex<BTreeSet<u8>> = Mutex::new(BTreeSet::new());
static FREED: Condvar = Condvar::new();

/// A number that no other fleet has as long as this one is there.
struct Net(u8);

impl Net {
    fn take(net: u8) -> Self {
        let nets = NETS.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = |nets: &mut BTreeSet<u8>| nets.contains(&net);
        let waited = FREED.wait_timeout_while(nets, PATIENCE * 10, taken);
        let (mut nets, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(nets.insert(net), "a test has two fleets with the number {net}");
        Self(net)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        NETS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        FREED.notify_all();
    }
}

/// The program of the tests' apps: serves HTTP on its own address, keeps lines on its volume.
pub(crate) const PROGRAM: &str = r#"use strict; use warnings; use IO::Handle; use IO::Socket::INET;
my $a = $ENV{FLY_PRIVATE_IP}; my $f = '/data/lines'; $SIG{PIPE} = 'IGNORE';
die "told to fail\n" if ($ENV{FAIL} // '') eq 'yes';
my $s = IO::Socket::INET->new(LocalAddr => $a, LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "$a: $!\n";
$SIG{INT} = $SIG{TERM} = sub { exit 0 };
while (my $c = $s->accept) {
  $c->timeout(5);
  my ($m, $p) = (<$c> // '') =~ m{^(\w+) (\S+)} or next;
  my $n = 0; while (defined(my $l = <$c>)) { last if $l =~ /^\r?\n$/; $n = $1 if $l =~ /^content-length:\s*(\d+)/i }
  my $b = ''; read($c, $b, $n) if $n; my ($st, $t) = (200, '');
  if ($m eq 'POST') { open(my $o, '>>', $f) or die $!; print {$o} "$b\n"; $o->flush; $o->sync; close $o; $t = "kept\n" }
  elsif ($p eq '/lines') { if (open(my $i, '<', $f)) { local $/; $t = <$i> // '' } }
  elsif ($p eq '/env') { $t = join('', map { "$_=$ENV{$_}\n" } sort keys %ENV) }
  elsif ($p eq '/health') { $st = ($ENV{SICK} // '') eq 'yes' ? 500 : 200 }
  print {$c} "HTTP/1.1 $st x\r\nContent-Length: " . length($t) . "\r\nConnection: close\r\n\r\n$t"; close $c;
}
"#;

/// A fleet of its own.
pub(crate) struct Fleet {
    root: tempfile::TempDir,
    /// Distinguishes this fleet's addresses and name from those of other tests at the same time.
    net: Net,
    /// Runs tiedown as this user, if not as the test's own.
    user: Option<u32>,
}

impl Fleet {
    /// Two hosts in `ewr` and one in `ord`, and an empty repository.
    pub(crate) fn new(net: u8) -> Self {
        Self::of_user(net, None)
    }

    /// The same, with tiedown run as an ordinary user.
    pub(crate) fn of_user(net: u8, user: Option<u32>) -> Self {
        let net = Net::take(net);
        let root = tempfile::tempdir().unwrap();
        let fleet = Self { root, net, user };
        fs::create_dir_all(fleet.repo()).unwrap();
        // A repository of another owner is refused by git unless it is named as safe.
        fs::write(fleet.root.path().join(".gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
        fleet.git(&["init", "-q", "-b", "main"]);
        fleet.write(
            "tiedown.toml",
            &fleet.settings(&[("ewr-1", "ewr"), ("ewr-2", "ewr"), ("ord-1", "ord")]),
        );
        if let Some(user) = user {
            std::os::unix::fs::chown(fleet.root.path(), Some(user), Some(user)).unwrap();
        }
        fleet
    }

    /// A tiedown.toml with these hosts.
    pub(crate) fn settings(&self, hosts: &[(&str, &str)]) -> String {
        let state = self.state();
        let mut text = format!("fleet = \"t{}\"\nstate_dir = {state:?}\n", self.net.0);
        text.push_str("[policy]\nmax_loss = { count = 100, share = 1.0 }\n");
        for (index, (name, region)) in hosts.iter().enumerate() {
            write!(
                text,
                "[[hosts]]\nname = {name:?}\nregion = {region:?}\nsubnet = \"{}.{}.{index}.0/24\"\n\
                 memory = \"4GB\"\ncpus = 8\nstorage = {{ driver = \"local\", capacity = \"5GB\" }}\n\
                 runtime = {{ driver = \"process\" }}\n",
                self.first(),
                self.net.0
            )
            .unwrap();
        }
        text
    }

    /// What its addresses begin with: an ordinary user's are of the loopback.
    pub(crate) fn first(&self) -> u8 {
        let root = rustix::process::geteuid().is_root() && self.user.is_none();
        if root { 10 } else { 127 }
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    /// Where everything of the fleet is.
    pub(crate) fn root_path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// Writes a file of the repository, without committing it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.repo().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the test app `store`, with `env` and `scale`, and its program.
    pub(crate) fn store(&self, env: &str, scale: &str) {
        self.write("store/run.pl", PROGRAM);
        self.write("store/fly.toml", &store_manifest("store", env, scale));
    }

    /// Commits everything.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.git_output(args);
        assert!(output.status.success(), "git {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What git says, whether it succeeds or not.
    pub(crate) fn git_output(&self, args: &[&str]) -> Output {
        Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(["-c", "commit.gpgsign=false"])
            .args(args)
            .current_dir(self.repo())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap()
    }

    /// The command, not yet run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_in(&self.repo(), args)
    }

    /// The command in another clone, not yet run.
    pub(crate) fn command_in(&self, repo: &Path, args: &[&str]) -> Command {
        let binary = env!("CARGO_BIN_EXE_tiedown");
        let mut command = match self.user {
            None => Command::new(binary),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let id = user.to_string();
                command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", binary]);
                command
            }
        };
        command
            .args(args)
            .arg("-C")
            .arg(repo)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs tiedown to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::of(&self.command(args).output().unwrap())
    }

    /// Runs tiedown with a repository that is named among the arguments.
    pub(crate) fn run_at(&self, dir: &Path, args: &[&str]) -> Said {
        let mut command = self.command_in(Path::new("."), args);
        Said::of(&command.current_dir(dir).output().unwrap())
    }

    /// Runs a program on demand in a group, to its end.
    pub(crate) fn run_on_demand(&self, group: &str, argv: &[&str]) -> Said {
        Said::of(&self.on_demand(group, argv).output().unwrap())
    }

    /// The command that runs a program on demand, not yet run.
    pub(crate) fn on_demand(&self, group: &str, argv: &[&str]) -> Command {
        let mut command = self.command(&["run", group]);
        command.arg("--").args(argv);
        command
    }

    /// Runs tiedown in another clone to its end.
    pub(crate) fn run_in(&self, repo: &Path, args: &[&str]) -> Said {
        Said::of(&self.command_in(repo, args).output().unwrap())
    }

    /// A clone of the repository beside it.
    pub(crate) fn clone_as(&self, name: &str) -> PathBuf {
        let clone = self.root.path().join(name);
        self.git(&["clone", "-q", ".", clone.to_str().unwrap()]);
        clone
    }

    /// Runs tiedown in the background.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Applies, and insists on success.
    pub(crate) fn apply(&self) -> Said {
        let said = self.run(&["apply", "--auto-approve"]);
        assert_eq!(said.code, 0, "{said}");
        said
    }

    /// Applies, and insists that there was nothing to do.
    pub(crate) fn assert_fixpoint(&self) {
        let said = self.run(&["apply", "--auto-approve"]);
        assert_eq!(said.code, 0, "{said}");
        assert!(
            said.out.contains("No changes. Your infrastructure matches the configuration."),
            "{said}"
        );
    }

    pub(crate) fn status(&self) -> Value {
        let said = self.run(&["status", "--format", "json"]);
        assert_eq!(said.code, 0, "{said}");
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Slots as `(slot, address, instance id)`, in order.
    pub(crate) fn slots(&self) -> Vec<(String, String, String)> {
        let status = self.status();
        let slots = status["slots"].as_array().unwrap();
        let of = |slot: &Value| {
            let instance = &slot["instance"];
            let field = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (field(&slot["slot"]), field(&instance["address"]), field(&instance["id"]))
        };
        slots.iter().map(of).collect()
    }

    /// Invariant 1, by what the hosts show: main instances equal attached volume sets.
    pub(crate) fn assert_one_to_one(&self) {
        let status = self.status();
        let slots = status["slots"].as_array().unwrap();
        let attached: BTreeSet<&str> = status["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|volume| volume["state"] == "attached")
            .map(|volume| volume["id"].as_str().unwrap())
            .collect();
        let mut held = BTreeSet::new();
        for slot in slots {
            assert!(slot["instance"]["id"].is_string(), "a slot without an instance: {slot}");
            for volume in slot["volumes"].as_array().unwrap() {
                assert!(held.insert(volume["id"].as_str().unwrap()), "held twice: {volume}");
            }
        }
        assert_eq!(attached, held, "{status:#}");
    }

    /// One HTTP request to port 8080 of an address.
    pub(crate) fn http(
        &self,
        address: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<String> {
        let place: SocketAddr = format!("{address}:8080").parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&place, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Writes a line to every slot's volume, and insists that it is there.
    pub(crate) fn post_everywhere(&self, line: &str) {
        for (slot, address, _) in self.slots() {
            let kept = self.http(&address, "POST", "/", &format!("{line} {slot}")).unwrap();
            assert_eq!(kept, "kept\n", "{slot}");
        }
    }

    /// Lines on a slot's volume.
    pub(crate) fn lines(&self, address: &str) -> String {
        self.http(address, "GET", "/lines", "").unwrap()
    }

    /// Processes whose command line names this fleet's directory.
    pub(crate) fn processes(&self) -> Vec<u32> {
        processes_naming(self.root.path())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let said =
            Said::of(&self.command(&["down", "--purge", "--auto-approve"]).output().unwrap());
        if std::thread::panicking() {
            eprintln!("{said}");
            return;
        }
        assert_eq!(said.code, 0, "down --purge: {said}");
        assert_eq!(self.processes(), Vec::<u32>::new(), "processes left behind");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = self.root.path().to_str().unwrap();
        assert!(!mounts.contains(root), "mounts left behind: {mounts}");
        assert!(!self.state().exists(), "the state directory is left behind");
    }
}

/// A manifest of the test app with its program, one volume a slot, and a check.
pub(crate) fn store_manifest(app: &str, env: &str, scale: &str) -> String {
    format!(
        "app = {app:?}\nprimary_region = \"ewr\"\nkill_timeout = \"2s\"\n[processes]\napp = \"perl run.pl\"\n\
         [env]\nVERSION = {env:?}\n[[mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n\
         [http_service]\ninternal_port = 8080\nprocesses = [\"app\"]\n[[http_service.checks]]\nmethod = \"GET\"\n\
         path = \"/health\"\ninterval = \"1s\"\ntimeout = \"1s\"\n[deploy]\nwait_timeout = \"20s\"\n\
         [tiedown.scale]\napp = {scale}\n"
    )
}

/// What tiedown said, and how it ended.
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
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}--- stderr\n{}---", self.code, self.out, self.err)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a state.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn processes_naming(directory: &Path) -> Vec<u32> {
    let directory = directory.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if text(&command).contains(directory) && pid != std::process::id() {
            found.push(pid);
        }
    }
    found.sort_unstable();
    found
}

/// Kills one process the hard way.
pub(crate) fn kill_9(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}
