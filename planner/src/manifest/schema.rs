//! A JSON Schema of fly.toml with `[tiedown]`, for editors: the keys, effects and classes are those
//! of [`keys::SECTIONS`]; here is only what shape each value has. Older shapes that flyctl reads are
//! allowed; what it refuses and what is no key is not.

use super::duration::Duration;
use super::keys::{self, Class, Key, Section};
use super::section::tiedown::MOST;
use alloc::format;
use alloc::string::{String, ToString};
use serde_json::{Map, Value, json};

/// The schema, of draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let mut sections = Map::new();
    for section in keys::SECTIONS.iter().filter(|section| !section.path.is_empty()) {
        sections.insert(name_of(section.path), table(section));
    }
    let mut root = table(&keys::ROOT);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("fly.toml with [tiedown]");
    root["$defs"] = Value::Object(sections);
    root
}

/// What a section is called among the definitions.
fn name_of(path: &str) -> String {
    path.trim_start_matches("*.").replace(".*", "").replace('.', "_")
}

fn table(section: &Section) -> Value {
    let mut properties = Map::new();
    for key in section.keys {
        let mut shape = shape(section.path, key);
        shape["description"] = format!("{} ({})", key.effect, key.class.as_str()).into();
        if matches!(key.class, Class::Legacy | Class::Retired) {
            shape["deprecated"] = true.into();
        }
        properties.insert(key.name.to_string(), shape);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// The shape of a value. Of keys that nobody reads any more anything will do.
fn shape(section: &str, key: &Key) -> Value {
    if key.class == Class::Retired {
        return json!({});
    }
    match section {
        "" => of_root(key.name),
        "tiedown" | "tiedown.volumes.*" => of_tiedown(key.name),
        "build" | "experimental" | "experimental.attached" | "experimental.attached.secrets" => {
            of_build_and_experimental(key.name)
        }
        "http_service" | "services" | "services.ports" => of_service(section, key.name),
        "*.http_options" | "*.http_options.response" => of_http(key.name),
        _ => plain(key.name),
    }
}

fn of_root(name: &str) -> Value {
    match name {
        "experimental" | "build" | "deploy" | "http_service" | "tiedown" => section(name),
        "mounts" | "mount" => one_or_more(section("mounts")),
        "vm" | "compute" | "computes" => one_or_more(section("vm")),
        "metrics" | "metric" => one_or_more(section("metrics")),
        "services" => one_or_more(section("services")),
        "files" | "restart" | "statics" => several(section(name)),
        "machine_checks" => several(section("*.machine_checks")),
        "env" => one_or_more(json!({ "type": "object" })),
        "processes" => json!({ "anyOf": [map(text()), several(section("processes.*"))] }),
        "checks" => {
            json!({ "anyOf": [map(section("checks.*")), several(section("checks.*"))] })
        }
        _ => plain(name),
    }
}

fn of_build_and_experimental(name: &str) -> Value {
    match name {
        "args" | "export" => map(text()),
        "settings" => json!({ "type": "object" }),
        "compose" => section("build.compose"),
        "attached" => section("experimental.attached"),
        "secrets" => section("experimental.attached.secrets"),
        "buildpacks" => several(text()),
        "cmd" | "entrypoint" | "exec" => json!({ "anyOf": [text(), several(text())] }),
        "compression" => choice(&["gzip", "zstd", ""]),
        "compression_level" => json!({ "type": "integer", "minimum": 0, "maximum": 9 }),
        "metrics_port" | "metrics_path" => json!({}),
        _ => plain(name),
    }
}

fn of_service(parent: &str, name: &str) -> Value {
    match name {
        "concurrency" if parent == "services" => {
            json!({ "anyOf": [section("*.concurrency"), text()] })
        }
        "concurrency" => section("*.concurrency"),
        "internal_port" | "port" if parent != "http_service" => {
            json!({ "type": ["integer", "string"] })
        }
        "ports" => one_or_more(section("services.ports")),
        "tcp_checks" | "http_checks" => one_or_more(section(&format!("services.{name}"))),
        "checks" => several(section("http_service.checks")),
        "machine_checks" => several(section("*.machine_checks")),
        "tls_options" | "http_options" => section(&format!("*.{name}")),
        "proxy_proto_options" => section("services.ports.proxy_proto_options"),
        _ => plain(name),
    }
}

fn of_http(name: &str) -> Value {
    match name {
        "response" => section("*.http_options.response"),
        "replay_cache" => several(section("*.http_options.replay_cache")),
        "headers" => json!({ "type": "object" }),
        "idle_timeout" | "headers_read_timeout" => {
            json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
        }
        _ => plain(name),
    }
}

fn of_tiedown(name: &str) -> Value {
    match name {
        "canary" => choice(&["off", "clone"]),
        "revert" => choice(&["off", "release", "snapshot"]),
        "on_remove" => choice(&["retain", "destroy"]),
        "retention" => json!({ "type": "string", "pattern": "^([0-9]+[wdhms])+$" }),
        "protect" | "fresh" => json!({ "type": "boolean" }),
        "moved" => several(text()),
        "scale" => map(map(json!({ "type": "integer", "minimum": 0, "maximum": MOST }))),
        "volumes" => map(section("tiedown.volumes.*")),
        _ => plain(name),
    }
}

/// Keys that mean the same wherever they stand.
fn plain(name: &str) -> Value {
    match name {
        "swap_size_mb"
        | "memory_mb"
        | "max_memory_mb"
        | "cpus"
        | "gpus"
        | "internal_port"
        | "min_machines_running"
        | "hard_limit"
        | "soft_limit"
        | "start_port"
        | "end_port"
        | "port"
        | "retries"
        | "ttl_seconds"
        | "auto_extend_size_threshold" => {
            json!({ "type": "integer" })
        }
        "snapshot_retention" => json!({ "type": "integer", "minimum": 1, "maximum": 60 }),
        "max_unavailable" => json!({ "type": "number" }),
        "force_https"
        | "auto_start_machines"
        | "default_self_signed"
        | "compress"
        | "h2_backend"
        | "pristine"
        | "allow_bypass"
        | "tls_skip_verify"
        | "https"
        | "scheduled_snapshots"
        | "auto_rollback"
        | "enable_consul"
        | "enable_etcd"
        | "lazy_load_images" => json!({ "type": "boolean" }),
        "auto_stop_machines" => json!({ "enum": [true, false, "off", "stop", "suspend"] }),
        "processes" | "kernel_args" | "handlers" | "alpn" | "versions" => several(text()),
        "command" | "entrypoint" => json!({ "anyOf": [text(), several(text())] }),
        "kill_timeout"
        | "wait_timeout"
        | "release_command_timeout"
        | "interval"
        | "timeout"
        | "grace_period" => duration(),
        "release_command_vm" => section("vm"),
        "strategy" => choice(&["rolling", "canary", "bluegreen", "immediate", ""]),
        "policy" => choice(&["always", "never", "on-failure"]),
        "initial_size" | "memory" => json!({ "type": ["string", "number"] }),
        "persist_rootfs" => json!({ "type": ["string", "integer"] }),
        "headers" => json!({ "anyOf": [{ "type": "object" }, several(header())] }),
        _ => text(),
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// A text with units, or a bare number, which counts something else in each place.
fn duration() -> Value {
    json!({ "type": ["string", "number"], "examples": [Duration::from_seconds(90).to_string()] })
}

fn header() -> Value {
    json!({ "type": "object", "properties": { "name": {}, "value": {} } })
}

fn choice(names: &[&str]) -> Value {
    json!({ "enum": names })
}

fn section(path: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{}", name_of(path)) })
}

fn several(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn map(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

fn one_or_more(one: Value) -> Value {
    json!({ "anyOf": [one.clone(), several(one)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_defined_once_and_referred_to() {
        let schema = schema();
        let defined = schema["$defs"].as_object().unwrap();
        assert_eq!(defined.len(), keys::SECTIONS.len() - 1, "two sections share a name");
        let text = schema.to_string();
        for name in defined.keys() {
            assert!(text.contains(&format!("#/$defs/{name}\"")), "{name} is never referred to");
        }
    }
}
