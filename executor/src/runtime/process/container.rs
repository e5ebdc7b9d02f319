//! One container as its supervisor holds it: its volumes mounted, its first process watched, and
//! the proof that nothing of it is left. A guard beside the supervisor keeps the holds, and takes
//! the container down should the supervisor be killed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::AsyncWriteExt;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::launch::{Bind, BindSource, InEngine, Launch};
use super::record::{Enforcement, Identity, Place};
use super::refusal::{cannot, cannot_at};
use super::tree::End;
use super::{Refusal, kernel, mounts};
use crate::command;
use crate::names::DATA;
use crate::runtime::docker::body;
use crate::runtime::docker::engine::Engine;

/// How often something of the engine or the kernel is looked at again.
const LOOK: Duration = Duration::from_millis(50);
/// How often an engine that does not answer is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a killed container may take to be gone, and a log to be read to its end.
const DYING: Duration = Duration::from_secs(15);

/// What the supervisor tells its guard when the container is gone.
const DONE: &str = "done\n";

/// A container and what was set up for it.
pub(super) struct Container {
    engine: Engine,
    name: String,
    room: PathBuf,
    init: Option<AsyncFd<OwnedFd>>,
    guard: Child,
    log: Option<JoinHandle<()>>,
    place: Place,
    /// Whether the limits asked for hold.
    pub(super) limits: Enforcement,
}

impl Container {
    /// Sets everything up but does not start it: the guard, the volumes, the files, the container.
    ///
    /// # Errors
    /// The step that failed; what was set up is taken down again.
    pub(super) async fn prepare(
        launch: &Launch,
        at: &InEngine,
        place: &Place,
    ) -> Result<Self, Refusal> {
        let log = super::log::open(&place.log()).map_err(cannot("open the log"))?;
        let guard = command::stage_piped("guard", place.directory(), log)
            .map_err(cannot("start the guard"))?;
        let engine = answering(&at.socket).await;
        let mut container = Self {
            engine,
            name: at.container.clone(),
            room: at.room.clone(),
            init: None,
            guard,
            log: None,
            place: Place::at(place.directory()),
            limits: Enforcement::NotAsked,
        };
        match container.set_up(launch, at).await {
            Ok(()) => Ok(container),
            Err(refusal) => {
                container.destroy().await?;
                Err(refusal)
            }
        }
    }

    async fn set_up(&mut self, launch: &Launch, at: &InEngine) -> Result<(), Refusal> {
        // Of the run before, or of a supervisor that was killed in between.
        self.engine.remove(&self.name).await.map_err(engine("remove the former container"))?;
        self.unseen_by_others(&launch.binds).await?;
        let limiting = self.engine.limiting().await.map_err(engine("ask what can be limited"))?;
        let mut seen = Vec::new();
        for (n, bind) in launch.binds.iter().enumerate() {
            let source = volume(&self.room, n, bind)?;
            seen.push(body::Seen { source, destination: bind.destination.clone(), writable: true });
        }
        if !launch.files.is_empty() {
            let directory = files_room(&self.room)?;
            for (n, file) in launch.files.iter().enumerate() {
                let source = directory.join(n.to_string());
                fs::write(&source, &file.bytes)
                    .and_then(|()| {
                        fs::set_permissions(&source, fs::Permissions::from_mode(file.mode & 0o777))
                    })
                    .map_err(cannot_at("write", &file.path))?;
                let destination = file.path.clone();
                seen.push(body::Seen { source, destination, writable: false });
            }
        }
        let (body, lacking) = body::of(launch, at, &seen, limiting);
        self.limits = match lacking {
            None => Enforcement::Enforced,
            Some(why) => Enforcement::NotEnforced { why },
        };
        self.engine.create(&self.name, body).await.map_err(engine("make the container"))
    }

    /// A directory of the host that is a volume leaves no other trace of a container that sees it.
    async fn unseen_by_others(&self, binds: &[Bind]) -> Result<(), Refusal> {
        let containers = self.engine.containers().await.map_err(engine("list containers"))?;
        for bind in binds {
            let BindSource::Directory(directory) = &bind.source else { continue };
            let sees = |source: &PathBuf| source == directory;
            if let Some(other) =
                containers.iter().find(|other| other.lives && other.sources.iter().any(sees))
            {
                let by = format!("container {}", other.name);
                return Err(Refusal::Mounted { source_path: directory.clone(), by });
            }
        }
        Ok(())
    }

    /// Starts it; its first process, unless that has ended already.
    pub(super) async fn start(&mut self) -> Result<Option<Identity>, Refusal> {
        if let Err(error) = self.engine.start(&self.name).await {
            let program = self.name.clone();
            return Err(Refusal::Program { program, cause: crate::chain(&error) });
        }
        let log = super::log::open(&self.place.log()).map_err(cannot("open the log"))?;
        self.log = Some(tokio::spawn(copy_output(self.engine.clone(), self.name.clone(), log)));
        self.watch().await
    }

    /// Takes hold of its first process, by the kernel's own handle; none if it has ended already,
    /// which the engine may hear of later than the kernel.
    async fn watch(&mut self) -> Result<Option<Identity>, Refusal> {
        let deadline = Instant::now() + DYING;
        loop {
            let doing = self.engine.doing(&self.name).await;
            let doing = doing.map_err(engine("look at the container"))?;
            let Some(pid) = doing.and_then(|doing| doing.pid) else { return Ok(None) };
            let handle = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let handle =
                handle.ok_or_else(|| cannot("watch the container")("it has no process id"))?;
            match rustix::process::pidfd_open(handle, PidfdFlags::empty()) {
                Ok(pidfd) => {
                    let init = kernel::await_readable(pidfd);
                    self.init = Some(init.map_err(cannot("watch the container"))?);
                    return Ok(Identity::of(pid));
                }
                Err(rustix::io::Errno::SRCH) if Instant::now() < deadline => sleep(LOOK).await,
                Err(rustix::io::Errno::SRCH) => {
                    let why = "the engine's processes cannot be seen from here";
                    return Err(cannot("watch the container")(why));
                }
                Err(error) => return Err(cannot("watch the container")(error)),
            }
        }
    }

    /// Until its first process has ended, and with that all others of it.
    pub(super) async fn end(&mut self) -> Result<End, Refusal> {
        if let Some(init) = &self.init {
            let _ = init.readable().await.map_err(cannot("watch the container"))?;
        }
        // The engine hears of it later than we do; where it does not answer nobody knows the status.
        let deadline = Instant::now() + DYING;
        loop {
            match self.engine.doing(&self.name).await {
                Ok(Some(doing)) if doing.pid.is_none() => return Ok(End::Ended(doing.code)),
                Ok(Some(_)) | Err(_) if Instant::now() < deadline => sleep(LOOK).await,
                Ok(_) | Err(_) => return Ok(End::Killed),
            }
        }
    }

    /// Sends its program a signal.
    pub(super) async fn signal(&self, signal: i32) {
        if self.engine.signal(&self.name, signal).await.is_ok() {
            return;
        }
        // An engine that is gone must not keep a program from being asked.
        if let (Some(init), Some(signal)) = (&self.init, Signal::from_named_raw(signal)) {
            let _ = rustix::process::pidfd_send_signal(init.get_ref().as_fd(), signal);
        }
    }

    /// Kills what is left and waits until nothing is: no process, no mount, no container.
    pub(super) async fn destroy(mut self) -> Result<(), Refusal> {
        if let Some(init) = &self.init {
            let _ = rustix::process::pidfd_send_signal(init.get_ref().as_fd(), Signal::KILL);
            let _ = init.readable().await.map_err(cannot("wait for the container"))?;
        }
        if let Some(log) = self.log.take() {
            let abort = log.abort_handle();
            if timeout(DYING, log).await.is_err() {
                abort.abort();
            }
        }
        // What an engine that is gone keeps of it is removed before it is started again.
        let removed = self.engine.remove(&self.name).await;
        if self.init.is_none() {
            removed.map_err(engine("remove the container"))?;
        }
        leave(&self.room).await?;
        if let Some(mut pipe) = self.guard.stdin.take() {
            let _ = pipe.write_all(DONE.as_bytes()).await;
        }
        self.guard.wait().await.map(drop).map_err(cannot("wait for the guard"))
    }
}

fn engine<E: std::error::Error>(step: &'static str) -> impl FnOnce(E) -> Refusal {
    move |error| cannot(step)(crate::chain(&error))
}

/// The engine, once it answers: it may be on its way up, as after a reboot or an upgrade.
async fn answering(socket: &Path) -> Engine {
    loop {
        if let Ok(engine) = Engine::at(socket)
            && engine.version().await.is_ok()
        {
            return engine;
        }
        sleep(RETRY).await;
    }
}

/// Copies what a container writes, without the moments that the engine puts before each line.
/// After an engine was restarted only what came later.
async fn copy_output(engine: Engine, name: String, mut log: File) {
    let mut last = Vec::new();
    loop {
        let mut output = std::pin::pin!(engine.output(&name));
        while let Some(Ok(line)) = output.next().await {
            let at = line.iter().position(|byte| *byte == b' ').unwrap_or(0);
            let (moment, text) = line.split_at(at);
            if moment > last.as_slice() {
                last = moment.to_vec();
                // A full disk must not take the instance down.
                let _ = log.write_all(text.get(1..).unwrap_or_default());
            }
        }
        match engine.doing(&name).await {
            Ok(Some(doing)) if doing.pid.is_some() => {}
            Err(_) => {}
            Ok(_) => return,
        }
        sleep(RETRY).await;
    }
}

/// Mounts a volume where the engine sees it; the directory to bind.
fn volume(room: &Path, n: usize, bind: &Bind) -> Result<PathBuf, Refusal> {
    let (device, named, _keep) = match &bind.source {
        BindSource::Directory(directory) => return Ok(directory.clone()),
        BindSource::Image(image) => {
            let (device, keep) =
                kernel::attach_loop(image).map_err(cannot_at("make a loop device of", image))?;
            (device, image, Some(keep))
        }
        BindSource::Device(device) => (device.clone(), device, None),
    };
    let at = room.join(n.to_string());
    make(&at)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    rustix::mount::mount(&device, &at, "ext4", flags, None).map_err(cannot_at("mount", named))?;
    let data = at.join(DATA);
    if data.is_dir() {
        return Ok(data);
    }
    Err(Refusal::Host {
        step: format!("use {}", named.display()),
        cause: format!("its file system has no directory {DATA:?}: it is not a volume"),
    })
}

/// Where files of the instance are, in memory: some are secrets.
fn files_room(room: &Path) -> Result<PathBuf, Refusal> {
    let at = room.join("files");
    make(&at)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("tmpfs", &at, "tmpfs", flags, c"size=64m,mode=755")
        .map_err(cannot_at("mount", &at))?;
    Ok(at)
}

fn make(directory: &Path) -> Result<(), Refusal> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(cannot_at("make", directory))
}

/// Unmounts what was set up for an instance, and removes the empty directories; never what is in
/// them.
async fn leave(room: &Path) -> Result<(), Refusal> {
    let mounted = || -> Result<Vec<PathBuf>, Refusal> {
        let all = mounts::own().map_err(cannot("read the mounts"))?;
        Ok(all.into_iter().map(|mount| mount.at).filter(|at| at.starts_with(room)).collect())
    };
    let deadline = Instant::now() + DYING;
    loop {
        let left = mounted()?;
        let Some(last) = left.last() else { break };
        match rustix::mount::unmount(last, UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(rustix::io::Errno::BUSY) if Instant::now() < deadline => sleep(LOOK).await,
            // A guard was faster.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(cannot_at("unmount", last)(error)),
        }
    }
    let entries = fs::read_dir(room).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).chain([room.to_owned()]) {
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot_at("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Takes down what a killed supervisor left: the container with all its processes, its mounts.
///
/// # Errors
/// What is left, or whether something is, if the engine does not answer.
pub(in crate::runtime) async fn clear(directory: &Path) -> Result<(), Refusal> {
    let place = Place::at(directory);
    let launch = match place.read_launch() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        launch => launch.map_err(cannot("read the launch"))?,
    };
    let Some(at) = launch.engine else { return Ok(()) };
    let record = place.read_record().map_err(cannot("read the state"))?;
    let init = record.and_then(|record| record.init).filter(Identity::alive);
    if let Some(init) = &init {
        super::ended(init, DYING, Some(Signal::KILL));
    }
    let removed = match Engine::at(&at.socket) {
        Ok(engine) => engine.remove(&at.container).await,
        Err(error) => Err(error),
    };
    // A process that we knew and that is gone took the whole container with it.
    if init.is_none_or(|init| init.alive()) {
        removed.map_err(engine("remove the container"))?;
    }
    leave(&at.room).await
}

/// `internal guard DIRECTORY`: inherits the holds and keeps them until the container is gone.
pub(super) fn guard(directory: &Path) -> ExitCode {
    // What ends the supervisor's group or session must not end its guard.
    let _ = rustix::process::setsid();
    let mut said = String::new();
    let _ = io::stdin().lock().read_to_string(&mut said);
    if said == DONE {
        return ExitCode::SUCCESS;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        while clear(directory).await.is_err() {
            sleep(RETRY).await;
        }
    });
    ExitCode::SUCCESS
}
