//! The parts of a root that are the same for every instance: the host's programs and settings
//! read-only, devices, process table, and private places to write.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::super::Refusal;
use super::super::refusal::{cannot, cannot_at};
use super::root::{Kind, Root};

/// Top-level directories that an instance does not get from the host: made afresh, of no use to
/// it, or people's.
const NOT_SHARED: [&str; 12] = [
    "app",
    "boot",
    "dev",
    "home",
    "lost+found",
    "media",
    "mnt",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
];

/// Devices every program may expect (Filesystem Hierarchy Standard 3.0, 6.1.3, and common use).
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// What root could change of the whole host through `/proc`, capabilities or not.
const KERNEL_SETTINGS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Fills an empty root.
pub(super) fn populate(root: &mut Root) -> Result<(), Refusal> {
    share(root)?;
    root.seal(Path::new("/"))?;
    private(root, "/tmp", c"mode=1777")?;
    private(root, "/run", c"mode=755")?;
    private(root, "/var/tmp", c"mode=1777")?;
    private(root, "/root", c"mode=700")?;
    devices(root)?;
    processes(root)?;
    name_service(root)
}

/// Binds the host's top-level directories; symlinks such as `/bin` are made again.
fn share(root: &mut Root) -> Result<(), Refusal> {
    for entry in fs::read_dir("/").map_err(cannot("read the host's root"))? {
        let entry = entry.map_err(cannot("read the host's root"))?;
        let name = entry.file_name();
        if NOT_SHARED.iter().any(|not| *not == name) {
            continue;
        }
        let source = entry.path();
        let kind = entry.file_type().map_err(cannot_at("look at", &source))?;
        if kind.is_symlink() {
            let to = fs::read_link(&source).map_err(cannot_at("read", &source))?;
            let target = root.outside(&source);
            symlink(to, &target).map_err(cannot_at("make", &target))?;
        } else if kind.is_dir() {
            let target = root.ensure(&source, Kind::Directory)?;
            root.bind(&source, &target)?;
        }
    }
    Ok(())
}

/// An empty directory that only this instance sees, in memory.
fn private(root: &mut Root, at: &str, options: &std::ffi::CStr) -> Result<(), Refusal> {
    let target = root.ensure(Path::new(at), Kind::Directory)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", super::fd_path(&target), "tmpfs", flags, options)
        .map_err(cannot_at("mount", Path::new(at)))
}

fn devices(root: &mut Root) -> Result<(), Refusal> {
    private(root, "/dev", c"mode=755,size=64k")?;
    for device in DEVICES {
        let path = Path::new("/dev").join(device);
        let target = root.ensure(&path, Kind::File)?;
        root.bind(&path, &target)?;
    }
    private(root, "/dev/shm", c"mode=1777")?;
    root.ensure(Path::new("/dev/pts"), Kind::Directory)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    let terminals = root.outside(Path::new("/dev/pts"));
    rustix::mount::mount("devpts", &terminals, "devpts", flags, c"newinstance,ptmxmode=0666")
        .map_err(cannot("mount /dev/pts"))?;
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, to) in links {
        let link = root.outside(&Path::new("/dev").join(name));
        symlink(to, &link).map_err(cannot_at("make", &link))?;
    }
    Ok(())
}

fn processes(root: &mut Root) -> Result<(), Refusal> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let target = root.ensure(Path::new("/proc"), Kind::Directory)?;
    rustix::mount::mount("proc", super::fd_path(&target), "proc", flags, None)
        .map_err(cannot("mount /proc (is the host's own /proc partly covered?)"))?;
    for path in KERNEL_SETTINGS.map(Path::new) {
        if let Some(setting) = root.find(path)? {
            root.bind(&super::fd_path(&setting), &setting)?;
            root.seal(path)?;
        }
    }
    let target = root.ensure(Path::new("/sys"), Kind::Directory)?;
    match rustix::mount::mount("sysfs", super::fd_path(&target), "sysfs", flags, None) {
        // Only the owner of the network namespace may have its own view.
        Err(Errno::PERM) => root.bind(Path::new("/sys"), &target)?,
        mounted => mounted.map_err(cannot("mount /sys"))?,
    }
    root.seal(Path::new("/sys"))
}

/// `/etc/resolv.conf` is often a symlink into `/run`, which is not the host's here.
fn name_service(root: &mut Root) -> Result<(), Refusal> {
    let Ok(real) = fs::canonicalize("/etc/resolv.conf") else { return Ok(()) };
    if !real.starts_with("/run") {
        return Ok(());
    }
    let target = root.ensure(&real, Kind::File)?;
    root.bind(&real, &target)?;
    root.seal(&real)
}
