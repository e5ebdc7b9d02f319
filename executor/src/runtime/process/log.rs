//! The log of an instance: what its program and its supervisor wrote, appended, the one before
//! kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::runtime::LOG_MARK;

/// A log larger than this is put aside when the next run begins, in bytes.
const LARGE: u64 = 16 << 20;

/// Opens the log for a run that begins now.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|log| log.len() > LARGE) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        fs::rename(path, aside)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Adds a line of the supervisor's own. A full disk must not take the instance down.
pub(super) fn say(path: &Path, line: &str) {
    if let Ok(mut log) = OpenOptions::new().append(true).open(path) {
        let _ = writeln!(log, "{LOG_MARK}{line}");
    }
}
