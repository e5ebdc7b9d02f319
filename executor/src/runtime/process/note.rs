//! What the runner and the init tell the supervisor over their pipe, one JSON document a line,
//! and what it tells the init.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::Refusal;

/// One line to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Note {
    /// From the runner: the host's process id of the init it started.
    Init(u32),
    /// From the init: bound to the runner's life, in its namespaces, waiting for [`GO`].
    Ready,
    /// From the init: the program runs.
    Running,
    /// From either: it went no further.
    Refused(Refusal),
    /// From the init: the program ended with this status.
    Ended(i32),
}

/// The line on which the init goes on. Before it nothing is mounted and no program runs.
pub(super) const GO: &str = "go\n";

/// Writes one note to standard output. A supervisor that is gone needs none.
pub(super) fn tell(note: &Note) {
    if let Ok(mut line) = serde_json::to_vec(note) {
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
