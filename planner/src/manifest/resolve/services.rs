//! Ports and checks of a group as meant.

use super::millis;
use crate::manifest::code::Code;
use crate::manifest::duration::Duration;
use crate::manifest::group::{Check as Written, CheckKind, Group, HttpRequest};
use crate::manifest::problem::Problems;
use crate::model::health::{Check, Probe};
use crate::model::network::Port;
use crate::model::time::Millis;
use alloc::string::String;
use alloc::vec::Vec;
use smol_str::{SmolStr, format_smolstr};

/// Fly's defaults for checks.
const INTERVAL: Millis = Millis::from_secs(10);
const TIMEOUT: Millis = Millis::from_secs(2);
const GRACE_PERIOD: Millis = Millis::from_secs(1);
/// Shorter times are raised to this, as Fly does.
const SHORTEST: Millis = Millis::from_secs(1);

/// Ports that services and checks name, each once.
pub(super) fn ports(group: &Group) -> Vec<Port> {
    let services =
        group.services.iter().filter_map(|s| s.internal_port.as_ref()).map(|at| at.value);
    let checks = group.checks.iter().filter_map(|check| check.port);
    let mut ports: Vec<Port> = services.chain(checks).filter_map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Checks of services first, then those of `[checks]`.
pub(super) fn checks(group: &Group, problems: &mut Problems) -> Vec<Check> {
    let services = group.services.iter().flat_map(|service| &service.checks);
    let all = services.chain(&group.checks);
    all.filter_map(|written| check(written, problems)).collect()
}

fn check(written: &Written, problems: &mut Problems) -> Option<Check> {
    let Some(port) = written.port.and_then(port) else {
        problems
            .add(Code::CheckWithoutPort, written.span, "the check has no port from 1 to 65535")
            .hint("give it a `port`, or its service an `internal_port`");
        return None;
    };
    let or = |time: Option<Duration>, default: Millis| time.map_or(default, millis);
    let probe = match &written.kind {
        CheckKind::Tcp => Probe::Tcp,
        CheckKind::Http(request) => http(request),
    };
    let kind = match &probe {
        Probe::Tcp => "tcp".into(),
        Probe::Http { method, path, .. } => format_smolstr!("{method} {path}"),
    };
    let named = written.name.as_ref().map(SmolStr::new);
    Some(Check {
        name: named.unwrap_or_else(|| format_smolstr!("{kind} on {port}")),
        port,
        probe,
        interval: or(written.interval, INTERVAL).max(SHORTEST),
        timeout: or(written.timeout, TIMEOUT).max(SHORTEST),
        grace_period: or(written.grace_period, GRACE_PERIOD),
    })
}

fn http(request: &HttpRequest) -> Probe {
    let or = |text: &Option<String>, default: &'static str| {
        let text = text.as_ref().filter(|text| !text.is_empty());
        text.map_or(SmolStr::new_static(default), SmolStr::new)
    };
    let path = or(&request.path, "/");
    Probe::Http {
        method: or(&request.method, "GET"),
        path: if path.starts_with('/') { path } else { format_smolstr!("/{path}") },
        protocol: or(&request.protocol, "http"),
        headers: request.headers.clone(),
        tls_skip_verify: request.tls_skip_verify,
        tls_server_name: request.tls_server_name.clone().filter(|name| !name.is_empty()),
    }
}

fn port(number: i64) -> Option<Port> {
    u16::try_from(number).ok().filter(|port| *port > 0).map(Port)
}
