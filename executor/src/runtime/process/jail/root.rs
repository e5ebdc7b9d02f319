//! The new root while it is put together: finds and makes mount points inside it without ever
//! leaving it by a symlink, also where the host has no such directory and must not be written to.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::super::refusal::{cannot, cannot_at};
use super::super::{Refusal, mounts};

/// What a mount point is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// A root under construction on a tmpfs.
#[derive(Debug)]
pub(super) struct Root {
    at: PathBuf,
    base: OwnedFd,
    /// Directories of the jail whose tmpfs is ours: writable while we build, sealed at the end.
    own: BTreeSet<PathBuf>,
    /// Destinations of volumes: below them we may make mount points and nothing else.
    volumes: BTreeSet<PathBuf>,
}

impl Root {
    /// An empty root mounted on `at`.
    pub(super) fn mount(at: &Path) -> Result<Self, Refusal> {
        let at = fs::canonicalize(at).map_err(cannot_at("find", at))?;
        tmpfs(&at, c"mode=755").map_err(cannot_at("mount a root on", &at))?;
        let base = rustix::fs::open(&at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(cannot_at("open", &at))?;
        let own = BTreeSet::from([PathBuf::from("/")]);
        Ok(Self { at, base, own, volumes: BTreeSet::new() })
    }

    /// The host's path of a path of the jail; only for what has no symlink on its way.
    pub(super) fn outside(&self, inside: &Path) -> PathBuf {
        self.at.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// Notes a directory in the jail that a volume covers.
    pub(super) fn volume(&mut self, inside: &Path) {
        self.volumes.insert(inside.to_owned());
    }

    /// A directory of our own to mount something on for a moment.
    pub(super) fn stage(&self, n: usize) -> Result<PathBuf, Refusal> {
        let path = self.at.join(format!(".volume-{n}"));
        fs::create_dir(&path).map_err(cannot_at("make", &path))?;
        Ok(path)
    }

    /// Where to write a file of the instance before it is put in its place.
    pub(super) fn staged_file(&self, n: usize) -> PathBuf {
        self.at.join(format!(".file-{n}"))
    }

    /// What is at `inside`, symlinks followed as the jail will; nothing when it does not exist.
    pub(super) fn find(&self, inside: &Path) -> Result<Option<OwnedFd>, Refusal> {
        let inside = super::plain(inside)?;
        match self.open(&inside) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(cannot_at("find", &inside)(error)),
        }
    }

    fn open(&self, inside: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.base, inside, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// The mount point `inside`, made if need be.
    pub(super) fn ensure(&mut self, inside: &Path, kind: Kind) -> Result<OwnedFd, Refusal> {
        self.reach(&super::plain(inside)?, kind)
    }

    fn reach(&mut self, inside: &Path, kind: Kind) -> Result<OwnedFd, Refusal> {
        let failed = |error| cannot_at("make", inside)(error);
        match self.open(inside) {
            Ok(fd) => {
                let is = FileType::from_raw_mode(rustix::fs::fstat(&fd).map_err(failed)?.st_mode);
                let fits = (is == FileType::Directory) == (kind == Kind::Directory);
                return if fits {
                    Ok(fd)
                } else {
                    Err(cannot_at("use", inside)(format!("it is a {is:?} on this host")))
                };
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        // The root itself exists, so there are both.
        let parent = inside.parent().unwrap_or(Path::new("/"));
        let name = inside.file_name().unwrap_or_default();
        let mut directory = self.reach(parent, Kind::Directory)?;
        match create(&directory, name, kind) {
            Ok(()) => {}
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) if !self.in_volume(parent) => {
                self.synthesise(parent, &directory)?;
                directory = self.open(parent).map_err(failed)?;
                create(&directory, name, kind).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        self.open(inside).map_err(failed)
    }

    fn in_volume(&self, inside: &Path) -> bool {
        self.volumes.iter().any(|volume| inside.starts_with(volume))
    }

    /// Covers a directory that may not be written to with one of our own that has the same
    /// children, each bound from below.
    fn synthesise(&mut self, inside: &Path, below: &OwnedFd) -> Result<(), Refusal> {
        let failed = || cannot_at("make room in", inside);
        let from = path_of(below);
        let mode = rustix::fs::fstat(below).map_err(failed())?.st_mode & 0o7777;
        let entries: Vec<_> = fs::read_dir(&from)
            .and_then(Iterator::collect::<Result<_, std::io::Error>>)
            .map_err(cannot_at("read", inside))?;
        let options = std::ffi::CString::new(format!("mode={mode:o}"))
            .map_err(cannot_at("make room in", inside))?;
        tmpfs(&from, &options).map_err(failed())?;
        let above = self.open(inside).map_err(failed())?;
        for entry in entries {
            let (name, source) = (entry.file_name(), from.join(entry.file_name()));
            let kind = entry.file_type().map_err(cannot_at("look at", &source))?;
            let target = path_of(&above).join(&name);
            if kind.is_symlink() {
                let to = fs::read_link(&source).map_err(cannot_at("read", &source))?;
                std::os::unix::fs::symlink(to, &target).map_err(cannot_at("make", &target))?;
                continue;
            }
            let kind = if kind.is_dir() { Kind::Directory } else { Kind::File };
            create(&above, &name, kind).map_err(cannot_at("make", &target))?;
            rustix::mount::mount_bind_recursive(&source, &target)
                .map_err(cannot_at("bind", &inside.join(&name)))?;
        }
        self.own.insert(self.inside_of(&above)?);
        Ok(())
    }

    /// The path in the jail of something opened in it.
    fn inside_of(&self, fd: &OwnedFd) -> Result<PathBuf, Refusal> {
        let outside = fs::read_link(path_of(fd)).map_err(cannot("find a mount point"))?;
        let inside = outside.strip_prefix(&self.at).map_err(cannot("find a mount point"))?;
        Ok(Path::new("/").join(inside))
    }

    /// Binds `source` of the host, with all that is mounted below it.
    pub(super) fn bind(&self, source: &Path, target: &OwnedFd) -> Result<(), Refusal> {
        rustix::mount::mount_bind_recursive(source, path_of(target))
            .map_err(cannot_at("bind", source))
    }

    /// Makes every mount at and below `inside` read-only.
    pub(super) fn seal(&self, inside: &Path) -> Result<(), Refusal> {
        let outside = self.outside(inside);
        self.remount(|mount| mount.starts_with(&outside) && mount != self.at)
    }

    /// Makes what we synthesised read-only; volumes and private directories stay as they are.
    pub(super) fn seal_own(&self) -> Result<(), Refusal> {
        let own: BTreeSet<PathBuf> = self.own.iter().map(|inside| self.outside(inside)).collect();
        self.remount(|mount| own.contains(mount) || mount == self.at)
    }

    fn remount(&self, chosen: impl Fn(&Path) -> bool) -> Result<(), Refusal> {
        let mounts = mounts::own().map_err(cannot("read the mounts"))?;
        // The last mount on a path is the one a path walk reaches.
        let mut done = BTreeSet::new();
        for mount in mounts.iter().rev().filter(|mount| chosen(&mount.at)) {
            if done.insert(&mount.at) && !mount.flags.contains(MountFlags::RDONLY) {
                let flags = mount.flags | MountFlags::BIND | MountFlags::RDONLY;
                match rustix::mount::mount_remount(&mount.at, flags, c"") {
                    // Covered by a later mount higher up: nobody can reach it.
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(cannot_at("make read-only", &mount.at)(error)),
                }
            }
        }
        Ok(())
    }
}

/// The path of something open, for calls that take paths: `/proc/self/fd/N`.
pub(super) fn path_of(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

fn tmpfs(at: &Path, options: &std::ffi::CStr) -> rustix::io::Result<()> {
    rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options)
}

fn create(directory: &OwnedFd, name: &OsStr, kind: Kind) -> rustix::io::Result<()> {
    let made = match kind {
        Kind::Directory => rustix::fs::mkdirat(directory, name.as_bytes(), Mode::from(0o755)),
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(directory, name.as_bytes(), flags, Mode::from(0o644)).map(drop)
        }
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}
