//! What was asked of the storage and what it answered, kept outside the lab host, so that a cut
//! of its power cannot touch it; and what must therefore be there.

use planner::model::size::Size;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// One act on volume number so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Make(u32),
    /// Makes so many, from that number on.
    MakeAll(u32, u32),
    Grow(u32, Size),
    Retire(u32),
    TakeBack(u32),
    Destroy(u32),
    /// Makes a snapshot of the first as the second.
    Snapshot(u32, u32),
    /// Makes a volume of the first, a snapshot, as the second.
    Restore(u32, u32),
    /// Makes a clone of the first as the second.
    Clone(u32, u32),
    RemoveClone(u32),
    /// Writes a line with this number into the volume's file, and syncs it.
    Write(u32, u32),
}

impl Act {
    fn text(self) -> String {
        match self {
            Self::Make(volume) => format!("make {volume} 0"),
            Self::MakeAll(volume, count) => format!("make-all {volume} {count}"),
            Self::Grow(volume, to) => format!("grow {volume} {}", to.bytes()),
            Self::Retire(volume) => format!("retire {volume} 0"),
            Self::TakeBack(volume) => format!("take-back {volume} 0"),
            Self::Destroy(volume) => format!("destroy {volume} 0"),
            Self::Snapshot(of, volume) => format!("snapshot {of} {volume}"),
            Self::Restore(of, volume) => format!("restore {of} {volume}"),
            Self::Clone(of, volume) => format!("clone {of} {volume}"),
            Self::RemoveClone(volume) => format!("remove-clone {volume} 0"),
            Self::Write(volume, number) => format!("write {volume} {number}"),
        }
    }

    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let (volume, number) = (words[1].parse().unwrap(), words[2].parse::<u64>().unwrap());
        let other = u32::try_from(number);
        match words[0] {
            "make" => Self::Make(volume),
            "grow" => Self::Grow(volume, Size::from_bytes(number)),
            "retire" => Self::Retire(volume),
            "take-back" => Self::TakeBack(volume),
            "destroy" => Self::Destroy(volume),
            "make-all" => Self::MakeAll(volume, other.unwrap()),
            "snapshot" => Self::Snapshot(volume, other.unwrap()),
            "restore" => Self::Restore(volume, other.unwrap()),
            "clone" => Self::Clone(volume, other.unwrap()),
            "remove-clone" => Self::RemoveClone(volume),
            "write" => Self::Write(volume, other.unwrap()),
            other => panic!("no act: {other}"),
        }
    }

    /// How many numbers it takes that were not used before.
    fn takes(self) -> u32 {
        match self {
            Self::MakeAll(_, count) => count,
            _ => 1,
        }
    }
}

/// What must be there of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) size: Size,
    pub(crate) retired: bool,
    /// The volume that it is a snapshot or clone of.
    pub(crate) copy_of: Option<u32>,
    /// Lines whose writing was acknowledged: the volume that they were written into, and their
    /// numbers.
    pub(crate) written: Vec<(u32, u32)>,
    /// Volumes that lines may have been written into before they came here.
    pub(crate) family: BTreeSet<u32>,
}

/// The journal, open to be continued.
pub(crate) struct Journal {
    file: File,
    /// What must be there.
    pub(crate) volumes: BTreeMap<u32, Expected>,
    /// What was asked and never answered.
    pub(crate) in_flight: Option<Act>,
    /// Numbers of volumes and of lines that were ever used.
    pub(crate) used: u32,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let file = File::options().create(true).append(true).open(path).unwrap();
        let mut journal = Self { file, volumes: BTreeMap::new(), in_flight: None, used: 0 };
        // A line without its end was not written in full.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            match line.split_once(' ') {
                Some(("ask", act)) => journal.begin(Act::parse(act)),
                Some(("done", act)) => journal.apply(Act::parse(act)),
                other => panic!("no line of a journal: {other:?}"),
            }
        }
        let kept = if whole.is_empty() { 0 } else { whole.len() as u64 + 1 };
        journal.file.set_len(kept).unwrap();
        journal
    }

    pub(crate) fn ask(&mut self, act: Act) {
        self.line(&format!("ask {}\n", act.text()));
        self.begin(act);
    }

    fn begin(&mut self, act: Act) {
        self.in_flight = Some(act);
        self.used += act.takes();
    }

    pub(crate) fn done(&mut self, act: Act) {
        self.line(&format!("done {}\n", act.text()));
        self.apply(act);
    }

    fn line(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
        self.file.sync_all().unwrap();
    }

    fn apply(&mut self, act: Act) {
        self.in_flight = None;
        match act {
            Act::Make(number) => self.made(number),
            Act::MakeAll(first, count) => (first..first + count).for_each(|it| self.made(it)),
            Act::Grow(number, to) => self.volumes.get_mut(&number).unwrap().size = to,
            Act::Retire(number) => self.volumes.get_mut(&number).unwrap().retired = true,
            Act::TakeBack(number) => self.volumes.get_mut(&number).unwrap().retired = false,
            Act::Destroy(number) | Act::RemoveClone(number) => {
                assert!(self.volumes.remove(&number).is_some());
            }
            Act::Snapshot(of, number) => self.copied(of, number, true, Some(of)),
            Act::Clone(of, number) => self.copied(of, number, false, Some(of)),
            Act::Restore(of, number) => self.copied(of, number, false, None),
            Act::Write(number, line) => {
                self.volumes.get_mut(&number).unwrap().written.push((number, line));
            }
        }
    }
    fn made(&mut self, number: u32) {
        let fresh = Expected {
            size: crate::storage::spec(number).size,
            retired: false,
            copy_of: None,
            written: Vec::new(),
            family: BTreeSet::from([number]),
        };
        assert!(self.volumes.insert(number, fresh).is_none(), "made twice");
    }

    fn copied(&mut self, of: u32, number: u32, retired: bool, copy_of: Option<u32>) {
        let mut copy = self.volumes[&of].clone();
        (copy.retired, copy.copy_of) = (retired, copy_of);
        copy.family.insert(number);
        assert!(self.volumes.insert(number, copy).is_none(), "made twice");
    }
}
