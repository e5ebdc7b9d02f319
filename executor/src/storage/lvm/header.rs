//! The copy of a volume's LUKS header, beside its record.

use super::io;
use crate::durable;
use crate::keys::header::Header;
use crate::names::VolumeDir;
use crate::storage::StorageError;
use std::fs;
use std::path::Path;

/// Keeps a copy of the header of a device that has just been encrypted.
pub(super) fn keep(dir: &VolumeDir, device: &Path) -> Result<(), StorageError> {
    let header = Header::read(device).map_err(io("reading the header of", device))?;
    header.write(&dir.header()).map_err(io("writing", &dir.header()))
}

/// Removes the copy. Not there is fine.
pub(super) fn forget(dir: &VolumeDir) -> Result<(), StorageError> {
    let path = dir.header();
    match fs::remove_file(&path) {
        Ok(()) => durable::sync_parent(&path).map_err(io("syncing", &path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("removing", &path)(error)),
    }
}
