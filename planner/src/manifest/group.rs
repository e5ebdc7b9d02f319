//! What a manifest means for one process group: everything that is for it, with sizes, commands
//! and machines worked out.

use super::Written;
use super::argv;
use super::duration::Duration;
use super::place::{At, Span};
use super::problem::Problems;
use super::quantity::Quantity;
use super::section::checks::{HttpCheck, Request, Times, TopCheck};
use super::section::files::{File, FileContent};
use super::section::metrics::Metrics;
use super::section::mounts;
use super::section::processes::GroupNames;
use super::section::restart::RestartPolicy;
use super::section::services::{HttpService, Service};
use super::section::vm::{self, Guest};
use super::written::{given, texts};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A process group with all that is for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Whether sections without `processes` are for it.
    pub is_default: bool,
    /// Its command, split; absent where `[processes]` gives none, and the image's is run.
    pub command: Option<At<Vec<String>>>,
    /// Arguments of `[experimental]`, used where there is no command.
    pub cmd: Option<At<Vec<String>>>,
    /// Entrypoint of `[experimental]`, instead of the image's.
    pub entrypoint: Option<At<Vec<String>>>,
    /// What `[experimental]` runs instead of entrypoint and arguments.
    pub exec: Option<At<Vec<String>>>,
    /// Its volumes, in the order of writing.
    pub mounts: Vec<GroupMount>,
    /// Its machine; absent where no `[[vm]]` is for it.
    pub guest: Option<Guest>,
    /// Its services: the http_service first.
    pub services: Vec<GroupService>,
    /// Its checks of `[checks]`, by name.
    pub checks: Vec<Check>,
    /// Its files.
    pub files: Vec<GroupFile>,
    /// What happens when its process ends, where that is said.
    pub restart: Option<GroupRestart>,
    /// Where its metrics are read.
    pub metrics: Option<Metrics>,
}

/// A mount of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMount {
    /// Where it stands.
    pub span: Span,
    /// The volume's name.
    pub source: At<String>,
    /// The path it is mounted at.
    pub destination: At<String>,
    /// The least size in GB (10⁹ bytes), at least 1.
    pub initial_size_gb: Option<At<u64>>,
    /// Days that snapshots are kept, 1 to 60.
    pub snapshot_retention_days: Option<At<i64>>,
    /// Whether snapshots are taken daily.
    pub scheduled_snapshots: Option<At<bool>>,
    /// When and how far it grows by itself.
    pub auto_extend: Option<AutoExtend>,
}

/// How a volume grows by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoExtend {
    /// From this percentage of use on, 50 to 99.
    pub threshold_percent: At<i64>,
    /// By so many GB, 1 to 100.
    pub increment_gb: At<u64>,
    /// Up to so many GB, 1 to 500; Fly does not grow it without.
    pub limit_gb: Option<At<u64>>,
}

/// A service of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupService {
    /// Where it stands.
    pub span: Span,
    /// Whether it is the http_service.
    pub is_http_service: bool,
    /// Port that the app listens on, as given.
    pub internal_port: Option<At<i64>>,
    /// `tcp` or `udp`, as given; `tcp` for the http_service.
    pub protocol: String,
    /// Its checks, without names.
    pub checks: Vec<Check>,
}

/// A check of a group or of one of its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Where it stands.
    pub span: Span,
    /// Its name in `[checks]`; absent for checks of services.
    pub name: Option<String>,
    /// Port that is asked; for services the internal port.
    pub port: Option<i64>,
    /// What is asked.
    pub kind: CheckKind,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time after which it has failed.
    pub timeout: Option<Duration>,
    /// Time after the start in which failures do not count.
    pub grace_period: Option<Duration>,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Whether the port can be connected to.
    Tcp,
    /// Whether the request is answered with success.
    Http(HttpRequest),
}

/// The request of an HTTP check; what is not given is up to the checker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method, in upper case.
    pub method: Option<String>,
    /// Path.
    pub path: Option<String>,
    /// `http` or `https`.
    pub protocol: Option<String>,
    /// Whether any certificate will do.
    pub tls_skip_verify: bool,
    /// Name that the certificate must have.
    pub tls_server_name: Option<String>,
    /// Headers by name.
    pub headers: BTreeMap<String, String>,
}

/// A file of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFile {
    /// Where it stands.
    pub span: Span,
    /// Where it is put.
    pub guest_path: At<String>,
    /// Where its content comes from.
    pub content: FileContent,
}

/// What happens when a group's process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRestart {
    /// Where it stands.
    pub span: Span,
    /// When it is started again.
    pub policy: RestartPolicy,
    /// How often `on-failure` tries; absent for the default.
    pub retries: Option<At<i64>>,
}

/// All groups, in the order of their names.
pub(crate) fn all(written: &Written, names: &GroupNames) -> Vec<Group> {
    names.names.iter().map(|name| one(written, names, name)).collect()
}

fn one(written: &Written, names: &GroupNames, name: &str) -> Group {
    let experimental =
        |pick: fn(&super::section::experimental::Experimental) -> &Option<At<Vec<At<String>>>>| {
            let list = pick(written.experimental.as_ref()?).as_ref()?;
            let values: Vec<String> = list.value.iter().map(|at| at.value.clone()).collect();
            (!values.is_empty()).then(|| At::new(values, list.span))
        };
    Group {
        name: name.to_string(),
        is_default: name == names.default,
        command: command(written, name),
        cmd: experimental(|e| &e.cmd),
        entrypoint: experimental(|e| &e.entrypoint),
        exec: experimental(|e| &e.exec),
        mounts: written
            .mounts
            .iter()
            .filter(|m| names.matches(name, texts(m.processes.as_ref())))
            .filter_map(mount)
            .collect(),
        // Problems of guests were told when the sections were checked.
        guest: vm::for_group(&written.vm, names, name)
            .and_then(|vm| vm::guest(vm, &mut Problems::default())),
        services: services(written, names, name),
        checks: checks(written, names, name),
        files: files(&written.files, names, name),
        restart: restart(written, names, name),
        metrics: written
            .metrics
            .iter()
            .find(|metrics| names.matches(name, texts(metrics.processes.as_ref())))
            .cloned(),
    }
}

fn command(written: &Written, group: &str) -> Option<At<Vec<String>>> {
    let text = given(written.processes.as_ref()?.value.get(group))?;
    let words = argv::split(&text.value).ok()?;
    Some(At::new(words, text.span))
}

fn gigabytes(text: &Option<At<String>>) -> Option<At<u64>> {
    let text = given(text.as_ref())?;
    let size = Quantity::Volume.parse(&text.value).ok()?;
    let size = u64::try_from(size).ok().filter(|size| *size > 0)?;
    Some(At::new(size, text.span))
}

fn mount(mount: &mounts::Mount) -> Option<GroupMount> {
    let threshold = mount.auto_extend_size_threshold.clone().filter(|at| at.value != 0);
    let increment = gigabytes(&mount.auto_extend_size_increment);
    let auto_extend =
        threshold.zip(increment).map(|(threshold_percent, increment_gb)| AutoExtend {
            threshold_percent,
            increment_gb,
            limit_gb: gigabytes(&mount.auto_extend_size_limit),
        });
    Some(GroupMount {
        span: mount.span,
        source: given(mount.source.as_ref())?.clone(),
        destination: given(mount.destination.as_ref())?.clone(),
        initial_size_gb: gigabytes(&mount.initial_size),
        snapshot_retention_days: mount.snapshot_retention.clone(),
        scheduled_snapshots: mount.scheduled_snapshots.clone(),
        auto_extend,
    })
}

fn services(written: &Written, names: &GroupNames, group: &str) -> Vec<GroupService> {
    let http =
        written.http_service.iter().filter(|s| names.matches(group, texts(s.processes.as_ref())));
    let others =
        written.services.iter().filter(|s| names.matches(group, texts(s.processes.as_ref())));
    http.map(of_http_service).chain(others.map(of_service)).collect()
}

fn of_http_service(service: &HttpService) -> GroupService {
    let port = service.internal_port.as_ref().map(|at| at.value);
    GroupService {
        span: service.span,
        is_http_service: true,
        internal_port: service.internal_port.clone(),
        protocol: "tcp".to_string(),
        checks: service.checks.iter().map(|check| of_http_check(check, port)).collect(),
    }
}

fn of_service(service: &Service) -> GroupService {
    let port = service.internal_port.as_ref().map(|at| at.value);
    let tcp = service.tcp_checks.iter();
    let tcp = tcp.map(|check| timed(check.span, None, port, CheckKind::Tcp, &check.times));
    let http = service.http_checks.iter().map(|check| of_http_check(check, port));
    GroupService {
        span: service.span,
        is_http_service: false,
        internal_port: service.internal_port.clone(),
        protocol: service.protocol.as_ref().map(|at| at.value.clone()).unwrap_or_default(),
        checks: tcp.chain(http).collect(),
    }
}

fn of_http_check(check: &HttpCheck, port: Option<i64>) -> Check {
    let kind = CheckKind::Http(http_request(&check.request));
    timed(check.span, None, port, kind, &check.times)
}

fn timed(
    span: Span,
    name: Option<String>,
    port: Option<i64>,
    kind: CheckKind,
    times: &Times,
) -> Check {
    let value = |time: &Option<At<Duration>>| time.as_ref().map(|at| at.value);
    Check {
        span,
        name,
        port,
        kind,
        interval: value(&times.interval),
        timeout: value(&times.timeout),
        grace_period: value(&times.grace_period),
    }
}

fn http_request(request: &Request) -> HttpRequest {
    let text = |text: &Option<At<String>>| text.as_ref().map(|at| at.value.clone());
    let headers = request.headers.iter().flat_map(|map| map.value.iter());
    HttpRequest {
        method: text(&request.method).map(|method| method.to_uppercase()),
        path: text(&request.path),
        protocol: text(&request.protocol),
        tls_skip_verify: request.tls_skip_verify.as_ref().is_some_and(|at| at.value),
        tls_server_name: text(&request.tls_server_name),
        headers: headers.map(|(name, value)| (name.clone(), value.value.clone())).collect(),
    }
}

fn checks(written: &Written, names: &GroupNames, group: &str) -> Vec<Check> {
    let http =
        written.http_service.iter().find(|s| names.matches(group, texts(s.processes.as_ref())));
    let fallback = http.and_then(|service| service.internal_port.as_ref()).map(|at| at.value);
    let of_group = |check: &&TopCheck| names.matches(group, texts(check.processes.as_ref()));
    let all = written.checks.iter().filter(|(_, check)| of_group(check));
    all.filter_map(|(name, check)| {
        let kind = match check.kind.as_ref()?.value.as_str() {
            "http" => CheckKind::Http(http_request(&check.request)),
            "tcp" => CheckKind::Tcp,
            _ => return None,
        };
        let port = check.port.as_ref().map(|at| at.value).or(fallback);
        Some(timed(check.span, Some(name.clone()), port, kind, &check.times))
    })
    .collect()
}

fn files(files: &[File], names: &GroupNames, group: &str) -> Vec<GroupFile> {
    let of_group = files.iter().filter(|f| names.matches(group, texts(f.processes.as_ref())));
    of_group
        .filter_map(|file| {
            let guest_path = given(file.guest_path.as_ref())?.clone();
            Some(GroupFile { span: file.span, guest_path, content: file.content() })
        })
        .collect()
}

fn restart(written: &Written, names: &GroupNames, group: &str) -> Option<GroupRestart> {
    let of_group =
        |r: &&super::section::restart::Restart| names.matches(group, texts(r.processes.as_ref()));
    // The last entry for a group is the one that counts.
    let restart = written.restart.iter().rev().find(of_group)?;
    let policy = RestartPolicy::from_name(&restart.policy.as_ref()?.value)?;
    let retries = restart.retries.clone().filter(|at| at.value != 0);
    Some(GroupRestart { span: restart.span, policy, retries })
}
