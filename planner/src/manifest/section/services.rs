//! `[http_service]` and `[[services]]`: ports that an app listens on and their checks. Older forms
//! of services have ports as texts and limits as `"soft,hard"`.

use crate::manifest::code::Code;
use crate::manifest::fields::{Bare, Fields, Texts, show};
use crate::manifest::keys;
use crate::manifest::node::{Node, Shape};
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::quantity::integer;
use crate::manifest::section::checks::{self, HttpCheck, TcpCheck};
use crate::manifest::section::http::{
    self, AutoStop, Concurrency, HttpOptions, MachineCheck, TlsOptions,
};
use crate::manifest::section::processes::GroupNames;
use crate::manifest::written::{empty, given, texts};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// `[http_service]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpService {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Port that the app listens on.
    #[serde(skip_serializing_if = "empty")]
    pub internal_port: Option<At<i64>>,
    /// Whether HTTP is sent on to HTTPS.
    #[serde(skip_serializing_if = "empty")]
    pub force_https: Option<At<bool>>,
    /// What becomes of idle machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_stop_machines: Option<At<AutoStop>>,
    /// Whether requests start machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_start_machines: Option<At<bool>>,
    /// How many stay up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_machines_running: Option<At<i64>>,
    /// The groups that serve.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
    /// Limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// TLS at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_options: Option<TlsOptions>,
    /// HTTP at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_options: Option<HttpOptions>,
    /// Checks; bare numbers are nanoseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<HttpCheck>,
    /// Checks by machines of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine_checks: Vec<MachineCheck>,
}

/// One entry of `[[services]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// `tcp` or `udp`.
    #[serde(skip_serializing_if = "empty")]
    pub protocol: Option<At<String>>,
    /// Port that the app listens on.
    #[serde(skip_serializing_if = "empty")]
    pub internal_port: Option<At<i64>>,
    /// What becomes of idle machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_stop_machines: Option<At<AutoStop>>,
    /// Whether requests start machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_start_machines: Option<At<bool>>,
    /// How many stay up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_machines_running: Option<At<i64>>,
    /// Public ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Checks; bare numbers are milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp_checks: Vec<TcpCheck>,
    /// Checks; bare numbers are milliseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_checks: Vec<HttpCheck>,
    /// Checks by machines of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine_checks: Vec<MachineCheck>,
    /// The groups that serve.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
}

/// One entry of `[[services.ports]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Public port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<At<i64>>,
    /// First of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_port: Option<At<i64>>,
    /// Last of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_port: Option<At<i64>>,
    /// Handlers.
    #[serde(skip_serializing_if = "empty")]
    pub handlers: Option<At<Texts>>,
    /// Whether HTTP is sent on to HTTPS.
    #[serde(skip_serializing_if = "empty")]
    pub force_https: Option<At<bool>>,
    /// TLS at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_options: Option<TlsOptions>,
    /// HTTP at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_options: Option<HttpOptions>,
    /// Proxy protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_proto_options: Option<ProxyProtocol>,
}

/// `proxy_proto_options` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyProtocol {
    /// Version.
    #[serde(skip_serializing_if = "empty")]
    pub version: Option<At<String>>,
}

pub(crate) fn http_service(problems: &mut Problems, root: &Fields<'_>) -> Option<HttpService> {
    let entry = root.entry("http_service")?;
    let fields = Fields::of(problems, entry.node, "http_service", &keys::HTTP_SERVICE)?;
    let rows = fields.rows(problems, "checks", false);
    let path = "http_service.checks";
    let checks = rows
        .into_iter()
        .filter_map(|node| checks::http(problems, node, path, &keys::HTTP_CHECK, Bare::Nanos))
        .collect();
    Some(HttpService {
        span: fields.span,
        internal_port: fields.integer(problems, "internal_port"),
        force_https: fields.boolean(problems, "force_https"),
        auto_stop_machines: http::auto_stop(problems, &fields),
        auto_start_machines: fields.boolean(problems, "auto_start_machines"),
        min_machines_running: fields.integer(problems, "min_machines_running"),
        processes: fields.texts(problems, "processes"),
        concurrency: http::concurrency(problems, &fields),
        tls_options: http::tls(problems, &fields),
        http_options: http::http(problems, &fields),
        checks,
        machine_checks: http::machine_checks(problems, &fields),
    })
}

pub(crate) fn services(problems: &mut Problems, root: &Fields<'_>) -> Vec<Service> {
    let patched = root.exact("services").is_some();
    let rows = root.rows(problems, "services", true);
    rows.into_iter()
        .filter(|node| !(patched && Fields::is_empty(*node)))
        .filter_map(|node| service(problems, node, patched))
        .collect()
}

fn service(problems: &mut Problems, node: Node<'_>, patched: bool) -> Option<Service> {
    let fields = Fields::of(problems, node, "services", &keys::SERVICES)?;
    let bare = if patched { Bare::Millis } else { Bare::Nanos };
    let tcp = fields.rows(problems, "tcp_checks", patched);
    let http = fields.rows(problems, "http_checks", patched);
    Some(Service {
        span: fields.span,
        protocol: fields.text(problems, "protocol"),
        internal_port: port_number(problems, &fields, "internal_port", patched),
        auto_stop_machines: http::auto_stop(problems, &fields),
        auto_start_machines: fields.boolean(problems, "auto_start_machines"),
        min_machines_running: fields.integer(problems, "min_machines_running"),
        ports: ports(problems, &fields, patched),
        concurrency: concurrency(problems, &fields, patched),
        tcp_checks: tcp
            .into_iter()
            .filter_map(|node| checks::tcp(problems, node, "services.tcp_checks", bare))
            .collect(),
        http_checks: http
            .into_iter()
            .filter_map(|node| {
                let section = &keys::SERVICE_HTTP_CHECK;
                checks::http(problems, node, "services.http_checks", section, bare)
            })
            .collect(),
        machine_checks: http::machine_checks(problems, &fields),
        processes: fields.texts(problems, "processes"),
    })
}

/// A port as a number or, where flyctl's patches look, as a text or a float that is cut off.
fn port_number(
    problems: &mut Problems,
    fields: &Fields<'_>,
    name: &str,
    patched: bool,
) -> Option<At<i64>> {
    let entry = fields.entry(name)?;
    if !patched || entry.key != name {
        return fields.integer(problems, name);
    }
    let number = match entry.node.shape {
        Shape::Text(text) => integer(text),
        Shape::Float(number) => Some(number as i64),
        _ => return fields.integer(problems, name),
    };
    if number.is_none() {
        fields.wrong(problems, name, entry.node, "a port number");
    }
    number.map(|number| At::new(number, entry.node.span))
}

fn ports(problems: &mut Problems, fields: &Fields<'_>, patched: bool) -> Vec<Port> {
    let rows = fields.rows(problems, "ports", patched);
    rows.into_iter()
        .filter_map(|node| {
            let inner = Fields::of(problems, node, "services.ports", &keys::PORTS)?;
            Some(Port {
                span: inner.span,
                port: port_number(problems, &inner, "port", patched),
                start_port: inner.integer(problems, "start_port"),
                end_port: inner.integer(problems, "end_port"),
                handlers: inner.texts(problems, "handlers"),
                force_https: inner.boolean(problems, "force_https"),
                tls_options: http::tls(problems, &inner),
                http_options: http::http(problems, &inner),
                proxy_proto_options: proxy_protocol(problems, &inner),
            })
        })
        .collect()
}

fn proxy_protocol(problems: &mut Problems, fields: &Fields<'_>) -> Option<ProxyProtocol> {
    let node = fields.entry("proxy_proto_options")?.node;
    let path = fields.path_of("proxy_proto_options");
    let inner = Fields::of(problems, node, &path, &keys::PROXY_PROTO)?;
    Some(ProxyProtocol { version: inner.text(problems, "version") })
}

fn concurrency(problems: &mut Problems, fields: &Fields<'_>, patched: bool) -> Option<Concurrency> {
    let entry = fields.entry("concurrency")?;
    let Some(text) = entry.node.text().filter(|_| patched && entry.key == "concurrency") else {
        return http::concurrency(problems, fields);
    };
    let span = entry.node.span;
    let limits =
        text.split_once(',').and_then(|(soft, hard)| Some((integer(soft)?, integer(hard)?)));
    let Some((soft, hard)) = limits else {
        let message = format!("`services.concurrency` cannot be \"{}\"", show(text));
        fields
            .bad(problems, Code::BadValue, span, message)
            .hint("write { type = \"requests\", soft_limit = 20, hard_limit = 25 }");
        return None;
    };
    Some(Concurrency {
        kind: Some(At::new("requests".to_string(), span)),
        hard_limit: Some(At::new(hard, span)),
        soft_limit: Some(At::new(soft, span)),
    })
}

/// The rules of `[http_service]` and `[[services]]`.
pub(crate) fn check(
    problems: &mut Problems,
    http: Option<&HttpService>,
    services: &[Service],
    groups: &GroupNames,
) {
    if let Some(http) = http {
        served(problems, "http_service", http.span, http.processes.as_ref(), groups);
        internal(problems, "http_service", http.span, http.internal_port.as_ref());
        limits(problems, "http_service", http.concurrency.as_ref());
        for check in &http.checks {
            checks::service_times(problems, &check.times);
            checks::protocol(problems, "http_service.checks", &check.request);
        }
    }
    for service in services {
        served(problems, "services", service.span, service.processes.as_ref(), groups);
        internal(problems, "services", service.span, service.internal_port.as_ref());
        if service.ports.is_empty() {
            let message = "a service without ports cannot be reached on Fly";
            problems
                .lacks(Code::ServiceWithoutPorts, service.span, message)
                .hint("add [[services.ports]]");
        }
        public(problems, service);
        limits(problems, "services", service.concurrency.as_ref());
        for check in &service.http_checks {
            checks::protocol(problems, "services.http_checks", &check.request);
        }
        let tcp = service.tcp_checks.iter().map(|check| &check.times);
        let http = service.http_checks.iter().map(|check| &check.times);
        for times in tcp.chain(http) {
            checks::service_times(problems, times);
        }
    }
}

/// What a service is reached by.
fn public(problems: &mut Problems, service: &Service) {
    if let Some(protocol) = given(service.protocol.as_ref())
        && !matches!(protocol.value.as_str(), "tcp" | "udp")
    {
        let message = format!("`services.protocol` is \"{}\"", show(&protocol.value));
        problems
            .add(Code::BadProtocol, protocol.span, message)
            .hint("write \"tcp\" or \"udp\"; HTTP is a handler of a port: handlers = [\"http\"]");
    }
    for port in &service.ports {
        let ends = [&port.port, &port.start_port, &port.end_port];
        for (name, end) in ["port", "start_port", "end_port"].into_iter().zip(ends) {
            if let Some(end) = end {
                checks::valid_port(problems, &format!("services.ports.{name}"), end);
            }
        }
    }
}

fn limits(problems: &mut Problems, section: &str, limits: Option<&Concurrency>) {
    let Some(limits) = limits else { return };
    if let Some(kind) = given(limits.kind.as_ref())
        && !matches!(kind.value.as_str(), "connections" | "requests")
    {
        let message = format!("`{section}.concurrency.type` is \"{}\"", show(&kind.value));
        problems
            .add(Code::BadConcurrency, kind.span, message)
            .hint("write \"connections\" or \"requests\"");
    }
    if let (Some(soft), Some(hard)) = (&limits.soft_limit, &limits.hard_limit)
        && hard.value != 0
        && soft.value > hard.value
    {
        let message = format!(
            "the soft limit of `{section}` is {}, above the hard one of {}",
            soft.value, hard.value
        );
        problems.add(Code::BadConcurrency, soft.span, message);
    }
}

fn internal(problems: &mut Problems, section: &str, span: Span, port: Option<&At<i64>>) {
    match port {
        Some(port) => checks::valid_port(problems, &format!("{section}.internal_port"), port),
        None => {
            let message = format!("`{section}` has no internal_port");
            problems
                .lacks(Code::BadPort, span, message)
                .hint("add the port that the app listens on: internal_port = 8080");
        }
    }
}

fn served(
    problems: &mut Problems,
    section: &str,
    span: Span,
    listed: Option<&At<Texts>>,
    groups: &GroupNames,
) {
    let names = texts(listed);
    if names.is_empty() && groups.declared {
        let shown: Vec<String> =
            groups.names.iter().take(8).map(|name| format!("\"{}\"", show(name))).collect();
        let message = format!("`{section}` does not say which process groups serve it");
        problems
            .lacks(Code::ServiceGroup, span, message)
            .hint(format!("add processes = [...] with one or more of {}", shown.join(", ")));
    }
    for name in names.iter().filter(|name| !groups.has(&name.value)) {
        let message = format!(
            "`{section}` names the process group \"{}\", which does not exist",
            show(&name.value)
        );
        problems.lacks(Code::ServiceGroup, name.span, message).hint(groups.hint(&name.value));
    }
}
