//! The table itself.

use super::Class::{
    Inert, Legacy, Live, Placement, Restarts, Retired, Steering, Table, TiedownOnly,
};
use super::{Class, Key, Section};

const fn key(name: &'static str, class: Class, effect: &'static str) -> Key {
    Key { name, class, effect }
}

/// The top of a manifest.
pub const ROOT: Section = Section {
    path: "",
    keys: &[
        key("app", Steering, "the app's name"),
        key(
            "primary_region",
            Placement,
            "where new slots go when no scale is given; also PRIMARY_REGION",
        ),
        key("kill_signal", Restarts, "signal that stops an instance"),
        key("kill_timeout", Restarts, "time until it is killed; a bare number is seconds"),
        key("swap_size_mb", Restarts, "swap of the guest"),
        key("console_command", Inert, "command of a console"),
        key("host_dedication_id", Inert, "dedicated host"),
        key("machine_config", Inert, "further machine configuration"),
        key("container", Inert, "which container gets the image"),
        key("experimental", Table, "commands and switches"),
        key("build", Table, "what the app is built from"),
        key("deploy", Table, "how a release is rolled out"),
        key("env", Restarts, "environment variables"),
        key("processes", Table, "commands by process group"),
        key("mounts", Table, "volumes and where they are mounted"),
        key("mount", Legacy, "`mounts`"),
        key("http_service", Table, "the one web service"),
        key("services", Table, "services with their ports"),
        key("checks", Table, "checks by name"),
        key("files", Table, "files that are put into instances"),
        key("machine_checks", Inert, "checks by machines of their own"),
        key("restart", Table, "what happens when the process ends"),
        key("vm", Table, "processors and memory"),
        key("compute", Legacy, "`vm`"),
        key("computes", Legacy, "`vm`"),
        key("statics", Inert, "files served by Fly's proxy"),
        key("metrics", Inert, "where metrics are read"),
        key("metric", Inert, "`metrics`"),
        key("tiedown", Table, "what fly.toml has no key for"),
    ],
};

/// `build`.
pub const BUILD: Section = Section {
    path: "build",
    keys: &[
        key("builder", Inert, "buildpack builder"),
        key("args", Restarts, "build arguments"),
        key("buildpacks", Inert, "buildpacks"),
        key("image", Restarts, "image to run instead of building"),
        key("settings", Inert, "settings of a builtin"),
        key("builtin", Inert, "ready-made Dockerfile"),
        key("dockerfile", Restarts, "Dockerfile, beside the manifest"),
        key("ignorefile", Restarts, "ignore file, beside the manifest"),
        key("build-target", Restarts, "stage of the Dockerfile"),
        key("build_target", Legacy, "`build-target`"),
        key("compose", Inert, "compose file"),
        key("compression", Inert, "compression of layers"),
        key("compression_level", Inert, "level of compression"),
        key("docker_build_target", Retired, "stage of the Dockerfile"),
    ],
};

/// `build.compose`.
pub const COMPOSE: Section =
    Section { path: "build.compose", keys: &[key("file", Inert, "the compose file")] };

/// `deploy`.
pub const DEPLOY: Section = Section {
    path: "deploy",
    keys: &[
        key("strategy", Steering, "rolling, canary, bluegreen or immediate"),
        key("max_unavailable", Steering, "share or number of instances that may be down"),
        key("wait_timeout", Steering, "how long to wait for an instance to be healthy"),
        key("release_command", Steering, "command that runs once before a release"),
        key("release_command_timeout", Steering, "how long it may take"),
        key("release_command_vm", Steering, "the machine it runs on"),
        key("seed_command", Inert, "command of the first launch"),
    ],
};

/// `experimental`.
pub const EXPERIMENTAL: Section = Section {
    path: "experimental",
    keys: &[
        key("cmd", Restarts, "arguments, where the group has no command"),
        key("entrypoint", Restarts, "entrypoint of the image"),
        key("exec", Restarts, "what runs instead of entrypoint and arguments"),
        key("auto_rollback", Inert, "withdrawn"),
        key("enable_consul", Inert, "a Consul of Fly's"),
        key("enable_etcd", Inert, "an etcd of Fly's"),
        key("lazy_load_images", Inert, "withdrawn"),
        key("attached", Inert, "secrets of attached apps"),
        key("machine_config", Inert, "further machine configuration"),
        key("kill_timeout", Legacy, "`kill_timeout` of the top"),
        key("metrics_port", Inert, "`port` of `metrics`"),
        key("metrics_path", Inert, "`path` of `metrics`"),
        key("allowed_public_ports", Retired, "ports open to everyone"),
        key("private_network", Retired, "private networking"),
        key("use_zstd", Retired, "compression"),
    ],
};

/// `experimental.attached`.
pub const ATTACHED: Section =
    Section { path: "experimental.attached", keys: &[key("secrets", Inert, "secrets")] };

/// `experimental.attached.secrets`.
pub const SECRETS: Section = Section {
    path: "experimental.attached.secrets",
    keys: &[key("export", Inert, "names that secrets are exported under")],
};

/// `processes.*`.
pub const PROCESS: Section = Section {
    path: "processes.*",
    keys: &[
        key("name", Legacy, "the key of `[processes]`"),
        key("command", Legacy, "the value of `[processes]`"),
    ],
};

/// `mounts`.
pub const MOUNTS: Section = Section {
    path: "mounts",
    keys: &[
        key("source", Restarts, "the volume's name"),
        key("destination", Restarts, "where it is mounted"),
        key("initial_size", Live, "the least size of the volume; a bare number is GB"),
        key("snapshot_retention", Inert, "days that snapshots are kept"),
        key("scheduled_snapshots", Inert, "whether snapshots are taken daily"),
        key("auto_extend_size_threshold", Inert, "percentage from which the volume grows"),
        key("auto_extend_size_increment", Inert, "by how much it grows"),
        key("auto_extend_size_limit", Inert, "up to which size it grows"),
        key("processes", Restarts, "the groups that mount it; the default group when not given"),
    ],
};

/// `vm`.
pub const VM: Section = Section {
    path: "vm",
    keys: &[
        key("size", Restarts, "preset of processors and memory; shared-cpu-1x when not given"),
        key("memory", Restarts, "memory, over the preset's; a bare number is MiB"),
        key("cpu_kind", Inert, "kind of processors"),
        key("cpus", Restarts, "number of processors, over the preset's"),
        key("memory_mb", Restarts, "memory in MiB, over `memory`"),
        key("max_memory_mb", Inert, "memory that may be grown to"),
        key("gpus", Inert, "number of GPUs"),
        key("gpu_kind", Inert, "kind of GPUs"),
        key("host_dedication_id", Inert, "dedicated host"),
        key("persist_rootfs", Inert, "whether the root file system outlives a restart"),
        key("kernel_args", Inert, "arguments of the guest's kernel"),
        key("processes", Restarts, "the groups it is for; all when not given"),
    ],
};

/// `http_service`.
pub const HTTP_SERVICE: Section = Section {
    path: "http_service",
    keys: &[
        key("internal_port", Live, "port that the app listens on"),
        key("force_https", Inert, "whether HTTP is sent on to HTTPS"),
        key("auto_stop_machines", Inert, "whether idle machines stop"),
        key("auto_start_machines", Inert, "whether requests start machines"),
        key("min_machines_running", Inert, "how many stay up"),
        key("processes", Live, "the groups that serve"),
        key("concurrency", Inert, "limits of connections or requests"),
        key("tls_options", Inert, "TLS at the proxy"),
        key("http_options", Inert, "HTTP at the proxy"),
        key("checks", Table, "checks"),
        key("machine_checks", Inert, "checks by machines of their own"),
    ],
};

/// `services`.
pub const SERVICES: Section = Section {
    path: "services",
    keys: &[
        key("protocol", Live, "tcp or udp"),
        key("internal_port", Live, "port that the app listens on"),
        key("auto_stop_machines", Inert, "whether idle machines stop"),
        key("auto_start_machines", Inert, "whether requests start machines"),
        key("min_machines_running", Inert, "how many stay up"),
        key("ports", Inert, "public ports"),
        key("concurrency", Inert, "limits of connections or requests"),
        key("tcp_checks", Table, "checks"),
        key("http_checks", Table, "checks"),
        key("machine_checks", Inert, "checks by machines of their own"),
        key("processes", Live, "the groups that serve"),
        key("script_checks", Retired, "checks by commands"),
        key("force_https", Retired, "see `ports`"),
    ],
};

/// `services.ports`.
pub const PORTS: Section = Section {
    path: "services.ports",
    keys: &[
        key("port", Inert, "public port"),
        key("start_port", Inert, "first of a range"),
        key("end_port", Inert, "last of a range"),
        key("handlers", Inert, "tls, http, proxy_proto and so on"),
        key("force_https", Inert, "whether HTTP is sent on to HTTPS"),
        key("tls_options", Inert, "TLS at the proxy"),
        key("http_options", Inert, "HTTP at the proxy"),
        key("proxy_proto_options", Inert, "proxy protocol"),
    ],
};

/// `services.ports.proxy_proto_options`.
pub const PROXY_PROTO: Section = Section {
    path: "services.ports.proxy_proto_options",
    keys: &[key("version", Inert, "version of the protocol")],
};

/// `*.tls_options`.
pub const TLS_OPTIONS: Section = Section {
    path: "*.tls_options",
    keys: &[
        key("alpn", Inert, "protocols"),
        key("versions", Inert, "versions"),
        key("default_self_signed", Inert, "a certificate of its own"),
    ],
};

/// `*.http_options`.
pub const HTTP_OPTIONS: Section = Section {
    path: "*.http_options",
    keys: &[
        key("compress", Inert, "compression"),
        key("response", Inert, "headers of answers"),
        key("h2_backend", Inert, "HTTP/2 to the app"),
        key("idle_timeout", Inert, "seconds a connection may idle"),
        key("headers_read_timeout", Inert, "seconds for the headers"),
        key("replay_cache", Inert, "cache of replays"),
    ],
};

/// `*.http_options.response`.
pub const HTTP_RESPONSE: Section = Section {
    path: "*.http_options.response",
    keys: &[
        key("headers", Inert, "headers set or taken away"),
        key("pristine", Inert, "no headers of Fly's"),
    ],
};

/// `*.http_options.replay_cache`.
pub const REPLAY_CACHE: Section = Section {
    path: "*.http_options.replay_cache",
    keys: &[
        key("path_prefix", Inert, "paths"),
        key("ttl_seconds", Inert, "time kept"),
        key("type", Inert, "cookie or header"),
        key("name", Inert, "name of the cookie or header"),
        key("allow_bypass", Inert, "whether it may be passed by"),
    ],
};

/// `*.concurrency`.
pub const CONCURRENCY: Section = Section {
    path: "*.concurrency",
    keys: &[
        key("type", Inert, "connections or requests"),
        key("hard_limit", Inert, "most at once"),
        key("soft_limit", Inert, "from here on others are preferred"),
    ],
};

/// `services.tcp_checks`.
pub const TCP_CHECK: Section = Section {
    path: "services.tcp_checks",
    keys: &[
        key("interval", Live, "time between two checks"),
        key("timeout", Live, "time after which a check has failed"),
        key("grace_period", Live, "time after the start in which failures do not count"),
        key("restart_limit", Retired, "restarts after so many failures"),
    ],
};

/// `services.http_checks`.
pub const SERVICE_HTTP_CHECK: Section = Section {
    path: "services.http_checks",
    keys: &[
        key("interval", Live, "time between two checks"),
        key("timeout", Live, "time after which a check has failed"),
        key("grace_period", Live, "time after the start in which failures do not count"),
        key("method", Live, "HTTP method"),
        key("path", Live, "path that is asked for"),
        key("protocol", Live, "http or https"),
        key("tls_skip_verify", Live, "whether any certificate will do"),
        key("tls_server_name", Live, "name that the certificate must have"),
        key("headers", Live, "headers that are sent"),
        key("restart_limit", Retired, "restarts after so many failures"),
    ],
};

/// `http_service.checks`.
pub const HTTP_CHECK: Section = Section {
    path: "http_service.checks",
    keys: &[
        key("interval", Live, "time between two checks"),
        key("timeout", Live, "time after which a check has failed"),
        key("grace_period", Live, "time after the start in which failures do not count"),
        key("method", Live, "HTTP method"),
        key("path", Live, "path that is asked for"),
        key("protocol", Live, "http or https"),
        key("tls_skip_verify", Live, "whether any certificate will do"),
        key("tls_server_name", Live, "name that the certificate must have"),
        key("headers", Live, "headers that are sent"),
        key("restart_limit", Retired, "restarts after so many failures"),
    ],
};

/// `checks.*`.
pub const CHECKS: Section = Section {
    path: "checks.*",
    keys: &[
        key("port", Live, "port that is asked; the http_service's when not given"),
        key("type", Live, "http or tcp"),
        key("interval", Live, "time between two checks"),
        key("timeout", Live, "time after which a check has failed"),
        key("grace_period", Live, "time after the start in which failures do not count"),
        key("method", Live, "HTTP method"),
        key("path", Live, "path that is asked for"),
        key("protocol", Live, "http or https"),
        key("tls_skip_verify", Live, "whether any certificate will do"),
        key("tls_server_name", Live, "name that the certificate must have"),
        key("headers", Live, "headers that are sent"),
        key("processes", Live, "the groups that are checked"),
        key("name", Legacy, "the key of `[checks]`"),
        key("restart_limit", Retired, "restarts after so many failures"),
        key("command", Retired, "command of a script check"),
        key("args", Retired, "arguments of a script check"),
    ],
};

/// `*.machine_checks`.
pub const MACHINE_CHECK: Section = Section {
    path: "*.machine_checks",
    keys: &[
        key("command", Inert, "command"),
        key("image", Inert, "image"),
        key("entrypoint", Inert, "entrypoint"),
        key("kill_signal", Inert, "signal"),
        key("kill_timeout", Inert, "time until it is killed"),
    ],
};

/// `restart`.
pub const RESTART: Section = Section {
    path: "restart",
    keys: &[
        key("policy", Restarts, "always, never or on-failure"),
        key("retries", Restarts, "how often on-failure tries"),
        key("processes", Restarts, "the groups it is for"),
        key("max_retries", Retired, "`retries`"),
    ],
};

/// `files`.
pub const FILES: Section = Section {
    path: "files",
    keys: &[
        key("guest_path", Restarts, "where the file is put"),
        key("local_path", Restarts, "the file in the repository"),
        key("secret_name", Restarts, "the secret that is its content"),
        key("raw_value", Restarts, "its content"),
        key("processes", Restarts, "the groups it is for"),
    ],
};

/// `statics`.
pub const STATICS: Section = Section {
    path: "statics",
    keys: &[
        key("guest_path", Inert, "directory"),
        key("url_prefix", Inert, "prefix"),
        key("tigris_bucket", Inert, "bucket"),
        key("index_document", Inert, "page of a directory"),
    ],
};

/// `metrics`.
pub const METRICS: Section = Section {
    path: "metrics",
    keys: &[
        key("port", Inert, "port"),
        key("path", Inert, "path"),
        key("https", Inert, "whether by HTTPS"),
        key("processes", Inert, "the groups it is for"),
    ],
};

/// `tiedown`.
pub const TIEDOWN: Section = Section {
    path: "tiedown",
    keys: &[
        key(
            "source",
            TiedownOnly,
            "the tree that the app is released from; the manifest's directory when not given",
        ),
        key("canary", TiedownOnly, "off, or clone: a canary on a thin clone"),
        key(
            "revert",
            TiedownOnly,
            "off, release or snapshot: what a slot goes back to whose release fails",
        ),
        key(
            "on_remove",
            TiedownOnly,
            "retain or destroy: what becomes of volumes no longer wanted",
        ),
        key("retention", TiedownOnly, "how long they are kept"),
        key("protect", TiedownOnly, "whether volumes are kept from destruction"),
        key("moved", TiedownOnly, "former names: old-app, group:old=new, source:old=new"),
        key("scale", TiedownOnly, "slots by group and region"),
        key("volumes", TiedownOnly, "settings of one volume, by source"),
    ],
};

/// `tiedown.volumes.*`.
pub const TIEDOWN_VOLUME: Section = Section {
    path: "tiedown.volumes.*",
    keys: &[
        key("on_remove", TiedownOnly, "retain or destroy"),
        key("retention", TiedownOnly, "how long it is kept"),
        key("protect", TiedownOnly, "whether it is kept from destruction"),
        key("moved", TiedownOnly, "former names of the source"),
        key(
            "adopt",
            TiedownOnly,
            "what a slot takes with its data: a retired volume by its id, or what is foreign by its host's name for it",
        ),
        key("fresh", TiedownOnly, "whether an empty volume is wanted where one with data was"),
    ],
};

/// Every section.
pub const SECTIONS: &[Section] = &[
    ROOT,
    BUILD,
    COMPOSE,
    DEPLOY,
    EXPERIMENTAL,
    ATTACHED,
    SECRETS,
    PROCESS,
    MOUNTS,
    VM,
    HTTP_SERVICE,
    SERVICES,
    PORTS,
    PROXY_PROTO,
    TLS_OPTIONS,
    HTTP_OPTIONS,
    HTTP_RESPONSE,
    REPLAY_CACHE,
    CONCURRENCY,
    TCP_CHECK,
    SERVICE_HTTP_CHECK,
    HTTP_CHECK,
    CHECKS,
    MACHINE_CHECK,
    RESTART,
    FILES,
    STATICS,
    METRICS,
    TIEDOWN,
    TIEDOWN_VOLUME,
];
