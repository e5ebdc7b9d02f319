//! Whether what drifted is other than what was told last, and the words for it. What was told is
//! kept beside the fleet's other records, so that nobody hears the same twice.

use super::Drifted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Lines that a message has at most; the rest is counted.
const LINES: usize = 20;

/// What was told last: the things, without how they are, which may change all the time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Known {
    things: BTreeSet<String>,
}

impl Known {
    /// What is to be told now.
    #[must_use]
    pub fn of(drifted: &Drifted) -> Self {
        let drift = drifted.drift.iter();
        let drift = drift.map(|drift| format!("{}: {}", drift.object, drift.field));
        let unread = drifted.unread.iter().map(|unread| format!("host {}", unread.host));
        Self { things: drift.chain(unread).collect() }
    }

    /// Whether nothing is to be told.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.things.is_empty()
    }

    /// Reads what was told last; nothing where nothing was.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
            // What nobody understands was not told.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        }
    }

    /// Remembers it.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &serde_json::to_vec_pretty(self)?)
    }
}

/// Writes a file as a whole: whoever reads it finds what was there before, or all of this.
///
/// # Errors
/// It could not be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path).inspect_err(|_| {
        // What was being made is of no use; that it stays behind would be no further error.
        let _ = std::fs::remove_file(&beside);
    })
}

/// A message to people: its first line is short enough for a subject.
#[must_use]
pub fn message(fleet: &str, drifted: &Drifted) -> String {
    let (things, hosts) = (drifted.drift.len(), drifted.unread.len());
    let mut words = Vec::new();
    match things {
        0 => {}
        1 => words.push("1 thing drifted".to_owned()),
        n => words.push(format!("{n} things drifted")),
    }
    match hosts {
        0 => {}
        1 => words.push("1 host could not be read".to_owned()),
        n => words.push(format!("{n} hosts could not be read")),
    }
    if words.is_empty() {
        return format!("{fleet}: nothing has drifted any more\n");
    }
    let mut text = format!("{fleet}: {}\n", words.join(", "));
    let unread = drifted.unread.iter();
    let unread = unread.map(|unread| format!("host {}: not read: {}", unread.host, unread.why));
    let drift = drifted.drift.iter().map(|drift| {
        format!("{}: {}: {} -> {}", drift.object, drift.field, drift.before, drift.after)
    });
    let lines: Vec<String> = unread.chain(drift).collect();
    for line in lines.iter().take(LINES) {
        text += &format!("{line}\n");
    }
    if lines.len() > LINES {
        text += &format!("and {} more: `tiedown drift`\n", lines.len() - LINES);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use planner::model::object::Object;
    use planner::report::Drift;

    fn drifted(things: u32, after: &str) -> Drifted {
        let thing = |number| Drift {
            object: Object::Slot { slot: format!("web/app/ewr/{number}").parse().unwrap() },
            field: "state".into(),
            before: "running".into(),
            after: after.into(),
            healed: true,
        };
        Drifted {
            drift: (1..=things).map(thing).collect(),
            held: Vec::new(),
            history_unknown: Vec::new(),
            unread: Vec::new(),
        }
    }

    #[test]
    fn the_same_is_not_news_and_what_was_told_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("drift.json");
        assert!(Known::read(&path).unwrap().is_clean());
        let known = Known::of(&drifted(2, "died"));
        known.write(&path).unwrap();
        assert_eq!(Known::read(&path).unwrap(), Known::of(&drifted(2, "stopped")));
        assert_ne!(known, Known::of(&drifted(3, "died")));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::write(&path, "no JSON").unwrap();
        assert!(Known::read(&path).unwrap().is_clean());
    }

    #[test]
    fn a_message_is_short() {
        assert_eq!(message("f", &drifted(0, "")), "f: nothing has drifted any more\n");
        let told = message("f", &drifted(1, "died"));
        assert_eq!(told, "f: 1 thing drifted\nslot web/app/ewr/1: state: running -> died\n");
        let told = message("f", &drifted(50, "died"));
        assert!(told.ends_with("and 30 more: `tiedown drift`\n") && told.lines().count() == 22);
    }
}
