//! A volume from its thin device up: activated, decrypted, its file system made and grown. Knows
//! each device by its uuid, never by its name or number alone.

use super::header;
use super::kernel::{self, Mapped};
use super::program::{lvm, program, run, status};
use super::{HEADER, LvmStorage, Volume, io, signature, unreadable};
use crate::names::{self, DATA, VolumeDir};
use crate::storage::StorageError;
use crate::{durable, keys};
use planner::model::id::VolumeId;
use planner::model::size::Size;
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CStr;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long the kernel may take to unmount what a process that is gone had mounted.
const LETTING_GO: Duration = Duration::from_secs(3);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);

impl LvmStorage {
    /// Activates and decrypts a formatted volume; says where it is. Already open is fine, if it
    /// is that very volume.
    pub(super) async fn open(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        let id = &volume.label.spec.id;
        let (thin_name, name) = (names::mapped(&self.group, id.as_str()), names::opened(id));
        if !kernel::mapped()?.contains_key(&thin_name) {
            self.activate(id.as_str()).await?;
        }
        let thin = self.thin(volume)?;
        if !kernel::mapped()?.contains_key(&name) {
            let device = kernel::node(&thin_name, &thin)?;
            let command = program("cryptsetup")?
                .args(["open", "-q", "--type", "luks2", "--allow-discards", "--key-file", "-"])
                .args(["--perf-no_read_workqueue", "--perf-no_write_workqueue"])
                .arg(device)
                .arg(&name)
                .input(self.key(id)?);
            run(format!("opening volume {id}"), command).await?;
        }
        let open = decrypted(id, &thin)?;
        if open.size != thin.size.minus(HEADER) {
            let command = program("cryptsetup")?
                .args(["resize", "-q", "--key-file", "-", &name])
                .input(self.key(id)?);
            run(format!("growing the decrypted volume {id}"), command).await?;
        }
        kernel::node(&name, &decrypted(id, &thin)?)
    }

    pub(super) async fn activate(&self, name: &str) -> Result<(), StorageError> {
        let command = lvm("lvchange")?.args(["-q", "-ay", "-K"]).arg(self.full(name));
        run(format!("activating volume {name}"), command).await.map(drop)
    }

    /// The volume's thin device: the one that LVM means, as large as LVM says.
    pub(super) fn thin(&self, volume: &Volume) -> Result<Mapped, StorageError> {
        let lv = &volume.lv;
        let what = || format!("volume {}", lv.name);
        let device = kernel::mapped()?.remove(&names::mapped(&self.group, &lv.name));
        let Some(device) = device else {
            return Err(unreadable(what(), "it was activated, and is not there".to_owned()));
        };
        let wanted = format!("LVM-{}{}", lv.group_uuid, lv.uuid).replace('-', "");
        if device.uuid.replace('-', "") != wanted {
            let why = format!("the device of that name is {}", device.uuid);
            return Err(unreadable(what(), why));
        }
        if device.suspended || device.size != lv.size {
            let why = format!("its device has {} of {}, or is suspended", device.size, lv.size);
            return Err(unreadable(what(), why));
        }
        Ok(device)
    }

    pub(super) fn key(&self, id: &VolumeId) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        self.keys.get(id).map(|key| key.expose()).map_err(|error| key_error(id, error))
    }

    /// Encrypts an empty thin device and makes an ext4 in it.
    pub(super) async fn format(&self, volume: &Volume) -> Result<(), StorageError> {
        let open = self.encrypt(volume).await?;
        make_file_system(&volume.label.spec.id, &volume.dir, &open).await
    }

    /// Encrypts an empty thin device and opens it. The caller has made sure that the volume was
    /// never formatted or attached, and that nothing is mapped.
    pub(super) async fn encrypt(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        let id = &volume.label.spec.id;
        let name = names::mapped(&self.group, id.as_str());
        let device = kernel::node(&name, &self.thin(volume)?)?;
        // Reads past the page cache's view of a device of the same number that went before.
        if let Some(found) = signature::found(&format!("volume {id}"), &device).await? {
            let found =
                format!("is to be formatted, and blkid says {found}: it may hold something");
            return Err(super::conflict(id, found));
        }
        let command = program("cryptsetup")?
            .args(["luksFormat", "-q", "--type", "luks2", "-c", "aes-xts-plain64", "-s", "512"])
            // The key is random: a slow derivation would add nothing but time and memory.
            .args(["--hash", "sha256", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"])
            .args(["--sector-size", "4096", "--luks2-metadata-size", "16k"])
            .args(["--luks2-keyslots-size", "16352k", "--key-file", "-", "--uuid"])
            .arg(names::luks_uuid(id))
            .arg(&device)
            .input(self.key(id)?);
        run(format!("encrypting volume {id}"), command).await?;
        header::keep(&volume.dir, &device)?;
        self.open(volume).await
    }

    /// Closes a volume. Not open is fine.
    pub(super) async fn close(&self, id: &VolumeId) -> Result<(), StorageError> {
        let name = names::opened(id);
        if !kernel::mapped()?.contains_key(&name) {
            return Ok(());
        }
        let deadline = Instant::now() + LETTING_GO;
        loop {
            let command = program("cryptsetup")?.args(["close", &name]);
            match run(format!("closing volume {id}"), command).await {
                Err(StorageError::Command { .. }) if kernel::mapped()?.contains_key(&name) => {}
                closed => return closed.map(drop),
            }
            if Instant::now() > deadline {
                let holder = "somebody who has its device open or mounted".to_owned();
                return Err(StorageError::Held { what: format!("volume {id}"), holder });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Erases the key slots, and the copy of them: without them even the right key opens nothing.
    pub(super) async fn erase(&self, volume: &Volume) -> Result<(), StorageError> {
        let id = &volume.label.spec.id;
        let name = names::mapped(&self.group, id.as_str());
        if !kernel::mapped()?.contains_key(&name) {
            self.activate(id.as_str()).await?;
        }
        let device = kernel::node(&name, &self.thin(volume)?)?;
        let command = program("cryptsetup")?.args(["isLuks", "--type", "luks2"]).arg(&device);
        if status(format!("looking at volume {id}"), command).await? == 0 {
            let command = program("cryptsetup")?.args(["luksErase", "-q"]).arg(&device);
            run(format!("erasing the keys of volume {id}"), command).await?;
            sync(&device)?;
        }
        header::forget(&volume.dir)
    }
}

/// The decrypted device, which must be the volume's own on its own thin device.
fn decrypted(id: &VolumeId, thin: &Mapped) -> Result<Mapped, StorageError> {
    let name = names::opened(id);
    let what = || format!("volume {id}");
    let Some(open) = kernel::mapped()?.remove(&name) else {
        return Err(unreadable(what(), "it was opened, and is not there".to_owned()));
    };
    let wanted = format!("CRYPT-LUKS2-{}-{name}", names::luks_uuid(id).replace('-', ""));
    if open.uuid != wanted || open.below != [thin.node.as_str()] {
        let why = format!("{name} is {} on {:?}, not its own", open.uuid, open.below);
        return Err(unreadable(what(), why));
    }
    Ok(open)
}

async fn make_file_system(id: &VolumeId, dir: &VolumeDir, open: &Path) -> Result<(), StorageError> {
    let seed = dir.seed();
    let data = seed.join(DATA);
    remove_dir(&seed)?;
    for (path, mode) in [(&seed, 0o700), (&data, 0o755)] {
        DirBuilder::new().mode(mode).create(path).map_err(io("making", path))?;
    }
    let command = program("mkfs.ext4")?
        .args(["-q", "-F", "-b", "4096", "-m", "0", "-U"])
        .arg(names::ext4_uuid(id))
        // Discards are not sent: unmapped blocks would read as noise, not as zeros.
        .args(["-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", "-d"])
        .arg(&seed)
        .arg(open);
    run(format!("making a file system in volume {id}"), command).await?;
    sync(open)?;
    remove_dir(&seed)
}

/// Grows the file system of an open volume to the whole device, mounted elsewhere or not.
pub(super) async fn grow(id: &VolumeId, dir: &VolumeDir, open: &Path) -> Result<(), StorageError> {
    let place = dir.growing();
    mount_again(open, &place)?;
    let command = program("resize2fs")?.arg(open);
    let grown = run(format!("growing the file system of volume {id}"), command).await;
    let grown = grown.and_then(|_| {
        let top = File::open(&place).map_err(io("opening", &place))?;
        rustix::fs::syncfs(&top).map_err(|error| io("syncing", &place)(error.into()))
    });
    unmount(&place)?;
    remove_dir(&place)?;
    grown
}

/// Mounts a file system here too for a moment: the same one, not a second one.
fn mount_again(open: &Path, place: &Path) -> Result<(), StorageError> {
    unmount(place)?;
    durable::make_dir(place).map_err(io("making", place))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    rustix::mount::mount(open, place, "ext4", flags, None::<&CStr>)
        .map_err(|error| io("mounting", place)(error.into()))
}

/// Gives the pool back what files no longer use, then writes everything out that whoever has the
/// volume mounted has written to it.
pub(super) async fn flush(
    id: &VolumeId,
    dir: &VolumeDir,
    open: &Path,
    block: Size,
) -> Result<(), StorageError> {
    let place = dir.growing();
    mount_again(open, &place)?;
    // Less than a block of the pool would free nothing.
    let command = program("fstrim")?.args(["--minimum", &block.bytes().to_string()]).arg(&place);
    if let Err(error) = run(format!("trimming volume {id}"), command).await {
        tracing::warn!(%error, "volume {id} was not trimmed; nothing depends on it");
    }
    let flushed = File::open(&place)
        .and_then(|file| rustix::fs::syncfs(&file).map_err(Into::into))
        .map_err(io("syncing", &place));
    unmount(&place)?;
    remove_dir(&place)?;
    flushed
}

/// Unmounts what an interrupted growth or copy left mounted.
pub(super) fn unmount_growing(dir: &VolumeDir) -> Result<(), StorageError> {
    unmount(&dir.growing())
}

/// Removes what making or growing left beside the record.
pub(super) fn tidy(dir: &VolumeDir) -> Result<(), StorageError> {
    unmount_growing(dir)?;
    remove_dir(&dir.seed())?;
    remove_dir(&dir.growing())
}

fn unmount(place: &Path) -> Result<(), StorageError> {
    match rustix::mount::unmount(place, UnmountFlags::NOFOLLOW) {
        // EINVAL: no mount point. umount(2).
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(io("unmounting", place)(error.into())),
    }
}

/// Removes a directory of ours that is not a mount point any more.
fn remove_dir(path: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("removing", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes what was written to a device survive a loss of power, through all layers below it.
pub(super) fn sync(device: &Path) -> Result<(), StorageError> {
    let file = File::options().write(true).open(device).map_err(io("opening", device))?;
    file.sync_all().map_err(io("syncing", device))
}

pub(super) fn key_error(id: &VolumeId, error: keys::KeyError) -> StorageError {
    StorageError::Key { volume: id.clone(), source: error }
}

/// What a volume of that cap takes of the pool.
pub(super) const fn whole(cap: Size) -> Size {
    cap.plus(HEADER)
}
