//! What to do about a line that is not TOML, by what it looks like.

use crate::manifest::fields::show;
use alloc::format;
use alloc::string::{String, ToString};

/// The way out for a line and the parser's words about it.
pub(super) fn of(line: &str, said: &str) -> Option<String> {
    // A no-break space is trimmed too, and is what is wrong.
    if line.contains(['\u{a0}', '\u{200b}', '\u{2028}', '\u{feff}']) {
        return Some("this line has an invisible character in it: type it anew".to_string());
    }
    let line = line.trim();
    if said.contains("duplicate key") {
        return Some(twice(line).to_string());
    }
    if let Some(hint) = of_line(line) {
        return Some(hint.to_string());
    }
    if said.contains("quoted") || said.contains("invalid boolean") {
        return unquoted(line);
    }
    if let Some((_, hint)) = SAID.iter().find(|(words, _)| said.contains(words)) {
        return Some((*hint).to_string());
    }
    let name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match line.split_once(':') {
        Some((key, value)) if name(key) && !line.contains('=') => {
            Some(format!("TOML is written with =: {key} = {}", show(value.trim())))
        }
        _ if said.contains("key with no value") && name(line) => {
            Some(format!("give it a value, such as {} = \"text\"", show(line)))
        }
        _ => None,
    }
}

/// Whether a merge left this line.
pub(super) fn is_conflict(line: &str) -> bool {
    ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.trim_start().starts_with(mark))
}

/// Some words of the parser, and what to do.
const SAID: [(&str, &str); 11] = [
    ("invalid basic string", "close the string on the line that it begins on"),
    ("invalid literal string", "close the string on the line that it begins on"),
    ("missing escaped value", "write \\\\ for one backslash, or put the text in single quotes"),
    ("extra `=`", "write one = between key and value"),
    ("leading zero", "write the number without the zero, or in quotes"),
    ("missing comma", "put a comma between the values"),
    ("cannot extend", "a value cannot have the name of a section: keep one of the two"),
    ("unclosed array table", "close it with ]]"),
    ("unclosed table", "close it with ]"),
    ("unclosed array", "close it with ]"),
    ("unclosed inline table", "close it with }, on the same line"),
];

fn twice(line: &str) -> &'static str {
    match line.starts_with('[') {
        true => {
            "a section cannot have the name of a value or section given before, such as mounts = []: keep one of the two"
        }
        false => "it was given before: keep one of the two",
    }
}

/// What the look of a line alone tells.
fn of_line(line: &str) -> Option<&'static str> {
    if is_conflict(line) {
        return Some("a merge left its marks: resolve the conflict and take them out");
    }
    if line.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
        return Some("write straight quotes: \" or '");
    }
    if line.starts_with("//") || line.starts_with("/*") {
        return Some("a comment begins with #");
    }
    line.starts_with('{').then_some("this looks like JSON: a manifest is TOML")
}

/// A value without quotes.
fn unquoted(line: &str) -> Option<String> {
    let value = line.split_once('=')?.1;
    let value = value.split('#').next().unwrap_or_default().trim();
    if ["true", "false", "yes", "no", "on", "off"].iter().any(|w| value.eq_ignore_ascii_case(w)) {
        return Some("write true or false, in lower case".to_string());
    }
    let bare = value.starts_with(|c: char| c.is_ascii_alphabetic());
    let bare = bare && !value.contains(['"', '\'', '[', '{']);
    bare.then(|| format!("put it in quotes: \"{}\"", show(value)))
}
