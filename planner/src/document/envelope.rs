//! What is around every document: kind, version, digest. The kind and the version are judged
//! before the contents, so that another version's contents need not be understood.

use super::DocumentError;
use crate::model::id::digest_of;
use alloc::string::{String, ToString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    tiedown: String,
    version: u32,
    digest: String,
    body: Value,
}

/// The document's text.
pub(super) fn seal<T: Serialize>(kind: &str, version: u32, body: &T) -> String {
    let body = serde_json::to_value(body).expect("documents have string keys only");
    let digest = digest(kind, version, &body);
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
    let envelope: Envelope = serde_json::from_str(text).map_err(shape)?;
    if digest(kind, version, &envelope.body) != envelope.digest {
        return Err(DocumentError::Altered);
    }
    serde_json::from_value(envelope.body).map_err(shape)
}

#[derive(Deserialize)]
struct Head {
    tiedown: String,
    version: u32,
}

/// Over the value, not over its text: a document that was only laid out anew is the same.
fn digest(kind: &str, version: u32, body: &Value) -> String {
    let body = sorted(body).to_string();
    digest_of(&[b"document", kind.as_bytes(), &version.to_le_bytes(), body.as_bytes()])
}

/// The value with keys in order, whatever order the JSON library keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: alloc::vec::Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries.into_iter().map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
