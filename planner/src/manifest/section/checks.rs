//! Health checks: `[checks.NAME]` at the top, and those of services. Older forms have numbers of
//! milliseconds, headers as arrays, and the top ones as an array with names.

use crate::manifest::code::Code;
use crate::manifest::duration::Duration;
use crate::manifest::fields::{Bare, Fields, Reader, Texts, show, wrong_type};
use crate::manifest::go;
use crate::manifest::keys::{self, Section};
use crate::manifest::node::{Node, Shape, entries};
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::section::processes::GroupNames;
use crate::manifest::written::{empty, given};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// When a check is made, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Times {
    /// Time between two checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<At<Duration>>,
    /// Time after which a check has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<At<Duration>>,
    /// Time after the start in which failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<At<Duration>>,
}

/// What an HTTP check asks, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<At<String>>,
    /// Path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<At<String>>,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<At<String>>,
    /// Whether any certificate will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_skip_verify: Option<At<bool>>,
    /// Name that the certificate must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<At<String>>,
    /// Headers.
    #[serde(skip_serializing_if = "empty")]
    pub headers: Option<At<BTreeMap<String, At<String>>>>,
}

/// A TCP check of a service as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TcpCheck {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// When it is made.
    #[serde(flatten)]
    pub times: Times,
}

/// An HTTP check of a service as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpCheck {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// When it is made.
    #[serde(flatten)]
    pub times: Times,
    /// What it asks.
    #[serde(flatten)]
    pub request: Request,
}

/// `[checks.NAME]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopCheck {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Port; the http_service's when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<At<i64>>,
    /// `http` or `tcp`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<At<String>>,
    /// When it is made.
    #[serde(flatten)]
    pub times: Times,
    /// What it asks.
    #[serde(flatten)]
    pub request: Request,
    /// The groups it checks; the default group when empty.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
}

fn times(problems: &mut Problems, fields: &Fields<'_>, bare: Bare) -> Times {
    Times {
        interval: fields.duration(problems, "interval", bare),
        timeout: fields.duration(problems, "timeout", bare),
        grace_period: fields.duration(problems, "grace_period", bare),
    }
}

fn request(problems: &mut Problems, fields: &Fields<'_>, patched: bool) -> Request {
    Request {
        method: fields.text(problems, "method"),
        path: fields.text(problems, "path"),
        protocol: fields.text(problems, "protocol"),
        tls_skip_verify: fields.boolean(problems, "tls_skip_verify"),
        tls_server_name: fields.text(problems, "tls_server_name"),
        headers: match patched && fields.exact("headers").is_some() {
            true => headers(problems, fields),
            false => fields.text_map(problems, "headers"),
        },
    }
}

/// Headers as a table of anything, or as an array of `{ name, value }`.
fn headers(
    problems: &mut Problems,
    fields: &Fields<'_>,
) -> Option<At<BTreeMap<String, At<String>>>> {
    let node = fields.exact("headers")?.node;
    let mut headers = BTreeMap::new();
    match node.shape {
        Shape::Table(table) => {
            for entry in entries(table, node.span) {
                let value = At::new(go::text(entry.node), entry.node.span);
                headers.insert(entry.key.to_string(), value);
            }
        }
        Shape::Array(elements) => {
            for element in elements.iter(node.span) {
                header(problems, fields, element, &mut headers);
            }
        }
        _ => {
            fields.wrong(problems, "headers", node, "a table of strings");
        }
    }
    Some(At::new(headers, node.span))
}

fn header(
    problems: &mut Problems,
    fields: &Fields<'_>,
    node: Node<'_>,
    into: &mut BTreeMap<String, At<String>>,
) {
    let find = |name: &str| {
        let table = node.table()?;
        entries(table, node.span).find(|entry| entry.key == name)
    };
    match find("name") {
        Some(name) => {
            let value = find("value").map(|entry| go::text(entry.node)).unwrap_or_default();
            into.insert(go::text(name.node), At::new(value, node.span));
        }
        None => {
            let path = fields.path_of("headers");
            let message = format!("an entry of `{path}` must be a table with a `name`");
            fields
                .bad(problems, Code::BadValue, node.span, message)
                .hint("write { name = \"X-Header\", value = \"text\" }");
        }
    }
}

pub(crate) fn tcp(
    problems: &mut Problems,
    node: Node<'_>,
    path: &str,
    bare: Bare,
) -> Option<TcpCheck> {
    let fields = Fields::of(problems, node, path, &keys::TCP_CHECK)?;
    Some(TcpCheck { span: fields.span, times: times(problems, &fields, bare) })
}

pub(crate) fn http(
    problems: &mut Problems,
    node: Node<'_>,
    path: &str,
    section: &'static Section,
    bare: Bare,
) -> Option<HttpCheck> {
    let fields = Fields::of(problems, node, path, section)?;
    let times = times(problems, &fields, bare);
    let request = request(problems, &fields, bare == Bare::Millis);
    Some(HttpCheck { span: fields.span, times, request })
}

/// `[checks]` by name.
pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> BTreeMap<String, TopCheck> {
    let mut checks = BTreeMap::new();
    let Some(entry) = root.entry("checks") else { return checks };
    let bare = if root.exact("checks").is_some() { Bare::Millis } else { Bare::Nanos };
    match entry.node.shape {
        Shape::Table(table) => {
            for entry in entries(table, entry.node.span) {
                if let Some(check) = one(problems, entry.node, entry.key, bare) {
                    checks.insert(entry.key.to_string(), check);
                }
            }
        }
        Shape::Array(elements) if bare == Bare::Millis => {
            for element in elements.iter(entry.node.span) {
                let name = element.table().and_then(|table| table.get("name")?.as_str());
                let Some(name) = name else {
                    let message = "an entry of `checks` must be a table with a `name`";
                    problems
                        .add(Code::BadValue, element.span, message)
                        .hint("write [checks.NAME] for each check");
                    continue;
                };
                if let Some(check) = one(problems, element, name, bare) {
                    checks.insert(name.to_string(), check);
                }
            }
        }
        _ => {
            wrong_type(problems, Reader::Flyctl, entry.node, "checks", "a table of checks");
        }
    }
    checks
}

fn one(problems: &mut Problems, node: Node<'_>, name: &str, bare: Bare) -> Option<TopCheck> {
    let path = format!("checks.{}", show(name));
    let fields = Fields::of(problems, node, &path, &keys::CHECKS)?;
    Some(TopCheck {
        span: fields.span,
        port: fields.integer(problems, "port"),
        kind: fields.text(problems, "type"),
        times: times(problems, &fields, bare),
        request: request(problems, &fields, bare == Bare::Millis),
        processes: fields.texts(problems, "processes"),
    })
}

/// The rules of `[checks]`. `served` are the groups that have an http_service.
pub(crate) fn check(
    problems: &mut Problems,
    checks: &BTreeMap<String, TopCheck>,
    groups: &GroupNames,
    served: &BTreeSet<&str>,
) {
    for (name, check) in checks {
        let name = show(name);
        let possible = kind(problems, &name, check);
        if let Some(interval) = &check.times.interval
            && interval.value.nanos() < 2_000_000_000
        {
            let message =
                format!("the interval of the check \"{name}\" is {}, below 2s", interval.value);
            problems.add(Code::CheckLimits, interval.span, message);
        }
        if let Some(timeout) = &check.times.timeout
            && timeout.value.nanos() > 60_000_000_000
        {
            let message =
                format!("the timeout of the check \"{name}\" is {}, above 1m", timeout.value);
            problems.add(Code::CheckLimits, timeout.span, message);
        }
        let section = format!("checks.{name}");
        protocol(problems, &section, &check.request);
        groups.warn_unknown(problems, &section, check.processes.as_ref(), "checked nowhere");
        match &check.port {
            Some(port) => valid_port(problems, &format!("checks.{name}.port"), port),
            None if possible => no_port(problems, &name, check, groups, served),
            None => {}
        }
    }
}

/// Whether the check has a type that exists.
fn kind(problems: &mut Problems, name: &str, check: &TopCheck) -> bool {
    let draft = match &check.kind {
        Some(kind) if matches!(kind.value.as_str(), "http" | "tcp") => return true,
        Some(kind) => {
            let message = format!("the check \"{name}\" has the type \"{}\"", show(&kind.value));
            problems.add(Code::CheckType, kind.span, message)
        }
        None => {
            let message = format!("the check \"{name}\" has no type");
            problems.lacks(Code::CheckType, check.span, message)
        }
    };
    draft.hint("write type = \"http\" or type = \"tcp\"");
    false
}

fn no_port(
    problems: &mut Problems,
    name: &str,
    check: &TopCheck,
    groups: &GroupNames,
    served: &BTreeSet<&str>,
) {
    let listed = crate::manifest::written::texts(check.processes.as_ref());
    let lost: Vec<&String> = groups
        .first()
        .iter()
        .filter(|group| groups.matches(group, listed) && !served.contains(group.as_str()))
        .collect();
    if let Some(group) = lost.first() {
        let message = format!(
            "the check \"{name}\" has no port, and the group \"{}\" has no http_service to take it from",
            show(group)
        );
        problems.lacks(Code::CheckWithoutPort, check.span, message).hint("add port = 8080");
    }
}

/// Warns of a protocol that no HTTP check speaks.
pub(crate) fn protocol(problems: &mut Problems, section: &str, request: &Request) {
    if let Some(protocol) = given(request.protocol.as_ref())
        && !matches!(protocol.value.as_str(), "http" | "https")
    {
        let message = format!("`{section}.protocol` is \"{}\"", show(&protocol.value));
        problems.add(Code::BadProtocol, protocol.span, message).hint("write \"http\" or \"https\"");
    }
}

/// Warns of a port that no socket can have.
pub(crate) fn valid_port(problems: &mut Problems, path: &str, port: &At<i64>) {
    if !(1..=65535).contains(&port.value) {
        let message = format!("`{path}` is {}, which is not a port", port.value);
        problems.add(Code::BadPort, port.span, message).hint("ports are 1 to 65535");
    }
}

/// Warns of times that Fly raises or lowers for a check of a service.
pub(crate) fn service_times(problems: &mut Problems, times: &Times) {
    let second = 1_000_000_000;
    let all = [
        ("interval", &times.interval, false),
        ("timeout", &times.timeout, false),
        ("grace_period", &times.grace_period, true),
    ];
    for (name, time, zero_will_do) in all {
        let Some(time) = time else { continue };
        let nanos = time.value.nanos();
        let becomes = match nanos {
            0 if zero_will_do => continue,
            _ if nanos < second => "raised to 1s",
            _ if nanos > 60 * second => "lowered to 1m",
            _ => continue,
        };
        let message = format!("the {name} of a service's check is {}", time.value);
        problems
            .add(Code::CheckDuration, time.span, message)
            .label(becomes)
            .hint("times of service checks are 1s to 1m");
    }
}
