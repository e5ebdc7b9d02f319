//! Tables that `[http_service]` and `[[services]]` share: limits, TLS, HTTP, machine checks and
//! what happens when idle. All of them are Fly's proxy's matter and read for completeness.

use crate::manifest::code::Code;
use crate::manifest::duration::Duration;
use crate::manifest::fields::{Bare, Fields, Texts, show};
use crate::manifest::go;
use crate::manifest::keys;
use crate::manifest::node::Shape;
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::written::empty;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// What becomes of an idle machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AutoStop {
    /// It stays up; also written `false`.
    Off,
    /// It stops; also written `true`.
    Stop,
    /// It is suspended.
    Suspend,
}

impl Serialize for AutoStop {
    /// As flyctl writes it: booleans for the two that once were booleans.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::Stop => serializer.serialize_bool(true),
            Self::Suspend => serializer.serialize_str("suspend"),
        }
    }
}

pub(crate) fn auto_stop(problems: &mut Problems, fields: &Fields<'_>) -> Option<At<AutoStop>> {
    let name = "auto_stop_machines";
    let node = fields.entry(name)?.node;
    let value = match node.shape {
        Shape::Bool(true) | Shape::Text("stop") => AutoStop::Stop,
        Shape::Bool(false) | Shape::Text("off") => AutoStop::Off,
        Shape::Text("suspend") => AutoStop::Suspend,
        Shape::Text(text) => {
            let path = fields.path_of(name);
            let message = format!("`{path}` cannot be \"{}\"", show(text));
            fields
                .bad(problems, Code::BadValue, node.span, message)
                .hint("write \"off\", \"stop\" or \"suspend\"");
            return None;
        }
        _ => {
            fields
                .wrong(problems, name, node, "a string or a boolean")
                .hint("write \"off\", \"stop\" or \"suspend\"");
            return None;
        }
    };
    Some(At::new(value, node.span))
}

/// `concurrency` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Concurrency {
    /// `connections` or `requests`.
    #[serde(rename = "type", skip_serializing_if = "empty")]
    pub kind: Option<At<String>>,
    /// Most at once.
    #[serde(skip_serializing_if = "empty")]
    pub hard_limit: Option<At<i64>>,
    /// From here on other machines are preferred.
    #[serde(skip_serializing_if = "empty")]
    pub soft_limit: Option<At<i64>>,
}

pub(crate) fn concurrency(problems: &mut Problems, fields: &Fields<'_>) -> Option<Concurrency> {
    let node = fields.entry("concurrency")?.node;
    let path = fields.path_of("concurrency");
    let inner = Fields::of(problems, node, &path, &keys::CONCURRENCY)?;
    Some(Concurrency {
        kind: inner.text(problems, "type"),
        hard_limit: inner.integer(problems, "hard_limit"),
        soft_limit: inner.integer(problems, "soft_limit"),
    })
}

/// `tls_options` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsOptions {
    /// Protocols.
    #[serde(skip_serializing_if = "empty")]
    pub alpn: Option<At<Texts>>,
    /// Versions.
    #[serde(skip_serializing_if = "empty")]
    pub versions: Option<At<Texts>>,
    /// Whether a certificate of Fly's own will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_self_signed: Option<At<bool>>,
}

pub(crate) fn tls(problems: &mut Problems, fields: &Fields<'_>) -> Option<TlsOptions> {
    let node = fields.entry("tls_options")?.node;
    let inner = Fields::of(problems, node, &fields.path_of("tls_options"), &keys::TLS_OPTIONS)?;
    Some(TlsOptions {
        alpn: inner.texts(problems, "alpn"),
        versions: inner.texts(problems, "versions"),
        default_self_signed: inner.boolean(problems, "default_self_signed"),
    })
}

/// `http_options` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpOptions {
    /// Compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<At<bool>>,
    /// Headers of answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<HttpResponse>,
    /// HTTP/2 to the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h2_backend: Option<At<bool>>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<At<i64>>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_read_timeout: Option<At<i64>>,
    /// Cache of replays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replay_cache: Vec<ReplayCache>,
}

/// `http_options.response` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpResponse {
    /// Headers: a text, several texts, or `false` to take one away.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
    /// No headers of Fly's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pristine: Option<At<bool>>,
}

/// One entry of `http_options.replay_cache` as written; its keys are printed even when empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayCache {
    /// Paths.
    pub path_prefix: String,
    /// Seconds kept.
    pub ttl_seconds: i64,
    /// `cookie` or `header`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the cookie or header.
    pub name: String,
    /// Whether it may be passed by.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub allow_bypass: bool,
}

pub(crate) fn http(problems: &mut Problems, fields: &Fields<'_>) -> Option<HttpOptions> {
    let node = fields.entry("http_options")?.node;
    let path = fields.path_of("http_options");
    let inner = Fields::of(problems, node, &path, &keys::HTTP_OPTIONS)?;
    Some(HttpOptions {
        compress: inner.boolean(problems, "compress"),
        response: response(problems, &inner),
        h2_backend: inner.boolean(problems, "h2_backend"),
        idle_timeout: inner.natural(problems, "idle_timeout"),
        headers_read_timeout: inner.natural(problems, "headers_read_timeout"),
        replay_cache: replay_cache(problems, &inner),
    })
}

fn response(problems: &mut Problems, fields: &Fields<'_>) -> Option<HttpResponse> {
    let node = fields.entry("response")?.node;
    let inner = Fields::of(problems, node, &fields.path_of("response"), &keys::HTTP_RESPONSE)?;
    let headers = match inner.entry("headers") {
        None => Map::new(),
        Some(entry) => match go::json(entry.node) {
            Value::Object(map) => map,
            _ => {
                inner.wrong(problems, "headers", entry.node, "a table");
                Map::new()
            }
        },
    };
    Some(HttpResponse { headers, pristine: inner.boolean(problems, "pristine") })
}

fn replay_cache(problems: &mut Problems, fields: &Fields<'_>) -> Vec<ReplayCache> {
    let path = fields.path_of("replay_cache");
    let rows = fields.rows(problems, "replay_cache", false);
    rows.into_iter()
        .filter_map(|node| {
            let inner = Fields::of(problems, node, &path, &keys::REPLAY_CACHE)?;
            let mut text = |name| inner.text(problems, name).map(|at| at.value).unwrap_or_default();
            let (path_prefix, kind, name) = (text("path_prefix"), text("type"), text("name"));
            Some(ReplayCache {
                path_prefix,
                ttl_seconds: inner.integer(problems, "ttl_seconds").map_or(0, |at| at.value),
                kind,
                name,
                allow_bypass: inner.boolean(problems, "allow_bypass").is_some_and(|at| at.value),
            })
        })
        .collect()
}

/// One entry of `machine_checks` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineCheck {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Command.
    #[serde(skip_serializing_if = "empty")]
    pub command: Option<At<Texts>>,
    /// Image.
    #[serde(skip_serializing_if = "empty")]
    pub image: Option<At<String>>,
    /// Entrypoint.
    #[serde(skip_serializing_if = "empty")]
    pub entrypoint: Option<At<Texts>>,
    /// Signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_signal: Option<At<String>>,
    /// Time until it is killed; a bare number is nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_timeout: Option<At<Duration>>,
}

pub(crate) fn machine_checks(problems: &mut Problems, fields: &Fields<'_>) -> Vec<MachineCheck> {
    let path = fields.path_of("machine_checks");
    let rows = fields.rows(problems, "machine_checks", false);
    rows.into_iter()
        .filter_map(|node| {
            let inner = Fields::of(problems, node, &path, &keys::MACHINE_CHECK)?;
            Some(MachineCheck {
                span: inner.span,
                command: inner.texts(problems, "command"),
                image: inner.text(problems, "image"),
                entrypoint: inner.texts(problems, "entrypoint"),
                kill_signal: inner.text(problems, "kill_signal"),
                kill_timeout: inner.duration(problems, "kill_timeout", Bare::Nanos),
            })
        })
        .collect()
}
