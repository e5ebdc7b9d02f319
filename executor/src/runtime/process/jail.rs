//! Builds the root that an instance sees and moves into it: the host's programs read-only, its
//! tree at `/app`, its volumes read-write, everything else private. Runs as the first process of
//! the pid namespace, in a mount namespace of its own.

mod root;
mod system;

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use self::root::{Kind, Root};
use super::launch::{Bind, BindSource, GuestFile, Launch};
use super::refusal::{cannot, cannot_at};
use super::{Refusal, kernel, mounts};
use crate::names::DATA;

/// Where the tree is seen.
const APP: &str = "/app";

/// Puts the root together on `at` (an empty directory of the host) and makes it this process's.
///
/// # Errors
/// The step that failed. Nothing needs undoing: it all ends with the mount namespace.
pub(super) fn build(launch: &Launch, at: &Path) -> Result<(), Refusal> {
    // Nothing mounted here reaches the host; what the host unmounts goes away here too, so that
    // an instance never keeps somebody else's file system busy.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .map_err(cannot("make the mounts private"))?;
    let mut root = Root::mount(at)?;
    system::populate(&mut root)?;
    for hidden in &launch.hidden {
        hide(&mut root, hidden)?;
    }
    let app = root.ensure(Path::new(APP), Kind::Directory)?;
    if let Some(tree) = &launch.tree {
        root.bind(tree.as_path(), &app)?;
        root.seal(Path::new(APP))?;
    }
    let mut binds: Vec<&Bind> = launch.binds.iter().collect();
    // A volume inside another goes on after it.
    binds.sort_by_key(|bind| bind.destination.components().count());
    for (n, bind) in binds.into_iter().enumerate() {
        attach(&mut root, n, bind)?;
    }
    for (n, file) in launch.files.iter().enumerate() {
        write(&mut root, n, file)?;
    }
    root.seal_own()?;
    enter(at)
}

/// Makes `hidden` empty and unreadable where it is visible at all.
fn hide(root: &mut Root, hidden: &Path) -> Result<(), Refusal> {
    let Some(target) = root.find(hidden)? else { return Ok(()) };
    let seen = root::path_of(&target);
    let real = fs::read_link(&seen).map_err(cannot_at("find", hidden))?;
    for mount in mounts::own().map_err(cannot("read the mounts"))?.iter().rev() {
        if mount.at.starts_with(&real) && mount.at != real {
            // As an ordinary user these are locked together; being covered has to do.
            let _ = rustix::mount::unmount(&mount.at, UnmountFlags::DETACH);
        }
    }
    if fs::metadata(&seen).map_err(cannot_at("look at", hidden))?.is_dir() {
        let flags =
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
        rustix::mount::mount("tmpfs", &seen, "tmpfs", flags, c"size=4k,mode=0")
            .map_err(cannot_at("hide", hidden))
    } else {
        rustix::mount::mount_bind("/dev/null", &seen).map_err(cannot_at("hide", hidden))
    }
}

/// Puts a volume at its destination.
fn attach(root: &mut Root, n: usize, bind: &Bind) -> Result<(), Refusal> {
    let target = root.ensure(&bind.destination, Kind::Directory)?;
    match &bind.source {
        BindSource::Directory(directory) => root.bind(directory.as_path(), &target)?,
        BindSource::Image(image) => {
            let (device, keep) =
                kernel::attach_loop(image).map_err(cannot_at("make a loop device of", image))?;
            mount(root, n, Path::new(&device), image, &target)?;
            drop(keep);
        }
        BindSource::Device(device) => mount(root, n, device, device, &target)?,
    }
    root.volume(&bind.destination);
    Ok(())
}

/// Mounts a volume's file system here only and binds its directory of data. `named`: what to call
/// it when that fails.
fn mount(
    root: &mut Root,
    n: usize,
    device: &Path,
    named: &Path,
    target: &std::os::fd::OwnedFd,
) -> Result<(), Refusal> {
    let staged = root.stage(n)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    rustix::mount::mount(device, &staged, "ext4", flags, None)
        .map_err(cannot_at("mount", named))?;
    root.bind(&staged.join(DATA), target).map_err(|_| Refusal::Host {
        step: format!("use {}", named.display()),
        cause: format!("its file system has no directory {DATA:?}: it is not a volume"),
    })?;
    rustix::mount::unmount(&staged, UnmountFlags::DETACH).map_err(cannot_at("unmount", &staged))?;
    fs::remove_dir(&staged).map_err(cannot_at("remove", &staged))
}

/// Writes one file, over the host's if there is one at that path.
fn write(root: &mut Root, n: usize, file: &GuestFile) -> Result<(), Refusal> {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let staged = root.staged_file(n);
    let at = |step| cannot_at::<std::io::Error>(step, &file.path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&staged)
        .and_then(|mut out| out.write_all(&file.bytes))
        .and_then(|()| fs::set_permissions(&staged, fs::Permissions::from_mode(file.mode & 0o7777)))
        .map_err(at("write"))?;
    let target = root.ensure(&file.path, Kind::File)?;
    root.bind(&staged, &target)?;
    // The bind keeps the content; the name it was staged under is of no use inside.
    fs::remove_file(&staged).map_err(at("stage"))
}

/// Makes the finished root this process's and lets go of the host's.
fn enter(at: &Path) -> Result<(), Refusal> {
    rustix::process::chdir(at).map_err(cannot_at("enter", at))?;
    // Both in one place: the old root ends up on top of the new and is taken off
    // (pivot_root(2), "pivot_root(".", ".")").
    rustix::process::pivot_root(".", ".").map_err(cannot("change the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(cannot("leave the host's root"))?;
    rustix::process::chdir("/").map_err(cannot("enter the new root"))
}

/// Absolute, without `.` and `..`: the only form of path a jail is built from.
fn plain(path: &Path) -> Result<PathBuf, Refusal> {
    use std::path::Component;
    let ok = path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if ok && path.file_name().is_some() {
        return Ok(path.components().collect());
    }
    Err(cannot_at("use", path)("not an absolute path without . and .."))
}

/// For error types that carry no path.
fn fd_path(fd: &impl AsFd) -> PathBuf {
    root::path_of(fd)
}
