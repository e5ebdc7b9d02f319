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

/// What was sealed.
pub(super) fn open<T: DeserializeOwned>(
    kind: &'static str,
    version: u32,
    text: &str,
) -> Result<T, DocumentError> {
    let shape = |source| DocumentError::Shape { kind, source };
    let head: Head = serde_json::from_str(text).map_err(shape)?;
    if head.tiedown != kind {
        return Err(DocumentError::Kind { kind, found: head.tiedown.chars().take(40).collect() });
    }
    if head.version != version {
        return Err(DocumentError::Version { kind, found: head.version, known: version });
    }
    if !is_as_sealed(&head, text) {
        let envelope: Envelope<Value> = serde_json::from_str(text).map_err(shape)?;
        if digest_of_value(kind, version, &envelope.body) != envelope.digest {
            return Err(DocumentError::Altered);
        }
    }
    let envelope: Envelope<T> = serde_json::from_str(text).map_err(shape)?;
    Ok(envelope.body)
}

#[derive(Deserialize)]
struct Head {
    tiedown: String,
    version: u32,
    #[serde(default)]
    digest: String,
}

/// Over the value, not over its text: a document that was only laid out anew is the same.
fn digest_of_value(kind: &str, version: u32, body: &Value) -> String {
    digest(kind, version, sorted(body).to_string().as_bytes())
}

fn digest(kind: &str, version: u32, body: &[u8]) -> String {
    digest_of(&[b"document", kind.as_bytes(), &version.to_le_bytes(), body])
}

/// Whether the text is what [`seal`] wrote, but for blanks and line breaks. Then the digest can be
/// had from the text, which is large, without a value of it, which is many times larger.
fn is_as_sealed(head: &Head, text: &str) -> bool {
    let Head { tiedown, version, digest: sealed } = head;
    let text = without_blanks(text);
    let before =
        format!(r#"{{"tiedown":"{tiedown}","version":{version},"digest":"{sealed}","body":"#);
    let body = text.strip_prefix(before.as_bytes()).and_then(|rest| rest.strip_suffix(b"}"));
    body.is_some_and(|body| digest(tiedown, *version, body) == *sealed)
}

/// JSON without what is between its signs.
fn without_blanks(text: &str) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let mut kept = Vec::with_capacity(text.len());
    kept.extend(text.bytes().filter(|byte| {
        let blank = !in_string && matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        in_string ^= *byte == b'"' && !escaped;
        escaped = in_string && *byte == b'\\' && !escaped;
        !blank
    }));
    kept
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
