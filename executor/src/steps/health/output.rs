//! What an instance writes, while a gate waits for its end.

use crate::host::Host;
use crate::runtime::LOG_MARK;
use planner::model::id::InstanceId;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// The most that is told at once; of more, the rest comes with the next look.
const AT_ONCE: u64 = 64 * 1024;

/// The file that an instance writes to, as far as it was read.
pub(super) struct Output {
    path: Option<PathBuf>,
    read: u64,
}

impl Output {
    pub(super) fn of(host: &dyn Host, instance: &InstanceId) -> Self {
        Self { path: host.log(instance), read: 0 }
    }

    /// Whole lines that were not told yet, but for its runtime's own: how it ended is told anyway.
    /// What cannot be read is not told.
    pub(super) fn more(&mut self) -> Option<String> {
        let mut file = File::open(self.path.as_ref()?).ok()?;
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut bytes = Vec::new();
        file.take(AT_ONCE).read_to_end(&mut bytes).ok()?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n')? + 1;
        self.read += u64::try_from(whole).ok()?;
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let lines = text.lines().filter(|line| !line.starts_with(LOG_MARK));
        Some(lines.collect::<Vec<_>>().join("\n")).filter(|lines| !lines.is_empty())
    }
}
