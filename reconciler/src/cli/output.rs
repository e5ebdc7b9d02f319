//! The only printer: results to standard output, everything else to standard error, colours only
//! where a terminal wants them, and a closed pipe is an end like any other.

use serde::Serialize;
use std::io::{IsTerminal, Write};
use zeroize::Zeroizing;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Whoever read standard output has gone.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(super) struct Closed;

/// Standard output could not be written for another reason.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(super) struct Unwritable(#[from] std::io::Error);

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// How results are written.
    pub(super) format: Format,
    /// Whether JSON comes as one object a line, as things happen.
    pub(super) lines: bool,
    /// Whether what an instance writes is the result, and all else is beside it.
    pub(super) passes_on: bool,
}

impl Output {
    /// Writes a result as it is; lines end as given.
    ///
    /// # Errors
    /// [`Closed`], [`Unwritable`].
    pub(super) fn result(self, text: &str) -> anyhow::Result<()> {
        // In memory first: a stream that strips colours writes once for each piece between them.
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        let mut shown = anstream::AutoStream::new(Vec::with_capacity(text.len()), choice);
        shown.write_all(text.as_bytes()).map_err(Unwritable)?;
        self.bytes(&shown.into_inner())
    }

    /// Writes a result as JSON: a document, or a line.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub(super) fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = match self.lines {
            true => serde_json::to_string(value)?,
            false => serde_json::to_string_pretty(value)?,
        };
        text.push('\n');
        self.result(&text)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// As [`Output::result`].
    pub(super) fn bytes(self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Closed.into()),
            Err(error) => Err(Unwritable(error).into()),
        }
    }

    /// Says something beside the result, as it is. Nobody listening is no error.
    pub(super) fn say(self, text: &str) {
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// Says something that the user would want to know.
    pub(super) fn warn(self, text: &str) {
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{yellow}warning{yellow:#}: {text}");
    }

    /// Says what went wrong.
    pub(super) fn error(self, text: &str) {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{red}error{red:#}: {text}");
    }

    /// Says the way out.
    pub(super) fn hint(self, text: &str) {
        let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
        let _ = writeln!(anstream::stderr(), "{cyan}hint{cyan:#}: {text}");
    }

    /// Asks, and reads one line. Nothing at the end of input.
    #[must_use]
    pub(super) fn ask(self, question: &str) -> Option<String> {
        let mut err = anstream::stderr();
        let _ = write!(err, "{question}");
        let _ = err.flush();
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(read) if read > 0 => Some(line.trim().to_owned()),
            Ok(_) | Err(_) => None,
        }
    }

    /// Asks for what must not be seen, and reads one line without showing it.
    ///
    /// # Errors
    /// The terminal cannot be read.
    pub(super) fn ask_unseen(self, question: &str) -> std::io::Result<Zeroizing<String>> {
        let mut err = anstream::stderr();
        let _ = write!(err, "{question}");
        let _ = err.flush();
        Ok(Zeroizing::new(console::Term::stderr().read_secure_line()?))
    }

    /// Whether somebody can be asked.
    #[must_use]
    pub(super) fn can_ask(self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Whether progress can be drawn.
    #[must_use]
    pub(super) fn can_draw(self) -> bool {
        std::io::stderr().is_terminal()
    }
}

/// A table without borders: a head, and rows as wide as they need to be.
#[must_use]
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let columns = head.len();
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line += cell;
            if index + 1 < columns {
                line += &" ".repeat(width + 2 - cell.chars().count());
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [vec!["a".to_owned(), "é".to_owned()], vec!["bcd".to_owned(), String::new()]];
        assert_eq!(table(&["N", "V"], &rows), "N    V\na    é\nbcd\n");
    }
}
