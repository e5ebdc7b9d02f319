//! `tiedown validate`: all problems of all manifests.

mod sarif;

use super::error::{count, json_of, plural, text_of};
use super::exit::Ending;
use super::global::{Asked, Global};
use super::output::Output;
use crate::prepare::{
    Mistakes, ReadManifest, apps, none_found, read_manifest, read_manifests, read_usual_manifests,
};
use crate::settings::load::{SettingsError, load};
use crate::settings::problem::Problem as Clash;
use crate::settings::{FILE, Machine, ServeSettings};
use anyhow::Context;
use planner::manifest::problem::Problem;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Say all that is wrong with manifests, each with its place and the way out.
///
/// Without files: tiedown.toml and all manifests of the commit, against the fleet's regions. With
/// files: these, from disk, each by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown validate
  tiedown validate --strict --worktree
  tiedown validate web/fly.toml
  tiedown validate --format sarif > tiedown.sarif")]
pub(super) struct Args {
    /// Manifests on disk.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Treat warnings as errors.
    #[arg(long)]
    strict: bool,
}

/// All that is wrong.
#[derive(Default)]
struct Found {
    /// With manifests.
    mistakes: Mistakes,
    /// With tiedown.toml.
    settings: Vec<Clash>,
    /// How many manifests were looked at.
    manifests: usize,
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let found =
        if args.files.is_empty() { of_fleet(global, output)? } else { of_files(&args.files)? };
    let Found { mistakes, settings, manifests } = found;
    let mistakes = if args.strict { strict(mistakes) } else { mistakes };
    let errored = mistakes.has_errors() || !settings.is_empty();
    match global.format {
        Asked::Sarif => output.json(&sarif::log(&mistakes, &settings))?,
        Asked::Json => {
            let mut problems: Vec<Value> = settings.iter().map(|p| json!(p)).collect();
            problems.extend(json_of(&mistakes));
            let document =
                json!({ "valid": !errored, "manifests": manifests, "problems": problems });
            output.json(&document)?;
        }
        Asked::Text | Asked::Markdown => {
            let told = settings.iter().map(|problem| problem.render(true) + "\n");
            let told = told.collect::<String>() + &text_of(&mistakes);
            let mut summary = match manifests {
                1 => format!("1 manifest: {}", count(&mistakes)),
                n => format!("{n} manifests: {}", count(&mistakes)),
            };
            if !settings.is_empty() {
                summary += &format!("; {FILE}: {}", plural(settings.len(), "error"));
            }
            output.result(&format!("{told}{summary}.\n"))?;
        }
    }
    Ok(Ending { errored, ..Ending::default() })
}

/// The rest of the fleet's description needs no machine: sizes and subnets that are not written
/// are not looked at. Without a description manifests are looked at by themselves.
fn of_fleet(global: &Global, output: Output) -> anyhow::Result<Found> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let mut found = Found::default();
    let settings = match load(&snapshot, &Machine::here(true)) {
        Ok(settings) => Some(settings),
        Err(SettingsError::Wrong { problems, .. }) => {
            found.settings = problems;
            None
        }
        Err(error @ SettingsError::Missing { .. }) => {
            output.warn(&format!("{error}: manifests are looked at without a fleet"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(settings) = settings.as_ref().filter(|all| all.serve != ServeSettings::default())
        && let Some((why, hint)) = settings.require.unasked()
    {
        output.warn(&format!("{FILE} has [serve] and [require]: {why}"));
        output.hint(hint);
    }
    let (manifests, patterns) = match &settings {
        Some(settings) => read_manifests(&snapshot, settings)?,
        None => read_usual_manifests(&snapshot)?,
    };
    let file = repository.within(FILE);
    global.warn_of_uncommitted(&snapshot, output, |path| path == file || patterns.matches(path))?;
    if manifests.is_empty() {
        output.warn(&none_found(&snapshot));
    }
    found.manifests = manifests.len();
    let all: Vec<&ReadManifest> = manifests.iter().collect();
    found.mistakes = match &settings {
        Some(settings) => apps::resolve(&snapshot, &all, settings).1,
        None => by_themselves(&all),
    };
    Ok(found)
}

/// What is wrong with manifests whatever the fleet is, if it has them all.
fn by_themselves(manifests: &[&ReadManifest]) -> Mistakes {
    let of_one = |manifest: &&ReadManifest| {
        let text = manifest.text.clone();
        let problems = manifest.read.problems.clone().into_iter();
        problems.map(move |problem| (problem, text.clone()))
    };
    let problems = manifests.iter().flat_map(of_one).collect();
    Mistakes { problems, clashes: apps::clashes(manifests) }
}

fn of_files(files: &[PathBuf]) -> anyhow::Result<Found> {
    let mut mistakes = Mistakes::default();
    for file in files {
        let bytes = std::fs::read(file);
        let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
        let manifest = read_manifest(file.display().to_string(), &bytes);
        let problems = manifest.read.problems.into_iter();
        mistakes.problems.extend(problems.map(|problem| (problem, manifest.text.clone())));
    }
    Ok(Found { mistakes, manifests: files.len(), ..Found::default() })
}

fn strict(mistakes: Mistakes) -> Mistakes {
    let problems = mistakes.problems.into_iter();
    Mistakes {
        problems: problems.map(|(problem, text)| (Problem::strict(problem), text)).collect(),
        ..mistakes
    }
}
