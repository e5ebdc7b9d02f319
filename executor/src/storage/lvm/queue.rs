//! What LVM has written down for the kernel's pool to make or delete, and what became of that where
//! a command was cut short: it is brought to its end, so that whatever comes next can go on.

use super::listing::Snapshot;
use super::marks::Label;
use super::program::{program, run};
use super::report::LogicalVolume;
use super::status::{self, PoolStatus};
use super::{LvmStorage, unreadable};
use crate::names;
use crate::storage::StorageError;

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
            self.count(status).await?;
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
        Ok(self.thin_devices().await?.get(&id) == Some(&status.transaction))
    }

    /// The change at which the kernel made each thin device, by the pool's number for it.
    async fn thin_devices(&self) -> Result<status::Devices, StorageError> {
        // Another look may have been cut short.
        if self.message("reserve_metadata_snap").await.is_err() {
            self.message("release_metadata_snap").await?;
            self.message("reserve_metadata_snap").await?;
        }
        let metadata = names::device(&names::mapped_metadata(&self.group, &self.pool));
        let command = program("thin_ls")?
            .args(["--metadata-snap", "--no-headers", "-o", "DEV,TRANSACTION"])
            .arg(metadata);
        let listed = run(format!("listing what is in {}", self.what()), command).await;
        self.message("release_metadata_snap").await?;
        status::devices(&String::from_utf8_lossy(&listed?.stdout))
            .map_err(|why| unreadable("what thin_ls says".to_owned(), why))
    }

    /// Has the kernel count the change that it has made.
    async fn count(&self, status: PoolStatus) -> Result<(), StorageError> {
        let (from, to) = (status.transaction, status.transaction.saturating_add(1));
        tracing::warn!("{} made a snapshot and did not count it; counting it", self.what());
        self.message(&format!("set_transaction_id {from} {to}")).await
    }

    async fn message(&self, text: &str) -> Result<(), StorageError> {
        let pool = names::mapped_pool(&self.group, &self.pool);
        let command = program("dmsetup")?.args(["message", &pool, "0", text]);
        run(format!("telling {} to {text}", self.what()), command).await.map(drop)
    }
}

/// Whether LVM has written a change down that the kernel has not made yet.
pub(super) fn queued(lvm: u64, kernel: PoolStatus) -> bool {
    kernel.transaction.checked_add(1) == Some(lvm)
}
