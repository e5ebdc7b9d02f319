//! The thin pool: whose it is, how full it is, and whether it is fit for new volumes. Puts right
//! what an interrupted command of LVM left behind; never repairs what could lose data.

use super::kernel::Mapped;
use super::listing::Snapshot;
use super::marks;
use super::program::{lvm, run};
use super::queue::queued;
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

/// Blocks of a new pool. Large blocks need little metadata.
const CHUNK: &str = "512k";

/// Metadata of a new pool: generous, because it cannot be had back once it is full.
const METADATA: (Size, Size) = (Size::from_mib(32), Size::from_mib(4096));

/// Has thin_check(8), which LVM runs whenever it activates a pool, take back that the kernel asks
/// for a check, if it finds nothing. Neither LVM's default nor a repair does that.
const CLEAR_NEEDS_CHECK: &str = r#"global/thin_check_options=["-q","--clear-needs-check-flag"]"#;

impl LvmStorage {
    /// Reads everything, with the pool active: after a reboot nothing has asked for it yet, and
    /// only the kernel knows its use.
    pub(super) async fn read_active(&self) -> Result<Snapshot, StorageError> {
        let snapshot = self.read().await?;
        if self.pool_marks(&snapshot)?.is_none() || self.pool_status(&snapshot)?.is_some() {
            return Ok(snapshot);
        }
        self.activate_pool().await?;
        self.read().await
    }

    pub(super) fn view_of_pool(&self, snapshot: &Snapshot) -> Result<PoolView, StorageError> {
        let Some((lv, marks)) = self.pool_marks(snapshot)? else { return Ok(PoolView::Absent) };
        let Some(status) = self.pool_status(snapshot)? else {
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
            fill: Some(fill(&status)),
        }))
    }

    pub(super) async fn activate_pool(&self) -> Result<(), StorageError> {
        let command = lvm("lvchange")?.args(["-q", "-ay", "-K"]).arg(self.full(&self.pool));
        // Where LVM was killed while it made the pool, a part of it is active alone, and in the way.
        let (what, group) = (self.what(), &self.group);
        let act = format!("activating {what} (after LVM was killed: `vgchange -an {group}` first)");
        run(act, command).await.map(drop)
    }

    /// The pool and its marks; nothing if it certainly is not there, or is bare and empty.
    pub(super) fn pool_marks<'s>(
        &self,
        snapshot: &'s Snapshot,
    ) -> Result<Option<(&'s LogicalVolume, PoolMarks)>, StorageError> {
        let Some(lv) = snapshot.volumes.get(&self.pool) else { return Ok(None) };
        if lv.kind != "thin-pool" {
            let why = match self.begun_pool(snapshot) {
                Some(_) => "its making was cut short: `tiedown host init` makes it".to_owned(),
                None => format!("it is a {} volume, not a thin pool", lv.kind),
            };
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

    /// What the making of our pool leaves where it is cut short: a plain volume of the pool's name
    /// with the pool's marks, which was to become its metadata and holds nothing.
    pub(super) fn begun_pool<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s LogicalVolume> {
        let lv = snapshot.volumes.get(&self.pool).filter(|lv| lv.kind == "linear")?;
        let marks = marks::parse_pool(&lv.tags).ok()??;
        (marks.fleet == self.fleet && marks.host == self.host).then_some(lv)
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
    pub(super) fn pool_status(
        &self,
        snapshot: &Snapshot,
    ) -> Result<Option<PoolStatus>, StorageError> {
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
        let fill = fill(&status);
        if let Some(why) = self.full.excess(fill) {
            return refused(format!(
                "{why}: lvextend -L +SIZE {at} for data, lvextend --poolmetadatasize +SIZE {at} for \
                 metadata"
            ));
        }
        if let Some(why) = self.full.nearly(fill) {
            tracing::warn!("{} {why}", self.what());
        }
        if status.needs_check {
            let (group, clear) = (&self.group, CLEAR_NEEDS_CHECK);
            return refused(format!(
                "needs a check of its metadata, because writes to it failed: see the kernel's log \
                 about its disk, then `vgchange -an {group}` and `lvchange -ay -K --config \
                 '{clear}' {at}`; if that finds damage, `lvconvert --repair {at}` before it"
            ));
        }
        match status.mode {
            Mode::Writable => {}
            Mode::ReadOnly => return refused("takes no writes: see the kernel's log".to_owned()),
            Mode::OutOfData => return refused(format!("is full: lvextend -L +SIZE {at}")),
        }
        let recorded = snapshot.volumes.get(&self.pool).and_then(|lv| lv.transaction);
        // One ahead: LVM has a change in its queue and makes it with the next one.
        if recorded.is_some_and(|lvm| lvm != status.transaction && !queued(lvm, status)) {
            let (kernel, lvm) = (status.transaction, recorded.unwrap_or_default());
            return refused(format!(
                "is at change {kernel}, and LVM's metadata at {lvm}: one of them came from a \
                 backup, and nothing must be made in it"
            ));
        }
        Ok(())
    }

    /// Resumes devices that an interrupted command left suspended, gives them the size that LVM
    /// says they have, and has the kernel make the change that LVM has in its queue. Says whether
    /// anything was done.
    pub(super) async fn heal(&self, snapshot: &Snapshot) -> Result<bool, StorageError> {
        let half = |lv: &LogicalVolume, device: Option<&Mapped>| {
            device.is_some_and(|device| device.suspended || device.size != lv.size)
        };
        let device = |name: &str| snapshot.mapped.get(name);
        let mut healed = false;
        if let Some(lv) = snapshot.volumes.get(&self.pool) {
            let layer = device(&names::mapped_pool(&self.group, &self.pool));
            let own = || device(&names::mapped(&self.group, &self.pool));
            if half(lv, layer.or_else(own)) {
                self.refresh(&lv.name).await?;
                healed = true;
            }
        }
        for lv in self.marked(snapshot) {
            if half(lv, device(&names::mapped(&self.group, &lv.name))) {
                self.refresh(&lv.name).await?;
                healed = true;
            }
        }
        Ok(self.deliver(snapshot).await? || healed)
    }

    /// Volumes in the pool that have marks of ours.
    pub(super) fn marked<'s>(
        &self,
        snapshot: &'s Snapshot,
    ) -> impl Iterator<Item = &'s LogicalVolume> {
        let pool = self.pool.clone();
        let all = snapshot.volumes.values();
        all.filter(move |lv| lv.pool.as_ref() == Some(&pool) && marks::has_marks(&lv.tags))
    }

    pub(super) async fn refresh(&self, name: &str) -> Result<(), StorageError> {
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
        let mut snapshot = self.read().await?;
        if self.begun_pool(&snapshot).is_some() {
            let command = lvm("lvremove")?.args(["-q", "-f"]).arg(self.full(&self.pool));
            run(format!("removing what was begun of {}", self.what()), command).await?;
            snapshot = self.read().await?;
        }
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
        let command = lvm("lvcreate")?
            .args(["-q", "-y", "-T", "-c", CHUNK, "-Zy", "--discards", "passdown"])
            .args(["--errorwhenfull", "y", "--poolmetadataspare", "y"])
            .arg("--poolmetadatasize")
            .arg(bytes(metadata_of(size)))
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

/// Metadata of a pool of that size.
pub(super) fn metadata_of(size: Size) -> Size {
    let (least, most) = METADATA;
    // LVM takes whole extents of it, whatever was asked for.
    Size::from_bytes(size.bytes() / 512).clamp(least, most).rounded_up_to(Size::from_mib(4))
}

fn fill(status: &PoolStatus) -> Fill {
    Fill { data: thousandths(status.data), metadata: thousandths(status.metadata) }
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
