//! Carries on behind mistakes in the TOML: the line of each is taken out and the rest is read
//! again, so that all of them are told at once, and what else is wrong.

use super::Mistake;
use crate::manifest::place::floor;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

/// The most lines that are taken out: what has more mistakes was not meant as TOML.
const MOST: usize = 10;

/// A text without its broken lines; all else stays where it is.
pub(crate) struct Mended {
    text: String,
    lines: Vec<Range<usize>>,
}

impl Mended {
    pub(crate) fn of(text: &str) -> Self {
        Self { text: text.to_string(), lines: Vec::new() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether this offset is in a line that was taken out.
    pub(crate) fn is_out(&self, offset: usize) -> bool {
        self.lines.iter().any(|line| line.contains(&offset))
    }

    /// Takes out the line of a mistake. Not where more lines than that one are in doubt.
    pub(crate) fn take_out(&mut self, mistake: Mistake) -> bool {
        let Mistake::InLine(offset) = mistake else { return false };
        let offset = floor(&self.text, offset);
        let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |after| offset + after);
        let line = self.text[start..end].trim_end_matches('\r');
        if self.lines.len() >= MOST || line.trim().is_empty() || self.is_out(start) {
            return false;
        }
        let Some(stand_in) = stand_in(line, self.lines.len()) else { return false };
        let end = start + line.len();
        self.text.replace_range(start..end, &stand_in);
        self.lines.push(start..end);
        true
    }
}

/// What comes in the place of a line, of the same length: nothing for a key, and for a header one
/// of no section, so that the keys below it do not fall to the section above.
fn stand_in(line: &str, number: usize) -> Option<String> {
    let blank = |text: String| {
        let rest = line.len().checked_sub(text.len())?;
        Some(text + &" ".repeat(rest))
    };
    if line.trim_start().starts_with('[') {
        return blank(format!("[{number}]"));
    }
    let count = |open: char| line.matches(open).count();
    let whole = count('[') == count(']') && count('{') == count('}');
    let several = line.contains("\"\"\"") || line.contains("'''");
    if whole && !several { blank(String::new()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_out_and_the_rest_stays_in_its_place() {
        let text = "é = x\r\n[[mounts]\r\nb = 2\r\nc = [1,\n";
        let mut mended = Mended::of(text);
        assert!(mended.take_out(Mistake::InLine(1)) && mended.take_out(Mistake::InLine(10)));
        assert_eq!(mended.text(), "      \r\n[1]      \r\nb = 2\r\nc = [1,\n");
        assert!(mended.is_out(0) && !mended.is_out(20));
        assert!(!mended.take_out(Mistake::InLine(10)), "twice");
        assert!(!mended.take_out(Mistake::InLine(26)), "an open bracket");
        assert!(!mended.take_out(Mistake::InLine(999)), "the end");
        assert!(!mended.take_out(Mistake::Whole));
    }
}
