//! Reads a `fly.toml` exactly as flyctl does, and says all that is wrong with it at once.
//!
//! Bytes become text and TOML (`syntax`), the sections as written (`section`), and what they mean
//! for each process group (`group`). What flyctl cannot read gives problems and no manifest.

pub mod argv;
pub mod code;
pub mod duration;
pub mod edit;
pub mod fields;
mod go;
pub mod group;
pub mod keys;
pub mod name;
mod nearest;
mod node;
pub mod place;
pub mod problem;
pub mod quantity;
pub mod resolve;
pub mod schema;
pub mod section;
pub mod syntax;
mod written;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use code::Flyctl;
use duration::Duration;
use fields::{Bare, Fields};
use group::Group;
use node::Node;
use place::At;
use problem::{Problem, Problems, Severity};
use section::build::Build;
use section::checks::TopCheck;
use section::deploy::{Deploy, Strategy};
use section::env::Env;
use section::experimental::Experimental;
use section::files::File;
use section::http::MachineCheck;
use section::metrics::Metrics;
use section::mounts::Mount;
use section::processes::{GroupNames, Processes};
use section::restart::Restart;
use section::services::{HttpService, Service};
use section::statics::Static;
use section::tiedown::Tiedown;
use section::vm::{Guest, Vm};
use section::{
    build, checks, deploy, env, experimental, files, http, metrics, mounts, processes, restart,
    services, statics, tiedown, top, vm,
};
use serde::Serialize;
use syntax::{Mended, Mistake};
use toml_edit::Document;
use written::{empty, given};

/// What came of reading a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The manifest, unless flyctl could not read the file either. It may still break rules:
    /// only without errors among the problems may it be acted on.
    pub manifest: Option<Manifest>,
    /// All problems, in the order of their places.
    pub problems: Vec<Problem>,
    /// The app's name where that alone could be read: an unreadable manifest still says whose it
    /// is.
    pub app: Option<String>,
}

impl Read {
    /// The same with every warning made an error, as `--strict` does.
    #[must_use]
    pub fn strict(self) -> Self {
        let problems = self.problems.into_iter().map(Problem::strict).collect();
        Self { problems, ..self }
    }

    /// Whether `fly config validate` passes for the same file. Errors that only tiedown knows of
    /// do not count.
    #[must_use]
    pub fn passes_flyctl(&self) -> bool {
        self.problems.iter().all(|problem| match problem.flyctl {
            Flyctl::CannotRead | Flyctl::Refuses => false,
            Flyctl::Warns | Flyctl::Silent => true,
        })
    }

    /// Whether any problem is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// One `fly.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// As written, with older forms brought to today's: what flyctl works with.
    pub written: Written,
    /// The names of its process groups.
    pub group_names: GroupNames,
    /// What it means, group by group, in the order of their names.
    pub groups: Vec<Group>,
    /// `[deploy]` worked out.
    pub deploy: DeployMeaning,
    /// `[tiedown]`.
    pub tiedown: Tiedown,
    /// Keys that are given and change nothing in tiedown, by dotted path, in order of place.
    pub not_acted_on: Vec<At<String>>,
}

/// `[deploy]` with its texts worked out; what is not given or cannot be read is absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeployMeaning {
    /// The strategy.
    pub strategy: Option<At<Strategy>>,
    /// Below 1 a share, else a number of instances; more than 0.
    pub max_unavailable: Option<At<f64>>,
    /// How long to wait for an instance.
    pub wait_timeout: Option<At<Duration>>,
    /// The release command, split; not empty.
    pub release_command: Option<At<Vec<String>>>,
    /// How long it may take.
    pub release_command_timeout: Option<At<Duration>>,
    /// The machine it runs on.
    pub release_command_vm: Option<Guest>,
}

/// The sections of a manifest as written, after flyctl's rewriting of older forms. Serialised it
/// is the configuration that flyctl prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Written {
    /// The app's name.
    #[serde(skip_serializing_if = "empty")]
    pub app: Option<At<String>>,
    /// Where new slots go when no scale is given.
    #[serde(skip_serializing_if = "empty")]
    pub primary_region: Option<At<String>>,
    /// Signal that stops an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_signal: Option<At<String>>,
    /// Time until it is killed; a bare number is seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_timeout: Option<At<Duration>>,
    /// Swap in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_size_mb: Option<At<i64>>,
    /// Command of a console.
    #[serde(skip_serializing_if = "empty")]
    pub console_command: Option<At<String>>,
    /// `[experimental]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experimental: Option<Experimental>,
    /// `[build]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// `[deploy]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// `[env]`.
    #[serde(skip_serializing_if = "empty")]
    pub env: Option<Env>,
    /// `[processes]`.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<Processes>,
    /// `[[mounts]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// `[http_service]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_service: Option<HttpService>,
    /// `[[services]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// `[checks]` by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, TopCheck>,
    /// `[[files]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Dedicated host.
    #[serde(skip_serializing_if = "empty")]
    pub host_dedication_id: Option<At<String>>,
    /// Further machine configuration: JSON, or a path ending in `.json`.
    #[serde(skip_serializing_if = "empty")]
    pub machine_config: Option<At<String>>,
    /// Which container gets the image.
    #[serde(skip_serializing_if = "empty")]
    pub container: Option<At<String>>,
    /// Checks by machines of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine_checks: Vec<MachineCheck>,
    /// `[[restart]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<Restart>,
    /// `[[vm]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vm: Vec<Vm>,
    /// `[[statics]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<Static>,
    /// `[[metrics]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metrics>,
}

impl Manifest {
    /// The configuration that `fly config show` prints for the same file.
    #[must_use]
    pub fn config_json(&self) -> serde_json::Value {
        // Maps with text keys, numbers and texts alone: nothing that JSON cannot hold.
        serde_json::to_value(&self.written).unwrap_or_default()
    }

    /// A group by name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}

/// Reads a manifest. `path` is only shown. Never panics, whatever the bytes.
#[must_use]
pub fn read(path: &str, bytes: &[u8]) -> Read {
    let mut problems = Problems::default();
    let mut app = None;
    let text = syntax::decode(&mut problems, bytes);
    let manifest = text.and_then(|text| match syntax::parse(&mut problems, text) {
        Ok(document) => {
            app = name_in(&document);
            of_document(&mut problems, text, &document)
        }
        Err(mistake) => {
            app = behind(&mut problems, text, mistake);
            None
        }
    });
    // Bytes that are no text still have a place for their problem: before the first bad one.
    let shown = text.unwrap_or_else(|| readable_part(bytes));
    Read { manifest, problems: problems.finish(path, shown), app }
}

fn name_in(document: &Document<&str>) -> Option<String> {
    document.get("app").and_then(|item| item.as_str()).map(ToString::to_string)
}

fn of_document(problems: &mut Problems, text: &str, document: &Document<&str>) -> Option<Manifest> {
    syntax::lint(problems, text, document);
    let root = Fields::of(problems, Node::of_table(document.as_table()), "", &keys::ROOT)?;
    let (written, tiedown) = sections(problems, &root);
    if problems.readable() {
        return Some(meaning(problems, written, tiedown));
    }
    // What flyctl cannot make a configuration of has no meaning; what could be read of it is
    // judged all the same, so that everything is told at once.
    check(problems, &written, &tiedown, &GroupNames::of(written.processes.as_ref()));
    problems.forget_lacks();
    None
}

/// Tells what is wrong behind a mistake in the TOML, and gives the app's name if it can be read.
fn behind(problems: &mut Problems, text: &str, mut mistake: Mistake) -> Option<String> {
    let mut mended = Mended::of(text);
    while mended.take_out(mistake) {
        match syntax::parse(problems, mended.text()) {
            Ok(document) => {
                let told = problems.len();
                of_document(problems, mended.text(), &document);
                problems.forget_after(told, |offset| mended.is_out(offset));
                return name_in(&document);
            }
            Err(next) => mistake = next,
        }
    }
    None
}

fn readable_part(bytes: &[u8]) -> &str {
    let bytes = &bytes[..bytes.len().min(syntax::LARGEST)];
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

fn sections(problems: &mut Problems, root: &Fields<'_>) -> (Written, Tiedown) {
    let (experimental, moved) = experimental::read(problems, root);
    let kill_timeout = root.duration(problems, "kill_timeout", Bare::Seconds);
    let moved_timeout = moved.as_ref().and_then(|moved| moved.kill_timeout.clone());
    let written = Written {
        app: root.text(problems, "app"),
        primary_region: root.text(problems, "primary_region"),
        kill_signal: root.text(problems, "kill_signal"),
        kill_timeout: kill_timeout.or(moved_timeout),
        swap_size_mb: root.integer(problems, "swap_size_mb"),
        console_command: root.text(problems, "console_command"),
        experimental,
        build: build::read(problems, root),
        deploy: deploy::read(problems, root),
        env: env::read(problems, root),
        processes: processes::read(problems, root),
        mounts: mounts::read(problems, root),
        http_service: services::http_service(problems, root),
        services: services::services(problems, root),
        checks: checks::read(problems, root),
        files: files::read(problems, root),
        host_dedication_id: root.text(problems, "host_dedication_id"),
        machine_config: root.text(problems, "machine_config"),
        container: root.text(problems, "container"),
        machine_checks: http::machine_checks(problems, root),
        restart: restart::read(problems, root),
        vm: vm::read(problems, root),
        statics: statics::read(problems, root),
        metrics: metrics::read(problems, root, moved.as_ref()),
    };
    (written, tiedown::read(problems, root))
}

fn meaning(problems: &mut Problems, written: Written, tiedown: Tiedown) -> Manifest {
    let names = GroupNames::of(written.processes.as_ref());
    check(problems, &written, &tiedown, &names);
    let groups = group::all(&written, &names);
    let deploy = written.deploy.as_ref().map(deploy_meaning).unwrap_or_default();
    let not_acted_on = inert(core::mem::take(&mut problems.inert));
    Manifest { written, group_names: names, groups, deploy, tiedown, not_acted_on }
}

/// All rules that go beyond single values.
fn check(problems: &mut Problems, written: &Written, tiedown: &Tiedown, names: &GroupNames) {
    top::check(problems, written);
    if let Some(build) = &written.build {
        build::check(problems, build);
    }
    if let Some(processes) = &written.processes {
        processes::check(problems, processes);
    }
    deploy::check(problems, written, tiedown);
    mounts::check(problems, &written.mounts, names);
    let http = written.http_service.as_ref();
    services::check(problems, http, &written.services, names);
    let listed = http.map(|service| written::texts(service.processes.as_ref()));
    let mut served: BTreeSet<&str> = names.first().iter().map(String::as_str).collect();
    served.retain(|name| listed.is_some_and(|listed| names.matches(name, listed)));
    checks::check(problems, &written.checks, names, &served);
    files::check(problems, &written.files, names);
    restart::check(problems, &written.restart, names);
    vm::check(problems, &written.vm, names);
    metrics::check(problems, &written.metrics, names);
    tiedown::check(problems, tiedown, written, names);
}

fn deploy_meaning(deploy: &Deploy) -> DeployMeaning {
    let strategy = given(deploy.strategy.as_ref()).and_then(|text| {
        Strategy::from_name(&text.value).map(|strategy| At::new(strategy, text.span))
    });
    let command = given(deploy.release_command.as_ref()).and_then(|text| {
        let words = argv::split(&text.value).ok().filter(|words| !words.is_empty())?;
        Some(At::new(words, text.span))
    });
    let machine = deploy.release_command_vm.as_ref();
    DeployMeaning {
        strategy,
        max_unavailable: deploy.max_unavailable.clone().filter(|at| at.value > 0.0),
        wait_timeout: deploy.wait_timeout.clone(),
        release_command: command,
        release_command_timeout: deploy.release_command_timeout.clone(),
        release_command_vm: machine.and_then(|vm| vm::guest(vm, &mut Problems::default())),
    }
}

/// Each inert key once, and none inside of another.
fn inert(mut keys: Vec<At<String>>) -> Vec<At<String>> {
    keys.sort_by_key(|key| key.span);
    let mut kept: Vec<At<String>> = Vec::new();
    for key in keys {
        let covers = |other: &At<String>| {
            key.value
                .strip_prefix(other.value.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if !kept.iter().any(covers) {
            kept.push(key);
        }
    }
    kept
}
