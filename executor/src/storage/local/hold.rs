//! Whether anybody uses a volume. While the answer "nobody" is kept, nobody can begin to.

use super::image;
use super::{LocalKind, io};
use crate::flock::{self, Sharing, Taken};
use crate::names::VolumeDir;
use crate::storage::StorageError;
use planner::model::id::VolumeId;
use serde::Deserialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a program may take from fork(2) to execve(2).
const STARTING: Duration = Duration::from_secs(1);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Proof that nobody uses a volume, for as long as it lives.
#[derive(Debug)]
pub(super) struct Idle(#[expect(dead_code, reason = "held, not read")] Taken);

/// Makes sure that nobody uses the volume: nobody has its hold, no loop device has its image, no
/// process has the image open (such as a check that outlived its caller).
pub(super) async fn idle(
    id: &VolumeId,
    dir: &VolumeDir,
    kind: LocalKind,
) -> Result<Idle, StorageError> {
    let path = dir.hold();
    let held = |holder| StorageError::Held { what: format!("volume {id}"), holder };
    let taken = flock::take(&path, Sharing::Exclusive, Instant::now());
    let Some(taken) = taken.map_err(io("locking", &path))? else {
        return Err(held(describe(&path)));
    };
    let image_path = dir.image();
    if kind == LocalKind::Image && image_path.exists() {
        image::unmount_growing(dir)?;
        if let Some(device) = image::loop_device(&image_path).await? {
            return Err(held(format!("loop device {device}")));
        }
        if let Some(pid) = keeps_open(&image_path).await {
            return Err(held(process(pid)));
        }
    }
    Ok(Idle(taken))
}

/// Another process that has the file open, and keeps it so: a program that is just being started
/// by this process's other tasks has all files for a moment.
async fn keeps_open(path: &Path) -> Option<u32> {
    let deadline = Instant::now() + STARTING;
    loop {
        let pid = flock::opened_by(path)?;
        if Instant::now() >= deadline {
            return Some(pid);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What whoever has a hold may have written into it.
#[derive(Deserialize)]
struct Signature {
    instance: String,
}

pub(in crate::storage) fn describe(hold: &Path) -> String {
    let instance = std::fs::read(hold).ok();
    let instance = instance.and_then(|bytes| serde_json::from_slice::<Signature>(&bytes).ok());
    let process = flock::holder(hold).map_or_else(|| "a process".to_owned(), process);
    match instance {
        Some(Signature { instance }) => format!("instance {instance} ({process})"),
        None => process,
    }
}

fn process(pid: u32) -> String {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}
