//! A mistake in a manifest, with its place, what is wrong, and what to do; and how it is shown.

use super::code::{Code, Flyctl};
use super::place::{Lines, Span, floor};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest cannot be used.
    Error,
    /// The manifest can be used, and the writer surely meant something else.
    Warning,
}

/// One mistake at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the manifest can still be used.
    pub severity: Severity,
    /// Which rule was broken.
    pub code: Code,
    /// What flyctl says to the same manifest.
    pub flyctl: Flyctl,
    /// The manifest's path, as given to `read`.
    pub file: String,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in characters, from 1.
    pub column: usize,
    /// The place in bytes.
    pub span: Span,
    /// What is wrong, in the manifest's own terms; one line, no full stop.
    pub message: String,
    /// A word or two to write under the place; may be empty.
    pub label: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether the text is for a terminal with colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Letters only.
    Plain,
    /// With ANSI colours.
    Styled,
}

impl Problem {
    /// The same problem as an error: what `--strict` makes of warnings.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { severity: Severity::Error, ..self }
    }

    /// The problem with its source line and the place marked, ending in a line end. `source` is
    /// the text that was read; another text gives a wrong picture and never a panic.
    #[must_use]
    pub fn render(&self, source: &str, look: Look) -> String {
        let lines = Lines::new(source);
        let range = lines.range(self.line);
        let line = lines.text(self.line);
        // Only this line is shown, however much the place covers: enough to find it.
        let start = floor(line, self.span.start.saturating_sub(range.start));
        let end = floor(line, self.span.end.saturating_sub(range.start)).max(start);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut mark = AnnotationKind::Primary.span(start..end);
        if !self.label.is_empty() {
            mark = mark.label(self.label.as_str());
        }
        let title = level.primary_title(self.message.as_str()).id(self.code.as_str());
        let mut group = if line.len() > LONGEST {
            let place = Origin::path(self.file.as_str());
            title.element(place.line(self.line).char_column(self.column))
        } else {
            let snippet = Snippet::source(line).path(self.file.as_str()).line_start(self.line);
            title.element(snippet.annotation(mark))
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = match look {
            Look::Plain => Renderer::plain(),
            Look::Styled => Renderer::styled(),
        };
        let mut text = renderer.render(&[group]).to_string();
        text.push('\n');
        text
    }
}

/// All problems of a file as text, one after the other with an empty line between them.
#[must_use]
pub fn render_all(problems: &[Problem], source: &str, look: Look) -> String {
    let texts: Vec<String> = problems.iter().map(|p| p.render(source, look)).collect();
    texts.join("\n")
}

/// The most problems of one manifest that are told.
const MOST: usize = 1000;

/// The longest line in bytes that is drawn; of longer ones only the place is told.
const LONGEST: usize = 2000;

/// Collects problems while a manifest is read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    drafts: Vec<Draft>,
    /// Set aside for the newest problem beyond the most that are told.
    beyond: Option<Draft>,
    /// How many were not kept, and whether flyctl cannot read one of those.
    dropped: usize,
    dropped_unreadable: bool,
    /// Keys that are understood and change nothing, with their places.
    pub(crate) inert: Vec<super::place::At<String>>,
}

/// A problem whose line is not known yet.
#[derive(Debug)]
pub(crate) struct Draft {
    code: Code,
    flyctl: Flyctl,
    span: Span,
    message: String,
    label: String,
    hint: Option<String>,
    /// Whether it says that something is not there, which could not be read perhaps.
    lacking: bool,
}

impl Draft {
    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn flyctl(&mut self, flyctl: Flyctl) -> &mut Self {
        self.flyctl = flyctl;
        self
    }
}

impl Problems {
    /// Notes a problem; the result takes a label and a hint.
    pub(crate) fn add(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Draft {
        let draft = Draft {
            code,
            flyctl: code.flyctl(),
            span,
            message: message.into(),
            label: String::new(),
            hint: None,
            lacking: false,
        };
        if self.drafts.len() >= MOST {
            self.set_aside();
            return self.beyond.insert(draft);
        }
        self.drafts.push(draft);
        let last = self.drafts.len() - 1;
        &mut self.drafts[last]
    }

    /// Notes that something is not there, or not among what there is.
    pub(crate) fn lacks(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Draft {
        let draft = self.add(code, span, message);
        draft.lacking = true;
        draft
    }

    /// Forgets what is not there: of a manifest that is read in part it may only not be seen.
    pub(crate) fn forget_lacks(&mut self) {
        self.drafts.retain(|draft| !draft.lacking);
    }

    /// How many were noted so far.
    pub(crate) fn len(&self) -> usize {
        self.drafts.len()
    }

    /// Forgets those that were noted after the first so many and begin at such an offset.
    pub(crate) fn forget_after(&mut self, first: usize, at: impl Fn(usize) -> bool) {
        let mut index = 0;
        self.drafts.retain(|draft| {
            index += 1;
            index <= first || !at(draft.span.start)
        });
    }

    /// Counts the newest problem beyond the most, now that nothing is added to it any more.
    fn set_aside(&mut self) {
        if let Some(draft) = self.beyond.take() {
            self.dropped += 1;
            self.dropped_unreadable |= draft.flyctl == Flyctl::CannotRead;
        }
    }

    /// Whether flyctl could make a configuration of what was read so far.
    pub(crate) fn readable(&self) -> bool {
        let mut all = self.drafts.iter().chain(&self.beyond);
        !self.dropped_unreadable && all.all(|draft| draft.flyctl != Flyctl::CannotRead)
    }

    /// All problems with their lines, in the order of their places.
    pub(crate) fn finish(mut self, file: &str, source: &str) -> Vec<Problem> {
        self.set_aside();
        if self.drafts.is_empty() {
            return Vec::new();
        }
        if self.dropped > 0 {
            let (dropped, unreadable) = (self.dropped, self.dropped_unreadable);
            let end = Span { start: source.len(), end: source.len() };
            let message = alloc::format!("{dropped} more problems are not shown");
            self.drafts.truncate(MOST - 1);
            let draft = self.add(Code::TooManyProblems, end, message);
            if unreadable {
                draft.flyctl(Flyctl::CannotRead);
            }
        }
        self.drafts.sort_by(|a, b| {
            (a.span, a.code.as_str(), &a.message).cmp(&(b.span, b.code.as_str(), &b.message))
        });
        let lines = Lines::new(source);
        let mut last = (0, (1, 1));
        let place = |draft: Draft| {
            last = (draft.span.start, lines.position_after(last, draft.span.start));
            let (line, column) = last.1;
            Problem {
                severity: draft.code.severity(),
                code: draft.code,
                flyctl: draft.flyctl,
                file: file.to_string(),
                line,
                column,
                span: draft.span,
                message: draft.message,
                label: draft.label,
                hint: draft.hint,
            }
        };
        self.drafts.into_iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_problems_are_counted_and_not_kept() {
        let mut problems = Problems::default();
        for start in 0..1500 {
            problems.add(Code::UnknownKey, Span { start, end: start }, "no").hint("yes");
        }
        problems.add(Code::Syntax, Span::default(), "bad");
        assert!(!problems.readable());
        let found = problems.finish("fly.toml", &"x".repeat(2500));
        assert_eq!(found.len(), 1000);
        assert_eq!(found[998].column, 999);
        let last = &found[999];
        assert_eq!(last.message, "501 more problems are not shown");
        assert_eq!((last.code, last.flyctl), (Code::TooManyProblems, Flyctl::CannotRead));
        assert!(last.render(&"x".repeat(2500), Look::Plain).contains("fly.toml:1:2501"));
    }

    #[test]
    fn a_place_outside_of_the_text_is_shown_and_not_a_panic() {
        let mut problems = Problems::default();
        problems.add(Code::Syntax, Span { start: 900, end: 950 }, "nothing here");
        let found = problems.finish("fly.toml", "é");
        assert_eq!((found[0].line, found[0].column), (1, 2));
        assert!(found[0].render("", Look::Plain).contains("nothing here"));
    }
}
