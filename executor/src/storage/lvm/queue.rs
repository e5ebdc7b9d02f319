//! What LVM has written down for the kernel's pool to make or delete, and what became of that where
//! a command was cut short: it is brought to its end, so that whatever comes next can go on.

use super::listing::Snapshot;
use super::marks::Label;
use super::program::{lvm, program, run};
use super::record::VolumeRecord;
use super::report::LogicalVolume;
use super::status::{self, PoolStatus};
use super::{LvmStorage, unreadable};
use crate::names;
use crate::storage::StorageError;
use planner::model::id::VolumeId;

impl LvmStorage {
    /// How the kernel's pool is, if LVM has written down a change that it has not made yet.
    pub(super) fn behind(&self, snapshot: &Snapshot) -> Result<Option<PoolStatus>, StorageError> {
        let recorded = snapshot.volumes.get(&self.pool).and_then(|lv| lv.transaction);
        let status = self.pool_status(snapshot)?;
        Ok(status.filter(|status| recorded.is_some_and(|lvm| queued(lvm, *status))))
    }

    /// LVM writes down what the kernel's pool shall make or delete, then has it done. Cut in
    /// between, it is done when an active volume of the pool is refreshed, or with the next change
    /// of the pool; activating and refreshing the pool itself does nothing about it.
    pub(super) async fn deliver(&self, snapshot: &Snapshot) -> Result<bool, StorageError> {
        let Some(status) = self.behind(snapshot)? else { return Ok(false) };
        if self.has_snapshot(snapshot, status).await? {
            self.count(snapshot, status).await?;
            return Ok(true);
        }
        let active = |lv: &&LogicalVolume| {
            snapshot.targets.contains_key(&names::mapped(&self.group, &lv.name))
        };
        // What is still to be made cannot be activated: it goes when it is made again.
        let whole = |lv: &&LogicalVolume| Label::parse(&lv.tags).is_ok_and(|label| label.formatted);
        let any = self.marked(snapshot).find(active).or_else(|| self.marked(snapshot).find(whole));
        let Some(lv) = any else { return Ok(false) };
        if !active(&lv) {
            self.activate(&lv.name).await?;
        }
        self.refresh(&lv.name).await?;
        Ok(true)
    }

    /// Whether the change is a snapshot that the kernel made and did not count any more. It refuses
    /// to make it again, and LVM then refuses every change of the pool.
    async fn has_snapshot(
        &self,
        snapshot: &Snapshot,
        status: PoolStatus,
    ) -> Result<bool, StorageError> {
        let half_made = self.marked(snapshot).filter(|lv| {
            let label = Label::parse(&lv.tags);
            lv.origin.is_some() && label.is_ok_and(|label| !label.formatted)
        });
        let Some(lv) = half_made.max_by_key(|lv| lv.thin_id) else { return Ok(false) };
        let Some(id) = lv.thin_id else { return Ok(false) };
        // One that was there before the last change would be somebody's, and is not believed.
        Ok(self.thin_devices(snapshot).await?.get(&id) == Some(&status.transaction))
    }

    /// Removes a volume from LVM and from the kernel's pool. Not there is fine.
    ///
    /// LVM adds what it wants of the kernel to what is in its queue, and where the kernel has made
    /// all of that before, it asks for nothing: then it is asked here. The number is written down
    /// first, because afterwards nobody else knows it.
    pub(super) async fn remove(&self, id: &VolumeId) -> Result<(), StorageError> {
        let before = self.read().await?;
        let dir = self.dir.volume(id);
        let mut record = VolumeRecord::read(&dir)?;
        if let Some(lv) = before.volumes.get(id.as_str()) {
            if let Some(record) = &mut record {
                record.thin_id = lv.thin_id;
                record.write(&dir)?;
            }
            let command = lvm("lvremove")?.args(["-q", "-f"]).arg(self.full(id.as_str()));
            run(format!("removing volume {id}"), command).await?;
            let transaction = |of: &Snapshot| of.volumes.get(&self.pool)?.transaction;
            if transaction(&self.read().await?) != transaction(&before) {
                return Ok(());
            }
        }
        match record.and_then(|record| record.thin_id) {
            Some(thin_id) => self.remove_thin(thin_id).await,
            None => Ok(()),
        }
    }

    /// Removes a thin device that was a volume's, if it is there and LVM does not know it.
    async fn remove_thin(&self, thin_id: u64) -> Result<(), StorageError> {
        let snapshot = self.read_active().await?;
        let known = snapshot.volumes.values().any(|lv| lv.thin_id == Some(thin_id));
        // What is in the queue is done with the next change.
        if known || self.behind(&snapshot)?.is_some() {
            return Ok(());
        }
        if self.thin_devices(&snapshot).await?.contains_key(&thin_id) {
            tracing::warn!("{} kept a thin device that LVM removed; removing it", self.what());
            self.message(&snapshot, &format!("delete {thin_id}")).await?;
        }
        Ok(())
    }

    /// The change at which the kernel made each thin device, by the pool's number for it.
    async fn thin_devices(&self, snapshot: &Snapshot) -> Result<status::Devices, StorageError> {
        // Another look may have been cut short.
        if self.message(snapshot, "reserve_metadata_snap").await.is_err() {
            self.message(snapshot, "release_metadata_snap").await?;
            self.message(snapshot, "reserve_metadata_snap").await?;
        }
        let metadata = names::device(&names::mapped_metadata(&self.group, &self.pool));
        let command = program("thin_ls")?
            .args(["--metadata-snap", "--no-headers", "-o", "DEV,TRANSACTION"])
            .arg(metadata);
        let listed = run(format!("listing what is in {}", self.what()), command).await;
        self.message(snapshot, "release_metadata_snap").await?;
        status::devices(&String::from_utf8_lossy(&listed?.stdout))
            .map_err(|why| unreadable("what thin_ls says".to_owned(), why))
    }

    /// Has the kernel count the change that it has made.
    async fn count(&self, snapshot: &Snapshot, status: PoolStatus) -> Result<(), StorageError> {
        let (from, to) = (status.transaction, status.transaction.saturating_add(1));
        tracing::warn!("{} made a snapshot and did not count it; counting it", self.what());
        self.message(snapshot, &format!("set_transaction_id {from} {to}")).await
    }

    /// Tells the kernel's pool something.
    async fn message(&self, snapshot: &Snapshot, text: &str) -> Result<(), StorageError> {
        // LVM puts a pool without volumes under its own name.
        let layer = names::mapped_pool(&self.group, &self.pool);
        let own = names::mapped(&self.group, &self.pool);
        let pool = if snapshot.targets.contains_key(&layer) { layer } else { own };
        let command = program("dmsetup")?.args(["message", &pool, "0", text]);
        run(format!("telling {} to {text}", self.what()), command).await.map(drop)
    }
}

/// Whether LVM has written a change down that the kernel has not made yet.
pub(super) fn queued(lvm: u64, kernel: PoolStatus) -> bool {
    kernel.transaction.checked_add(1) == Some(lvm)
}
