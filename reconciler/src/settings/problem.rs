//! A mistake in `tiedown.toml`: its place, what is wrong, and what to do.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;

/// One mistake at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file's path in the repository.
    pub file: String,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in characters, from 1.
    pub column: usize,
    /// What is wrong; one line, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line as it stands in the file.
    pub source: String,
    #[serde(skip)]
    mark: Range<usize>,
}

impl Problem {
    /// A mistake at a range of bytes of `text`; a range beyond the text means its end.
    #[must_use]
    pub fn new(
        file: &str,
        text: &str,
        span: Range<usize>,
        message: String,
        hint: Option<String>,
    ) -> Self {
        let start = floor(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let source = text[begin..end].trim_end_matches('\r').to_owned();
        let from = floor(&source, start - begin);
        let to = floor(&source, span.end.saturating_sub(begin)).max(from);
        Self {
            file: file.to_owned(),
            line: text[..begin].matches('\n').count() + 1,
            column: source[..from].chars().count() + 1,
            message,
            hint,
            source,
            mark: from..to,
        }
    }

    /// The mistake with its source line and the place marked, ending in a line end.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        let snippet = Snippet::source(self.source.as_str())
            .path(self.file.as_str())
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(self.mark.clone()));
        let mut group = Level::ERROR.primary_title(self.message.as_str()).element(snippet);
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut text = renderer.render(&[group]).to_string();
        text.push('\n');
        text
    }
}

fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_counted_in_lines_and_characters() {
        let text = "a = 1\r\nbé = 2\n";
        let problem =
            Problem::new("tiedown.toml", text, 7..10, "wrong".into(), Some("mend".into()));
        assert_eq!((problem.line, problem.column, problem.source.as_str()), (2, 1, "bé = 2"));
        let text = problem.render(false);
        for part in ["error: wrong", "tiedown.toml:2:1", "bé = 2", "help: mend"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let end = Problem::new("tiedown.toml", "", 5..9, "empty".into(), None);
        assert_eq!((end.line, end.column), (1, 1));
    }
}
