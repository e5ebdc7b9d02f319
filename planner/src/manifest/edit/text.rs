//! Where lines, keys and inline tables begin and end in a text, and the pieces that change.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// A piece of text and what comes in its place.
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) new: String,
}

impl Splice {
    pub(super) fn insert(at: usize, new: String) -> Self {
        Self { range: at..at, new }
    }

    pub(super) fn delete(range: Range<usize>) -> Self {
        Self { range, new: String::new() }
    }
}

/// The text with all pieces changed; nothing if pieces overlap or are none of the text.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|splice| splice.range.start);
    let (mut changed, mut done) = (String::new(), 0);
    for splice in &splices {
        changed.push_str(text.get(done..splice.range.start)?);
        changed.push_str(&splice.new);
        done = splice.range.end;
    }
    changed.push_str(text.get(done..)?);
    Some(changed)
}

/// Where the line of an offset begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where the line of an offset ends: before its line end.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    if end > at && text[..end].ends_with('\r') && end < text.len() { end - 1 } else { end }
}

/// What lines end in around an offset: as the line before, else as the line itself.
pub(super) fn line_break(text: &str, at: usize) -> &'static str {
    let before = text[..at].rfind('\n');
    match before.or_else(|| text.find('\n')) {
        Some(newline) if text[..newline].ends_with('\r') => "\r\n",
        Some(_) | None => "\n",
    }
}

/// The line before the one that begins at `start`.
pub(super) fn line_above(text: &str, start: usize) -> Option<Range<usize>> {
    let end = start.checked_sub(1)?;
    let begin = line_start(text, end);
    Some(begin..line_end(text, begin))
}

/// Whole lines, from the beginning of the first to the end of the last, with one line end: their
/// own, or at the end of a text without one the line end before them.
pub(super) fn lines(text: &str, from: usize, last: usize) -> Range<usize> {
    let end = line_end(text, last);
    if let Some(newline) = text[end..].find('\n') {
        return from..end + newline + 1;
    }
    let before = text[..from].strip_suffix('\n').unwrap_or(&text[..from]);
    let before = before.strip_suffix('\r').unwrap_or(before);
    before.len()..text.len()
}

/// A key that stands before a value.
pub(super) struct Key {
    /// Where its line begins.
    pub(super) line: usize,
    /// Where it begins, with what stands before its dots.
    pub(super) dotted: usize,
    /// Where its last part begins.
    pub(super) last: usize,
    /// Where it ends.
    pub(super) end: usize,
}

impl Key {
    /// The key of the value at an offset.
    pub(super) fn of_value(text: &str, value: usize) -> Option<Self> {
        let line = line_start(text, value);
        let end = line + text[line..value].trim_end().strip_suffix('=')?.trim_end().len();
        Some(Self::ending(text, line, end))
    }

    /// The key whose last part ends at an offset.
    pub(super) fn ending_at(text: &str, end: usize) -> Self {
        Self::ending(text, line_start(text, end), end)
    }

    fn ending(text: &str, line: usize, end: usize) -> Self {
        let last = part_start(text, line, end);
        let mut dotted = last;
        while let Some(before) = text[line..dotted].trim_end().strip_suffix('.') {
            dotted = part_start(text, line, line + before.trim_end().len());
        }
        Self { line, dotted, last, end }
    }

    /// Whether it stands inside of an inline table, or a header.
    pub(super) fn is_inside(&self, text: &str) -> bool {
        !text[self.line..self.dotted].trim().is_empty()
    }

    /// What stands before its last part, from the beginning of the line: indentation, dotted parts.
    pub(super) fn before<'t>(&self, text: &'t str) -> &'t str {
        &text[self.line..self.last]
    }

    /// The dotted parts before its last.
    pub(super) fn parents<'t>(&self, text: &'t str) -> &'t str {
        &text[self.dotted..self.last]
    }
}

/// Where the part of a key begins that ends at `end`.
fn part_start(text: &str, line: usize, end: usize) -> usize {
    let part = &text[line..end];
    for quote in ['"', '\''] {
        if let Some(inner) = part.strip_suffix(quote) {
            return line + inner.rfind(quote).unwrap_or(inner.len());
        }
    }
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    line + part.trim_end_matches(bare).len()
}

/// The range of a pair of braces without braces in it, on the line of an offset and after it.
pub(super) fn braces(text: &str, at: usize) -> Option<Range<usize>> {
    let end = line_end(text, at);
    let open = at + text[at..end].find('{')?;
    let close = open + text[open..end].find('}')?;
    Some(open..close + 1)
}

/// Where the line is that says exactly this, but for spaces and a comment.
pub(super) fn line_saying(text: &str, words: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let said = line.split('#').next().unwrap_or_default().trim();
        if said == words {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// Lines added at the end of a text, with an empty line before them: the text ends in a line end
/// only if it did before.
pub(super) fn append(text: &str, added: &[&str]) -> Vec<Splice> {
    let newline = line_break(text, text.len());
    let mut new = String::new();
    let ended = text.ends_with('\n');
    if !text.is_empty() {
        new.push_str(newline);
        if !ended {
            new.push_str(newline);
        }
    }
    new.push_str(&added.join(newline));
    if text.is_empty() || ended {
        new.push_str(newline);
    }
    vec![Splice::insert(text.len(), new)]
}
