//! The system calls that have no safe wrapper: leaving namespaces, loop devices, signals,
//! descriptors by number, waiting on a descriptor.
#![allow(unsafe_code)] // unshare(2), loop(4), signals, raw descriptors; every block says why it holds.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::{Errno, FdFlags};
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, Setter};
use rustix::thread::UnshareFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Gives this process new namespaces.
///
/// # Errors
/// What unshare(2) says; `INVAL` for a user namespace when the process has several threads.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    let namespaces = flags - UnshareFlags::FILES;
    // SAFETY: the call is unsafe only for FILES (descriptors that another thread no longer has).
    unsafe { rustix::thread::unshare_unsafe(namespaces) }.map_err(io::Error::from)
}

/// Keeps what the caller's caller left open (locks, pipes) from whatever this process starts.
///
/// # Errors
/// When the open descriptors cannot be listed.
pub(super) fn keep_descriptors_to_ourselves() -> io::Result<()> {
    let listed: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in listed.into_iter().filter(|descriptor| *descriptor > 2) {
        // SAFETY: only the flag of a number is set; should it no longer be open (the listing's
        // own), the call fails and changes nothing. There is one thread, so it is no one else's.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let _ = rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC);
    }
    Ok(())
}

/// Signals that a caller may have been told to ignore (a job in the background of a shell ignores
/// INT, one under nohup HUP), which its programs inherit: signal(7). PIPE is not among them: the
/// standard library sees to it.
const INHERITED: [libc::c_int; 11] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGCHLD,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Has signals mean again what they mean to a program that nobody told anything.
///
/// # Errors
/// What signal(2) says.
pub(super) fn ignore_no_signals() -> io::Result<()> {
    for signal in INHERITED {
        // SAFETY: nothing is installed but the default, which no code of ours has to be fit for.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Has the runtime wait on a descriptor until it is readable.
///
/// # Errors
/// What epoll_ctl(2) says.
pub(super) fn await_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays the same open descriptor for as long as the `AsyncFd` owns it.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)
}

const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
/// The device frees itself when its last user is gone, so nothing is left after SIGKILL.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Asks `/dev/loop-control` for the number of a free device, which is the call's return value.
struct GetFree;

// SAFETY: LOOP_CTL_GET_FREE takes no argument and returns a number; no memory is touched.
unsafe impl Ioctl for GetFree {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(
        out: IoctlOutput,
        _: *mut rustix::ffi::c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(out)
    }
}

/// Whether loop devices can be had here.
///
/// # Errors
/// Why not.
pub(super) fn free_loop_device() -> io::Result<PathBuf> {
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    // SAFETY: the descriptor is of loop-control, for which the opcode is defined as above.
    let number = unsafe { ioctl::ioctl(&control, GetFree) }?;
    Ok(PathBuf::from(format!("/dev/loop{number}")))
}

/// Puts `image` behind a loop device. The device lives as long as the descriptor or a mount of it.
///
/// # Errors
/// What open(2) or the ioctl said.
pub(super) fn attach_loop(image: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    let backing = OpenOptions::new().read(true).write(true).open(image)?;
    loop {
        let path = free_loop_device()?;
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        match configure(&device, &backing) {
            // Somebody took the free one in between.
            Err(Errno::BUSY) => {}
            Ok(()) => return Ok((path, device.into())),
            Err(error) => return Err(error.into()),
        }
    }
}

fn configure(device: &File, backing: &File) -> rustix::io::Result<()> {
    let config = LoopConfig {
        fd: backing.as_raw_fd().cast_unsigned(),
        block_size: 0,
        info: LoopInfo {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            sizelimit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: LO_FLAGS_AUTOCLEAR,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads a `struct loop_config`, which `LoopConfig` mirrors field by field.
    unsafe { ioctl::ioctl(device, Setter::<LOOP_CONFIGURE, LoopConfig>::new(config)) }
}
