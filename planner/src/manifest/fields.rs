//! Reads the keys of one table by type, as flyctl's JSON decoding does, and notes every key that
//! is not known and every value of another type.

mod wrong;

pub(crate) use wrong::wrong_type;

use super::code::{Code, Flyctl};
use super::duration::Duration;
use super::go;
use super::keys::{self, Class, Section};
use super::nearest::nearest;
use super::node::{Entry, Node, Shape, entries};
use super::place::{At, Span};
use super::problem::{Draft, Problems};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Sections that flyctl gathers from all their names and makes anew in lower case.
const REMADE: [&str; 7] = ["mount", "mounts", "compute", "computes", "vm", "metric", "metrics"];

/// Texts with their places.
pub type Texts = Vec<At<String>>;

/// Who reads a table: it decides how grave an unknown key is, and what flyctl says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Flyctl,
    Tiedown,
}

/// What a number without a unit counts where a duration is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// Seconds; an empty text is no duration and other types are dropped.
    Seconds,
    /// Milliseconds; an empty text is no duration and other types are dropped.
    Millis,
    /// Nanoseconds; everything else is an error.
    Nanos,
}

/// The entries of one table by known key.
pub(crate) struct Fields<'a> {
    pub(crate) path: String,
    pub(crate) span: Span,
    section: &'static Section,
    found: Vec<Option<Entry<'a>>>,
    reader: Reader,
}

impl<'a> Fields<'a> {
    /// Takes the entries of a table; `None`, with a problem, if the value is no table.
    pub(crate) fn of(
        problems: &mut Problems,
        node: Node<'a>,
        path: &str,
        section: &'static Section,
    ) -> Option<Self> {
        Self::read_by(Reader::Flyctl, problems, node, path, section)
    }

    pub(crate) fn read_by(
        reader: Reader,
        problems: &mut Problems,
        node: Node<'a>,
        path: &str,
        section: &'static Section,
    ) -> Option<Self> {
        let Some(table) = node.table() else {
            wrong_type(problems, reader, node, path, "a table");
            return None;
        };
        let found = alloc::vec![None; section.keys.len()];
        let mut fields = Self { path: path.to_string(), span: node.span, section, found, reader };
        for entry in entries(table, node.span) {
            fields.place(problems, entry);
        }
        Some(fields)
    }

    fn place(&mut self, problems: &mut Problems, entry: Entry<'a>) {
        let Some(index) = self.section.position(entry.key) else {
            self.unknown(problems, entry);
            return;
        };
        let key = self.section.keys[index];
        // Sections that are made anew in lower case are judged where they are gathered.
        let remade = self.path.is_empty() && REMADE.contains(&key.name);
        if entry.key != key.name && !remade {
            let draft = problems.add(
                Code::KeyCase,
                entry.key_span(),
                format!("`{}` is read as `{}`", show(entry.key), key.name),
            );
            draft.hint(format!("write it in lower case: {}", key.name));
        }
        match key.class {
            Class::Retired => {
                let path = self.path_of(key.name);
                let message = format!("`{path}` is no longer read by flyctl ({})", key.effect);
                problems
                    .add(Code::RetiredKey, entry.key_span(), message)
                    .hint("take it out: it has no effect");
            }
            Class::Inert if remade && entry.key != key.name => {}
            Class::Inert => {
                problems.inert.push(At::new(self.path_of(key.name), entry.key_span()));
            }
            Class::Restarts
            | Class::Live
            | Class::Placement
            | Class::Steering
            | Class::TiedownOnly
            | Class::Legacy
            | Class::Table => {}
        }
        // JSON objects are decoded in the order of their sorted keys: the last one stays.
        let Some(other) = self.found[index] else {
            self.found[index] = Some(entry);
            return;
        };
        let (lost, kept) = if other.key < entry.key { (other, entry) } else { (entry, other) };
        self.found[index] = Some(kept);
        let message = format!("`{}` is also given as `{}`", show(lost.key), show(kept.key));
        problems
            .add(Code::TwiceGiven, lost.key_span(), message)
            .label("not read")
            .hint("keep one of the two, in lower case");
    }

    fn unknown(&self, problems: &mut Problems, entry: Entry<'_>) {
        let top = self.path.is_empty();
        let code = match self.reader {
            Reader::Tiedown => Code::UnknownTiedownKey,
            Reader::Flyctl if top => Code::UnknownSection,
            Reader::Flyctl => Code::UnknownKey,
        };
        let name = show(entry.key);
        let message = match (top, entry.node.shape) {
            (false, _) => format!("`{name}` is not a key of `{}`", self.path),
            (true, Shape::Table(_)) => format!("`[{name}]` is not a section of fly.toml"),
            (true, Shape::Array(super::node::Elements::Headed(_))) => {
                format!("`[[{name}]]` is not a section of fly.toml")
            }
            (true, _) => format!("`{name}` is not a key of fly.toml"),
        };
        let known = self.section.keys.iter().filter(|key| key.class != Class::Retired);
        let meant = nearest(entry.key, known.map(|key| key.name));
        let other_word = keys::meant(self.section.path, entry.key);
        let hint = match (other_word.or(meant), elsewhere(entry.key, self.section), self.reader) {
            (Some(meant), _, _) => format!("did you mean `{meant}`?"),
            (None, _, Reader::Tiedown) => format!("its keys are {}", self.names()),
            (None, Some(place), Reader::Flyctl) => place,
            (None, None, Reader::Flyctl) => {
                "it is ignored: take it out, or correct its name".to_string()
            }
        };
        problems.add(code, entry.key_span(), message).label("not known").hint(hint);
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
        names.join(", ")
    }

    /// The dotted path of a key of this table.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }

    /// The entry of a known key, in whatever case it was written.
    pub(crate) fn entry(&self, name: &str) -> Option<Entry<'a>> {
        let index = self.section.keys.iter().position(|key| key.name == name)?;
        self.found[index]
    }

    /// The entry of a key that was written in lower case, as flyctl's patches look for it.
    pub(crate) fn exact(&self, name: &str) -> Option<Entry<'a>> {
        self.entry(name).filter(|entry| entry.key == name)
    }

    /// Whether nothing at all stands in the table, known or not.
    pub(crate) fn is_empty(node: Node<'_>) -> bool {
        node.table().is_some_and(toml_edit::TableLike::is_empty)
    }

    pub(crate) fn wrong<'p>(
        &self,
        problems: &'p mut Problems,
        name: &str,
        node: Node<'_>,
        want: &str,
    ) -> &'p mut Draft {
        wrong_type(problems, self.reader, node, &self.path_of(name), want)
    }

    /// A value that flyctl (or tiedown, in its own table) cannot take.
    pub(crate) fn bad<'p>(
        &self,
        problems: &'p mut Problems,
        code: Code,
        span: Span,
        message: String,
    ) -> &'p mut Draft {
        let draft = problems.add(code, span, message);
        match self.reader {
            Reader::Flyctl => draft,
            Reader::Tiedown => draft.flyctl(Flyctl::Silent),
        }
    }

    pub(crate) fn text(&self, problems: &mut Problems, name: &str) -> Option<At<String>> {
        let node = self.entry(name)?.node;
        match string(node) {
            Some(text) => Some(At::new(text, node.span)),
            None => {
                self.wrong(problems, name, node, "a string");
                None
            }
        }
    }

    /// A text, or the text that Go makes of any other value.
    pub(crate) fn any_text(&self, problems: &mut Problems, name: &str) -> Option<At<String>> {
        match self.exact(name) {
            Some(entry) => Some(At::new(go::text(entry.node), entry.node.span)),
            None => self.text(problems, name),
        }
    }

    pub(crate) fn integer(&self, problems: &mut Problems, name: &str) -> Option<At<i64>> {
        let node = self.entry(name)?.node;
        let number = match node.shape {
            Shape::Integer(number) => Some(number),
            Shape::Float(number) => go::whole(number),
            _ => None,
        };
        if number.is_none() {
            self.wrong(problems, name, node, "an integer");
        }
        number.map(|number| At::new(number, node.span))
    }

    /// An integer of 32 bits without a sign.
    pub(crate) fn natural(&self, problems: &mut Problems, name: &str) -> Option<At<i64>> {
        let number = self.integer(problems, name)?;
        if u32::try_from(number.value).is_ok() {
            return Some(number);
        }
        let message = format!("`{}` must be 0 to {}", self.path_of(name), u32::MAX);
        self.bad(problems, Code::WrongType, number.span, message);
        None
    }

    pub(crate) fn number(&self, problems: &mut Problems, name: &str) -> Option<At<f64>> {
        let node = self.entry(name)?.node;
        match node.shape {
            Shape::Integer(number) => Some(At::new(number as f64, node.span)),
            Shape::Float(number) => Some(At::new(number, node.span)),
            _ => {
                self.wrong(problems, name, node, "a number");
                None
            }
        }
    }

    pub(crate) fn boolean(&self, problems: &mut Problems, name: &str) -> Option<At<bool>> {
        let node = self.entry(name)?.node;
        if let Shape::Bool(truth) = node.shape {
            return Some(At::new(truth, node.span));
        }
        self.wrong(problems, name, node, "true or false");
        None
    }

    pub(crate) fn texts(&self, problems: &mut Problems, name: &str) -> Option<At<Texts>> {
        let node = self.entry(name)?.node;
        let Shape::Array(elements) = node.shape else {
            self.wrong(problems, name, node, "an array of strings");
            return None;
        };
        let mut texts = Vec::new();
        for element in elements.iter(node.span) {
            match string(element) {
                Some(text) => texts.push(At::new(text, element.span)),
                None => {
                    self.wrong(problems, name, element, "an array of strings");
                }
            }
        }
        Some(At::new(texts, node.span))
    }

    pub(crate) fn text_map(
        &self,
        problems: &mut Problems,
        name: &str,
    ) -> Option<At<BTreeMap<String, At<String>>>> {
        let node = self.entry(name)?.node;
        let Some(table) = node.table() else {
            self.wrong(problems, name, node, "a table of strings");
            return None;
        };
        let mut map = BTreeMap::new();
        for entry in entries(table, node.span) {
            match string(entry.node) {
                Some(text) => {
                    map.insert(entry.key.to_string(), At::new(text, entry.node.span));
                }
                None => {
                    let path = format!("{name}.{}", show(entry.key));
                    self.wrong(problems, &path, entry.node, "a string");
                }
            }
        }
        Some(At::new(map, node.span))
    }

    pub(crate) fn duration(
        &self,
        problems: &mut Problems,
        name: &str,
        bare: Bare,
    ) -> Option<At<Duration>> {
        let entry = self.entry(name)?;
        // The patch that gives bare numbers their unit looks for the exact name only.
        let bare = if entry.key == name { bare } else { Bare::Nanos };
        let node = entry.node;
        let number = match node.shape {
            Shape::Text("") if bare != Bare::Nanos => return None,
            Shape::Text(text) => return self.parse_duration(problems, name, text, node),
            Shape::Integer(number) => number,
            Shape::Float(number) => number as i64,
            _ => {
                self.no_duration(problems, name, bare, node);
                return None;
            }
        };
        let duration = match bare {
            Bare::Seconds => Duration::from_seconds(number),
            Bare::Millis => Duration::from_millis(number),
            Bare::Nanos => Duration::from_nanos(number),
        };
        if bare == Bare::Nanos && number != 0 {
            let path = self.path_of(name);
            let message = format!("`{path}` is {duration}: a bare number counts nanoseconds here");
            problems
                .add(Code::Nanoseconds, node.span, message)
                .label("nanoseconds")
                .hint(format!("write a unit: {name} = \"{}\"", likely(number)));
        }
        Some(At::new(duration, node.span))
    }

    fn no_duration(&self, problems: &mut Problems, name: &str, bare: Bare, node: Node<'_>) {
        if bare == Bare::Nanos {
            self.wrong(problems, name, node, "a duration");
            return;
        }
        let message = format!("`{}` is {} and is ignored", self.path_of(name), node.kind());
        problems
            .add(Code::IgnoredValue, node.span, message)
            .hint("write a duration in quotes, such as \"30s\"");
    }

    fn parse_duration(
        &self,
        problems: &mut Problems,
        name: &str,
        text: &str,
        node: Node<'_>,
    ) -> Option<At<Duration>> {
        match Duration::parse(text) {
            Ok(duration) => Some(At::new(duration, node.span)),
            Err(error) => {
                let path = self.path_of(name);
                let message = format!("`{path}` is not a duration: {error}");
                let hint = if super::quantity::integer(text).is_some() {
                    format!("write {name} = \"{text}s\" for seconds")
                } else {
                    "write numbers with ns, us, ms, s, m or h, such as \"1m30s\"".to_string()
                };
                self.bad(problems, Code::BadDuration, node.span, message).hint(hint);
                None
            }
        }
    }

    /// The elements of an array of tables. Where flyctl's patches allow it, one table will do.
    pub(crate) fn rows(
        &self,
        problems: &mut Problems,
        name: &str,
        one_will_do: bool,
    ) -> Vec<Node<'a>> {
        let Some(entry) = self.entry(name) else { return Vec::new() };
        let one_will_do = one_will_do && entry.key == name;
        match entry.node.shape {
            Shape::Table(_) if one_will_do => alloc::vec![entry.node],
            Shape::Array(elements) => elements.iter(entry.node.span).collect(),
            Shape::Table(table) => {
                let path = self.path_of(name);
                let mut inner = entries(table, entry.node.span);
                let named = inner.next().filter(|first| first.node.table().is_some());
                let hint = match named {
                    Some(first) if inner.all(|entry| entry.node.table().is_some()) => {
                        let first = show(first.key);
                        format!("they have no names: write [[{path}]] in place of [{path}.{first}]")
                    }
                    _ => format!("write [[{path}]] with two brackets"),
                };
                self.wrong(problems, name, entry.node, "an array of tables").hint(hint);
                Vec::new()
            }
            _ => {
                self.wrong(problems, name, entry.node, "an array of tables");
                Vec::new()
            }
        }
    }
}

/// What a bare number was most likely meant as: a thousand and more are milliseconds.
fn likely(number: i64) -> String {
    let millis = number.unsigned_abs() >= 1000;
    if millis { Duration::from_millis(number).to_string() } else { format!("{number}s") }
}

/// Where a key belongs that was written in the wrong table: at the top, which a header above it
/// hides, or in another section.
fn elsewhere(key: &str, not: &Section) -> Option<String> {
    let holds = |section: &Section| {
        let known = |k: &&keys::Key| k.name == key && !matches!(k.class, Class::Retired);
        section.keys.iter().find(known).is_some_and(|k| k.class != Class::Table)
    };
    if !not.path.is_empty() && holds(&keys::ROOT) {
        return Some(format!("`{key}` belongs at the top, before the first section"));
    }
    let holders = || {
        keys::SECTIONS.iter().filter(|section| {
            let other = section.path != not.path && !section.path.is_empty();
            other && !section.path.contains('*') && holds(section)
        })
    };
    // One below this table is likelier meant than one elsewhere.
    let below = |path: &str| path.strip_prefix(not.path).is_some_and(|rest| rest.starts_with('.'));
    let near = holders().find(|section| below(section.path));
    let holder = near.or_else(|| holders().next()).filter(|_| key != "processes")?;
    Some(format!("`{key}` is a key of `{}`", holder.path))
}

/// What JSON would hand over as a string: also dates, which have no type of their own there.
pub(crate) fn string(node: Node<'_>) -> Option<String> {
    match node.shape {
        Shape::Text(text) => Some(text.to_string()),
        Shape::Date(date) => Some(date.to_string()),
        _ => None,
    }
}

/// A text from the manifest for use in a message: short, and without characters that would move
/// the cursor or turn the direction of writing.
pub(crate) fn show(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(60) {
        match letter {
            '\'' | '"' | '\\' => shown.push(letter),
            _ => shown.extend(letter.escape_debug()),
        }
    }
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}
