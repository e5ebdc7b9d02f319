//! The repository's own rules as a test: which file may open which door, how long a file may be,
//! what it may be called. What is found is printed whole, with the rule.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest file a reader takes in one sitting.
const LINES_MAX: usize = 500;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "misc", "manager"];

struct Source {
    /// Path from the root of the repository, with forward slashes.
    path: String,
    text: String,
}

#[test]
fn the_repository_keeps_its_own_rules() {
    let sources = sources();
    assert!(sources.len() > 50, "the sources were not found: {} files", sources.len());
    let mut found = Vec::new();
    for source in &sources {
        one_file(source, &mut found);
        doors(source, &mut found);
        arrows(source, &mut found);
    }
    for name in ["planner", "executor", "reconciler"] {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        if !manifest.contains("[lints]\nworkspace = true") {
            found.push(format!("{name}/Cargo.toml: does not take the workspace's lints"));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Length, name, module doc.
fn one_file(source: &Source, found: &mut Vec<String>) {
    let Source { path, text } = source;
    let lines = text.lines().count();
    if lines > LINES_MAX {
        found.push(format!("{path}: {lines} lines, more than {LINES_MAX}: split it by subject"));
    }
    let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
    if EMPTY_NAMES.contains(&stem) || stem == "mod" {
        found.push(format!("{path}: the name does not say what is inside"));
    }
    if !text.trim_start().starts_with("//!") && !text.starts_with("#![no_main]") {
        found.push(format!("{path}: no module doc at the top"));
    }
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("pub use") && code.ends_with("::*;") {
            found.push(format!("{path}:{}: a glob re-export hides where a name lives", number + 1));
        }
        if code.starts_with("#[ignore") {
            found.push(format!("{path}:{}: an ignored test proves nothing", number + 1));
        }
    }
}

/// One door each to processes, git, the screen, and the permits.
fn doors(source: &Source, found: &mut Vec<String>) {
    let production = source.path.contains("/src/");
    let rules: [(&str, &[&str], &str); 6] = [
        ("process::Command", &["executor/src/command.rs"], "only command.rs starts processes"),
        ("git2::", &["reconciler/src/repository"], "only repository.rs knows git2"),
        ("println!(", &["reconciler/src/cli/output"], "only cli/output prints"),
        // A supervisor's standard output is the pipe on which it reports to whoever started it.
        (
            "io::stdout()",
            &["reconciler/src/cli/output", "executor/src/runtime/process/"],
            "only cli/output prints",
        ),
        (
            ".grant(Permit",
            &["reconciler/src/cli/", "planner/src/model/permit.rs"],
            "permits are minted where flags are read",
        ),
        ("anyhow", &["reconciler/src/cli", "reconciler/src/main.rs"], "anyhow is for the edge"),
    ];
    if !production {
        return;
    }
    for (word, allowed, why) in rules {
        if allowed.iter().any(|path| source.path.starts_with(path)) {
            continue;
        }
        for (number, line) in code_lines(&source.text) {
            if line.contains(word) {
                found.push(format!("{}:{number}: {word}: {why}", source.path));
            }
        }
    }
}

/// Arrows point down only.
fn arrows(source: &Source, found: &mut Vec<String>) {
    let rules: [(&str, &[&str], &str); 6] = [
        (
            "executor/src/",
            &[
                "planner::manifest",
                "planner::render",
                "planner::simulate",
                "planner::placement",
                "planner::diff",
                "planner::safety",
                "planner::rollout",
                "planner::plan(",
            ],
            "executor uses planner::{model, plan, check} only",
        ),
        ("planner/src/check", JUDGE, "the judge must not share the planner's code"),
        ("planner/src/simulate", JUDGE, "the simulator must not share the planner's code"),
        ("planner/src/render", JUDGE, "rendering decides nothing"),
        (
            "executor/src/storage/",
            &["planner::plan::Plan", "planner::plan::Rollout", "crate::apply", "crate::host"],
            "adapters do not know plans",
        ),
        (
            "executor/src/runtime/",
            &["planner::plan", "crate::apply", "crate::host"],
            "adapters do not know plans",
        ),
    ];
    for (place, words, why) in rules {
        if !source.path.starts_with(place) {
            continue;
        }
        for (number, line) in code_lines(&source.text) {
            if let Some(word) = words.iter().find(|word| line.contains(*word)) {
                found.push(format!("{}:{number}: {word}: {why}", source.path));
            }
        }
    }
}

const JUDGE: &[&str] = &[
    "crate::diff",
    "crate::placement",
    "crate::safety",
    "crate::rollout",
    "crate::order",
    "crate::recover",
    "crate::manifest",
];

/// Lines of code with their numbers; comments and what follows `#[cfg(test)]` left out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for crate_name in ["planner", "executor", "reconciler"] {
        collect(&root().join(crate_name), &mut found);
    }
    found
}

fn collect(dir: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            found.push(Source { path, text });
        }
    }
}
