//! One uniform view of TOML values: arrays of tables are arrays, inline tables are tables, as
//! flyctl's decoder sees them. Copies nothing.

use super::place::Span;
use alloc::boxed::Box;
use alloc::vec::Vec;
use toml_edit::{Array, ArrayOfTables, Datetime, Item, Table, TableLike, Value};

/// A value and its place. A table written with a header has the header's place.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) shape: Shape<'a>,
    pub(crate) span: Span,
}

#[derive(Clone, Copy)]
pub(crate) enum Shape<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date(&'a Datetime),
    Array(Elements<'a>),
    Table(&'a dyn TableLike),
}

/// The elements of an array, however written.
#[derive(Clone, Copy)]
pub(crate) enum Elements<'a> {
    Inline(&'a Array),
    Headed(&'a ArrayOfTables),
}

/// A key of a table with its value.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a str,
    pub(crate) key_span: Span,
    pub(crate) node: Node<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn of_table(table: &'a Table) -> Self {
        let span = table.span().map(Span::from).unwrap_or_default();
        Self { shape: Shape::Table(table), span }
    }

    fn of_value(value: &'a Value, or: Span) -> Self {
        let shape = match value {
            Value::String(text) => Shape::Text(text.value()),
            Value::Integer(number) => Shape::Integer(*number.value()),
            Value::Float(number) => Shape::Float(*number.value()),
            Value::Boolean(truth) => Shape::Bool(*truth.value()),
            Value::Datetime(date) => Shape::Date(date.value()),
            Value::Array(array) => Shape::Array(Elements::Inline(array)),
            Value::InlineTable(table) => Shape::Table(table),
        };
        Self { shape, span: value.span().map_or(or, Span::from) }
    }

    fn of_item(item: &'a Item, or: Span) -> Option<Self> {
        match item {
            Item::None => None,
            Item::Value(value) => Some(Self::of_value(value, or)),
            Item::Table(table) => {
                let span = table.span().map_or(or, Span::from);
                Some(Self { shape: Shape::Table(table), span })
            }
            Item::ArrayOfTables(tables) => {
                // The whole array reaches over all its tables; its first header is what to show.
                let first = tables.iter().next().and_then(Table::span);
                let span = first.map_or(or, Span::from);
                Some(Self { shape: Shape::Array(Elements::Headed(tables)), span })
            }
        }
    }

    pub(crate) fn table(self) -> Option<&'a dyn TableLike> {
        match self.shape {
            Shape::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        match self.shape {
            Shape::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What the value is, with its article, for messages.
    pub(crate) fn kind(self) -> &'static str {
        match self.shape {
            Shape::Text(_) => "a string",
            Shape::Integer(_) => "an integer",
            Shape::Float(_) => "a float",
            Shape::Bool(_) => "a boolean",
            Shape::Date(_) => "a date",
            Shape::Array(Elements::Inline(_)) => "an array",
            Shape::Array(Elements::Headed(_)) => "an array of tables",
            Shape::Table(_) => "a table",
        }
    }
}

impl<'a> Elements<'a> {
    pub(crate) fn iter(self, or: Span) -> Box<dyn Iterator<Item = Node<'a>> + 'a> {
        match self {
            Self::Inline(array) => Box::new(array.iter().map(move |v| Node::of_value(v, or))),
            Self::Headed(tables) => Box::new(tables.iter().map(Node::of_table)),
        }
    }
}

/// The entries of a table in the order of writing.
pub(crate) fn entries<'a>(table: &'a dyn TableLike, or: Span) -> Vec<Entry<'a>> {
    let mut found = Vec::with_capacity(table.len());
    for (key, item) in table.iter() {
        let key_span = table.key(key).and_then(toml_edit::Key::span).map_or(or, Span::from);
        if let Some(node) = Node::of_item(item, key_span) {
            found.push(Entry { key, key_span, node });
        }
    }
    found
}
