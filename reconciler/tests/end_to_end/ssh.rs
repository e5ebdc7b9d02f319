//! GitOps over ssh: pushes to a bare repository with hooks, and a daemon that follows it, both by
//! way of a real sshd on loopback.

use super::fleet::{Fleet, Said, eventually};
use super::hooks::bare;
use crate::skipped;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const SSHD: &str = "/usr/sbin/sshd";

/// An sshd with one key of its own, which lets in one other.
struct Sshd {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Sshd {
    fn start(fleet: &Fleet) -> Self {
        let dir = fleet.root_path().join("ssh");
        fs::create_dir_all(&dir).unwrap();
        // Where it goes when it gives up its rights.
        fs::create_dir_all("/run/sshd").unwrap();
        for key in ["host", "client"] {
            let args = ["-q", "-t", "ed25519", "-N", "", "-f"];
            let made = Command::new("ssh-keygen").args(args).arg(dir.join(key)).status().unwrap();
            assert!(made.success());
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        fs::copy(dir.join("client.pub"), dir.join("allowed")).unwrap();
        let host = fs::read_to_string(dir.join("host.pub")).unwrap();
        fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/allowed\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\n",
            dir.display()
        );
        fs::write(dir.join("config"), config).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self { child, port, dir };
        eventually("sshd answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        sshd
    }

    fn url(&self, repository: &Path) -> String {
        format!("ssh://root@127.0.0.1:{}{}", self.port, repository.display())
    }

    /// What git calls: with the key, or with whatever an agent has.
    fn ssh(&self, has_key: bool) -> String {
        let dir = self.dir.display();
        let key =
            if has_key { format!("-i {dir}/client -oIdentitiesOnly=yes") } else { String::new() };
        format!(
            "ssh -F none {key} -oBatchMode=yes -oStrictHostKeyChecking=yes \
             -oUserKnownHostsFile={dir}/known"
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent that has the client's key.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(sshd: &Sshd) -> Self {
        let socket = sshd.dir.join("agent");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdin(Stdio::null()).stdout(Stdio::null());
        let agent = Self { child: command.spawn().unwrap(), socket };
        eventually("the agent answers", || agent.socket.exists());
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(sshd.dir.join("client"))
            .env("SSH_AUTH_SOCK", &agent.socket)
            .status()
            .unwrap();
        assert!(added.success());
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn push(fleet: &Fleet, sshd: &Sshd, url: &str) -> (bool, String) {
    let output: Output = Command::new("git")
        .args(["push", url, "HEAD:main"])
        .current_dir(fleet.repo())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_SSH_COMMAND", sshd.ssh(true))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn hosts_follow_a_push_over_ssh_and_a_bad_one_stays_out() {
    if !rustix::process::geteuid().is_root() || !Path::new(SSHD).exists() {
        skipped("pushes over ssh: it takes root, and /usr/sbin/sshd of openssh-server");
        return;
    }
    let fleet = Fleet::new(197);
    let bare = bare(&fleet);
    let sshd = Sshd::start(&fleet);
    let url = sshd.url(&bare);
    fleet.store("one", "{ ewr = 1, ord = 1 }");
    fleet.commit("two stores");
    let (is_in, told) = push(&fleet, &sshd, &url);
    assert!(is_in, "{told}");
    for words in ["Plan: 4 to add, 0 to change, 0 to destroy.", "Applied: 4 added"] {
        assert!(told.contains(&format!("remote: {words}")), "{words} is not in\n{told}");
    }
    assert_eq!(fleet.slots().len(), 2);

    // A mistake: told with its place to whoever pushes, and nothing comes in.
    let manifest = fs::read_to_string(fleet.repo().join("store/fly.toml")).unwrap();
    fleet.write("store/fly.toml", &manifest.replace("\"/data\"", "\"data\""));
    fleet.commit("a mistake");
    let (is_in, told) = push(&fleet, &sshd, &url);
    assert!(!is_in && told.contains("store/fly.toml:"), "{told}");
    fleet.git(&["reset", "-q", "--hard", "HEAD~1"]);

    // A daemon elsewhere that reads over ssh, with what an agent has and no key of its own.
    let agent = Agent::start(&sshd);
    let follow = |agent: Option<&Agent>| {
        let mirror = fleet.root_path().join("mirror.git");
        let args = ["serve", "--once", "--remote", &url, "--mirror", mirror.to_str().unwrap()];
        let mut command = fleet.command_in(Path::new("."), &args);
        command.current_dir(fleet.root_path()).env("GIT_SSH_COMMAND", sshd.ssh(false));
        if let Some(agent) = agent {
            command.env("SSH_AUTH_SOCK", &agent.socket);
        }
        Said::of(&command.output().unwrap())
    };
    let said = follow(None);
    assert!(said.code == 1 && said.err.contains("Permission denied"), "{said}");
    let said = follow(Some(&agent));
    assert!(said.code == 0 && said.out.contains("No changes."), "{said}");
    fleet.assert_one_to_one();
}
