//! Changes a manifest in place: the slots of a group, the size of a volume. All else stays byte for
//! byte: comments, order, quotes, a byte order mark, line ends, the end of the file.
//!
//! Each way to write a change is tried and read back; only one that means exactly what was asked,
//! and changes nothing else, is taken.

mod scale;
mod size;
mod text;

pub use scale::scale;
pub use size::{Direction, size};

use super::problem::Problem;
use super::{Manifest, read};
use alloc::string::String;
use alloc::vec::Vec;
use text::Splice;

/// Why a manifest was not changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EditError {
    /// flyctl could not read it either; all its problems.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The manifest.
        path: String,
        /// In the order of their places.
        problems: Vec<Problem>,
    },
    /// The app has no such process group.
    #[error("there is no process group {group:?} in {path}")]
    NoGroup {
        /// The manifest.
        path: String,
        /// As asked for.
        group: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// No mount has that source.
    #[error("no mount in {path} has the source {source_name:?}")]
    NoSource {
        /// The manifest.
        path: String,
        /// As asked for.
        source_name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// More slots than a region can be asked for.
    #[error("{count} slots are too many: a region can be asked for at most {most}")]
    TooMany {
        /// As asked for.
        count: u32,
        /// What is possible.
        most: u32,
    },
    /// The size is none, or loses something by being cut to whole gigabytes.
    #[error("{size:?} cannot be the size of a volume: {why}")]
    BadSize {
        /// As asked for.
        size: String,
        /// What is wrong with it.
        why: String,
    },
    /// Volumes never shrink.
    #[error("{path}:{line}: the size of {source_name:?} is {from_gb} GB; volumes never shrink")]
    Shrinks {
        /// The manifest.
        path: String,
        /// Where the size stands, or the mount that has none, from 1.
        line: usize,
        /// The volume's name.
        source_name: String,
        /// What it says now.
        from_gb: i64,
    },
    /// It is written in a form that is not changed by machine.
    #[error("{path} is written in a way that only a person can change safely")]
    ByHand {
        /// The manifest.
        path: String,
    },
}

/// A manifest's text without a byte order mark, which is put back at the end.
struct Original<'a> {
    path: &'a str,
    mark: &'a [u8],
    text: String,
}

impl<'a> Original<'a> {
    fn open(path: &'a str, bytes: &'a [u8]) -> Result<Self, EditError> {
        let after = bytes.strip_prefix(b"\xef\xbb\xbf");
        let (mark, rest) = after.map_or((&bytes[..0], bytes), |rest| (&bytes[..3], rest));
        match core::str::from_utf8(rest) {
            Ok(text) => Ok(Self { path, mark, text: text.into() }),
            Err(_) => Err(unreadable(path, read(path, rest).problems)),
        }
    }

    fn manifest(&self) -> Result<Manifest, EditError> {
        let read = read(self.path, self.text.as_bytes());
        read.manifest.ok_or_else(|| unreadable(self.path, read.problems))
    }

    /// Takes the first candidate that reads as it should.
    fn change(
        &mut self,
        candidates: Vec<Vec<Splice>>,
        is_meant: impl Fn(&str, &Manifest) -> bool,
    ) -> Result<(), EditError> {
        let changed = candidates.into_iter().filter_map(|splices| text::apply(&self.text, splices));
        let mut good = changed.filter(|text| {
            let read = read(self.path, text.as_bytes());
            read.manifest.is_some_and(|manifest| is_meant(text, &manifest))
        });
        self.text = good.next().ok_or_else(|| EditError::ByHand { path: self.path.into() })?;
        Ok(())
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.mark.to_vec();
        bytes.extend_from_slice(self.text.as_bytes());
        bytes
    }
}

fn unreadable(path: &str, problems: Vec<Problem>) -> EditError {
    EditError::Unreadable { path: path.into(), problems }
}
