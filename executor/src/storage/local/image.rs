//! A volume as an ext4 file system in a sparse file: the file's length is the cap. Made once,
//! grown in place and copied, mounted or not.

use super::hold::Idle;
use super::io;
use crate::command::{Command, CommandError, Output, Overrun};
use crate::durable;
use crate::names::{DATA, VolumeDir};
use crate::storage::StorageError;
use planner::model::size::Size;
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Checking and growing a large file system reads all of its tables.
const DEADLINE: Duration = Duration::from_mins(10);

/// Copying reads all data.
const COPYING: Duration = Duration::from_hours(12);

/// Linux's number of the right to resize a mounted ext4, capabilities(7).
const CAP_SYS_RESOURCE: u32 = 24;

/// Makes an empty file of that length in place of what an interrupted making left, and a file
/// system in it. The caller has made sure that the volume was never formatted or attached.
pub(super) async fn make(dir: &VolumeDir, size: Size) -> Result<(), StorageError> {
    remove(dir)?;
    let image = dir.image();
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&image)
        .map_err(io("making", &image))?;
    file.set_len(size.bytes()).map_err(io("sizing", &image))?;
    format(dir).await?;
    file.sync_all().map_err(io("syncing", &image))?;
    durable::sync_dir(dir.path()).map_err(io("syncing", dir.path()))
}

/// Makes a file system, if the file holds nothing at all.
async fn format(dir: &VolumeDir) -> Result<(), StorageError> {
    let image = dir.image();
    let metadata = fs::symlink_metadata(&image).map_err(io("looking at", &image))?;
    if metadata.blocks() != 0 {
        return Err(StorageError::Conflict {
            what: image.display().to_string(),
            found: format!("holds {} blocks of data and is not formatted over", metadata.blocks()),
        });
    }
    let seed = dir.seed();
    let data = seed.join(DATA);
    for (path, mode) in [(&seed, 0o700), (&data, 0o755)] {
        DirBuilder::new().mode(mode).create(path).map_err(io("making", path))?;
    }
    // Tables are written when they are first used; what the file does not hold stays a hole.
    let command = program("mkfs.ext4")?
        .args(["-q", "-F", "-m", "0", "-E"])
        .arg("lazy_itable_init=1,lazy_journal_init=1,nodiscard")
        .arg("-d")
        .arg(&seed)
        .arg(&image);
    run("making a file system", &image, command).await?;
    fs::remove_dir_all(&seed).map_err(io("removing", &seed))
}

/// Grows the file and the file system in it to `to`, or to what an interrupted growth had
/// begun if that is more; says to what. `idle`: nobody uses it; else it is grown while mounted.
pub(super) async fn grow(
    dir: &VolumeDir,
    to: Size,
    idle: Option<Idle>,
) -> Result<Size, StorageError> {
    let image = dir.image();
    let device = match &idle {
        Some(_) => None,
        None => Some(growing_device(&image).await?),
    };
    let file = OpenOptions::new().write(true).open(&image).map_err(io("opening", &image))?;
    let length = file.metadata().map_err(io("looking at", &image))?.len();
    let to = to.max(Size::from_bytes(length));
    if to.bytes() > length {
        file.set_len(to.bytes()).map_err(io("sizing", &image))?;
    }
    match device {
        Some(device) => grow_mounted(dir, &device).await?,
        None => grow_idle(&image).await?,
    }
    file.sync_all().map_err(io("syncing", &image))?;
    drop(idle);
    Ok(to)
}

/// Copies the file in place of what an interrupted copy left; what is not written stays a hole.
/// Nobody uses the other volume.
pub(super) async fn copy_idle(from: &VolumeDir, to: &VolumeDir) -> Result<(), StorageError> {
    remove(to)?;
    let (image, copy) = (from.image(), to.image());
    let command =
        program("cp")?.args(["--reflink=auto", "--sparse=always", "--"]).args([&image, &copy]);
    run_long("copying", &image, command).await?;
    sync(&copy)
}

/// Copies the file while the file system in it is mounted elsewhere and frozen: whoever writes to
/// it waits. One program freezes, copies and thaws, in a session of its own, so that it thaws
/// whatever becomes of its caller; its working directory keeps the mount that it thaws by.
pub(super) async fn copy_mounted(from: &VolumeDir, to: &VolumeDir) -> Result<(), StorageError> {
    const FROZEN: &str = "cd -- \"$1\" && fsfreeze --freeze . || exit 1
        cp --reflink=auto --sparse=always -- \"$2\" \"$3\"; status=$?
        fsfreeze --unfreeze . || status=1
        exit $status";
    remove(to)?;
    let (image, copy) = (from.image(), to.image());
    let device = mounted_device(&image).await?;
    program("cp")?;
    program("fsfreeze")?;
    let place = from.growing();
    mount_again(&device, &place)?;
    let command = program("sh")?.args(["-c", FROZEN, "sh"]).args([&place, &image, &copy]);
    let copied = run_long("freezing and copying", &image, command).await;
    unmount(&place)?;
    fs::remove_dir(&place).map_err(io("removing", &place))?;
    copied?;
    sync(&copy)
}

fn sync(image: &Path) -> Result<(), StorageError> {
    let file = OpenOptions::new().write(true).open(image).map_err(io("opening", image))?;
    file.sync_all().map_err(io("syncing", image))
}

/// Whether a mounted file system may be grown here: the kernel asks for CAP_SYS_RESOURCE, which
/// root has on a machine of its own and often not in a container.
pub(in crate::storage) fn grows_online() -> bool {
    has_capability(CAP_SYS_RESOURCE)
}

/// The loop device of an image that is in use.
async fn mounted_device(image: &Path) -> Result<String, StorageError> {
    loop_device(image).await?.ok_or_else(|| StorageError::Held {
        what: image.display().to_string(),
        holder: "somebody who has not mounted it".to_owned(),
    })
}

/// The same, if a mounted file system may be grown here.
async fn growing_device(image: &Path) -> Result<String, StorageError> {
    let device = mounted_device(image).await?;
    if !grows_online() {
        return Err(StorageError::Missing {
            what: "the right to grow a mounted file system (CAP_SYS_RESOURCE)".to_owned(),
            hint: "stop the instance that uses the volume, or run where root has all rights"
                .to_owned(),
        });
    }
    Ok(device)
}

async fn grow_idle(image: &Path) -> Result<(), StorageError> {
    let check = program("e2fsck")?.args(["-p", "-f"]).arg(image);
    match check.deadline(DEADLINE, Overrun::Leave).output().await {
        // 1: it found mistakes and corrected them, e2fsck(8).
        Ok(_) | Err(CommandError::Failed { status: Some(1), .. }) => {}
        Err(source) => {
            let act = format!("checking the file system {}", image.display());
            return Err(StorageError::Command { act, source });
        }
    }
    let command = program("resize2fs")?.arg(image);
    run("growing the file system", image, command).await.map(drop)
}

/// Grows a mounted file system. It is mounted in the instance's namespace only, where resize2fs
/// cannot see it, so it is mounted here too for a moment.
async fn grow_mounted(dir: &VolumeDir, device: &str) -> Result<(), StorageError> {
    let command = program("losetup")?.args(["--set-capacity", device]);
    run("telling a loop device its new size", Path::new(device), command).await?;
    let place = dir.growing();
    mount_again(device, &place)?;
    let command = program("resize2fs")?.arg(device);
    let grown = run("growing the mounted file system", Path::new(device), command).await;
    unmount(&place)?;
    fs::remove_dir(&place).map_err(io("removing", &place))?;
    grown.map(drop)
}

/// Mounts a file system here too: the same one, not a second one.
fn mount_again(device: &str, place: &Path) -> Result<(), StorageError> {
    unmount(place)?;
    durable::make_dir(place).map_err(io("making", place))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(device, place, "ext4", flags, None::<&CStr>)
        .map_err(|error| io("mounting", place)(error.into()))
}

/// Unmounts what an interrupted growth or copy left mounted.
pub(super) fn unmount_growing(dir: &VolumeDir) -> Result<(), StorageError> {
    unmount(&dir.growing())
}

/// Unmounts what a growth mounted, now or before it was interrupted. Not mounted is fine.
fn unmount(place: &Path) -> Result<(), StorageError> {
    match rustix::mount::unmount(place, UnmountFlags::NOFOLLOW) {
        // EINVAL: no mount point; EPERM: not even root, so never mounted by us. umount(2).
        Ok(())
        | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT | rustix::io::Errno::PERM) => {
            Ok(())
        }
        Err(error) => Err(io("unmounting", place)(error.into())),
    }
}

/// Removes the image and all that making or growing it left beside it.
pub(super) fn remove(dir: &VolumeDir) -> Result<(), StorageError> {
    unmount_growing(dir)?;
    for path in [dir.seed(), dir.growing()] {
        super::directory::remove_tree(&path)?;
    }
    let image = dir.image();
    match fs::remove_file(&image) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("removing", &image)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How long the file is and how much of it is written; nothing if there is none.
pub(super) fn measure(dir: &VolumeDir) -> Result<Option<(Size, Size)>, StorageError> {
    let image = dir.image();
    match fs::symlink_metadata(&image) {
        Ok(metadata) if metadata.is_file() => {
            let written = Size::from_bytes(metadata.blocks().saturating_mul(512));
            Ok(Some((Size::from_bytes(metadata.len()), written)))
        }
        Ok(_) => Err(StorageError::Unreadable {
            what: image.display().to_string(),
            why: "it is not a plain file".to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("looking at", &image)(error)),
    }
}

/// How large the file system in the image says it is: what a person has grown it to shows here,
/// and a growth that was cut short does not. Nothing where no ext4 is to be seen.
pub(super) fn file_system(dir: &VolumeDir) -> Result<Option<Size>, StorageError> {
    let image = dir.image();
    let file = match fs::File::open(&image) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("opening", &image)(error)),
    };
    let mut superblock = [0; 1024];
    match file.read_exact_at(&mut superblock, 1024) {
        Ok(()) => Ok(ext4_size(&superblock)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(io("reading", &image)(error)),
    }
}

/// Blocks times their size, ext4(5): all numbers are little-endian, and the high half of the
/// count only counts where the file system says that it uses 64 bits.
fn ext4_size(superblock: &[u8; 1024]) -> Option<Size> {
    const MAGIC: [u8; 2] = [0x53, 0xef];
    const SIXTY_FOUR_BIT: u32 = 0x80;
    let word = |at: usize| superblock[at..].first_chunk().copied().map(u32::from_le_bytes);
    if superblock[0x38..0x3a] != MAGIC {
        return None;
    }
    let high = if word(0x60)? & SIXTY_FOUR_BIT == 0 { 0 } else { word(0x150)? };
    let blocks = u64::from(high) << 32 | u64::from(word(0x04)?);
    let block = 1024_u64.checked_shl(word(0x18)?)?;
    blocks.checked_mul(block).map(Size::from_bytes)
}

/// The loop device that has this very file behind it, if one has.
pub(super) async fn loop_device(image: &Path) -> Result<Option<String>, StorageError> {
    let command =
        program("losetup")?.args(["--noheadings", "--output", "NAME", "--associated"]).arg(image);
    let output = run("looking for a loop device of", image, command).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().next().map(str::to_owned))
}

pub(super) fn program(name: &str) -> Result<Command, StorageError> {
    let package = match name {
        "losetup" => "mount",
        "fsfreeze" => "util-linux",
        "cp" => "coreutils",
        "sh" => "dash",
        _ => "e2fsprogs",
    };
    Command::named(name).map_err(|_| StorageError::Missing {
        what: format!("the program {name}"),
        hint: format!("on Debian: apt-get install {package}"),
    })
}

async fn run(act: &str, object: &Path, command: Command) -> Result<Output, StorageError> {
    within(DEADLINE, act, object, command).await
}

/// Runs a program that takes as long as there is data.
pub(super) async fn run_long(
    act: &str,
    object: &Path,
    command: Command,
) -> Result<Output, StorageError> {
    within(COPYING, act, object, command).await
}

async fn within(
    deadline: Duration,
    act: &str,
    object: &Path,
    command: Command,
) -> Result<Output, StorageError> {
    let act = format!("{act} {}", object.display());
    let command = command.deadline(deadline, Overrun::Leave);
    command.output().await.map_err(|source| StorageError::Command { act, source })
}

/// Whether this process has a capability, as `/proc/self/status` says.
fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> number & 1 == 1)
}
