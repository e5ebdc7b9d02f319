//! What a pool stands on: the disks, and the volume group on them. Made once for a host, on disks
//! that carry nothing.

use super::listing::Snapshot;
use super::pool::{bytes, metadata_of};
use super::program::{lvm, program, run};
use super::report::{self, LogicalVolume, PhysicalVolume};
use super::{LvmStorage, conflict_of, io, signature, unreadable};
use crate::ensure::Ensured;
use crate::storage::{PoolMarks, StorageError};
use planner::model::size::Size;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The area for LVM's own metadata on each disk. It cannot be made larger later, and has room for
/// about 90,000 volumes with their marks; LVM's default has room for 1,300.
const AREA: Size = Size::from_mib(64);

/// LVM's default extent, said so that no other default matters.
const EXTENT: Size = Size::from_mib(4);

/// What is left free in the group, in hundredths: a pool that fills up can be extended at once.
const LEFT_FREE: u64 = 2;

/// What there is to be made for a pool, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ground {
    /// The volume group, if it is not there: its disks and their sizes.
    pub group: Option<Vec<(PathBuf, Size)>>,
    /// The pool, if it is not there or has no marks: its size, and that of its metadata.
    pub pool: Option<(Size, Size)>,
    /// Whether the pool is there, and is only to be marked.
    pub bare: bool,
    /// The size of what is left of a pool whose making was cut short. It goes first.
    pub begun: Option<Size>,
    /// Volumes that may be left from such a making, each with what to do about it, in words.
    pub left: Vec<String>,
}

impl LvmStorage {
    /// Looks at what is there, and says what is to be made. `size` is the pool's; without it, it
    /// gets what the group has, but for what a pool that fills up may need.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if a disk carries anything, is in use, or is not of the group;
    /// if there is neither a group nor a disk; if the size is not there. Any other.
    pub async fn look_at_ground(
        &self,
        disks: &[PathBuf],
        size: Option<Size>,
    ) -> Result<Ground, StorageError> {
        let known = physical_volumes().await?;
        let own: Vec<_> = known.iter().filter(|pv| pv.group == self.group).collect();
        let Some(first) = own.first() else { return self.look_at_disks(disks, size).await };
        for disk in disks {
            if !own.iter().any(|pv| is_same(Path::new(&pv.name), disk)) {
                let found = format!("is not of group {}, which is there already", self.group);
                return Err(conflict_of(disk, found));
            }
        }
        self.look_at_group(first.group_free, size).await
    }

    /// What there is to be made in a group that is there, with so much free.
    async fn look_at_group(&self, free: Size, size: Option<Size>) -> Result<Ground, StorageError> {
        let snapshot = self.read().await?;
        let mut ground = Ground { left: self.left(&snapshot), ..Ground::default() };
        if let Some(begun) = self.begun_pool(&snapshot) {
            ground.begun = Some(begun.size);
            // What is to be removed, and the spare of its size, which LVM takes again.
            let free = free.plus(begun.size).plus(begun.size);
            ground.pool = Some(self.fitting(free, size, &ground.left)?);
            return Ok(ground);
        }
        if let Some((lv, marks)) = self.pool_marks(&snapshot)? {
            if marks.fleet != self.fleet || marks.host != self.host {
                let found = format!("is of {} of fleet {}", marks.host, marks.fleet);
                return Err(StorageError::Conflict { what: self.what(), found });
            }
            return match size.filter(|size| *size != lv.size) {
                None => Ok(ground),
                Some(size) => {
                    let found = format!("is there already, of {}, not {size}", lv.size);
                    Err(StorageError::Conflict { what: self.what(), found })
                }
            };
        }
        if let Some(lv) = snapshot.volumes.get(&self.pool) {
            ground.pool = Some((lv.size, Size::ZERO));
            ground.bare = true;
            return Ok(ground);
        }
        ground.pool = Some(self.fitting(free, size, &ground.left)?);
        Ok(ground)
    }

    /// What there is to be made on disks without a group.
    async fn look_at_disks(
        &self,
        disks: &[PathBuf],
        size: Option<Size>,
    ) -> Result<Ground, StorageError> {
        if disks.is_empty() {
            let found = "is not there, and no disk was named for it".to_owned();
            return Err(StorageError::Conflict { what: self.group_name(), found });
        }
        let (mut chosen, mut free) = (Vec::new(), Size::ZERO);
        for disk in disks {
            let size = bare_disk(disk).await?;
            free = free.plus(usable(size));
            chosen.push((disk.clone(), size));
        }
        let pool = Some(self.fitting(free, size, &[])?);
        Ok(Ground { group: Some(chosen), pool, ..Ground::default() })
    }

    /// The first volume that LVM makes for a pool has a name of LVM's own and no marks yet, so it
    /// cannot be told from what a person made without naming it: it is not touched.
    fn left(&self, snapshot: &Snapshot) -> Vec<String> {
        let unnamed = |lv: &&LogicalVolume| {
            let number = lv.name.strip_prefix("lvol").unwrap_or_default();
            let plain = lv.kind == "linear" && lv.tags.is_empty();
            plain && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let told = |lv: &LogicalVolume| {
            let (full, size) = (self.full(&lv.name), lv.size);
            format!(
                "{full} ({size}) may be left from the making of a pool that was cut short; if \
                 nobody knows it, `lvremove {full}` takes it away"
            )
        };
        snapshot.volumes.values().filter(unnamed).map(told).collect()
    }

    /// Makes what [`look_at_ground`](Self::look_at_ground) said. What is there by now is left as
    /// it is.
    ///
    /// # Errors
    /// Any [`StorageError`].
    pub async fn make_ground(
        &self,
        ground: &Ground,
        marks: &PoolMarks,
    ) -> Result<Ensured, StorageError> {
        if let Some(disks) = &ground.group {
            // Once more, just before: what carries anything is never touched.
            for (disk, _) in disks {
                bare_disk(disk).await?;
            }
            let command = lvm("vgcreate")?
                .args(["-q", "-y", "--setautoactivation", "n", "-s"])
                .arg(bytes(EXTENT))
                .arg("--metadatasize")
                .arg(bytes(AREA))
                .arg(&self.group)
                .args(disks.iter().map(|(disk, _)| disk));
            run(format!("making {}", self.group_name()), command).await?;
        }
        match ground.pool {
            None => Ok(Ensured::AlreadySo),
            Some((size, _)) => self.ensure_pool(marks, size).await,
        }
    }

    fn group_name(&self) -> String {
        format!("volume group {}", self.group)
    }

    /// The size of a pool and of its metadata, in what is free.
    fn fitting(
        &self,
        free: Size,
        size: Option<Size>,
        left: &[String],
    ) -> Result<(Size, Size), StorageError> {
        // LVM keeps as much again, to repair the metadata with.
        let with_metadata = |size: Size| size.plus(metadata_of(size)).plus(metadata_of(size));
        let size = size.unwrap_or_else(|| {
            let most = Size::from_bytes(free.bytes() / 100 * (100 - LEFT_FREE));
            let metadata = metadata_of(most);
            let left = most.minus(metadata).minus(metadata).bytes();
            Size::from_bytes(left / EXTENT.bytes() * EXTENT.bytes())
        });
        if size == Size::ZERO || with_metadata(size) > free {
            let left: String = left.iter().map(|left| format!(". {left}")).collect();
            let found =
                format!("has {free} free, and a pool of {size} needs more with its metadata{left}");
            return Err(StorageError::Conflict { what: self.group_name(), found });
        }
        Ok((size, metadata_of(size)))
    }
}

/// What LVM can use of a disk: whole extents behind its metadata.
fn usable(disk: Size) -> Size {
    let left = disk.minus(AREA).minus(EXTENT).bytes();
    Size::from_bytes(left / EXTENT.bytes() * EXTENT.bytes())
}

async fn physical_volumes() -> Result<Vec<PhysicalVolume>, StorageError> {
    let command = lvm("pvs")?
        .args(["--reportformat", "json", "--units", "b", "--nosuffix", "-o"])
        .arg(report::PHYSICAL_FIELDS);
    let output = run("listing physical volumes".to_owned(), command).await?;
    report::physical(&output.stdout).map_err(|why| unreadable("what pvs says".to_owned(), why))
}

/// Whether two paths are one device.
fn is_same(one: &Path, other: &Path) -> bool {
    let number = |path: &Path| fs::metadata(path).ok().map(|found| found.rdev());
    number(one).is_some_and(|it| number(other) == Some(it))
}

/// The size of a disk that nobody uses and that carries nothing: no file system, no partitions, no
/// part of a group or array. Anything else is refused.
async fn bare_disk(disk: &Path) -> Result<Size, StorageError> {
    let found = fs::metadata(disk).map_err(io("looking at", disk))?;
    if !found.file_type().is_block_device() {
        return Err(conflict_of(disk, "is not a block device".to_owned()));
    }
    // The kernel gives a device exclusively to nobody while it is mounted, or a part of anything.
    let opened =
        rustix::fs::open(disk, OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty());
    match opened {
        Ok(_) => {}
        Err(rustix::io::Errno::BUSY) => return Err(conflict_of(disk, "is in use".to_owned())),
        Err(error) => return Err(io("opening", disk)(error.into())),
    }
    let what = disk.display().to_string();
    let probed = signature::found(&what, disk).await?;
    let command = program("wipefs")?.args(["-n", "--noheadings", "-O", "TYPE"]).arg(disk);
    let signatures = run(format!("looking at what {what} holds"), command).await?;
    let signatures = String::from_utf8_lossy(&signatures.stdout);
    let kinds: BTreeSet<&str> = signatures.split_ascii_whitespace().collect();
    if probed.is_some() || !kinds.is_empty() {
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let kinds =
            if kinds.is_empty() { "nobody knows what".to_owned() } else { kinds.join(", ") };
        let found = format!(
            "carries something already, {kinds}; if it can go, `wipefs -a {what}` takes it away"
        );
        return Err(conflict_of(disk, found));
    }
    let name = Path::new("/sys/dev/block").join(format!(
        "{}:{}",
        rustix::fs::major(found.rdev()),
        rustix::fs::minor(found.rdev())
    ));
    let sectors = name.join("size");
    let text = fs::read_to_string(&sectors).map_err(io("reading", &sectors))?;
    match text.trim().parse::<u64>() {
        Ok(sectors) => Ok(Size::from_bytes(sectors.saturating_mul(512))),
        Err(_) => Err(unreadable(sectors.display().to_string(), format!("it says {text:?}"))),
    }
}
