//! What every adapter of the runtime port promises, whatever it is made of.

use crate::process::bed;
use executor::ensure::Ensured;
use executor::names::StateDir;
use executor::runtime::process::{self, Identity};
use executor::runtime::{Runtime, RuntimeError, Start};
use executor::secrets::sealed::SealedSecrets;
use executor::secrets::{Secret, Secrets};
use executor::storage::{Attachment, Medium};
use planner::model::artifact::Artifact;
use planner::model::guest::Guest;
use planner::model::id::{InstanceId, VolumeId};
use planner::model::instance::{
    Bind, GuestFile, InstanceSpec, Restart, Role, SecretFile, Supervision,
};
use planner::model::network::Subnet;
use planner::model::observed::{InstanceState, InstanceView};
use planner::model::release::{Env, Release, SecretVersions};
use planner::model::time::Millis;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A runtime, and what its instances run.
pub(crate) struct Bed {
    home: tempfile::TempDir,
    subnet: Subnet,
    runtime: Box<dyn Runtime>,
    artifact: Artifact,
    tree: Option<PathBuf>,
    /// Whether instances have networks of their own, and volumes can be images.
    root: bool,
}

impl Bed {
    pub(crate) fn new(
        home: tempfile::TempDir,
        subnet: Subnet,
        runtime: Box<dyn Runtime>,
        artifact: Artifact,
        tree: Option<PathBuf>,
        root: bool,
    ) -> Self {
        Self { home, subnet, runtime, artifact, tree, root }
    }

    /// An instance of a shell script, of the n-th slot.
    pub(crate) fn script(&self, n: u8, script: &str) -> InstanceSpec {
        let slot = format!("web/app/ewr/{n}").parse().unwrap();
        let release = Release::try_from("b".repeat(64)).unwrap();
        let fleet = "contract".parse().unwrap();
        InstanceSpec {
            id: InstanceId::derive(&fleet, &slot, Role::Main, &release),
            slot,
            role: Role::Main,
            release,
            artifact: self.artifact.clone(),
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            replaces_entrypoint: false,
            env: Env::from([("GREETING".into(), "hello".into())]),
            files: Vec::new(),
            secret_files: Vec::new(),
            secrets: SecretVersions::new(),
            binds: Vec::new(),
            guest: Guest::DEFAULT,
            address: self.subnet.addresses().nth(usize::from(n)).unwrap(),
            ports: Vec::new(),
            ends_within: None,
            alone: false,
            supervision: Supervision {
                restart: Restart::Never,
                kill_signal: "SIGINT".into(),
                kill_timeout: Millis::from_secs(5),
            },
        }
    }

    /// The same with a volume at `/data`.
    pub(crate) fn mounted(&self, n: u8, volume: &VolumeId, script: &str) -> InstanceSpec {
        let source = "data".parse().unwrap();
        let bind = Bind { volume: volume.clone(), source, destination: "/data".into() };
        InstanceSpec { binds: vec![bind], ..self.script(n, script) }
    }

    /// A volume that is a directory, or an image where the runtime can have one.
    fn attachment(&self, volume: &VolumeId) -> Attachment {
        let at = self.home.path().join("volumes").join(volume.as_str());
        fs::create_dir_all(at.join("data")).unwrap();
        let hold = at.join("hold");
        if !self.root {
            let (volume, medium) = (volume.clone(), Medium::Directory(at.join("data")));
            return Attachment { volume, medium, hold };
        }
        let image = at.join("image");
        if !image.exists() {
            let content = at.join("content");
            fs::create_dir_all(content.join("data")).unwrap();
            fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
            let made =
                Command::new("mkfs.ext4").args(["-q", "-d"]).arg(&content).arg(&image).status();
            assert!(made.unwrap().success());
        }
        Attachment { volume: volume.clone(), medium: Medium::Image(image), hold }
    }

    pub(crate) async fn start(&self, spec: &InstanceSpec) -> Result<Ensured, RuntimeError> {
        let volumes = spec.binds.iter();
        let volumes = volumes.map(|bind| (bind.clone(), self.attachment(&bind.volume))).collect();
        self.runtime.start(Start { instance: spec, volumes, tree: self.tree.as_deref() }).await
    }

    pub(crate) async fn up(&self, spec: &InstanceSpec) {
        if let Err(error) = self.start(spec).await {
            panic!(
                "{} did not start: {}\n{}",
                spec.id,
                executor::chain(&error),
                self.log(&spec.id)
            );
        }
    }

    pub(crate) async fn stop(&self, id: &InstanceId) -> Ensured {
        self.runtime.stop(id).await.unwrap_or_else(|error| panic!("{}", executor::chain(&error)))
    }

    pub(crate) async fn view(&self, id: &InstanceId) -> Option<InstanceView> {
        let mut all = self.runtime.instances().await.unwrap();
        all.remove(id)
    }

    pub(crate) async fn resume(&self, id: &InstanceId) -> Ensured {
        self.runtime.resume(id).await.unwrap_or_else(|error| panic!("{}", executor::chain(&error)))
    }

    pub(crate) fn log(&self, id: &InstanceId) -> String {
        let log = fs::read(self.runtime.log(id)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub(crate) fn says(&self, id: &InstanceId, line: &str) {
        bed::wait(&format!("{line:?} in\n{}", self.log(id)), || {
            self.log(id).lines().any(|said| said == line)
        });
    }

    /// Waits until the instance's state is as it should be.
    pub(crate) async fn until(&self, id: &InstanceId, what: &str, is: fn(&InstanceState) -> bool) {
        let deadline = std::time::Instant::now() + bed::PATIENCE;
        loop {
            let state = self.view(id).await.map(|view| view.state);
            if state.as_ref().is_some_and(is) {
                return;
            }
            let late = std::time::Instant::now() > deadline;
            assert!(!late, "waited in vain for {what}: {state:?}\n{}", self.log(id));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// The instance's supervisor and the first process of its program, from its record.
    pub(crate) fn chain(&self, id: &InstanceId) -> (Identity, Identity) {
        let directory = self.home.path().join("instances").join(id.as_str());
        let record = process::state(&directory).unwrap().expect("a record");
        (record.supervisor, record.init.expect("it runs"))
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) async fn foreign(&self) -> Vec<(String, String)> {
        let foreign = self.runtime.foreign().await.unwrap();
        foreign.into_iter().map(|foreign| (foreign.name, foreign.whose)).collect()
    }

    pub(crate) async fn finish(&self) {
        self.runtime.clear().await.unwrap();
    }
}

pub(crate) fn volume(n: u8) -> VolumeId {
    VolumeId::parse(&format!("vol_{n:016x}")).unwrap()
}

/// The whole contract.
pub(crate) async fn holds(bed: &Bed) {
    starts_and_stops(bed).await;
    sees_what_it_was_given(bed).await;
    one_volume_has_one_instance(bed).await;
    ends_and_is_started_again(bed).await;
    is_stopped_as_it_wants(bed).await;
    a_killed_supervisor_takes_it_along(bed).await;
    has_its_own_address(bed).await;
    is_reached_by_its_host_alone(bed).await;
    runs_one_more_program(bed).await;
}

async fn starts_and_stops(bed: &Bed) {
    let spec = bed.script(1, "echo up; exec sleep 1000");
    assert_eq!(bed.view(&spec.id).await, None);
    assert_eq!(bed.stop(&spec.id).await, Ensured::AlreadySo);
    assert_eq!(bed.start(&spec).await.unwrap(), Ensured::Made);
    bed.says(&spec.id, "up");
    let view = bed.view(&spec.id).await.expect("it is listed");
    assert_eq!((view.state, view.role), (InstanceState::Running, Role::Main));
    assert_eq!((view.slot, view.release), (spec.slot.clone(), spec.release.clone()));
    assert_eq!((view.address, view.memory), (spec.address, spec.guest.memory));
    assert_eq!(bed.resume(&spec.id).await, Ensured::AlreadySo);
    let otherwise = Supervision { restart: Restart::Always, ..spec.supervision.clone() };
    bed.runtime.supervise(&spec.id, &otherwise).await.unwrap();
    assert_eq!(bed.view(&spec.id).await.expect("it is listed").supervision, otherwise);
    assert_eq!(bed.stop(&spec.id).await, Ensured::Made);
    assert_eq!(bed.view(&spec.id).await, None);
    assert!(!bed.runtime.log(&spec.id).exists());
    assert_eq!(bed.stop(&spec.id).await, Ensured::AlreadySo);
}

async fn sees_what_it_was_given(bed: &Bed) {
    let name: planner::model::name::SecretName = "TOKEN".parse().unwrap();
    let value = "heron-mill-ash-2718";
    let secret = Secret::new(value.as_bytes().to_vec().into()).unwrap();
    let secrets = SealedSecrets::new("contract".parse().unwrap(), StateDir::at(bed.home()));
    let values = BTreeMap::from([(name.clone(), Some(secret))]);
    secrets.change(&"web".parse().unwrap(), values).unwrap();
    let script = "echo $GREETING; cat /etc/app.conf; \
                  test \"$(cat /run/token)\" = \"$TOKEN\" && test -n \"$TOKEN\" && echo same; \
                  echo kept > /data/file && echo done; exec sleep 1000";
    let mut spec = bed.mounted(2, &volume(2), script);
    let content = b"from the manifest\n".to_vec();
    spec.files = vec![GuestFile { path: "/etc/app.conf".to_owned(), content }];
    spec.secrets = SecretVersions::from([(name.clone(), 1)]);
    spec.secret_files = vec![SecretFile { path: "/run/token".to_owned(), secret: name }];
    bed.up(&spec).await;
    bed.says(&spec.id, "done");
    for line in ["hello", "from the manifest", "same"] {
        bed.says(&spec.id, line);
    }
    let instance = bed.home().join("instances").join(spec.id.as_str());
    for entry in fs::read_dir(instance).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = fs::read(entry.path()).unwrap();
        let found = bytes.windows(value.len()).any(|window| window == value.as_bytes());
        assert!(!found, "the secret is in {}", entry.path().display());
    }
    bed.stop(&spec.id).await;
    let again = bed.mounted(2, &volume(2), "cat /data/file; exec sleep 1000");
    bed.up(&again).await;
    bed.says(&again.id, "kept");
    bed.stop(&again.id).await;
}

async fn one_volume_has_one_instance(bed: &Bed) {
    let holder = bed.mounted(3, &volume(3), "exec sleep 1000");
    bed.up(&holder).await;
    let other = bed.mounted(4, &volume(3), "exec sleep 1000");
    let refused = bed.start(&other).await;
    let Err(RuntimeError::Held { volume: held, holder: by }) = refused else {
        panic!("it is held: {refused:?}")
    };
    assert_eq!(held, volume(3).as_str());
    assert!(by.contains(holder.id.as_str()), "{by}");
    bed.until(&holder.id, "running", |state| *state == InstanceState::Running).await;
    bed.stop(&holder.id).await;
    bed.stop(&other.id).await;
    bed.up(&other).await;
    bed.stop(&other.id).await;
}

async fn ends_and_is_started_again(bed: &Bed) {
    let done = bed.script(5, "exit 0");
    bed.up(&done).await;
    bed.until(&done.id, "the end", |state| *state == InstanceState::Finished).await;
    assert_eq!(bed.resume(&done.id).await, Ensured::AlreadySo);
    bed.stop(&done.id).await;
    let mut failing = bed.mounted(6, &volume(6), "echo run >> /data/runs; cat /data/runs; exit 3");
    failing.supervision.restart = Restart::OnFailure { retries: 1 };
    bed.up(&failing).await;
    bed.until(&failing.id, "its last run", |state| {
        *state == InstanceState::Failed { why: "its program ended with status 3".to_owned() }
    })
    .await;
    let runs = bed.log(&failing.id).lines().filter(|line| *line == "run").count();
    assert_eq!(runs, 3, "one of the first run, two of the second: {}", bed.log(&failing.id));
    bed.stop(&failing.id).await;
    let mut nothing = bed.script(7, "");
    nothing.argv = vec!["/no/such/program".to_owned()];
    bed.up(&nothing).await;
    bed.until(&nothing.id, "its failure", |state| matches!(state, InstanceState::Failed { .. }))
        .await;
    bed.stop(&nothing.id).await;
}

async fn is_stopped_as_it_wants(bed: &Bed) {
    let script = "trap 'echo bye > /data/bye; exit 0' USR1; trap '' TERM INT; echo ready; \
                  while :; do sleep 0.05; done";
    let mut spec = bed.mounted(8, &volume(8), script);
    spec.supervision.kill_signal = "SIGUSR1".into();
    bed.up(&spec).await;
    bed.says(&spec.id, "ready");
    bed.stop(&spec.id).await;
    let mut stubborn = bed.mounted(
        8,
        &volume(8),
        "cat /data/bye; trap '' INT; echo ready; while :; do sleep 0.05; done",
    );
    stubborn.supervision.kill_timeout = Millis(200);
    bed.up(&stubborn).await;
    bed.says(&stubborn.id, "ready");
    bed.says(&stubborn.id, "bye");
    assert_eq!(bed.stop(&stubborn.id).await, Ensured::Made);
}

async fn a_killed_supervisor_takes_it_along(bed: &Bed) {
    // A grandchild that ignores signals and its parent's death.
    let script = "(trap '' TERM HUP; while :; do sleep 0.05; done) & echo up; exec sleep 1000";
    let spec = bed.mounted(9, &volume(9), script);
    bed.up(&spec).await;
    for _ in 0..2 {
        let (supervisor, init) = bed.chain(&spec.id);
        let namespace = bed::pid_namespace(init.pid);
        kill(supervisor.pid);
        bed::wait("the tree to be gone", || bed::living_in(&namespace).is_empty());
        bed.until(&spec.id, "its death", |state| matches!(state, InstanceState::Died { .. })).await;
        assert_eq!(bed.resume(&spec.id).await, Ensured::Made);
        bed.until(&spec.id, "running", |state| *state == InstanceState::Running).await;
    }
    let (supervisor, init) = bed.chain(&spec.id);
    kill(supervisor.pid);
    assert_eq!(bed.stop(&spec.id).await, Ensured::Made);
    assert!(!init.alive(), "a stopped instance has no process");
    let other = bed.mounted(10, &volume(9), "exec sleep 1000");
    bed.up(&other).await;
    bed.stop(&other.id).await;
}

pub(crate) fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success(), "{pid} is gone already");
}

async fn has_its_own_address(bed: &Bed) {
    if !bed.root {
        return bed::skip("instances have no networks of their own here");
    }
    let server = "mkdir -p /tmp/www; echo hello > /tmp/www/index.html; \
                  exec busybox httpd -f -p 8080 -h /tmp/www";
    for n in [11, 12] {
        bed.up(&bed.script(n, server)).await;
    }
    for n in [11, 12] {
        let spec = bed.script(n, server);
        let place = std::net::SocketAddr::from((spec.address, 8080));
        bed::wait(&format!("an answer of {place}"), || answers(place));
        bed.stop(&spec.id).await;
        assert!(!answers(place), "{place} answers after its end");
    }
}

fn answers(place: std::net::SocketAddr) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) =
        std::net::TcpStream::connect_timeout(&place, std::time::Duration::from_secs(1))
    else {
        return false;
    };
    let mut answer = String::new();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.contains("hello")
}

async fn is_reached_by_its_host_alone(bed: &Bed) {
    if !bed.runtime.isolates() {
        return bed::skip("instances have no networks of their own here");
    }
    let script = "mkdir -p /tmp/www; echo hello > /tmp/www/index.html; \
                  exec busybox httpd -f -p 8080 -h /tmp/www";
    let mut spec = bed.script(13, script);
    spec.alone = true;
    bed.up(&spec).await;
    let place = std::net::SocketAddrV4::new(spec.address, 8080);
    let deadline = std::time::Instant::now() + bed::PATIENCE;
    while bed.runtime.connect(&spec.id, place).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "its host does not reach it");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(!answers(place.into()), "everybody reaches it");
    bed.stop(&spec.id).await;
}

async fn runs_one_more_program(bed: &Bed) {
    let spec = bed.mounted(14, &volume(14), "echo mine > /data/file; echo up; exec sleep 1000");
    bed.up(&spec).await;
    bed.says(&spec.id, "up");
    let run = async |script: &str| {
        let argv = ["/bin/sh", "-c", script].map(std::ffi::OsString::from);
        bed.runtime.exec(&spec.id, &argv).await.unwrap()
    };
    assert_eq!(run("test \"$(cat /data/file)\" = mine && test \"$GREETING\" = hello").await, 0);
    assert_eq!(run("exit 7").await, 7);
    bed.stop(&spec.id).await;
    assert_eq!(run("exit 0").await, 126, "it does not run");
}
