//! Splitting a command into arguments as flyctl does: quotes and backslashes of a POSIX shell,
//! comments, and no expansion of any kind.

use alloc::string::String;
use alloc::vec::Vec;

/// Why a command cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArgvError {
    /// A quote is opened and not closed.
    #[error("a quote is opened and not closed")]
    OpenQuote,
    /// The last character is a backslash.
    #[error("it ends in a backslash")]
    TrailingBackslash,
}

/// The arguments of a command. A backslash gives the next character, also between double quotes;
/// single quotes keep everything; `#` at the start of an argument begins a comment up to the end
/// of the line. An empty command has no arguments.
///
/// # Errors
/// [`ArgvError`] for an open quote or a backslash with nothing after it.
pub fn split(command: &str) -> Result<Vec<String>, ArgvError> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => arguments.extend(current.take()),
            '#' if current.is_none() => {
                letters.by_ref().find(|letter| *letter == '\n');
            }
            '\'' | '"' => quoted(letter, &mut letters, current.get_or_insert_default())?,
            '\\' => {
                let next = letters.next().ok_or(ArgvError::TrailingBackslash)?;
                current.get_or_insert_default().push(next);
            }
            _ => current.get_or_insert_default().push(letter),
        }
    }
    arguments.extend(current);
    Ok(arguments)
}

fn quoted(
    quote: char,
    letters: &mut core::str::Chars<'_>,
    into: &mut String,
) -> Result<(), ArgvError> {
    while let Some(letter) = letters.next() {
        match letter {
            _ if letter == quote => return Ok(()),
            '\\' if quote == '"' => into.push(letters.next().ok_or(ArgvError::TrailingBackslash)?),
            _ => into.push(letter),
        }
    }
    Err(ArgvError::OpenQuote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_flyctl_does() {
        for (command, expected) in [
            ("", &[][..]),
            ("  ", &[]),
            ("run web", &["run", "web"]),
            ("sh -c 'echo hi there'", &["sh", "-c", "echo hi there"]),
            ("a \"b c\"d", &["a", "b cd"]),
            ("a '' b", &["a", "", "b"]),
            ("a\\ b", &["a b"]),
            (r#""a\nb""#, &["anb"]),
            (r"'a\nb'", &[r"a\nb"]),
            ("a #b\nc", &["a", "c"]),
            ("a#b", &["a#b"]),
            ("echo $HOME", &["echo", "$HOME"]),
        ] {
            assert_eq!(split(command).unwrap(), expected, "{command}");
        }
    }

    #[test]
    fn open_ends_are_errors() {
        assert_eq!(split("sh -c 'x"), Err(ArgvError::OpenQuote));
        assert_eq!(split("a \"b"), Err(ArgvError::OpenQuote));
        assert_eq!(split("a\\"), Err(ArgvError::TrailingBackslash));
    }
}
