//! A daemon under test: what it logs, what it answers, and its end.

use crate::end_to_end::fleet::{Fleet, PATIENCE};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
    pub(super) address: SocketAddr,
    token: Option<String>,
}

impl Daemon {
    /// Starts one that answers at a port of its own.
    pub(super) fn start(fleet: &Fleet, net: u16, args: &[&str]) -> Self {
        Self::with(fleet, net, args, &[])
    }

    /// The same, with variables.
    pub(super) fn with(fleet: &Fleet, net: u16, args: &[&str], env: &[(&str, &str)]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + net));
        let listen = address.to_string();
        // Of a remote `-C` is a directory within the commit.
        let repo = if args.contains(&"--remote") { ".".into() } else { fleet.repo() };
        let mut command = fleet.command_in(&repo, &["serve", "--listen", &listen]);
        let log = fleet.root_path().join(format!("serve-{net}-{}.log", now()));
        command
            .args(args)
            .env("TIEDOWN_LOG", "info,executor=debug")
            .envs(env.iter().copied())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap());
        let token = env.iter().find(|(name, _)| *name == "TIEDOWN_API_TOKEN");
        let token = token.map(|(_, token)| (*token).to_owned());
        Self { child: command.spawn().unwrap(), log, address, token }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log says something.
    pub(super) fn until(&self, what: &str, says: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !says(&self.log()) {
            assert!(Instant::now() < deadline, "waited for: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Steps that it began.
    pub(super) fn steps(&self) -> usize {
        self.log().matches("step begins").count()
    }

    /// Waits until a pass over the branch as it is found nothing to do, or nothing more.
    pub(super) fn settled(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.try_json("/api/v1/status").map(|status| status["serve"].clone());
            let now = now.unwrap_or_default();
            let how = now["last_pass"]["how"].as_str().unwrap_or_default();
            let is_over = now["commit"].is_string()
                && now["last_pass"]["commit"] == now["commit"]
                && now["commit"] == self.head(&now)
                && how.starts_with("nothing to do");
            if is_over && now["leads"] == true {
                return;
            }
            assert!(Instant::now() < deadline, "waited for: {what}: {now:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the branch is that it follows, as git says.
    fn head(&self, now: &Value) -> Value {
        let repo = self.log.parent().unwrap().join("repo");
        let head = fs::read_to_string(repo.join(".git/refs/heads/main"));
        head.map_or_else(|_| now["commit"].clone(), |head| head.trim().into())
    }

    /// A commit that changes nothing: another look, soon.
    pub(super) fn look_again(&self, fleet: &Fleet) {
        fleet.commit("look again");
    }

    /// Status and body of a page.
    pub(super) fn get(&self, path: &str) -> (u16, String) {
        self.request(&format!("GET {path} HTTP/1.1\r\n{}", self.authorization()), "")
            .unwrap_or_default()
    }

    fn authorization(&self) -> String {
        let token = self.token.as_ref();
        token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"))
    }

    pub(super) fn request(&self, head: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let length = body.len();
        write!(
            stream,
            "{head}Host: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        Ok((status, body.to_owned()))
    }

    fn try_json(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.get(path).1).ok()
    }

    pub(super) fn json(&self, path: &str) -> Value {
        self.try_json(path)
            .unwrap_or_else(|| panic!("{path}: {:?}\n{}", self.get(path), self.log()))
    }

    /// Asks it to end, and insists that it does as it should.
    pub(super) fn end(mut self) {
        let pid = self.pid().to_string();
        let killed = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(killed.success());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}
