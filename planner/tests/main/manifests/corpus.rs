//! Real manifests with what flyctl makes of each of them. They are not part of the repository:
//! `TIEDOWN_CORPUS` says where they are, and without them the test says that it was skipped.

use planner::manifest::group::{Check, CheckKind, Group};
use planner::manifest::section::restart::RestartPolicy;
use planner::manifest::{Manifest, Read, read};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;

pub(super) fn corpus() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus");
    let path = std::env::var_os("TIEDOWN_CORPUS").map_or_else(|| default.into(), PathBuf::from);
    if path.join("expected.json").exists() {
        return Some(path);
    }
    let path = path.display();
    let why = format!("there is no corpus of manifests at {path}; set TIEDOWN_CORPUS");
    // Past the capture of the test harness.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED, NOT TESTED: {why}");
    None
}

/// Where flyctl is not to be followed: number of the file, respect, reason.
const KNOWN: [(&str, &str, &str); 2] =
    [("243", "meaning", FLATTENED_TWICE), ("422", "meaning", FLATTENED_TWICE)];
const FLATTENED_TWICE: &str = "a check names two groups; flyctl, asked for one group after the \
    other, gives it to the first alone, as if flattening narrowed a list that both share (inferred, \
    not confirmed). It is read for both here, as it is written";

/// How many files agree in one respect, and which do not.
#[derive(Default)]
struct Tally {
    agree: usize,
    differ: Vec<String>,
}

impl Tally {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, file: &str, ours: &T, theirs: &T) {
        if ours == theirs {
            self.agree += 1;
        } else {
            self.differ.push(format!("{file}\n  ours:   {ours:?}\n  flyctl: {theirs:?}"));
        }
    }
}

#[test]
fn reads_every_file_as_flyctl_does() {
    let Some(corpus) = corpus() else { return };
    let expected = std::fs::read_to_string(corpus.join("expected.json")).unwrap();
    let expected: Vec<Value> = serde_json::from_str(&expected).unwrap();
    let mut tallies: [(&str, Tally); 7] =
        ["readable", "config", "groups", "default group", "valid", "meaning", "cannot deploy"]
            .map(|name| (name, Tally::default()));
    for entry in &expected {
        let file = entry["file"].as_str().unwrap();
        let bytes = std::fs::read(corpus.join("manifests").join(file)).unwrap();
        let read = read(file, &bytes);
        let unreadable = entry.get("load_error").is_some() || entry.get("parse_error").is_some();
        tallies[0].1.compare(file, &read.manifest.is_none(), &unreadable);
        let theirs = entry["valid"].as_bool().unwrap();
        tallies[4].1.compare(file, &read.passes_flyctl(), &theirs);
        // What flyctl stumbles over when deploying, tiedown refuses before.
        if entry["machine_config_per_group"].to_string().contains("\"error\":") {
            tallies[6].1.compare(file, &read.has_errors(), &true);
        }
        let Some(manifest) = read.manifest else { continue };
        tallies[1].1.compare(file, &manifest.config_json(), &entry["config"]);
        tallies[2].1.compare(file, &json!(manifest.group_names.names), &entry["groups"]);
        let default = json!(manifest.group_names.default);
        tallies[3].1.compare(file, &default, &entry["default_group"]);
        let theirs = &entry["machine_config_per_group"];
        tallies[5].1.compare(file, &meaning(&manifest, theirs), &relevant(theirs));
    }
    let mut unexpected = 0;
    for (name, tally) in &tallies {
        println!("{name}: {} agree, {} differ", tally.agree, tally.differ.len());
        for text in &tally.differ {
            let known = KNOWN.iter().find(|known| {
                known.1 == *name
                    && text.split_once("__").is_some_and(|(number, _)| number == known.0)
            });
            unexpected += usize::from(known.is_none());
            let (file, _) = text.split_once('\n').unwrap();
            println!("  {}", known.map_or(text.clone(), |known| format!("{file}: {}", known.2)));
        }
    }
    assert_eq!(unexpected, 0, "see the lists above");
}

/// The parts of flyctl's machine configuration that a group of ours speaks of. Groups that flyctl
/// has no configuration for are left out.
fn relevant(machines: &Value) -> Value {
    let mut relevant = Map::new();
    for (group, machine) in machines.as_object().unwrap() {
        if machine.get("error").is_some() || machine.is_string() {
            continue;
        }
        let pick = |keys: &[&str]| {
            let all = keys.iter().map(|key| ((*key).to_string(), machine[*key].clone()));
            all.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>()
        };
        let mut parts = pick(&["mounts", "restart"]);
        parts.insert("init".into(), strip(&machine["init"], &["swap_size_mb", "kernel_args"]));
        if machine["guest"].is_object() {
            let other = ["host_dedication_id", "kernel_args", "gpu_kind", "persist_rootfs"];
            parts.insert("guest".into(), strip(&machine["guest"], &other));
        }
        let services = machine["services"].as_array().map(Vec::as_slice).unwrap_or_default();
        let services: Vec<Value> = services
            .iter()
            .map(|service| {
                let checks = service["checks"].as_array().map_or(0, Vec::len);
                json!([service["internal_port"], service["protocol"], checks])
            })
            .collect();
        parts.insert("services".into(), json!(services));
        let checks = machine["checks"].as_object().cloned().unwrap_or_default();
        let checks: Map<String, Value> =
            checks.into_iter().map(|(name, check)| (name, strip(&check, &[]))).collect();
        parts.insert("checks".into(), json!(checks));
        relevant.insert(group.clone(), Value::Object(parts));
    }
    Value::Object(relevant)
}

fn strip(value: &Value, keys: &[&str]) -> Value {
    let mut map = value.as_object().cloned().unwrap_or_default();
    map.retain(|key, _| !keys.contains(&key.as_str()));
    Value::Object(map)
}

fn meaning(manifest: &Manifest, machines: &Value) -> Value {
    let known = relevant(machines);
    let groups = manifest.groups.iter().filter(|group| known.get(&group.name).is_some());
    groups.map(|group| (group.name.clone(), machine(group))).collect::<Map<_, _>>().into()
}

/// A group in the shape of flyctl's machine configuration.
pub(super) fn machine(group: &Group) -> Value {
    let mut parts = Map::new();
    if !group.mounts.is_empty() {
        let mounts: Vec<Value> = group
            .mounts
            .iter()
            .map(|mount| {
                let mut value =
                    json!({"name": mount.source.value, "path": mount.destination.value});
                if let Some(extend) = &mount.auto_extend {
                    value["extend_threshold_percent"] = json!(extend.threshold_percent.value);
                    value["add_size_gb"] = json!(extend.increment_gb.value);
                    if let Some(limit) = &extend.limit_gb {
                        value["size_gb_limit"] = json!(limit.value);
                    }
                }
                value
            })
            .collect();
        parts.insert("mounts".into(), json!(mounts));
    }
    let mut init = Map::new();
    let commands = [
        ("cmd", group.command.as_ref().or(group.cmd.as_ref())),
        ("entrypoint", group.entrypoint.as_ref()),
        ("exec", group.exec.as_ref()),
    ];
    for (name, argv) in commands {
        if let Some(argv) = argv {
            init.insert(name.into(), json!(argv.value));
        }
    }
    parts.insert("init".into(), Value::Object(init));
    if let Some(guest) = &group.guest {
        let mut value =
            json!({"cpus": guest.cpus, "cpu_kind": guest.cpu_kind, "memory_mb": guest.memory_mib});
        if guest.gpus > 0 {
            value["gpus"] = json!(guest.gpus);
        }
        parts.insert("guest".into(), value);
    }
    let services: Vec<Value> = group
        .services
        .iter()
        .map(|service| {
            let protocol = Some(&service.protocol).filter(|protocol| !protocol.is_empty());
            let port = service.internal_port.as_ref().map(|at| at.value);
            json!([port, protocol, service.checks.len()])
        })
        .collect();
    parts.insert("services".into(), json!(services));
    let checks = group.checks.iter().map(|c| (c.name.clone().unwrap(), check(c)));
    parts.insert("checks".into(), Value::Object(checks.collect()));
    if let Some(restart) = &group.restart {
        let policy = match restart.policy {
            RestartPolicy::Always => "always",
            RestartPolicy::Never => "no",
            RestartPolicy::OnFailure => "on-failure",
        };
        let mut value = json!({"policy": policy});
        if let Some(retries) = &restart.retries {
            value["max_retries"] = json!(retries.value);
        }
        parts.insert("restart".into(), value);
    }
    Value::Object(parts)
}

fn check(check: &Check) -> Value {
    let mut value = Map::new();
    let mut add = |name: &str, part: Option<Value>| {
        value.extend(part.map(|part| (name.to_string(), part)));
    };
    add("port", check.port.map(|port| json!(port)));
    add("interval", check.interval.map(|time| json!(time)));
    add("timeout", check.timeout.map(|time| json!(time)));
    add("grace_period", check.grace_period.map(|time| json!(time)));
    match &check.kind {
        CheckKind::Tcp => add("type", Some(json!("tcp"))),
        CheckKind::Http(request) => {
            add("type", Some(json!("http")));
            add("method", request.method.as_ref().map(|text| json!(text)));
            add("path", request.path.as_ref().map(|text| json!(text)));
            add("protocol", request.protocol.as_ref().map(|text| json!(text)));
            add("tls_server_name", request.tls_server_name.as_ref().map(|text| json!(text)));
            add("tls_skip_verify", request.tls_skip_verify.then_some(json!(true)));
            let headers = request.headers.iter();
            let headers: Vec<Value> =
                headers.map(|(name, value)| json!({"name": name, "values": [value]})).collect();
            add("headers", (!headers.is_empty()).then(|| json!(headers)));
        }
    }
    Value::Object(value)
}

/// Every problem has a place inside of its file, and is not too many lines to read.
#[test]
fn every_problem_of_every_file_has_a_place_and_a_picture() {
    let Some(corpus) = corpus() else { return };
    for entry in std::fs::read_dir(corpus.join("manifests")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let source = String::from_utf8_lossy(&bytes);
        let Read { problems, .. } = read("fly.toml", &bytes);
        for problem in problems {
            let line = source.lines().nth(problem.line - 1).unwrap_or("");
            assert!(problem.column <= line.chars().count() + 1, "{path:?}: {problem:?}");
            let look = planner::manifest::problem::Look::Plain;
            let picture = problem.render(&source, look);
            let place = format!("fly.toml:{}:{}", problem.line, problem.column);
            assert!(picture.contains(&place), "{path:?}: {picture}");
        }
    }
}
