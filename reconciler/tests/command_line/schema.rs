//! `tiedown schema` against manifests: what flyctl accepts is by the schema, and every key that is
//! not known is flagged.

use super::manifests::corpus;
use super::repo::Repo;
use jsonschema::Validator;
use planner::manifest::code::Code;
use planner::manifest::{Read, read};
use serde_json::Value;
use std::path::Path;

fn validator() -> Validator {
    let said = Repo::empty().run_untouched(&["schema"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said}");
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn faults(validator: &Validator, text: &str) -> Vec<String> {
    let value: Value = toml_edit::de::from_str(text).unwrap();
    validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// Keys that flyctl ignores, and those it reads in another case: the schema flags them too.
fn has_unknown_keys(read: &Read) -> bool {
    let codes = [
        Code::UnknownKey,
        Code::UnknownSection,
        Code::UnknownTiedownKey,
        Code::KeyCase,
        Code::IgnoredSection,
    ];
    read.problems.iter().any(|problem| codes.contains(&problem.code))
}

#[test]
fn what_flyctl_accepts_is_by_the_schema_and_unknown_keys_are_flagged() {
    let Some(corpus) = corpus() else { return };
    let validator = validator();
    let mut paths: Vec<_> = std::fs::read_dir(corpus.join("manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let (mut good, mut flagged, mut wrong) = (0, 0, Vec::new());
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let read = read("fly.toml", text.as_bytes());
        if !read.passes_flyctl() {
            continue;
        }
        let faults = faults(&validator, &text);
        let name = path.file_name().map(Path::new).unwrap().display();
        match (has_unknown_keys(&read), faults.is_empty()) {
            (false, true) => good += 1,
            (true, false) => flagged += 1,
            (true, true) => wrong.push(format!("{name}: an unknown key is not flagged")),
            (false, false) => wrong.push(format!("{name}: {faults:#?}")),
        }
    }
    println!("schema: {good} by it, {flagged} flagged for unknown keys, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn our_own_manifests_are_by_the_schema() {
    let validator = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/manifests/valid");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(path.join("fly.toml")).unwrap();
        if !has_unknown_keys(&read("fly.toml", text.as_bytes())) {
            assert_eq!(faults(&validator, &text), Vec::<String>::new(), "{}", path.display());
        }
    }
}

#[test]
fn a_key_that_nobody_reads_is_flagged_at_every_depth() {
    let validator = validator();
    let sections = [
        "",
        "build",
        "build.compose",
        "deploy",
        "deploy.release_command_vm",
        "experimental",
        "experimental.attached",
        "experimental.attached.secrets",
        "mounts",
        "mount",
        "vm",
        "compute",
        "http_service",
        "http_service.concurrency",
        "http_service.tls_options",
        "http_service.http_options",
        "http_service.http_options.response",
        "services",
        "services.ports",
        "services.ports.tls_options",
        "services.ports.http_options",
        "services.ports.proxy_proto_options",
        "services.concurrency",
        "services.tcp_checks",
        "services.http_checks",
        "checks.one",
        "metrics",
        "tiedown",
        "tiedown.volumes.data",
    ];
    for section in sections {
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let text = format!("{header}nobody_reads_this = 1\n");
        assert_eq!(faults(&validator, &text).len(), 1, "{text}");
    }
    for section in ["mounts", "vm", "services", "files", "restart", "statics", "machine_checks"] {
        let text = format!("[[{section}]]\nnobody_reads_this = 1\n");
        assert_eq!(faults(&validator, &text).len(), 1, "{text}");
    }
}
