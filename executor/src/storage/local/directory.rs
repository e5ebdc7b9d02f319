//! A volume as a plain directory: no cap, for ordinary users. What instances left in it is
//! measured and removed without following links.

use super::{image, io};
use crate::names::VolumeDir;
use crate::storage::StorageError;
use planner::model::size::Size;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes an empty directory in place of what an interrupted making left. The caller has made sure
/// that the volume was never attached.
pub(super) fn make(dir: &VolumeDir) -> Result<(), StorageError> {
    let data = dir.data();
    remove_tree(&data)?;
    DirBuilder::new().mode(0o755).create(&data).map_err(io("making", &data))?;
    crate::durable::sync_dir(dir.path()).map_err(io("syncing", dir.path()))
}

/// Copies all files in place of what an interrupted copy left. Nobody uses the other volume: files
/// that are written meanwhile would be of different moments.
pub(super) async fn copy(from: &VolumeDir, to: &VolumeDir) -> Result<(), StorageError> {
    let (data, copy) = (from.data(), to.data());
    remove_tree(&copy)?;
    let command = image::program("cp")?
        .args(["--archive", "--reflink=auto", "--no-target-directory", "--"])
        .args([&data, &copy]);
    image::run_long("copying", &data, command).await?;
    let file = fs::File::open(&copy).map_err(io("opening", &copy))?;
    rustix::fs::syncfs(&file).map_err(|error| io("syncing", &copy)(error.into()))
}

/// How much is written in it; nothing if there is none.
pub(super) fn measure(dir: &VolumeDir) -> Result<Option<Size>, StorageError> {
    let data = dir.data();
    match fs::symlink_metadata(&data) {
        Ok(metadata) if metadata.is_dir() => Ok(Some(written(&data))),
        Ok(_) => Err(StorageError::Unreadable {
            what: data.display().to_string(),
            why: "it is not a directory".to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("looking at", &data)(error)),
    }
}

/// Bytes written in a tree, each file once. At least: what vanishes while it is looked at, or may
/// not be looked at, does not count, because whoever runs in it decides that.
pub(super) fn written(root: &Path) -> Size {
    let mut seen = BTreeSet::new();
    let mut total = Size::ZERO;
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        total = total.plus(Size::from_bytes(metadata.blocks().saturating_mul(512)));
        if metadata.is_dir() {
            left.extend(entries(&path));
        }
    }
    total
}

/// Removes a tree, also where its owner took away its own right to write. Not there is fine; a
/// link is removed, never followed.
pub(super) fn remove_tree(root: &Path) -> Result<(), StorageError> {
    let metadata = match fs::symlink_metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("looking at", root)(error)),
    };
    if !metadata.is_dir() {
        return fs::remove_file(root).map_err(io("removing", root));
    }
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            open_up(root);
            fs::remove_dir_all(root).map_err(io("removing", root))
        }
        done => done.map_err(io("removing", root)),
    }
}

/// Gives the owner all rights on every directory of a tree that is about to be removed.
fn open_up(root: &Path) {
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            // What cannot be changed shows when it is removed.
            let _ = fs::set_permissions(&path, Permissions::from_mode(0o700));
            left.extend(entries(&path));
        }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
