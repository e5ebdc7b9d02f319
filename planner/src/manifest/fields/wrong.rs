//! A value of another type than its key asks for, and what to write instead.

use super::{Reader, show};
use crate::manifest::code::{Code, Flyctl};
use crate::manifest::node::{Node, Shape};
use crate::manifest::problem::{Draft, Problems};
use alloc::format;
use alloc::string::{String, ToString};

/// Notes that a value is of another type than its key asks for.
pub(crate) fn wrong_type<'p>(
    problems: &'p mut Problems,
    reader: Reader,
    node: Node<'_>,
    path: &str,
    want: &str,
) -> &'p mut Draft {
    let message = format!("`{path}` must be {want}, not {}", node.kind());
    let draft = problems.add(Code::WrongType, node.span, message).label(node.kind());
    if reader == Reader::Tiedown {
        draft.flyctl(Flyctl::Silent);
    }
    if let Some(hint) = hint(node, path, want) {
        draft.hint(hint);
    }
    draft
}

fn hint(node: Node<'_>, path: &str, want: &str) -> Option<String> {
    match (node.shape, want) {
        (Shape::Integer(_), "a string") if path.ends_with("kill_signal") => {
            Some("write its name, such as \"SIGTERM\"".to_string())
        }
        (Shape::Integer(number), "a string") if path.ends_with(".retention") => {
            Some(format!("write a unit, such as \"{number}d\" for days"))
        }
        (Shape::Bool(_), "a string") if path == "tiedown.canary" => {
            Some("write \"off\" or \"clone\"".to_string())
        }
        (Shape::Bool(_), "a string") if path == "tiedown.revert" => {
            Some("write \"off\", \"release\" or \"snapshot\"".to_string())
        }
        (Shape::Integer(number), "a string") => Some(format!("put it in quotes: \"{number}\"")),
        (Shape::Array(_), "a string") if path.starts_with("processes.") => {
            Some("write the command as one string: \"program argument\"".to_string())
        }
        (Shape::Text(text), "a number") if text.ends_with('%') => {
            Some("write a share: 0.33 for 33%".to_string())
        }
        (Shape::Text(text), "an integer" | "a whole number" | "a number" | "true or false")
            if text.parse::<f64>().is_ok() || matches!(text, "true" | "false") =>
        {
            Some(format!("write it without quotes: {text}"))
        }
        (Shape::Text(_), "true or false") => {
            Some("write true or false, without quotes".to_string())
        }
        (Shape::Text(text), "an array of strings") => {
            Some(format!("put it in brackets: [\"{}\"]", show(text)))
        }
        (Shape::Text(_) | Shape::Bool(_), "a table") => {
            Some(format!("write [{path}] and the keys below it"))
        }
        (Shape::Text(_), "an array of tables") => {
            Some(format!("write [[{path}]] and the keys below it"))
        }
        _ => None,
    }
}
