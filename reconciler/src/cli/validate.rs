//! `tiedown validate`: all problems of all manifests.

use super::error::{count, json_of, text_of};
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use crate::prepare::{Mistakes, ReadManifest, apps, read_manifest, read_manifests};
use crate::repository::snapshot::Snapshot;
use crate::settings::load::load;
use crate::settings::{FILE, Machine, Settings};
use anyhow::Context;
use planner::manifest::problem::Problem;
use serde_json::json;
use std::path::PathBuf;

/// Say all that is wrong with manifests, each with its place and the way out.
///
/// Without files: tiedown.toml and all manifests of the commit, against the fleet's regions. With
/// files: these, from disk, each by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown validate
  tiedown validate --strict --worktree
  tiedown validate web/fly.toml")]
pub(super) struct Args {
    /// Manifests on disk.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Treat warnings as errors.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let (mistakes, manifests) =
        if args.files.is_empty() { of_fleet(global, output)? } else { of_files(&args.files)? };
    let mistakes = if args.strict { strict(mistakes) } else { mistakes };
    let ending = Ending { errored: mistakes.has_errors(), ..Ending::default() };
    match output.format {
        Format::Json => output.json(&json!({
            "valid": !mistakes.has_errors(),
            "manifests": manifests,
            "problems": json_of(&mistakes),
        }))?,
        Format::Text => {
            let manifests = match manifests {
                1 => "1 manifest".to_owned(),
                n => format!("{n} manifests"),
            };
            let sum = format!("{manifests}: {}.\n", count(&mistakes));
            output.result(&(text_of(&mistakes) + &sum))?;
        }
    }
    Ok(ending)
}

/// The rest of the fleet's description needs no machine: sizes and subnets that are not written
/// are not looked at.
fn of_fleet(global: &Global, output: Output) -> anyhow::Result<(Mistakes, usize)> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let settings = load(&snapshot, &Machine::here(true))?;
    let (manifests, patterns) = read_manifests(&snapshot, &settings)?;
    let file = repository.within(FILE);
    global.warn_of_uncommitted(&snapshot, output, |path| path == file || patterns.matches(path))?;
    if manifests.is_empty() {
        output.warn(&format!("no manifest in {} matches `include` of [apps]", snapshot.name()));
    }
    Ok((mistakes(&snapshot, &settings, &manifests), manifests.len()))
}

fn mistakes(snapshot: &Snapshot<'_>, settings: &Settings, manifests: &[ReadManifest]) -> Mistakes {
    let all: Vec<&ReadManifest> = manifests.iter().collect();
    let (_, mistakes) = apps::resolve(snapshot, &all, settings);
    mistakes
}

fn of_files(files: &[PathBuf]) -> anyhow::Result<(Mistakes, usize)> {
    let mut mistakes = Mistakes::default();
    for file in files {
        let bytes = std::fs::read(file);
        let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
        let manifest = read_manifest(file.display().to_string(), &bytes);
        let problems = manifest.read.problems.into_iter();
        mistakes.problems.extend(problems.map(|problem| (problem, manifest.text.clone())));
    }
    Ok((mistakes, files.len()))
}

fn strict(mistakes: Mistakes) -> Mistakes {
    let problems = mistakes.problems.into_iter();
    Mistakes {
        problems: problems.map(|(problem, text)| (Problem::strict(problem), text)).collect(),
        ..mistakes
    }
}
