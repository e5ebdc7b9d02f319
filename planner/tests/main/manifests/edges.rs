//! Small manifests at the edges of the grammar. What flyctl makes of each is found by name beside
//! the corpus; without it the test says that it was skipped.

use super::corpus::{corpus, machine};
use planner::manifest::read;
use serde_json::Value;
use std::collections::BTreeMap;

/// Name, and the manifest after `app = 'a'`.
const EDGES: &[(&str, &str)] = &[
    ("wait_timeout int", "[deploy]\nwait_timeout = 300"),
    ("wait_timeout str int", "[deploy]\nwait_timeout = '300'"),
    ("wait_timeout 5m", "[deploy]\nwait_timeout = '5m'\nrelease_command_timeout = '90s'"),
    ("kill_timeout int", "kill_timeout = 5"),
    ("kill_timeout float 1.5", "kill_timeout = 1.5"),
    ("kill_timeout str no unit", "kill_timeout = '5'"),
    ("kill_timeout bool", "kill_timeout = true"),
    (
        "http_service.checks int",
        "[http_service]\ninternal_port = 8080\n[[http_service.checks]]\ninterval = 10000\ntimeout = '2s'",
    ),
    ("http_service.internal_port string", "[http_service]\ninternal_port = '8080'"),
    (
        "http_service.checks headers array",
        "[http_service]\ninternal_port = 8080\n[[http_service.checks]]\nheaders = [{name = 'a', value = 'b'}]",
    ),
    (
        "services check int ms",
        "[[services]]\nprotocol = 'tcp'\ninternal_port = 8080\n[[services.ports]]\nport = 80\n\
         [[services.tcp_checks]]\ninterval = 10000\ntimeout = 500",
    ),
    (
        "services single table",
        "[services]\nprotocol = 'tcp'\ninternal_port = '8080'\n[services.ports]\nport = '80'",
    ),
    ("mount single", "[mount]\nsource = 'data'\ndestination = '/data'"),
    (
        "mount + mounts both",
        "[[mounts]]\nsource = 'two'\ndestination = '/2'\n[mount]\nsource = 'one'\ndestination = '/1'",
    ),
    ("mounts empty array", "mounts = []"),
    ("mounts string", "mounts = 'data'"),
    ("mounts initial_size int", "[mounts]\nsource = 'd'\ndestination = '/d'\ninitial_size = 10"),
    ("mounts initial_size float", "[mounts]\nsource = 'd'\ndestination = '/d'\ninitial_size = 1.5"),
    ("mounts initial_size 0", "[mounts]\nsource = 'd'\ndestination = '/d'\ninitial_size = 0"),
    (
        "mounts initial_size 10GiB",
        "[mounts]\nsource = 'd'\ndestination = '/d'\ninitial_size = '10GiB'",
    ),
    (
        "mounts initial_size 1500mb",
        "[mounts]\nsource = 'd'\ndestination = '/d'\ninitial_size = '1500mb'",
    ),
    (
        "mounts auto_extend int increment",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_increment = 1",
    ),
    (
        "mounts auto_extend threshold string",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = '80'",
    ),
    (
        "mounts auto_extend threshold 80.0",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = 80.0\n\
         auto_extend_size_increment = '1GB'",
    ),
    (
        "mounts auto_extend threshold 80.5",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = 80.5\n\
         auto_extend_size_increment = '1GB'",
    ),
    (
        "auto_extend thr+inc no limit",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = 80\n\
         auto_extend_size_increment = '1GB'",
    ),
    (
        "auto_extend thr+limit no inc",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = 80\n\
         auto_extend_size_limit = '5GB'",
    ),
    (
        "auto_extend only thr",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = 80",
    ),
    (
        "auto_extend only limit",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_limit = '5GB'",
    ),
    (
        "auto_extend inc 101 limit 501 thr 49",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = 49\n\
         auto_extend_size_increment = '101GB'\nauto_extend_size_limit = '501GB'",
    ),
    ("mounts no source/dest", "[[mounts]]"),
    ("mounts bad name / dest root", "[mounts]\nsource = 'Bad-Name!'\ndestination = '/'"),
    (
        "mounts unknown process",
        "[processes]\nweb = 'x'\n[mounts]\nsource = 'd'\ndestination = '/d'\nprocesses = ['nope']",
    ),
    ("mounts processes string", "[mounts]\nsource = 'd'\ndestination = '/d'\nprocesses = 'app'"),
    (
        "two mounts same group",
        "[[mounts]]\nsource = 'd'\ndestination = '/d'\n[[mounts]]\nsource = 'e'\ndestination = '/e'",
    ),
    ("snapshot_retention 0", "[mounts]\nsource = 'd'\ndestination = '/d'\nsnapshot_retention = 0"),
    (
        "snapshot_retention 61",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nsnapshot_retention = 61",
    ),
    (
        "snapshot_retention '7'",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nsnapshot_retention = '7'",
    ),
    (
        "scheduled_snapshots 'false'",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nscheduled_snapshots = 'false'",
    ),
    (
        "case-insensitive keys",
        "Primary_Region = 'ord'\n[[mounts]]\nSource = 'd'\nDESTINATION = '/d'",
    ),
    ("Mounts capital section", "[[Mounts]]\nsource = 'd'\ndestination = '/d'"),
    ("Mounts capital table", "[Mounts]\nsource = 'd'\ndestination = '/d'"),
    ("canary+mounts", "[deploy]\nstrategy = 'canary'\n[mounts]\nsource = 'd'\ndestination = '/d'"),
    (
        "bluegreen+mounts",
        "[deploy]\nstrategy = 'bluegreen'\n[mounts]\nsource = 'd'\ndestination = '/d'",
    ),
    ("bad strategy", "[deploy]\nstrategy = 'rolling-eyes'"),
    ("max_unavailable 0/neg", "[deploy]\nmax_unavailable = -1"),
    ("max_unavailable string", "[deploy]\nmax_unavailable = '1'"),
    (
        "env numbers",
        "[env]\nA = 1\nB = 1.0\nC = true\nD = 1979-05-27\nE = 1e10\nF = 0x10\nG = [1, 2]",
    ),
    ("processes non-string", "[processes]\nweb = 1"),
    ("processes empty array", "processes = []"),
    ("vm memory int", "[[vm]]\nmemory = 1024"),
    ("vm memory_mb", "[[vm]]\ncpu_kind = 'shared'\ncpus = 2\nmemory_mb = 1024"),
    ("vm cpus string", "[[vm]]\ncpus = '2'"),
    ("vm kernel_args string (docs)", "[[vm]]\nkernel_args = 'quiet'"),
    ("compute alias", "[compute]\nsize = 'shared-cpu-2x'\n[[vm]]\nsize = 'performance-1x'"),
    ("swap float", "swap_size_mb = 512.0"),
    ("auto_stop bool", "[http_service]\ninternal_port = 80\nauto_stop_machines = true"),
    ("auto_stop bad", "[http_service]\ninternal_port = 80\nauto_stop_machines = 'yes'"),
    ("restart single table", "[restart]\npolicy = 'always'"),
    ("restart max_retries key", "[[restart]]\npolicy = 'on-failure'\nretries = 4\nmax_retries = 9"),
    ("restart 'no'", "[[restart]]\npolicy = 'no'"),
    ("metrics + metric", "[metrics]\nport = 2\n[metric]\nport = 1"),
    ("statics single", "[statics]\nguest_path = '/a'\nurl_prefix = '/b'"),
    ("files single table", "[files]\nguest_path = '/a'"),
    (
        "unknown keys",
        "colour = 'red'\n[[mounts]]\nsource = 'd'\ndestination = '/d'\nsize = 3\n[blub]",
    ),
    ("empty build", "[build]"),
    ("build string", "build = 'x'"),
    ("build_target alias", "[build]\nbuild_target = 'x'"),
    ("docker_build_target", "[build]\ndocker_build_target = 'x'"),
    ("dup key", "app = 'b'"),
    ("mounts redefined as table and array", "mounts = []\n[[mounts]]\nsource = 'd'"),
    ("checks no port no http_service", "[checks.x]\ntype = 'tcp'"),
    ("checks bad type", "[checks.x]\nport = 1\ntype = 'grpc'"),
    (
        "checks interval 1s timeout 61s",
        "[checks.x]\nport = 1\ntype = 'tcp'\ninterval = '1s'\ntimeout = '61s'",
    ),
    (
        "service no processes w/ processes",
        "[processes]\nweb = ''\n[http_service]\ninternal_port = 80",
    ),
    ("experimental kill_timeout", "[experimental]\nkill_timeout = 7\ncmd = 'a b'"),
    ("nan float", "[deploy]\nmax_unavailable = nan"),
];

/// What flyctl said, by name: a configuration, or none, and whether it is valid.
fn answers(text: &str) -> BTreeMap<String, (Option<Value>, bool)> {
    let mut answers = BTreeMap::new();
    for block in text.split("### ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap_or((block, ""));
        let unread = rest.contains("v2UnmarshalError") || rest.contains("LOADERR");
        let mut lines = rest.lines().map(str::trim);
        let config = lines.find(|line| line.starts_with('{'));
        let config = config.and_then(|line| serde_json::from_str(line).ok());
        let valid = rest.contains("validate: <nil>");
        if rest.contains("validate:") || unread {
            answers.insert(name.trim().to_string(), (config.filter(|_| !unread), valid));
        }
    }
    answers
}

#[test]
fn reads_the_edges_as_flyctl_does() {
    let Some(corpus) = corpus() else { return };
    let answers = answers(&std::fs::read_to_string(corpus.join("edges.txt")).unwrap());
    let mut differ = Vec::new();
    for (name, text) in EDGES {
        let (config, valid) = answers.get(*name).unwrap_or_else(|| panic!("no answer: {name}"));
        let read = read("fly.toml", format!("app = 'a'\n{text}\n").as_bytes());
        let ours = read.manifest.as_ref().map(planner::manifest::Manifest::config_json);
        let passes = read.passes_flyctl();
        if ours != *config || passes != *valid {
            differ.push(format!(
                "{name}\n  ours:   {ours:?} {passes}\n  flyctl: {config:?} {valid}\n  {:#?}",
                read.problems
            ));
        }
    }
    println!("edges: {} agree, {} differ", EDGES.len() - differ.len(), differ.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    for (name, bytes) in [("app int", "app = 1\n"), ("bom", "\u{feff}app='a'\n")] {
        assert_eq!(answers.get(name).map(|answer| answer.1), Some(false), "{name}");
        assert_eq!(read("fly.toml", bytes.as_bytes()).manifest, None, "{name}");
    }
}

/// Name, and the manifest after `app = 'a'`, of which flyctl's meaning for each group is known.
const MEANINGS: &[(&str, &str)] = &[
    (
        "mounts no processes, groups web/worker",
        "[processes]\nweb = 'x'\nworker = 'w'\n[mounts]\nsource = 'd'\ndestination = '/d'",
    ),
    (
        "mounts empty string process",
        "[processes]\nweb = 'x'\nworker = 'w'\n[mounts]\nsource = 'd'\ndestination = '/d'\n\
         processes = ['']",
    ),
    (
        "mounts both groups",
        "[processes]\nweb = 'x'\nworker = 'w'\n[mounts]\nsource = 'd'\ndestination = '/d'\n\
         processes = ['web', 'worker']",
    ),
    (
        "mounts unknown group",
        "[processes]\nweb = 'x'\nworker = 'w'\n[mounts]\nsource = 'd'\ndestination = '/d'\n\
         processes = ['nope']",
    ),
    (
        "mounts processes=app with no [processes]",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nprocesses = ['app']",
    ),
    (
        "mounts processes=web with no [processes]",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nprocesses = ['web']",
    ),
    (
        "vm selection",
        "[processes]\nweb = ''\nworker = ''\n[[vm]]\nsize = 'shared-cpu-2x'\n[[vm]]\n\
         size = 'performance-2x'\nprocesses = ['worker']",
    ),
    ("vm memory overrides", "[[vm]]\nsize = 'shared-cpu-4x'\nmemory = '2gb'"),
    ("vm bad size", "[[vm]]\nsize = 'huge'"),
    ("vm memory 0", "[[vm]]\nmemory = 0"),
    ("restart multiple", "[[restart]]\npolicy = 'always'\n[[restart]]\npolicy = 'never'"),
    ("metrics multiple", "[[metrics]]\nport = 1\n[[metrics]]\nport = 2"),
    ("cmd shlex", "[processes]\napp = 'sh -c \"echo hi there\" # nothing'"),
    ("cmd shlex bad", "[processes]\napp = 'sh -c \"echo'"),
    (
        "strict alias keys",
        "[mount]\nsource = 'd'\ndestination = '/d'\n[compute]\nsize = 'shared-cpu-1x'\n\
         [metric]\nport = 1\n[http_service]\ninternal_port = 80\nfoo = 1",
    ),
    (
        "top-level check port from http_service",
        "[http_service]\ninternal_port = 80\n[checks.x]\ntype = 'tcp'",
    ),
    ("top-level check no port", "[checks.x]\ntype = 'tcp'"),
    (
        "auto extend to machine",
        "[mounts]\nsource = 'd'\ndestination = '/d'\nauto_extend_size_threshold = 80\n\
         auto_extend_size_increment = '1GB'\nauto_extend_size_limit = '5GB'",
    ),
];

/// What flyctl makes of each group: `name key=value key=value…`, or the error it ends in.
fn meaning_of(line: &str) -> (&str, Option<BTreeMap<&str, Value>>) {
    let (group, rest) = line.trim().split_once(' ').unwrap();
    if rest.starts_with("ERR ") {
        return (group, None);
    }
    let keys = ["mounts=", " guest=", " init=", " services=", " restart=", " metrics="];
    let starts: Vec<usize> = keys.iter().map(|key| rest.find(key).unwrap()).collect();
    let ends = starts.iter().skip(1).copied().chain([rest.len()]);
    let parts = keys.iter().zip(starts.iter().zip(ends)).map(|(key, (start, end))| {
        let value = serde_json::from_str(&rest[start + key.len()..end]).unwrap();
        (key.trim().trim_end_matches('='), value)
    });
    (group, Some(parts.collect()))
}

#[test]
fn means_for_each_group_what_flyctl_does() {
    let Some(corpus) = corpus() else { return };
    let text = std::fs::read_to_string(corpus.join("edges.txt")).unwrap();
    for (name, manifest) in MEANINGS {
        let block = text.split("### ").find_map(|block| block.strip_prefix(&format!("{name}\n")));
        let block = block.unwrap_or_else(|| panic!("no answer: {name}"));
        let read = read("fly.toml", format!("app = 'a'\n{manifest}\n").as_bytes());
        let ours = read.manifest.as_ref().unwrap();
        let names = format!(
            "groups: [{}] default: {}",
            ours.group_names.names.join(" "),
            ours.group_names.default
        );
        assert_eq!(block.lines().next().unwrap().trim(), names, "{name}");
        let groups = block.lines().skip(1).take(ours.groups.len());
        for (line, group) in groups.zip(&ours.groups) {
            let (theirs, meaning) = meaning_of(line);
            assert_eq!(theirs, group.name, "{name}");
            // What flyctl stumbles over when deploying, tiedown refuses before.
            let Some(meaning) = meaning else {
                assert!(read.has_errors(), "{name}");
                continue;
            };
            let ours = machine(group);
            for key in ["mounts", "guest", "init", "restart"] {
                assert_eq!(ours[key], meaning[key], "{name}: {key}");
            }
            let services = ours["services"].as_array().map_or(0, Vec::len);
            assert_eq!(serde_json::json!(services), meaning["services"], "{name}");
            let metrics = serde_json::to_value(&group.metrics).unwrap();
            assert_eq!(metrics, meaning["metrics"], "{name}");
        }
    }
    println!("edges by group: {} agree, 0 differ", MEANINGS.len());
}

/// Each is read, or not, whether the corpus is there or not.
#[test]
fn each_edge_is_told_of_where_flyctl_is_silent() {
    let code = |text: &str| {
        let read = read("fly.toml", format!("app = 'a'\n{text}\n").as_bytes());
        read.problems.first().map(|problem| problem.code.as_str())
    };
    for (text, expected) in [
        ("[[Mounts]]\nsource = 'd'", Some("ignored-section")),
        ("[deploy]\nwait_timeout = 300", Some("nanoseconds")),
        ("kill_timeout = true", Some("ignored-value")),
        ("colour = 1", Some("unknown-section")),
        ("[[mounts]]\nsource = 'd'\ndestination = '/d'\nsize = 3", Some("unknown-key")),
        ("[vm]\nsize = 'huge'", Some("bad-guest")),
        ("[vm]\nmemory = 0", Some("bad-guest")),
        ("[[services]]", None),
        ("[build]", None),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
}
