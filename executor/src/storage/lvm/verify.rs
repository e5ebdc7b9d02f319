//! Whether volumes could be opened, tried without opening one.

use super::listing::Found;
use super::program::{program, status};
use super::{LvmStorage, Volume, kernel, unreadable};
use crate::keys::{Key, KeyError};
use crate::names;
use crate::storage::StorageError;
use planner::model::id::VolumeId;
use planner::model::slot::SlotId;
use planner::model::volume::{VolumeSpec, VolumeState};
use std::path::Path;

/// cryptsetup(8): no key slot opens with this key.
const NO_KEY: i32 = 2;

/// What came of trying one volume's key.
#[derive(Debug)]
pub struct KeyCheck {
    /// Which volume.
    pub volume: VolumeId,
    /// Whose it is, or was.
    pub slot: SlotId,
    /// Its state.
    pub state: VolumeState,
    /// Whether the key opens the header on the disk; why not.
    pub opens: Result<(), String>,
    /// Whether the key opens the copy of the header; why not.
    pub copy: Result<(), String>,
}

impl LvmStorage {
    /// Tries, for each volume that was ever formatted, whether its key opens its header, and the
    /// copy of its header. Retired volumes are among them.
    ///
    /// # Errors
    /// Any [`StorageError`] that concerns more than one volume.
    pub async fn verify_keys(
        &self,
        key_of: &(dyn Fn(&VolumeId) -> Result<Key, KeyError> + Sync),
    ) -> Result<Vec<KeyCheck>, StorageError> {
        let (snapshot, pool) = self.ready().await?;
        let mut checks = Vec::new();
        for lv in snapshot.volumes.values().filter(|lv| lv.pool.as_ref() == Some(&self.pool)) {
            let Some(label) = self.ours(lv, &pool)? else { continue };
            if !label.formatted || label.state == VolumeState::Erasing {
                continue;
            }
            let Found::Whole(volume) = self.find(&snapshot, &pool, &label.spec.id)? else {
                continue;
            };
            let VolumeSpec { id, slot, .. } = label.spec;
            let (opens, copy) = match key_of(&id) {
                Ok(key) => (
                    self.opens(&volume, &key).await.map_err(|error| crate::chain(&error)),
                    copy_opens(&volume, &key).await.map_err(|error| crate::chain(&error)),
                ),
                Err(error) => (Err(crate::chain(&error)), Err(crate::chain(&error))),
            };
            checks.push(KeyCheck { volume: id, slot, state: label.state, opens, copy });
        }
        Ok(checks)
    }

    async fn opens(&self, volume: &Volume, key: &Key) -> Result<(), StorageError> {
        let name = names::mapped(&self.group, &volume.lv.name);
        if !kernel::mapped()?.contains_key(&name) {
            self.activate(&volume.lv.name).await?;
        }
        let device = kernel::node(&name, &self.thin(volume)?)?;
        let what = format!("the header of volume {}", volume.lv.name);
        tried(what, &device, key).await
    }
}

async fn copy_opens(volume: &Volume, key: &Key) -> Result<(), StorageError> {
    let copy = volume.dir.header();
    let what = format!("the copy of its header, {}", copy.display());
    if !copy.exists() {
        return Err(unreadable(what, "it is not there".to_owned()));
    }
    tried(what, &copy, key).await
}

/// Whether the key opens a header, of a device or in a file. Nothing is opened.
async fn tried(what: String, header: &Path, key: &Key) -> Result<(), StorageError> {
    let command = program("cryptsetup")?
        .args(["open", "-q", "--test-passphrase", "--type", "luks2", "--key-file", "-"])
        .arg(header)
        .input(key.expose());
    match status(format!("trying {what}"), command).await? {
        0 => Ok(()),
        NO_KEY => Err(unreadable(what, "the key does not open it".to_owned())),
        other => {
            Err(unreadable(what, format!("it is no header, or damaged (cryptsetup says {other})")))
        }
    }
}
