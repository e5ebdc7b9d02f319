//! Whether a device carries anything that a program would know: a file system, an encryption, a
//! part of a group or array.

use super::io;
use super::program::{program, status};
use crate::storage::StorageError;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// blkid(8): nothing was found. It says the same of what it cannot read.
const NOTHING_FOUND: i32 = 2;

/// How much of the beginning and of the end of a device has to be readable, in bytes: signatures
/// lie there.
const ENDS: u64 = 2 << 20;

/// What blkid says of a device that carries something; none if it certainly carries nothing. `what`
/// it is, for an error.
///
/// # Errors
/// It cannot be read, so that nothing is known. Any other.
pub(super) async fn found(what: &str, device: &Path) -> Result<Option<i32>, StorageError> {
    let command = program("blkid")?.args(["-p", "-o", "export"]).arg(device);
    match status(format!("looking at what {what} holds"), command).await? {
        NOTHING_FOUND => read_ends(device).map_err(io("reading", device)).map(|()| None),
        found => Ok(Some(found)),
    }
}

fn read_ends(device: &Path) -> std::io::Result<()> {
    let mut file = File::open(device)?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut bytes = vec![0; usize::try_from(ENDS.min(end)).map_err(std::io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    file.read_exact_at(&mut bytes, end - ENDS.min(end))
}
