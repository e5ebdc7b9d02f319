//! A Docker Engine of one test: its own socket, data and networks, gone with it. And a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an engine or a registry may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(90);

/// One at a time: several beside all other tests would only wait for each other.
static ONE: Mutex<()> = Mutex::new(());

/// An engine.
pub(crate) struct Engine {
    root: tempfile::TempDir,
    daemon: Option<Child>,
    _one: MutexGuard<'static, ()>,
}

impl Engine {
    /// Starts one, or says why none can run here.
    pub(crate) fn start() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("a Docker Engine runs as root".to_owned());
        }
        for (program, package) in [
            ("dockerd", "docker.io"),
            ("docker-registry", "docker-registry"),
            ("busybox", "busybox-static"),
        ] {
            if find(program).is_none() {
                return Err(format!("{program} is not installed (Debian: {package})"));
            }
        }
        let root = tempfile::Builder::new().prefix("tiedown-engine-").tempdir();
        let root = root.map_err(|error| error.to_string())?;
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut engine = Self { root, daemon: None, _one };
        engine.up()?;
        Ok(engine)
    }

    /// Starts the daemon, again if it was killed.
    pub(crate) fn up(&mut self) -> Result<(), String> {
        let path = |name: &str| self.root.path().join(name);
        let log = fs::File::options().create(true).append(true).open(path("log"));
        let log = log.map_err(|error| error.to_string())?;
        // Of the daemon before and its child, which died with it; their ids may be others' by now.
        for left in ["pid", "exec/containerd/containerd.pid"] {
            let _ = fs::remove_file(path(left));
        }
        // It ends with the test, however that ends.
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "SIGKILL", "--"])
            .arg(find("dockerd").unwrap_or_default())
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .args(["--iptables=false", "--ip6tables=false", "--ip-forward=false"])
            .args(["--bridge=none", "--log-level=warn"])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.daemon = Some(daemon.map_err(|error| error.to_string())?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.docker(&["version"]).0 {
                return Ok(());
            }
            let ended = self.daemon.as_mut().and_then(|daemon| daemon.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                self.daemon = None;
                let log = fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd does not come up: {}", last.join(" / ")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where everything of it is; gone with it.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("socket")
    }

    /// Runs the client; whether it worked, and what it said.
    pub(crate) fn docker(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new("docker")
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .args(args)
            .env_remove("DOCKER_HOST")
            .env("HOME", self.root.path())
            .output()
            .expect("the docker client runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// Makes an image of busybox, with an environment, an entrypoint or a command if given as
    /// instructions of a Dockerfile.
    pub(crate) fn image(&self, name: &str, instructions: &[&str]) {
        let files = self.root.path().join("image");
        fs::create_dir_all(files.join("bin")).expect("a directory");
        fs::create_dir_all(files.join("tmp")).expect("a directory");
        let busybox = find("busybox").expect("busybox");
        fs::copy(busybox, files.join("bin/busybox")).expect("busybox");
        for applet in ["sh", "cat", "sleep", "echo", "httpd", "test", "touch", "kill", "mkdir"] {
            let link = files.join("bin").join(applet);
            if !link.exists() {
                std::os::unix::fs::symlink("busybox", link).expect("a link");
            }
        }
        let tar = self.root.path().join("image.tar");
        let made = Command::new("tar").arg("-C").arg(&files).arg("-cf").arg(&tar).arg(".").status();
        assert!(made.expect("tar").success());
        let mut args = vec!["import"];
        for instruction in instructions {
            args.extend(["-c", instruction]);
        }
        let tar = tar.to_str().expect("a path");
        args.extend([tar, name]);
        let (made, said) = self.docker(&args);
        assert!(made, "{said}");
    }

    /// Kills the daemon, and nothing else.
    pub(crate) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("it can be killed");
            daemon.wait().expect("it ends");
        }
    }

    /// Containers that there are, also of others.
    pub(crate) fn containers(&self) -> String {
        self.docker(&["ps", "-aq"]).1
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            let all = self.containers();
            let mut remove = vec!["rm", "-f"];
            remove.extend(all.split_whitespace());
            self.docker(&remove);
            // A bridge outlives its daemon, and its route would lead the next test's packets astray.
            let networks = self.docker(&["network", "ls", "-q", "-f", "type=custom"]).1;
            let mut remove = vec!["network", "rm"];
            remove.extend(networks.split_whitespace());
            self.docker(&remove);
        }
        if let Some(daemon) = &mut self.daemon {
            let pid = i32::try_from(daemon.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let deadline = Instant::now() + PATIENCE;
            while daemon.try_wait().ok().flatten().is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let root = self.root.path().to_string_lossy().into_owned();
        for at in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if at.starts_with(&root) {
                let _ = Command::new("umount").args(["-l", at]).status();
            }
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(Path::new);
    places.iter().map(|place| place.join(program)).find(|path| path.exists())
}

/// As htpasswd keeps the password of a guarded registry.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuufwYHAw.dvYeN2MP9TXHpT5pDdwzt2Da";

/// A registry on loopback.
pub(crate) struct Registry {
    root: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Registry {
    /// Starts one that keeps images in a directory.
    pub(crate) fn start(root: &Path) -> Self {
        Self::with(root, "")
    }

    /// Starts one that asks for a login: `me` with the password `finch-lane-1618`.
    pub(crate) fn guarded(root: &Path) -> Self {
        let users = root.join("users");
        fs::create_dir_all(root).expect("a directory");
        fs::write(&users, format!("me:{HASH}\n")).expect("a file");
        let path = users.display();
        Self::with(root, &format!("auth: {{ htpasswd: {{ realm: test, path: {path} }} }}\n"))
    }

    fn with(root: &Path, more: &str) -> Self {
        fs::create_dir_all(root).expect("a directory");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        drop(listener);
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"127.0.0.1:{port}\" }}\n{more}",
            root.join("images").display()
        );
        fs::write(root.join("config.yml"), config).expect("a file");
        let mut registry = Self { root: root.to_owned(), port, server: None };
        registry.up();
        registry
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn up(&mut self) {
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "SIGKILL", "--", "docker-registry", "serve"])
            .arg(self.root.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.expect("docker-registry starts"));
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("it can be killed");
            server.wait().expect("it ends");
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}
