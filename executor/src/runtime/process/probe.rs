//! What this host lets the runtime do, found by doing it in a process made for it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::mount::MountFlags;
use rustix::thread::UnshareFlags;

use super::{kernel, limits, runner};
use crate::command;

/// Something the host does not let us do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What is missing.
    pub name: &'static str,
    /// What the system said.
    pub why: String,
    /// How to get it.
    pub way_out: &'static str,
}

/// What the host lets us do; by default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Whether we run as root.
    pub root: bool,
    /// Instances can run at all: pid and mount namespaces with a fresh `/proc`, as an ordinary user
    /// in a user namespace.
    pub instances: bool,
    /// Volumes can be images: loop devices.
    pub loop_devices: bool,
    /// Each instance can have its own address: network namespaces, bridge and veth.
    pub network_namespaces: bool,
    /// Memory and cpu limits can be enforced: a writable cgroup v2.
    pub limits: bool,
    /// What is missing, in the order above.
    pub lacks: Vec<Lack>,
}

impl Capabilities {
    /// Volumes have enforced sizes and instances addresses of their own.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.lacks.is_empty()
    }
}

const WAYS: [(&str, &str, &str); 4] = [
    (
        "instances",
        "pid and mount namespaces",
        "run as root with CAP_SYS_ADMIN, or as an ordinary user where user namespaces are \
         allowed: sysctl user.max_user_namespaces, \
         kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "loop",
        "loop devices",
        "run as root with CAP_SYS_ADMIN and /dev/loop-control (modprobe loop)",
    ),
    (
        "network",
        "network namespaces",
        "run as root with CAP_NET_ADMIN and the bridge and veth modules",
    ),
    ("limits", "memory and cpu limits", "run as root on a host with cgroup v2 at /sys/fs/cgroup"),
];

/// Tries everything, each in a process of `program` (the binary that answers `internal …`).
///
/// # Errors
/// When `program` cannot be run at all.
pub fn probe(program: &Path) -> io::Result<Capabilities> {
    let mut lacks = Vec::new();
    let mut tried = |what: usize| -> io::Result<bool> {
        let (stage, name, way_out) = WAYS[what];
        let (can, said) = command::probe(program, stage)?;
        if !can {
            lacks.push(Lack { name, why: said, way_out });
        }
        Ok(can)
    };
    let (instances, loop_devices, network_namespaces, limits) =
        (tried(0)?, tried(1)?, tried(2)?, tried(3)?);
    let root = rustix::process::geteuid().is_root();
    Ok(Capabilities { root, instances, loop_devices, network_namespaces, limits, lacks })
}

/// `internal probe WHAT`: exit status 0 when it can be done, else the reason on standard error.
pub(super) fn main(what: &OsStr) -> ExitCode {
    let done = match what.to_str() {
        Some("instances") => instances(),
        Some("mounts") => mounts(),
        Some("loop") => kernel::free_loop_device().map(drop),
        Some("network") => network(),
        Some("limits") => limits::parent().map(drop),
        _ => Err(io::Error::other("no such probe")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn instances() -> io::Result<()> {
    runner::enter_namespaces()?;
    let (can, said) = command::probe(Path::new("/proc/self/exe"), "mounts")?;
    if can { Ok(()) } else { Err(io::Error::other(said)) }
}

/// In a new pid namespace: a mount namespace, a file system in memory, a process table.
fn mounts() -> io::Result<()> {
    use rustix::mount::{MountPropagationFlags, mount, mount_change};
    kernel::unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", "/tmp", "tmpfs", flags, None)?;
    fs::create_dir("/tmp/proc")?;
    mount("proc", "/tmp/proc", "proc", flags, None).map_err(io::Error::from)
}

/// A network namespace with a bridge and a veth pair in it, gone with this process.
fn network() -> io::Result<()> {
    kernel::unshare(UnshareFlags::NEWNET)?;
    super::network::rehearse().map_err(io::Error::other)
}
