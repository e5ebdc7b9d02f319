//! A remote over HTTP, as forges serve it: `git http-backend` behind a server that wants a token.

use super::daemon::Daemon;
use super::{followed, version};
use crate::end_to_end::fleet::{Fleet, Said, eventually};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOKEN: &str = "t0ken-of-the-forge-5f1c";
/// `x-access-token:TOKEN`, as it is sent.
const SENT: &str = "eC1hY2Nlc3MtdG9rZW46dDBrZW4tb2YtdGhlLWZvcmdlLTVmMWM=";
const SECRET: &str = "s3cret-of-the-webhooks";
const READER: &str = "t0ken-of-the-readers";

/// CGI for `git http-backend`. Whoever does not show the token is asked for it; whenever somebody
/// comes, it is looked whether a secret is among the arguments of any process.
const FORGE: &str = r#"use strict; use warnings; use IO::Socket::INET;
my ($root, $port, $leaks) = @ARGV; my $token = $ENV{FORGE_TOKEN}; $SIG{CHLD} = 'IGNORE'; $ENV{PATH} = '/usr/local/bin:/usr/bin:/bin';
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 64, ReuseAddr => 1) or die $!;
while (my $c = $s->accept) {
  next if fork; $SIG{CHLD} = 'DEFAULT';
  for my $f (glob '/proc/[0-9]*/cmdline') {
    open(my $i, '<', $f) or next; local $/; my $t = <$i> // '';
    if (index($t, $token) >= 0) { open(my $o, '>>', $leaks); print {$o} "$t\n" } }
  my ($m, $u) = (<$c> // '') =~ m{^(\w+) (\S+)} or exit; my %h;
  while (defined(my $l = <$c>)) { last if $l =~ /^\r?\n$/; $h{lc $1} = $2 if $l =~ /^([^:]+):\s*(.*?)\r?\n/ }
  my $want = "Basic $ENV{FORGE_SENT}";
  if (($h{authorization} // '') ne $want) {
    print {$c} "HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm=\"forge\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"; exit }
  my ($p, $q) = split /\?/, $u, 2; my $n = $h{'content-length'} // 0; my $b = ''; read($c, $b, $n) if $n;
  $ENV{GIT_PROJECT_ROOT} = $root; $ENV{GIT_HTTP_EXPORT_ALL} = 1; $ENV{REQUEST_METHOD} = $m; $ENV{PATH_INFO} = $p;
  $ENV{QUERY_STRING} = $q // ''; $ENV{CONTENT_TYPE} = $h{'content-type'} // ''; $ENV{CONTENT_LENGTH} = $n; $ENV{REMOTE_USER} = 'x';
  $ENV{HTTP_CONTENT_ENCODING} = $h{'content-encoding'} // ''; $ENV{GIT_PROTOCOL} = $h{'git-protocol'} // '';
  open(my $in, '+>', undef); print {$in} $b; $in->flush; seek($in, 0, 0); open(STDIN, '<&', $in);
  open(my $g, '-|', 'git', 'http-backend') or die; local $/; my $o = <$g>;
  my ($head, $body) = $o =~ /^(.*?)\r?\n\r?\n(.*)$/s; my $st = $head =~ s/^Status: (.*?)\r?\n//m ? $1 : '200 OK'; $head =~ s/\r?\n/\r\n/g;
  print {$c} "HTTP/1.1 $st\r\n$head\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body"; exit;
}
"#;

struct Forge {
    child: Child,
    url: String,
}

impl Forge {
    fn start(fleet: &Fleet, port: u16) -> Self {
        let root = fleet.root_path();
        let bare = root.join("forge/fleet.git");
        fs::create_dir_all(root.join("forge")).unwrap();
        fleet.git(&["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        let script = root.join("forge.pl");
        fs::write(&script, FORGE).unwrap();
        let child = Command::new("perl")
            .arg(&script)
            .args([root.join("forge").to_str().unwrap(), &port.to_string()])
            .arg(leaks(fleet))
            .env("GIT_CONFIG_GLOBAL", root.join(".gitconfig"))
            .env("FORGE_TOKEN", TOKEN)
            .env("FORGE_SENT", SENT)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the forge answers", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, url: format!("http://127.0.0.1:{port}/fleet.git") }
    }

    fn push(&self, fleet: &Fleet) {
        let helper = "credential.helper=!f() { echo username=x-access-token; \
                      echo password=$FORGE_TOKEN; }; f";
        let pushed = Command::new("git")
            .args(["-c", helper, "push", "-q", &self.url, "HEAD:main"])
            .current_dir(fleet.repo())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("FORGE_TOKEN", TOKEN)
            .status()
            .unwrap();
        assert!(pushed.success());
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn leaks(fleet: &Fleet) -> std::path::PathBuf {
    fleet.root_path().join("leaks")
}

/// Every file under a directory, but for volumes, which are large and not ours to write.
fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            Ok(kind) if kind.is_file() && entry.file_name() != "image" => found.push(entry.path()),
            _ => {}
        }
    }
}

/// What is answered is only read, and only to whoever shows the token.
fn everything_is_answered_and_only_read(fleet: &Fleet, daemon: &Daemon) {
    assert_eq!(daemon.get("/healthz").0, 200);
    eventually("it is ready", || daemon.get("/readyz").0 == 200);
    for page in ["status", "plan", "report", "observed", "history"] {
        let path = format!("/api/v1/{page}");
        assert_eq!(daemon.get(&path).0, 200, "{path}");
        let without = daemon.request(&format!("GET {path} HTTP/1.1\r\n"), "").unwrap();
        assert_eq!(without.0, 401, "{path}");
        let other = format!("POST {path} HTTP/1.1\r\nAuthorization: Bearer {READER}\r\n");
        assert_eq!(daemon.request(&other, "{}").unwrap().0, 405, "{path}");
    }
    // A plan elsewhere is made from the same document.
    let observed = fleet.root_path().join("observed.json");
    fs::write(&observed, daemon.get("/api/v1/observed").1).unwrap();
    let said = fleet.run(&["plan", "--observed", observed.to_str().unwrap()]);
    assert!(said.code == 0 && said.out.contains("No changes."), "{said}");
    // Or straight from the daemon, by whoever may read it: of what a change touches.
    let url = format!("http://{}/", daemon.address);
    let plan = |token: &str| {
        let args = ["plan", "--server", &url, "--base", "HEAD", "--detailed-exitcode"];
        Said::of(&fleet.command(&args).env("TIEDOWN_API_TOKEN", token).output().unwrap())
    };
    let said = plan(READER);
    assert!(said.code == 0 && said.out.contains("touches no app"), "{said}");
    for token in ["guessed", ""] {
        let said = plan(token);
        assert!(said.code == 1 && said.err.contains("put the server's token"), "{said}");
    }
    let metrics = daemon.get("/metrics").1;
    for line in [
        "tiedown_leads 1",
        "tiedown_app_info{app=\"store\",sync=\"synced\",health=\"healthy\"} 1",
        "tiedown_fetches_total{outcome=\"ok\"}",
        "tiedown_passes_total{outcome=\"ok\"}",
        "tiedown_steps_total{outcome=\"done\"}",
        "tiedown_pass_seconds_count",
        "tiedown_pool_bytes{host=\"ewr-1\",room=\"promised\"}",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

/// Neither in files, nor in logs, nor among the arguments of a process.
fn no_secret_is_left(fleet: &Fleet, mirror: &Path, log: &str) {
    let mut found = Vec::new();
    for dir in [&fleet.state(), mirror] {
        files(dir, &mut found);
    }
    assert!(found.len() > 20, "files to look into: {}", found.len());
    for secret in [TOKEN, SECRET, READER] {
        assert!(!log.contains(secret), "a secret is in the log");
        for file in &found {
            let bytes = fs::read(file).unwrap_or_default();
            let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!is_there, "a secret is in {}", file.display());
        }
    }
    let leaked = fs::read_to_string(leaks(fleet)).unwrap_or_default();
    assert_eq!(leaked, "", "arguments of a process");
}

#[test]
fn a_remote_is_followed_by_webhook_and_the_token_is_nowhere_to_be_seen() {
    let fleet = followed(182, "");
    let forge = Forge::start(&fleet, 20_982);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store");
    forge.push(&fleet);
    let mirror = fleet.root_path().join("mirror.git");
    let args = ["--remote", &forge.url, "--mirror", mirror.to_str().unwrap(), "--poll", "3600"];
    let env = [
        ("TIEDOWN_GIT_TOKEN", TOKEN),
        ("TIEDOWN_WEBHOOK_SECRET", SECRET),
        ("TIEDOWN_API_TOKEN", READER),
    ];
    let args: Vec<&str> = args.to_vec();
    let daemon = Daemon::with(&fleet, 182, &args, &env);
    daemon.settled("the first commit");
    assert_eq!(version(&fleet, &fleet.slots()[0].1), "one");

    // A push without a word to the daemon: nobody would look for an hour.
    fleet.store("two", "{ ewr = 1 }");
    fleet.commit("a new release");
    forge.push(&fleet);
    let hook = |header: &str, body: &str| {
        daemon.request(&format!("POST /webhook HTTP/1.1\r\n{header}\r\n"), body).unwrap()
    };
    assert_eq!(hook("X-Nothing: x", "{}").0, 401);
    assert_eq!(hook("X-Gitlab-Token: guessed", "{}").0, 401);
    let large = "x".repeat(9 * 1024 * 1024);
    let answer = daemon.request("POST /webhook HTTP/1.1\r\nX-Gitlab-Token: x\r\n", &large);
    assert!(answer.is_err() || matches!(answer, Ok((413 | 0, _))), "{answer:?}");
    assert_eq!(version(&fleet, &fleet.slots()[0].1), "one");
    let told = "{\"ref\": \"refs/heads/main\", \"command\": \"rm -rf /\"}";
    let (status, answer) = hook(&format!("X-Gitlab-Token: {SECRET}"), told);
    assert_eq!(status, 202, "{answer}");
    eventually("the fleet follows", || version(&fleet, &fleet.slots()[0].1) == "two");

    daemon.settled("the second commit");
    everything_is_answered_and_only_read(&fleet, &daemon);
    let log = daemon.log();
    daemon.end();
    no_secret_is_left(&fleet, &mirror, &log);
    drop(forge);
}

#[test]
fn a_signed_commit_needs_no_approval() {
    let fleet = followed(183, "");
    let key = fleet.root_path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "ops@example.com", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let signers = fleet.root_path().join("signers");
    fs::write(&signers, format!("ops@example.com {public}")).unwrap();
    let pass =
        |fleet: &Fleet| fleet.run(&["serve", "--once", "--signers", signers.to_str().unwrap()]);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("two stores");
    assert_eq!(pass(&fleet).code, 0);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store, unsigned");
    assert_eq!((pass(&fleet).code, fleet.slots().len()), (8, 2));
    // Another key, although the commit itself says that it is fine.
    let other = fleet.root_path().join("other");
    let args = ["-q", "-t", "ed25519", "-N", "", "-f"];
    assert!(Command::new("ssh-keygen").args(args).arg(&other).status().unwrap().success());
    let signed = |key: &Path, message: &str| {
        let key = format!("user.signingkey={}", key.display());
        let sign =
            ["-c", "gpg.format=ssh", "-c", &key, "commit", "-q", "-S", "--allow-empty", "-m"];
        fleet.git(&[&sign[..], &[message]].concat());
    };
    signed(&other, "signed by somebody");
    assert_eq!((pass(&fleet).code, fleet.slots().len()), (8, 2));
    signed(&key, "signed by ops");
    let said = pass(&fleet);
    assert_eq!((said.code, fleet.slots().len()), (0, 1), "{said}");
    // A commit that nobody signed, by a tag of it: of another key, then of the one that counts.
    fleet.store("one", "{ ewr = 0 }");
    fleet.commit("no store, unsigned");
    let tagged = |key: &Path, name: &str| {
        let key = format!("user.signingkey={}", key.display());
        fleet.git(&["-c", "gpg.format=ssh", "-c", &key, "tag", "-s", "-m", "yes", name]);
    };
    fleet.git(&["tag", "-a", "-m", "yes", "of-nobody"]);
    tagged(&other, "of-somebody");
    let daemon = Daemon::start(&fleet, 183, &["--signers", signers.to_str().unwrap()]);
    daemon.settled("it waits");
    assert_eq!(fleet.slots().len(), 1);
    tagged(&key, "of-ops");
    eventually("the tag is seen", || fleet.slots().is_empty());
    daemon.end();
}

#[test]
fn a_remote_that_is_only_read_is_enough() {
    let fleet = followed(195, "");
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store");
    let remote = fleet.root_path().join("remote.git");
    fleet.git(&["clone", "-q", "--bare", ".", remote.to_str().unwrap()]);
    let contents = || {
        let mut found = Vec::new();
        files(&remote, &mut found);
        found.sort();
        found.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = contents();
    let mirror = fleet.root_path().join("mirror.git");
    let url = remote.to_str().unwrap();
    let args = ["serve", "--once", "--remote", url, "--mirror", mirror.to_str().unwrap()];
    let said = fleet.run_at(fleet.root_path(), &args);
    assert_eq!((said.code, fleet.slots().len()), (0, 1), "{said}");
    assert!(before.len() > 10 && before == contents(), "something was written to the remote");
}
