//! The thin pool: whose it is, how full it is, and whether it is fit for new volumes. Puts right
//! what an interrupted command of LVM left behind; never repairs what could lose data.

use super::listing::Snapshot;
use super::marks;
use super::program::{lvm, run};
use super::report::LogicalVolume;
use super::status::{Mode, PoolStatus, Target};
use super::{HEADER, LvmStorage, unreadable};
use crate::ensure::Ensured;
use crate::names;
use crate::storage::local::image;
use crate::storage::{PoolMarks, StorageError};
use planner::model::id::PoolId;
use planner::model::observed::{Fill, Pool, PoolView};
use planner::model::size::Size;

/// No volume is made or grown from here on, in hundredths of the pool's data: what is full fails
/// writes of every volume in it.
const DATA_MOST: u64 = 85;

/// The same for the pool's metadata: when that is full, every volume fails at once.
const METADATA_MOST: u64 = 75;

/// How many hundredths before those it is warned.
const WARNED_BEFORE: u64 = 15;

/// Blocks of a new pool. Large blocks need little metadata.
const CHUNK: &str = "512k";

/// Metadata of a new pool: generous, because it cannot be had back once it is full.
const METADATA: (Size, Size) = (Size::from_mib(32), Size::from_mib(4096));

impl LvmStorage {
    pub(super) async fn look_at_pool(&self) -> Result<PoolView, StorageError> {
        let mut snapshot = self.read().await?;
        if self.pool_marks(&snapshot)?.is_none() {
            return Ok(PoolView::Absent);
        }
        if self.pool_status(&snapshot)?.is_none() {
            // After a reboot nothing has asked for it yet, and only the kernel knows its use.
            self.activate_pool().await?;
            snapshot = self.read().await?;
        }
        let Some((lv, marks)) = self.pool_marks(&snapshot)? else { return Ok(PoolView::Absent) };
        let Some(status) = self.pool_status(&snapshot)? else {
            return Err(unreadable(self.what(), "it could not be activated".to_owned()));
        };
        Ok(PoolView::Present(Pool {
            id: marks.id,
            fleet: marks.fleet,
            host: marks.host,
            machine: marks.machine,
            size: lv.size,
            used: Size::from_bytes(status.data.0.saturating_mul(lv.chunk.bytes())),
            extent: lv.extent,
            header: HEADER,
            cap_enforced: true,
            grows_online: image::grows_online(),
            copies_online: true,
            fill: Some(Fill {
                data: thousandths(status.data),
                metadata: thousandths(status.metadata),
            }),
        }))
    }

    pub(super) async fn activate_pool(&self) -> Result<(), StorageError> {
        let command = lvm("lvchange")?.args(["-q", "-ay", "-K"]).arg(self.full(&self.pool));
        run(format!("activating {}", self.what()), command).await.map(drop)
    }

    /// The pool and its marks; nothing if it certainly is not there, or is bare and empty.
    fn pool_marks<'s>(
        &self,
        snapshot: &'s Snapshot,
    ) -> Result<Option<(&'s LogicalVolume, PoolMarks)>, StorageError> {
        let Some(lv) = snapshot.volumes.get(&self.pool) else { return Ok(None) };
        if lv.kind != "thin-pool" {
            let why = format!("it is a {} volume, not a thin pool", lv.kind);
            return Err(unreadable(self.what(), why));
        }
        let marks = marks::parse_pool(&lv.tags).map_err(|why| unreadable(self.what(), why))?;
        if let Some(marks) = marks {
            return Ok(Some((lv, marks)));
        }
        match snapshot.volumes.values().find(|lv| lv.pool.as_ref() == Some(&self.pool)) {
            None => Ok(None),
            Some(volume) => {
                let why = format!("it has no marks of tiedown, and holds volume {}", volume.name);
                Err(unreadable(self.what(), why))
            }
        }
    }

    /// The pool's identity, if it is of our fleet. Its host's name may be an old one.
    pub(super) fn our_pool(&self, snapshot: &Snapshot) -> Result<PoolId, StorageError> {
        match self.pool_marks(snapshot)? {
            None => Err(StorageError::Absent { what: self.what() }),
            Some((_, marks)) if marks.fleet != self.fleet => {
                let found = format!("is of fleet {}", marks.fleet);
                Err(StorageError::Conflict { what: self.what(), found })
            }
            Some((_, marks)) => Ok(marks.id),
        }
    }

    /// How the pool is; nothing if it is not active.
    fn pool_status(&self, snapshot: &Snapshot) -> Result<Option<PoolStatus>, StorageError> {
        // LVM puts a pool without volumes under its own name.
        let layer = snapshot.targets.get(&names::mapped_pool(&self.group, &self.pool));
        let own = || snapshot.targets.get(&names::mapped(&self.group, &self.pool));
        match layer.or_else(own) {
            None => Ok(None),
            Some(Target::Pool(status)) => Ok(Some(*status)),
            Some(Target::Failed | Target::Thin { .. }) => {
                let why = "the kernel has given it up: deactivate and activate it (`vgchange -an`, \
                           `vgchange -ay`), which checks its metadata; see lvmthin(7)";
                Err(unreadable(self.what(), why.to_owned()))
            }
        }
    }

    /// Whether the pool may take more: an error that says what to do if not.
    pub(super) fn fit_for_more(&self, snapshot: &Snapshot) -> Result<(), StorageError> {
        let Some(status) = self.pool_status(snapshot)? else { return Ok(()) };
        let refused = |found: String| Err(StorageError::Conflict { what: self.what(), found });
        let at = self.full(&self.pool);
        if status.needs_check {
            return refused(format!("needs a check of its metadata: lvconvert --repair {at}"));
        }
        match status.mode {
            Mode::Writable => {}
            Mode::ReadOnly => return refused("takes no writes: see the kernel's log".to_owned()),
            Mode::OutOfData => return refused(format!("is full: lvextend -L +SIZE {at}")),
        }
        let recorded = snapshot.volumes.get(&self.pool).and_then(|lv| lv.transaction);
        if recorded.is_some_and(|recorded| recorded != status.transaction) {
            let (kernel, lvm) = (status.transaction, recorded.unwrap_or_default());
            return refused(format!(
                "is at change {kernel}, and LVM's metadata at {lvm}: if that came from a backup, \
                 nothing must be made in it"
            ));
        }
        for (what, (used, total), most, way) in [
            ("data", status.data, DATA_MOST, "lvextend -L +SIZE"),
            ("metadata", status.metadata, METADATA_MOST, "lvextend --poolmetadatasize +SIZE"),
        ] {
            let percent = used.saturating_mul(100) / total;
            if percent >= most {
                return refused(format!(
                    "has {percent} % of its {what} in use, and takes nothing more from {most} %: {way} {at}"
                ));
            }
            if percent + WARNED_BEFORE >= most {
                tracing::warn!("{} has {percent} % of its {what} in use", self.what());
            }
        }
        Ok(())
    }

    /// Resumes devices that an interrupted command left suspended, and gives them the size that
    /// LVM says they have. Says whether anything was done.
    pub(super) async fn heal(&self, snapshot: &Snapshot) -> Result<bool, StorageError> {
        let mut healed = false;
        let layer = snapshot.mapped.get(&names::mapped_pool(&self.group, &self.pool));
        let own = || snapshot.mapped.get(&names::mapped(&self.group, &self.pool));
        let device = layer.or_else(own);
        let status = self.pool_status(snapshot)?;
        if let Some(lv) = snapshot.volumes.get(&self.pool) {
            let behind = status.zip(lv.transaction).is_some_and(|(s, t)| s.transaction != t);
            if behind || device.is_some_and(|device| device.suspended || device.size != lv.size) {
                self.refresh(&lv.name).await?;
                healed = true;
            }
        }
        let ours = snapshot
            .volumes
            .values()
            .filter(|lv| lv.pool.as_ref() == Some(&self.pool) && marks::has_marks(&lv.tags));
        for lv in ours {
            let device = snapshot.mapped.get(&names::mapped(&self.group, &lv.name));
            if device.is_some_and(|device| device.suspended || device.size != lv.size) {
                self.refresh(&lv.name).await?;
                healed = true;
            }
        }
        Ok(healed)
    }

    async fn refresh(&self, name: &str) -> Result<(), StorageError> {
        let full = self.full(name);
        tracing::warn!("{full} was left half changed by an interrupted command; refreshing it");
        let command = lvm("lvchange")?.args(["-q", "--refresh"]).arg(&full);
        run(format!("refreshing {full}"), command).await.map(drop)
    }

    pub(super) async fn ensure_pool(
        &self,
        wanted: &PoolMarks,
        size: Size,
    ) -> Result<Ensured, StorageError> {
        let conflict = |found: String| Err(StorageError::Conflict { what: self.what(), found });
        if wanted.fleet != self.fleet || wanted.host != self.host {
            return conflict(format!("is for {} of fleet {}", self.host, self.fleet));
        }
        let snapshot = self.read().await?;
        if let Some((lv, marks)) = self.pool_marks(&snapshot)? {
            if marks == *wanted && lv.size == size {
                return Ok(Ensured::AlreadySo);
            }
            let PoolMarks { id, fleet, host, .. } = marks;
            return conflict(format!("is there already: {id}, {}, {host} of {fleet}", lv.size));
        }
        let tags = marks::pool_tags(wanted);
        let tags = tags.iter().flat_map(|tag| ["--addtag", tag]);
        let full = self.full(&self.pool);
        if snapshot.volumes.contains_key(&self.pool) {
            let command = lvm("lvchange")?.arg("-q").args(tags).arg(&full);
            run(format!("marking {}", self.what()), command).await?;
            return Ok(Ensured::Made);
        }
        let (least, most) = METADATA;
        let metadata = Size::from_bytes(size.bytes() / 512).clamp(least, most);
        let command = lvm("lvcreate")?
            .args(["-q", "-y", "-T", "-c", CHUNK, "-Zy", "--discards", "passdown"])
            .args(["--errorwhenfull", "y", "--poolmetadataspare", "y"])
            .arg("--poolmetadatasize")
            .arg(bytes(metadata))
            .arg("-L")
            .arg(bytes(size))
            .args(tags)
            .arg(&full);
        run(format!("making {}", self.what()), command).await?;
        Ok(Ensured::Made)
    }

    /// `GROUP/NAME`, as LVM's commands take it.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.group)
    }
}

/// A share, rounded up: what is nearly full is not less full than it is.
fn thousandths((used, total): (u64, u64)) -> u32 {
    let share = used.saturating_mul(1000).div_ceil(total.max(1));
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// A size as LVM's commands take it.
pub(super) fn bytes(size: Size) -> String {
    format!("{}b", size.bytes())
}
