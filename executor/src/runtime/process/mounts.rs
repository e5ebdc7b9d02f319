//! Reads mount tables (proc_pid_mountinfo(5)): what is mounted below a path, and which process of
//! the host sees a directory mounted.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

/// One line of a mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// `major:minor` of the file system.
    pub(super) device: String,
    /// The part of the file system that is mounted.
    pub(super) root: PathBuf,
    /// Where.
    pub(super) at: PathBuf,
    /// Flags of this mount that a remount must repeat (mount_namespaces(7): they may be locked).
    pub(super) flags: MountFlags,
}

/// This process's mount table, in mount order.
pub(super) fn own() -> io::Result<Vec<Mount>> {
    Ok(parse(&fs::read("/proc/self/mountinfo")?))
}

/// A process in whose mount namespace `directory` is mounted somewhere; the lowest process id.
pub(super) fn user_of(directory: &Path) -> Option<u32> {
    let directory = fs::canonicalize(directory).ok()?;
    let own = own().ok()?;
    // The last mount on the longest path is what a path walk sees.
    let home = own
        .iter()
        .filter(|mount| directory.starts_with(&mount.at))
        .max_by_key(|mount| mount.at.components().count())?;
    let inside = home.root.join(directory.strip_prefix(&home.at).ok()?);
    first(|mount| mount.device == home.device && mount.root == inside)
}

/// A process in whose mount namespace the file system on a block device is mounted; the lowest
/// process id.
pub(super) fn user_of_device(device: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let number = fs::metadata(device).ok()?.rdev();
    let number = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    first(|mount| mount.device == number)
}

/// The first process that has such a mount.
fn first(wanted: impl Fn(&Mount) -> bool) -> Option<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut seen = BTreeSet::new();
    pids.into_iter().find(|pid| {
        let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/mnt")) else { return false };
        if !seen.insert(namespace) {
            return false;
        }
        let Ok(table) = fs::read(format!("/proc/{pid}/mountinfo")) else { return false };
        parse(&table).iter().any(&wanted)
    })
}

fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ').skip(2);
    let device = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let root = unescape(fields.next()?);
    let at = unescape(fields.next()?);
    let flags = fields.next()?.split(|byte| *byte == b',').map(flag).collect();
    Some(Mount { device, root, at, flags })
}

fn flag(name: &[u8]) -> MountFlags {
    match name {
        b"ro" => MountFlags::RDONLY,
        b"nosuid" => MountFlags::NOSUID,
        b"nodev" => MountFlags::NODEV,
        b"noexec" => MountFlags::NOEXEC,
        b"noatime" => MountFlags::NOATIME,
        b"nodiratime" => MountFlags::NODIRATIME,
        b"relatime" => MountFlags::RELATIME,
        _ => MountFlags::empty(),
    }
}

/// Space, tab, newline and backslash are written as `\` and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        if let Some(byte) = octal {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_an_escaped_path() {
        let line = br"36 35 98:0 /mnt1 /my\040dir\134x rw,noatime master:1 - ext3 /dev/root rw";
        let mount = parse_line(line).expect("a whole line");
        assert_eq!(mount.device, "98:0");
        assert_eq!(mount.root, Path::new("/mnt1"));
        assert_eq!(mount.at, Path::new(r"/my dir\x"));
        assert_eq!(mount.flags, MountFlags::NOATIME);
    }
}
