//! Where something stands in a manifest: byte ranges while reading, lines and columns for people.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use serde::{Serialize, Serializer};

/// A range of bytes of a manifest: `start` is the first, `end` is one past the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset one past the last byte; never less than `start`.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end.max(range.start) }
    }
}

/// A value and the place it was read from. Equality is of both; serialised as the value alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct At<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> At<T> {
    /// A value at a place.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// Another value made of this one, at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// The lines of a text, for turning offsets into lines and columns.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `source`; `\n` ends a line, a `\r` before it belongs to the end.
    #[must_use]
    pub fn new(source: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(source.match_indices('\n').map(|(index, _)| index + 1));
        Self { source, starts }
    }

    /// Line and column of an offset, both from 1; the column counts characters. An offset past the
    /// end, or inside a character, counts as the nearest place before it.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = floor(self.source, offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        (line, self.source[start..offset].chars().count() + 1)
    }

    /// As `position`, given that of an earlier offset: counts only what lies between, so that many
    /// places of one long line take no longer than the line.
    pub(crate) fn position_after(
        &self,
        before: (usize, (usize, usize)),
        offset: usize,
    ) -> (usize, usize) {
        let offset = floor(self.source, offset);
        let (start, (line, column)) = (floor(self.source, before.0), before.1);
        match self.source.get(start..offset) {
            Some(between) if !between.contains('\n') => (line, column + between.chars().count()),
            _ => self.position(offset),
        }
    }

    /// The text of a line, from 1, without its end; empty when there is no such line.
    #[must_use]
    pub fn text(&self, line: usize) -> &'a str {
        let range = self.range(line);
        self.source[range].trim_end_matches(['\n', '\r'])
    }

    /// The bytes of a line, from 1, with its end.
    #[must_use]
    pub fn range(&self, line: usize) -> Range<usize> {
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index));
        let Some(start) = start else { return self.source.len()..self.source.len() };
        *start..self.starts.get(line).copied().unwrap_or(self.source.len())
    }
}

/// The nearest character boundary at or before `offset`.
pub(crate) fn floor(source: &str, offset: usize) -> usize {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns() {
        let lines = Lines::new("a = 1\r\né = 2\n");
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(4), (1, 5));
        assert_eq!(lines.position(7), (2, 1));
        assert_eq!(lines.position(8), (2, 1), "inside é");
        assert_eq!(lines.position(9), (2, 2));
        assert_eq!(lines.position(999), (3, 1));
        assert_eq!(lines.text(1), "a = 1");
        assert_eq!(lines.text(2), "é = 2");
        assert_eq!(lines.text(0), "");
        assert_eq!(lines.text(9), "");
    }
}
