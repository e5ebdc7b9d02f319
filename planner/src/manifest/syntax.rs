//! From bytes to TOML: what is no text, no TOML, or TOML that flyctl does not read.

mod hint;
mod mended;

pub(crate) use mended::Mended;

use super::code::{Code, Flyctl};
use super::fields::show;
use super::node::{Entry, Node, Shape, entries};
use super::place::{Lines, Span, floor};
use super::problem::Problems;
use alloc::format;
use alloc::string::String;
use toml_edit::{Document, RawString, TableLike};

/// The most bytes that a manifest may have.
pub const LARGEST: usize = 1 << 20;

/// The text of a manifest, or problems. One that begins with a byte order mark is read on, so that
/// all else is told too.
pub(crate) fn decode<'a>(problems: &mut Problems, bytes: &'a [u8]) -> Option<&'a str> {
    let place = |start: usize, end: usize| Span { start, end };
    if bytes.len() > LARGEST {
        let message = format!("the manifest has {} bytes; at most {LARGEST} are read", bytes.len());
        problems.add(Code::TooLarge, Span::default(), message);
        return None;
    }
    let text = match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!("byte {at} is not UTF-8 text: 0x{:02x}", bytes[at]);
            problems
                .add(Code::NotUtf8, place(at, at), message)
                .hint("save the file as UTF-8 without a byte order mark");
            return None;
        }
    };
    if text.starts_with('\u{feff}') {
        problems
            .add(Code::ByteOrderMark, place(0, 3), "the manifest begins with a byte order mark")
            .label("flyctl stops here")
            .hint("save the file as UTF-8 without a byte order mark");
    }
    Some(text)
}

/// How much of a text a mistake in the TOML puts in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The line of this offset.
    InLine(usize),
    /// All of it.
    Whole,
}

/// The TOML of a text, or a problem.
pub(crate) fn parse<'a>(
    problems: &mut Problems,
    text: &'a str,
) -> Result<Document<&'a str>, Mistake> {
    if let Some(at) = text.find('\0') {
        let span = Span { start: at, end: at + 1 };
        problems.add(Code::NulByte, span, "there is a NUL byte in the manifest");
        return Err(Mistake::InLine(at));
    }
    Document::parse(text).map_err(|error| {
        let span = error.span().map_or_else(Span::default, |range| tidy(text, range.into()));
        let said = error.message();
        if said.contains("recurs") {
            problems
                .add(Code::TooDeep, span, "values are nested more than 80 levels deep")
                .hint("no key of fly.toml goes deeper than 6");
            return Mistake::Whole;
        }
        let lines = Lines::new(text);
        let line = lines.text(lines.position(span.start).0);
        let marked = text.get(span.start..span.end).unwrap_or_default();
        let message = if said.contains("duplicate key") && !marked.is_empty() {
            format!("`{}` is given twice", show(marked))
        } else if said.contains("cannot extend") && !marked.is_empty() {
            format!("`{}` is a value, and no section can be in it", show(marked))
        } else if let Some(letter) = text[span.start..].chars().next()
            && said.contains("missing escaped value")
        {
            format!("\\{letter} is not an escape of TOML")
        } else {
            format!("this is not TOML: {}", sentence(said))
        };
        let draft = problems.add(Code::Syntax, span, message);
        if let Some(hint) = hint::of(line, said) {
            draft.hint(hint);
        }
        // What is not closed may go on over any number of lines.
        let open =
            said.contains("array") && !said.contains("array table") || said.contains("inline");
        if open || hint::is_conflict(line) { Mistake::Whole } else { Mistake::InLine(span.start) }
    })
}

/// A place that begins in the text: what is missing at the end is shown at the last character.
fn tidy(text: &str, span: Span) -> Span {
    let end = text.trim_end().len();
    let start = floor(text, span.start.min(end));
    Span { start, end: span.end.clamp(start, text.len().max(start)) }
}

/// The parser's words in one line, without those that say nothing.
fn sentence(message: &str) -> String {
    message.replace('\n', "; ").replace(", expected nothing", "")
}

/// Looks at every value for what TOML allows and flyctl does not.
pub(crate) fn lint(problems: &mut Problems, source: &str, document: &Document<&str>) {
    let root = Node::of_table(document.as_table());
    let Some(table) = root.table() else { return };
    if !is_suspect(source) {
        return;
    }
    // Without a backslash there are no escapes, and nothing to look for in texts and keys.
    let escaped = source.contains('\\');
    for entry in entries(table, root.span) {
        // Whatever stands in [env] becomes text, also a number that is none.
        let mut lint = Lint { problems, source, escaped, finite: entry.key != "env" };
        lint.entry(&entry);
    }
}

/// Whether anything to look for can be in a text at all: an escape, an inline table, a number that
/// is none, or a time of day. Most manifests have none of these.
fn is_suspect(source: &str) -> bool {
    let digit = |at: usize| source.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let is_time = |(at, _): (usize, &str)| at > 0 && digit(at - 1) && digit(at + 1);
    source.contains(['\\', '{'])
        || source.contains("inf")
        || source.contains("nan")
        || source.match_indices(':').any(is_time)
}

struct Lint<'p, 's> {
    problems: &'p mut Problems,
    source: &'s str,
    escaped: bool,
    finite: bool,
}

impl Lint<'_, '_> {
    fn entry(&mut self, entry: &Entry<'_>) {
        if self.escaped {
            escapes(self.problems, self.source, entry.key_span(), entry.key);
        }
        self.value(entry.node);
    }

    fn value(&mut self, node: Node<'_>) {
        match node.shape {
            Shape::Text(text) if self.escaped => {
                escapes(self.problems, self.source, node.span, text);
            }
            Shape::Float(number) if self.finite && !number.is_finite() => {
                let message = "nan and inf are not numbers of a manifest";
                self.problems.add(Code::NotFinite, node.span, message);
            }
            Shape::Date(date) if date.time.is_some_and(|time| time.second.is_none()) => {
                newer(self.problems, node.span, "a time without seconds");
            }
            Shape::Text(_)
            | Shape::Float(_)
            | Shape::Date(_)
            | Shape::Integer(_)
            | Shape::Bool(_) => {}
            Shape::Array(elements) => {
                elements.iter(node.span).for_each(|element| self.value(element));
            }
            Shape::Table(table) => {
                if let Some(span) = loose(self.source, node, table) {
                    let what = "a line end or a last comma in an inline table";
                    newer(self.problems, span, what);
                }
                entries(table, node.span).for_each(|entry| self.entry(&entry));
            }
        }
    }
}

fn newer(problems: &mut Problems, span: Span, what: &str) {
    problems
        .add(Code::Toml11, span, format!("{what} is TOML 1.1, which flyctl does not read"))
        .hint("write it as TOML 1.0 allows");
}

/// `\e` and `\xHH` are new in TOML 1.1; a NUL cannot be in any argument, path or variable.
fn escapes(problems: &mut Problems, source: &str, span: Span, text: &str) {
    if text.contains('\0') {
        problems
            .add(Code::NulByte, span, "there is a NUL in this text")
            .flyctl(Flyctl::Silent)
            .hint("no argument, path or variable can have one");
    }
    let Some(raw) = source.get(span.start..span.end) else { return };
    if !raw.starts_with('"') || !raw.contains('\\') {
        return;
    }
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' && matches!(letters.next(), Some('e' | 'x')) {
            newer(problems, span, "the escape \\e or \\x");
            return;
        }
    }
}

/// Where an inline table goes over several lines or ends in a comma.
fn loose(source: &str, node: Node<'_>, table: &dyn TableLike) -> Option<Span> {
    let raw = source.get(node.span.start..node.span.end)?;
    if !raw.starts_with('{') {
        return None;
    }
    let inner = raw.trim_end_matches('}').trim_end();
    let comma = inner.ends_with(',');
    let lines = |text: Option<&RawString>| {
        let range = text.and_then(RawString::span);
        range.and_then(|range| source.get(range)).is_some_and(|text| text.contains('\n'))
    };
    let broken = table.iter().any(|(key, item)| {
        let key = table.key(key).map(toml_edit::Key::leaf_decor);
        let value = item.as_value().map(toml_edit::Value::decor);
        [key, value].into_iter().flatten().any(|d| lines(d.prefix()) || lines(d.suffix()))
    });
    // After the last value only spaces may come before the brace.
    let tail = raw.len() - 1 > inner.len() && raw[inner.len()..].contains('\n');
    (comma || broken || tail).then_some(node.span)
}
