//! Reads tables of a TOML file key by key and collects every mistake with its place.

use super::problem::Problem;
use std::ops::Range;
use toml_edit::{Item, TableLike, Value};

/// A value and the bytes it stands at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

impl<T> At<T> {
    /// Another value made of this one, at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }
}

/// Collects the mistakes of one file.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// For a file with this text.
    #[must_use]
    pub const fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: Vec::new() }
    }

    /// Notes a mistake.
    pub fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.problems.push(Problem::new(self.file, self.text, span, message.into(), hint));
    }

    /// All mistakes, in the order of the file.
    #[must_use]
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems
    }

    /// Whether there was none so far.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One table: `[policy]`, an entry of `[[hosts]]`, or an inline table.
pub struct Section<'t> {
    table: &'t dyn TableLike,
    /// How it is called in messages; empty for the file itself.
    name: String,
    /// Where it begins.
    span: Range<usize>,
}

impl<'t> Section<'t> {
    /// A table of this name, which begins there.
    #[must_use]
    pub fn new(table: &'t dyn TableLike, name: &str, span: Range<usize>) -> Self {
        Self { table, name: name.to_owned(), span }
    }

    /// Where it begins.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn key_name(&self, key: &str) -> String {
        if self.name.is_empty() { format!("`{key}`") } else { format!("`{key}` of {}", self.name) }
    }

    fn item(&self, key: &str) -> Option<(&'t Item, Range<usize>)> {
        let (written, item) = self.table.get_key_value(key)?;
        let span = item.span().or_else(|| written.span()).unwrap_or_else(|| self.span());
        Some((item, span))
    }

    /// Notes every key that is not one of these.
    pub fn allow(&self, reader: &mut Reader<'_>, known: &[&str]) {
        for (key, item) in self.table.iter().filter(|(key, _)| !known.contains(key)) {
            let written = self.table.get_key_value(key).and_then(|(key, _)| key.span());
            let span = written.or_else(|| item.span()).unwrap_or_else(|| self.span());
            let place = if self.name.is_empty() { "tiedown.toml" } else { &self.name };
            let shown: String = key.chars().take(80).collect();
            let message = format!("`{shown}` is not a key of {place}");
            let hint = similar::get_close_matches(key, known, 1, 0.6).first().map_or_else(
                || format!("keys here: {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            reader.wrong(span, message, &hint);
        }
    }

    /// Notes that a key is missing.
    pub fn missing(&self, reader: &mut Reader<'_>, key: &str, example: &str) {
        let message = format!("{} is missing", self.key_name(key));
        reader.wrong(self.span(), message, &format!("write {example}"));
    }

    fn mistyped(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        at: Range<usize>,
        item: &Item,
        want: &str,
    ) {
        let found = match item.type_name() {
            "integer" => "an integer",
            "array" => "an array",
            "inline table" | "table" => "a table",
            "array of tables" => "an array of tables",
            "string" => "a string",
            "float" => "a float",
            "boolean" => "a boolean",
            "datetime" => "a date",
            other => other,
        };
        reader.wrong(at, format!("{} must be {want}, not {found}", self.key_name(key)), "");
    }

    /// A string, if the key is there.
    pub fn text(&self, reader: &mut Reader<'_>, key: &str) -> Option<At<String>> {
        let (item, span) = self.item(key)?;
        match item.as_str() {
            Some(text) => Some(At { value: text.to_owned(), span }),
            None => {
                self.mistyped(reader, key, span, item, "a string");
                None
            }
        }
    }

    /// A string that is one of a few words.
    pub fn word<T: Copy>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<At<T>> {
        let text = self.text(reader, key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At { value: *value, span: text.span });
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = similar::get_close_matches(text.value.as_str(), &known, 1, 0.6)
            .first()
            .map_or_else(String::new, |near| format!("did you mean \"{near}\"?"));
        let shown: String = text.value.chars().take(80).collect();
        let message =
            format!("{} is {shown:?}; it can be {}", self.key_name(key), known.join(" | "));
        reader.wrong(text.span, message, &hint);
        None
    }

    /// A string that is read by its own grammar.
    pub fn parsed<T: std::str::FromStr<Err = E>, E: std::fmt::Display>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
    ) -> Option<At<T>> {
        self.parsed_by(reader, key, |text| text.parse::<T>())
    }

    /// A string that is read by a function.
    pub fn parsed_by<T, E: std::fmt::Display>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        let text = self.text(reader, key)?;
        match parse(&text.value) {
            Ok(value) => Some(At { value, span: text.span }),
            Err(error) => {
                reader.wrong(text.span, format!("{}: {error}", self.key_name(key)), "");
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, reader: &mut Reader<'_>, key: &str) -> Option<bool> {
        let (item, span) = self.item(key)?;
        let flag = item.as_bool();
        if flag.is_none() {
            self.mistyped(reader, key, span, item, "true or false");
        }
        flag
    }

    /// A whole number, no less than `least`.
    pub fn count(&self, reader: &mut Reader<'_>, key: &str, least: u32) -> Option<u32> {
        let (item, span) = self.item(key)?;
        let Some(number) = item.as_integer() else {
            self.mistyped(reader, key, span, item, "a whole number");
            return None;
        };
        match u32::try_from(number) {
            Ok(value) if value >= least => Some(value),
            _ => {
                let message = format!("{} must be a whole number from {least}", self.key_name(key));
                reader.wrong(span, message, "");
                None
            }
        }
    }

    /// A number in a range, in thousandths, rounded to the nearest.
    pub fn thousandths(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let (item, span) = self.item(key)?;
        #[expect(clippy::cast_precision_loss, reason = "the range is checked below")]
        let number = item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64));
        let Some(number) = number else {
            self.mistyped(reader, key, span, item, "a number");
            return None;
        };
        let (low, high) = (f64::from(*range.start()) / 1000.0, f64::from(*range.end()) / 1000.0);
        if !(low..=high).contains(&number) {
            let message = format!("{} must be from {low} to {high}", self.key_name(key));
            reader.wrong(span, message, "");
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some((number * 1000.0).round() as u32)
    }

    /// A list of strings.
    pub fn texts(&self, reader: &mut Reader<'_>, key: &str) -> Option<Vec<At<String>>> {
        let (item, span) = self.item(key)?;
        let Some(array) = item.as_array() else {
            self.mistyped(reader, key, span, item, "an array of strings");
            return None;
        };
        let mut texts = Vec::new();
        for value in array {
            let place = value.span().unwrap_or_else(|| span.clone());
            match value.as_str() {
                Some(text) => texts.push(At { value: text.to_owned(), span: place }),
                None => {
                    let message = format!("{} must hold strings only", self.key_name(key));
                    reader.wrong(place, message, "");
                }
            }
        }
        Some(texts)
    }

    /// A table, plain or inline.
    pub fn table(&self, reader: &mut Reader<'_>, key: &str, name: &str) -> Option<Self> {
        let (item, span) = self.item(key)?;
        match item.as_table_like() {
            Some(table) => Some(Section::new(table, name, span)),
            None => {
                self.mistyped(reader, key, span, item, "a table");
                None
            }
        }
    }

    /// The entries of `[[key]]`, or of an array of inline tables.
    pub fn tables(&self, reader: &mut Reader<'_>, key: &str) -> Vec<Self> {
        let Some((item, span)) = self.item(key) else { return Vec::new() };
        let name = format!("[[{key}]]");
        if let Some(tables) = item.as_array_of_tables() {
            let place = |table: &toml_edit::Table| table.span().unwrap_or_else(|| span.clone());
            return tables.iter().map(|table| Section::new(table, &name, place(table))).collect();
        }
        let inline = item.as_array().map(|array| array.iter().map(Value::as_inline_table));
        if let Some(Some(tables)) = inline.map(Iterator::collect::<Option<Vec<_>>>) {
            let place =
                |table: &toml_edit::InlineTable| table.span().unwrap_or_else(|| span.clone());
            return tables
                .into_iter()
                .map(|table| Section::new(table, &name, place(table)))
                .collect();
        }
        self.mistyped(reader, key, span, item, &format!("tables: {name}"));
        Vec::new()
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }
}
