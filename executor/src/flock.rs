//! Advisory locks on files, flock(2): taking one, and saying who has it. The kernel lets go of
//! one when the last process that has it open is gone.

use rustix::fs::FlockOperation;
use std::fs::{self, File, OpenOptions};
use std::io;
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

/// Takes the lock if it is free. Dropping the file lets go of it.
pub(crate) fn take(file: &File, sharing: Sharing) -> io::Result<bool> {
    let operation = match sharing {
        Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
    };
    match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes the lock, trying again until the deadline; at least once.
pub(crate) fn take_until(file: &File, sharing: Sharing, deadline: Instant) -> io::Result<bool> {
    loop {
        if take(file, sharing)? {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
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
        let (first, second) = (open(&path).unwrap(), open(&path).unwrap());
        assert!(take(&first, Sharing::Exclusive).unwrap());
        assert!(!take(&second, Sharing::Shared).unwrap());
        drop(first);
        let third = open(&path).unwrap();
        assert!(take(&second, Sharing::Shared).unwrap() && take(&third, Sharing::Shared).unwrap());
        assert!(!take_until(&third, Sharing::Exclusive, Instant::now()).unwrap());
    }
}
