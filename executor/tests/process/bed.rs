//! What the tests of the process runtime stand on: directories, launches, waiting for a state.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use executor::runtime::process::{
    self, Bind, BindSource, Capabilities, Error, Launch, Limits, Network, Record, Restart, State,
};
use tempfile::TempDir;

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary that answers `internal …`.
pub(crate) fn internal() -> PathBuf {
    std::env::var_os("EXECUTOR_INTERNAL")
        .map_or_else(|| env!("CARGO_BIN_EXE_executor-internal").into(), PathBuf::from)
}

pub(crate) fn root() -> bool {
    fs::read_to_string("/proc/self/status")
        .expect("/proc")
        .lines()
        .any(|line| line.starts_with("Uid:\t0\t0\t"))
}

/// Says why a test did not run, where nobody can miss it.
pub(crate) fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    shout(&format!("SKIPPED: {test}: {why}"));
}

/// A line that the test harness does not swallow.
pub(crate) fn shout(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What this host can do.
pub(crate) fn capabilities() -> Capabilities {
    process::probe(&internal()).expect("the probe runs")
}

/// Whether instances can run here; says so when not.
pub(crate) fn able() -> bool {
    let found = capabilities();
    if !found.instances {
        skip(&format!("instances cannot run here: {:?}", found.lacks));
    }
    found.instances
}

/// A state directory of one test; whatever still runs in it is stopped in the end.
pub(crate) struct Bed {
    home: TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::Builder::new().prefix("tiedown-").tempdir().expect("a directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn instance(&self, id: &str) -> PathBuf {
        self.path("instances").join(id)
    }

    /// A launch of a shell script that shares the host's network and is not started again.
    pub(crate) fn script(&self, id: &str, script: &str) -> Launch {
        Launch {
            instance: id.to_owned(),
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: BTreeMap::new(),
            directory: "/app".into(),
            tree: None,
            binds: Vec::new(),
            holds: Vec::new(),
            files: Vec::new(),
            secrets: None,
            network: Network::Shared { address: IpAddr::V4(Ipv4Addr::LOCALHOST), ports: vec![] },
            restart: Restart::Never,
            ends_within_ms: None,
            kill_signal: 15,
            kill_timeout_ms: 5000,
            hidden: vec![self.home.path().to_owned()],
            limits: Limits::default(),
            engine: None,
        }
    }

    /// Adds a volume that is a directory of the host, with its hold.
    pub(crate) fn volume(&self, launch: &mut Launch, name: &str, destination: &str) -> PathBuf {
        let data = self.path(name);
        fs::create_dir_all(&data).expect("a directory");
        launch.binds.push(Bind {
            source: BindSource::Directory(data.clone()),
            destination: destination.into(),
        });
        launch.holds.push(self.path(&format!("{name}.hold")));
        data
    }

    pub(crate) fn start(&self, launch: &Launch) -> Result<Record, Error> {
        process::start(&internal(), &self.instance(&launch.instance), launch, PATIENCE)
    }

    /// Starts what must come up.
    pub(crate) fn up(&self, launch: &Launch) -> Record {
        self.start(launch).unwrap_or_else(|error| {
            panic!("{} did not start: {error}\n{}", launch.instance, self.log(&launch.instance))
        })
    }

    pub(crate) fn state(&self, id: &str) -> State {
        process::state(&self.instance(id)).expect("a record").expect("a record").state
    }

    pub(crate) fn log(&self, id: &str) -> String {
        let log = fs::read(self.instance(id).join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until the log has a line, and gives the whole log.
    pub(crate) fn says(&self, id: &str, line: &str) -> String {
        wait(&format!("{id} to say {line:?}"), || self.log(id).lines().any(|said| said == line));
        self.log(id)
    }

    pub(crate) fn stop(&self, id: &str) {
        let record = process::stop(&self.instance(id)).expect("it stops").expect("a record");
        assert_eq!(record.state, State::Stopped);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for instance in fs::read_dir(self.path("instances")).into_iter().flatten().flatten() {
            if let Err(error) = process::stop(&instance.path()) {
                shout(&format!("left behind: {error}"));
            }
        }
    }
}

/// Waits for a state, with a deadline.
#[track_caller]
pub(crate) fn wait(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The pid namespace of a process, as the kernel names it.
pub(crate) fn pid_namespace(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/ns/pid")).expect("a living process")
}

/// The processes that live in a pid namespace.
pub(crate) fn living_in(namespace: &Path) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|found| found == namespace)
                && process::Identity::of(*pid).is_some_and(|process| process.alive())
        })
        .collect()
}

/// Whether any process sees a mount with `part` in its line of the mount table.
pub(crate) fn mounted(part: &str) -> bool {
    fs::read_dir("/proc").expect("/proc").flatten().any(|entry| {
        fs::read_to_string(entry.path().join("mountinfo"))
            .is_ok_and(|table| table.lines().any(|line| line.contains(part)))
    })
}
