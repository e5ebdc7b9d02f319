//! Manifests with what is made of them: `testdata/manifests/invalid/MISTAKE` holds a broken one and
//! its problems as text, `valid/NAME` a good one, the configuration that flyctl prints for it, and
//! what it means group by group. `UPDATE_EXPECT=1` writes the answers anew.

use planner::manifest::code::Code;
use planner::manifest::group::{Check, CheckKind};
use planner::manifest::problem::{Look, Problem, render_all};
use planner::manifest::{Manifest, read};
use std::path::{Path, PathBuf};

const GOOD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/manifests/valid");
const MISTAKES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/manifests/invalid");

#[test]
fn every_mistake_has_its_exact_message() {
    let mistakes = directories(MISTAKES);
    assert!(mistakes.len() >= 25, "only {} mistakes", mistakes.len());
    let problems = |path: &Path| {
        let bytes = std::fs::read(path.join("fly.toml")).unwrap();
        let read = read("fly.toml", &bytes);
        assert!(!read.problems.is_empty(), "{} is no mistake", path.display());
        render_all(&read.problems, &String::from_utf8_lossy(&bytes), Look::Plain)
    };
    compare_all(&mistakes, "problems.txt", problems);
}

/// What may only not be there because the line that says it is no TOML.
const OF_ABSENCE: [Code; 18] = [
    Code::AppMissing,
    Code::BadSource,
    Code::BadDestination,
    Code::AutoExtend,
    Code::AutoExtendUnlimited,
    Code::UnknownGroup,
    Code::ServiceGroup,
    Code::RestartGroup,
    Code::ServiceWithoutPorts,
    Code::BadPort,
    Code::CheckType,
    Code::CheckWithoutPort,
    Code::BadRestart,
    Code::UnusedEntry,
    Code::FileWithoutSource,
    Code::UnknownScaleGroup,
    Code::UnknownSource,
    Code::MovesNothing,
];

#[test]
fn a_line_that_is_no_toml_hides_nothing_of_the_rest() {
    let mut compared = 0;
    for path in directories(MISTAKES) {
        let bytes = std::fs::read(path.join("fly.toml")).unwrap();
        let told = |bytes: &[u8]| read("fly.toml", bytes).problems;
        let before = told(&bytes);
        let is_toml = |code: Code| {
            let whole = [Code::Syntax, Code::NotUtf8, Code::ByteOrderMark, Code::NulByte];
            !whole.contains(&code) && code != Code::TooDeep
        };
        if !before.iter().all(|problem| is_toml(problem.code)) {
            continue;
        }
        let after = told(&[b"this is no TOML\n", bytes.as_slice()].concat());
        assert_eq!((after[0].code, after[0].line), (Code::Syntax, 1), "{}", path.display());
        for problem in before.iter().filter(|problem| !OF_ABSENCE.contains(&problem.code)) {
            let same = |p: &&Problem| {
                (p.code, p.line, &p.message) == (problem.code, problem.line + 1, &problem.message)
            };
            assert!(after.iter().any(|p| same(&p)), "{}: {problem:?}", path.display());
            compared += 1;
        }
        assert!(after.len() <= before.len() + 1, "{}: {after:#?}", path.display());
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn every_good_manifest_has_its_configuration_and_its_meaning() {
    let good = directories(GOOD);
    assert!(good.len() >= 5, "only {} good manifests", good.len());
    let manifest = |path: &Path| {
        let read = read("fly.toml", &std::fs::read(path.join("fly.toml")).unwrap());
        assert!(!read.has_errors(), "{}: {:#?}", path.display(), read.problems);
        read.manifest.unwrap()
    };
    compare_all(&good, "config.json", |path| format!("{:#}\n", manifest(path).config_json()));
    compare_all(&good, "meaning.txt", |path| meaning(&manifest(path)));
}

/// What the planner takes from a manifest, a line for each thing.
fn meaning(manifest: &Manifest) -> String {
    let mut lines = Vec::new();
    for group in &manifest.groups {
        let default = if group.is_default { " (default)" } else { "" };
        lines.push(format!("group {}{default}", group.name));
        let argv = [
            ("command", &group.command),
            ("cmd", &group.cmd),
            ("entrypoint", &group.entrypoint),
            ("exec", &group.exec),
        ];
        for (name, argv) in argv {
            lines.extend(argv.as_ref().map(|argv| format!("  {name} {:?}", argv.value)));
        }
        for mount in &group.mounts {
            let size = mount.initial_size_gb.as_ref().map(|at| at.value);
            let (source, place) = (&mount.source.value, &mount.destination.value);
            lines.push(format!("  mount {source} at {place} of {size:?} GB"));
        }
        if let Some(guest) = &group.guest {
            lines.push(format!("  guest {} cpus, {} MiB", guest.cpus, guest.memory_mib));
        }
        for service in &group.services {
            let port = service.internal_port.as_ref().map(|at| at.value);
            lines.push(format!("  service {} {port:?}", service.protocol));
            lines.extend(service.checks.iter().map(|check| format!("  {}", shown(check))));
        }
        lines.extend(group.checks.iter().map(shown));
        for file in &group.files {
            lines.push(format!("  file {}", file.guest_path.value));
        }
        if let Some(restart) = &group.restart {
            let retries = restart.retries.as_ref().map(|at| at.value);
            lines.push(format!("  restart {:?} {retries:?}", restart.policy));
        }
    }
    let strategy = manifest.deploy.strategy.as_ref().map(|at| at.value);
    lines.push(format!("strategy {strategy:?}"));
    let command = manifest.deploy.release_command.as_ref().map(|at| &at.value);
    lines.push(format!("release command {command:?}"));
    let tiedown = &manifest.tiedown;
    let (canary, revert) = (tiedown.canary.as_ref(), tiedown.revert.as_ref());
    lines.push(format!("canary {:?}", canary.map(|at| at.value)));
    lines.push(format!("revert {:?}", revert.map(|at| at.value)));
    for (group, regions) in &tiedown.scale {
        for (region, count) in &regions.value {
            lines.push(format!("scale {group} {region} {}", count.value));
        }
    }
    for mount in &manifest.written.mounts {
        let source = &mount.source.as_ref().unwrap().value;
        let settings = tiedown.of_source(source);
        let on_remove = settings.on_remove.map(|at| at.value);
        let retention = settings.retention_seconds.map(|at| at.value);
        let (protect, fresh) = (settings.protect.map(|at| at.value), settings.fresh.is_some());
        lines.push(format!("volume {source} {on_remove:?} {retention:?} {protect:?} {fresh}"));
    }
    lines.extend(tiedown.all.moved.iter().map(|moved| format!("moved {:?}", moved.value)));
    lines.extend(manifest.not_acted_on.iter().map(|key| format!("not acted on {}", key.value)));
    lines.join("\n") + "\n"
}

fn shown(check: &Check) -> String {
    let kind = match &check.kind {
        CheckKind::Tcp => "tcp".to_string(),
        CheckKind::Http(request) => {
            format!("http {:?} {:?} {:?}", request.method, request.path, request.headers)
        }
    };
    let times = [check.interval, check.timeout, check.grace_period];
    let times = times.map(|time| time.map_or("-".to_string(), |time| time.to_string()));
    format!("  check {:?} {:?} {kind} {}", check.name, check.port, times.join(" "))
}

fn directories(parent: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn compare_all(directories: &[PathBuf], golden: &str, now: impl Fn(&Path) -> String) {
    let compare = |directory: &PathBuf| {
        let golden = directory.join(golden);
        let now = now(directory);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&golden, &now).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        (now != expected)
            .then(|| format!("{}\n--- now\n{now}--- expected\n{expected}", golden.display()))
    };
    let wrong: Vec<String> = directories.iter().filter_map(compare).collect();
    assert!(wrong.is_empty(), "{}\nUPDATE_EXPECT=1 writes them anew", wrong.join("\n"));
}
