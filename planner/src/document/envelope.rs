//! What is around every document: kind, version, digest. The kind and the version are judged
//! before the contents, so that another version's contents need not be understood.

use super::DocumentError;
use crate::model::id::digest_of;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Digits of a digest.
const DIGEST: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    tiedown: String,
    version: u32,
    digest: String,
    body: T,
}

/// The document's text.
pub(super) fn seal<T: Serialize>(kind: &str, version: u32, body: &T) -> String {
    let body = serde_json::to_value(body).expect("documents have string keys only");
    let digest = digest_of_value(kind, version, &body);
    let envelope = Envelope { tiedown: kind.to_string(), version, digest, body };
    let mut text = serde_json::to_string_pretty(&envelope).expect("values always serialise");
    text.push('\n');
    text
}

/// What was sealed. The text is large, and is given away so that it need not be kept beside what
/// is made from it.
pub(super) fn open<T: DeserializeOwned>(
    kind: &'static str,
    version: u32,
    text: String,
) -> Result<T, DocumentError> {
    let shape = |source| DocumentError::Shape { kind, source };
    let compact = without_blanks(&text);
    if let Some(body) = sealed_body(kind, version, &compact) {
        drop(text);
        return serde_json::from_str(body).map_err(shape);
    }
    drop(compact);
    let head: Head = serde_json::from_str(&text).map_err(shape)?;
    if head.tiedown != kind {
        return Err(DocumentError::Kind { kind, found: head.tiedown.chars().take(40).collect() });
    }
    if head.version != version {
        return Err(DocumentError::Version { kind, found: head.version, known: version });
    }
    let envelope: Envelope<Value> = serde_json::from_str(&text).map_err(shape)?;
    if digest_of_value(kind, version, &envelope.body) != envelope.digest {
        return Err(DocumentError::Altered);
    }
    let envelope: Envelope<T> = serde_json::from_str(&text).map_err(shape)?;
    Ok(envelope.body)
}

#[derive(Deserialize)]
struct Head {
    tiedown: String,
    version: u32,
}

/// Over the value, not over its text: a document that was only laid out anew is the same.
fn digest_of_value(kind: &str, version: u32, body: &Value) -> String {
    digest(kind, version, sorted(body).to_string().as_bytes())
}

fn digest(kind: &str, version: u32, body: &[u8]) -> String {
    digest_of(&[b"document", kind.as_bytes(), &version.to_le_bytes(), body])
}

/// The body of a document that is what [`seal`] wrote, but for blanks and line breaks. Then the
/// digest can be had from the text, without a value of it, which is many times larger.
fn sealed_body<'t>(kind: &str, version: u32, compact: &'t str) -> Option<&'t str> {
    let head = format!(r#"{{"tiedown":"{kind}","version":{version},"digest":""#);
    let (sealed, rest) = compact.strip_prefix(&head)?.split_at_checked(DIGEST)?;
    let body = rest.strip_prefix(r#"","body":"#)?.strip_suffix('}')?;
    (digest(kind, version, body.as_bytes()) == sealed).then_some(body)
}

/// JSON without what is between its signs.
fn without_blanks(text: &str) -> String {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(quote) = rest.iter().position(|byte| *byte == b'"') {
        let (between, from_quote) = rest.split_at(quote);
        kept.extend(between.iter().filter(|byte| !is_blank(byte)));
        let (string, after) = from_quote.split_at(string_length(from_quote));
        kept.extend_from_slice(string);
        rest = after;
    }
    kept.extend(rest.iter().filter(|byte| !is_blank(byte)));
    String::from_utf8(kept).expect("what is taken out is ASCII")
}

/// How many bytes the JSON string has that the text begins with, with both quotes.
fn string_length(text: &[u8]) -> usize {
    let mut end = 1;
    while let Some(sign) = text[end..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        end += sign + 1;
        if text[end - 1] == b'"' {
            return end;
        }
        // Whatever is escaped does not end it.
        end = text.len().min(end + 1);
    }
    text.len()
}

/// The value with keys in order, whatever order the JSON library keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries.into_iter().map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
