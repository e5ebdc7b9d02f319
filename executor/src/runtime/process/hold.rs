//! One volume, one process tree: the lock a whole tree keeps, and the proof that no other holder,
//! mount or loop device remains.

use std::fs::{self, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::FdFlags;

use super::launch::{Bind, BindSource, Launch};
use super::record::{Holder, Identity};
use super::refusal::cannot_at;
use super::{Refusal, mounts};

/// How long a tree whose supervisor is dead may take to be gone. It got SIGKILL already.
const DYING: Duration = Duration::from_secs(10);

/// How often a dying tree is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The locks of one instance. Every process started while they exist inherits them, and a lock
/// is free only when the last of those has closed it (flock(2)).
#[derive(Debug)]
pub(super) struct Holds {
    files: Vec<(PathBuf, OwnedFd)>,
}

impl Holds {
    /// Takes every hold of the launch, or none. Waits for trees that are dying, never for living ones.
    pub(super) fn take(launch: &Launch) -> Result<Self, Refusal> {
        let deadline = Instant::now() + DYING;
        let mut files = Vec::new();
        for file in &launch.holds {
            files.push((file.clone(), take(file, deadline)?));
        }
        let holds = Self { files };
        for bind in &launch.binds {
            unused(bind, deadline)?;
        }
        Ok(holds)
    }

    /// Writes down who holds.
    pub(super) fn sign(&self, holder: &Holder) -> Result<(), Refusal> {
        self.files
            .iter()
            .try_for_each(|(file, _)| holder.write(file).map_err(cannot_at("write the hold", file)))
    }
}

fn take(file: &Path, deadline: Instant) -> Result<OwnedFd, Refusal> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .map_err(cannot_at("make the hold", file))?;
    // Read-only: the program inherits it and shall not rewrite who holds.
    let lock = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(cannot_at("open the hold", file))?;
    loop {
        let free = match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => true,
            Err(rustix::io::Errno::WOULDBLOCK) => false,
            Err(error) => return Err(cannot_at("lock the hold", file)(error)),
        };
        let holder = Holder::read(file);
        let supervisor = holder.as_ref().is_some_and(|holder| {
            holder.supervisor.alive() && holder.supervisor.pid != std::process::id()
        });
        let init = holder.as_ref().and_then(|holder| holder.init.clone());
        let init = init.filter(Identity::alive);
        if free && !supervisor && init.is_none() {
            rustix::io::fcntl_setfd(&lock, FdFlags::empty())
                .map_err(cannot_at("hand down the hold", file))?;
            return Ok(lock);
        }
        if supervisor || Instant::now() > deadline {
            let pid = init.map(|init| init.pid);
            let (instance, supervisor) = holder.map_or_else(
                || ("unknown".to_owned(), None),
                |holder| (holder.instance, Some(holder.supervisor.pid).filter(|_| supervisor)),
            );
            return Err(Refusal::Held { file: file.to_owned(), instance, pid: pid.or(supervisor) });
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits until nothing on the host uses the volume.
fn unused(bind: &Bind, deadline: Instant) -> Result<(), Refusal> {
    loop {
        let Some((source_path, by)) = user_of(&bind.source) else { return Ok(()) };
        if Instant::now() > deadline {
            return Err(Refusal::Mounted { source_path, by });
        }
        std::thread::sleep(LOOK);
    }
}

/// After a tree has ended: waits until the kernel has let go of its volumes.
///
/// # Errors
/// [`Refusal::Mounted`] when something keeps one.
pub(super) async fn released(binds: &[Bind]) -> Result<(), Refusal> {
    let deadline = Instant::now() + DYING;
    for bind in binds {
        while let Some((source_path, by)) = user_of(&bind.source) {
            if Instant::now() > deadline {
                return Err(Refusal::Mounted { source_path, by });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Who on the host uses a volume: a loop device on its image, or a process in whose mount
/// namespace its directory is a mount.
fn user_of(source: &BindSource) -> Option<(PathBuf, String)> {
    match source {
        BindSource::Image(image) => loop_device(image).map(|device| (image.clone(), device)),
        BindSource::Directory(directory) => {
            mounts::user_of(directory).map(|pid| (directory.clone(), format!("process {pid}")))
        }
        BindSource::Device(device) => {
            mounts::user_of_device(device).map(|pid| (device.clone(), format!("process {pid}")))
        }
    }
}

/// The loop device that has `image` behind it.
fn loop_device(image: &Path) -> Option<String> {
    let image = fs::canonicalize(image).unwrap_or_else(|_| image.to_owned());
    fs::read_dir("/sys/block").ok()?.filter_map(Result::ok).find_map(|entry| {
        let behind = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        let behind = behind.trim_end_matches('\n');
        let behind = behind.strip_suffix(" (deleted)").unwrap_or(behind);
        (Path::new(behind) == image)
            .then(|| format!("/dev/{}", entry.file_name().to_string_lossy()))
    })
}
