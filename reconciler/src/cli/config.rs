//! `tiedown config`: what a manifest means to flyctl.

use super::error::{Usage, text_of};
use super::exit::Ending;
use super::global::Global;
use super::output::Output;
use crate::prepare::{Mistakes, read_manifest};
use anyhow::Context;
use std::path::PathBuf;

/// Look at single manifests.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a manifest means: the JSON that `fly config show` prints for the same file.
    #[command(after_help = "Examples:\n  tiedown config show web/fly.toml | jq .services")]
    Show {
        /// The manifest: a path from -C, in the commit, or on disk with --worktree.
        file: PathBuf,
    },
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let Command::Show { file } = &args.command;
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let path = file.to_str().context("the path is not UTF-8")?;
    let path = crate::prepare::apps::below(&repository.within(""), path).ok_or_else(|| {
        Usage::new(format!("{path} is not in the repository"), "name it from -C DIR")
    })?;
    let Some(bytes) = snapshot.read(&path)? else {
        let message = format!("there is no {path} in {}", snapshot.name());
        return Err(Usage::new(message, "name another with --rev, or use --worktree").into());
    };
    let manifest = read_manifest(path, &bytes);
    let text = manifest.text;
    let problems = manifest.read.problems.into_iter().map(|problem| (problem, text.clone()));
    let mistakes = Mistakes { problems: problems.collect(), ..Mistakes::default() };
    if !mistakes.problems.is_empty() {
        output.say(text_of(&mistakes).trim_end_matches('\n'));
    }
    if let Some(manifest) = &manifest.read.manifest {
        output.json(&manifest.config_json())?;
    }
    Ok(Ending { errored: mistakes.has_errors(), ..Ending::default() })
}
