//! Mapped devices as the kernel has them now, from /sys: no program is asked, and no device node
//! is believed.

use super::{io, unreadable};
use crate::names;
use crate::storage::StorageError;
use planner::model::size::Size;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const BLOCK: &str = "/sys/block";

/// One mapped device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapped {
    /// `dm-N`.
    pub(super) node: String,
    pub(super) uuid: String,
    pub(super) size: Size,
    pub(super) suspended: bool,
    /// `major:minor`.
    number: String,
    /// What it is made of: `dm-N` and others.
    pub(super) below: Vec<String>,
}

/// All mapped devices, by name.
pub(super) fn mapped() -> Result<BTreeMap<String, Mapped>, StorageError> {
    let block = Path::new(BLOCK);
    let mut devices = BTreeMap::new();
    for entry in fs::read_dir(block).map_err(io("listing", block))? {
        let entry = entry.map_err(io("listing", block))?;
        let node = entry.file_name().to_string_lossy().into_owned();
        if node.starts_with("dm-")
            && let Some((name, device)) = look(&entry.path(), node)
        {
            devices.insert(name, device);
        }
    }
    Ok(devices)
}

/// A device; nothing if it went away meanwhile.
fn look(path: &Path, node: String) -> Option<(String, Mapped)> {
    let text = |file: &str| Some(fs::read_to_string(path.join(file)).ok()?.trim().to_owned());
    let sectors: u64 = text("size")?.parse().ok()?;
    let below = fs::read_dir(path.join("slaves")).ok()?.flatten();
    let device = Mapped {
        node,
        uuid: text("dm/uuid")?,
        size: Size::from_bytes(sectors.saturating_mul(512)),
        suspended: text("dm/suspended")? == "1",
        number: text("dev")?,
        below: below.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
    };
    Some((text("dm/name")?, device))
}

/// The node of a device of that name, if it is this very device: nodes outlive devices, and
/// their numbers are used again.
pub(super) fn node(name: &str, device: &Mapped) -> Result<PathBuf, StorageError> {
    let path = names::device(name);
    let number = fs::metadata(&path).map_err(io("looking at", &path))?.rdev();
    let number = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    if number == device.number {
        return Ok(path);
    }
    let why = format!("it is device {number}, and {name} is {}", device.number);
    Err(unreadable(path.display().to_string(), why))
}
