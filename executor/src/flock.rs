//! Advisory locks on files, flock(2): taking one, and saying who has it. The kernel lets go of
//! one when the last process that has it open is gone.

use rustix::fs::FlockOperation;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a lock that is taken is tried again: flock(2) has no timeout.
const LOOK: Duration = Duration::from_millis(50);

/// How a lock is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// With nobody.
    Exclusive,
    /// With others who share it.
    Shared,
}

/// Opens a lock file, mode 0600, making it if need be. A symbolic link is not followed; programs
/// that are started do not inherit it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// A lock that is held until this is dropped, or until the process ends.
#[derive(Debug)]
pub(crate) struct Taken(File);

impl Taken {
    /// Puts `bytes` in the place of what the locked file held.
    pub(crate) fn sign(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(bytes)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Closing is not enough: a program that another thread is just starting has the file
        // too, until it is executed, and would keep the lock.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Takes the lock on a file, trying again until the deadline, at least once; nothing if somebody
/// else had it all the time.
pub(crate) fn take(path: &Path, sharing: Sharing, deadline: Instant) -> io::Result<Option<Taken>> {
    let file = open(path)?;
    let operation = match sharing {
        Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
    };
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(Some(Taken(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// A process that has a lock on the file, or else another than this that has it open; nothing if
/// none can be seen. For people to read, never to decide by.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    // The taker may be dead while a process that inherited the lock lives.
    let taker = locker(path).filter(|pid| Path::new(&format!("/proc/{pid}")).exists());
    taker.or_else(|| opened_by(path))
}

/// The process that took a lock on the file, as far as can be seen.
pub(crate) fn locker(path: &Path) -> Option<u32> {
    let file = fs::symlink_metadata(path).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| locked_by(line, file.dev(), file.ino()))
}

/// A process, other than this one, that has the file open, as far as can be seen.
pub(crate) fn opened_by(path: &Path) -> Option<u32> {
    let wanted = fs::symlink_metadata(path).ok()?;
    let me = std::process::id();
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut files = files.filter_map(|file| fs::metadata(file.path()).ok());
        *pid != me && files.any(|file| file.dev() == wanted.dev() && file.ino() == wanted.ino())
    })
}

/// The pid in a line of `/proc/locks` (proc_locks(5)) if it is a flock on this file:
/// `1: FLOCK  ADVISORY  WRITE 1234 fe:01:567 0 EOF`, device in hexadecimal.
fn locked_by(line: &str, device: u64, inode: u64) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next() != Some("FLOCK") {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    let number: u64 = file.next()?.parse().ok()?;
    (rustix::fs::makedev(major, minor) == device && number == inode).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_locks_names_its_holder() {
        let device = rustix::fs::makedev(0xfe, 1);
        let line = "1: FLOCK  ADVISORY  WRITE 1234 fe:01:567 0 EOF";
        assert_eq!(locked_by(line, device, 567), Some(1234));
        assert_eq!(locked_by(line, device, 568), None);
        let waiting = "1: -> FLOCK  ADVISORY  WRITE 1234 fe:01:567 0 EOF";
        assert_eq!(locked_by(waiting, device, 567), None);
        assert_eq!(locked_by(&line.replace("FLOCK", "POSIX"), device, 567), None);
    }

    #[test]
    fn a_lock_is_taken_once_and_shared_by_those_who_share() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let take = |sharing| take(&path, sharing, Instant::now()).unwrap();
        let first = take(Sharing::Exclusive);
        assert!(first.is_some() && take(Sharing::Shared).is_none());
        drop(first);
        let sharers = (take(Sharing::Shared), take(Sharing::Shared));
        assert!(sharers.0.is_some() && sharers.1.is_some());
        assert!(take(Sharing::Exclusive).is_none());
    }

    #[test]
    fn a_lock_is_let_go_also_while_a_program_is_being_started() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let taken = take(&path, Sharing::Exclusive, Instant::now()).unwrap().unwrap();
        // As fork(2) does: one more handle of the same open file.
        let _inherited = taken.0.try_clone().unwrap();
        drop(taken);
        assert!(take(&path, Sharing::Exclusive, Instant::now()).unwrap().is_some());
    }
}
