//! `tiedown config`: what a manifest means to flyctl.

use super::error::{Usage, text_of};
use super::exit::Ending;
use super::global::Global;
use super::output::Output;
use crate::prepare::{Mistakes, PrepareError, read_manifest};
use crate::repository::RepositoryError;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Look at single manifests.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown config show web/fly.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a manifest means: the JSON that `fly config show` prints for the same file.
    ///
    /// Whatever flyctl can read is shown, also what breaks rules; what is wrong is told beside it.
    #[command(after_help = "Examples:
  tiedown config show web/fly.toml | jq .services
  tiedown config show --worktree web/fly.toml
  tiedown config show /tmp/fly.toml")]
    Show {
        /// The manifest: a path from -C, in the commit, or on disk with --worktree. From disk also
        /// where the path is absolute or there is no such file in a commit.
        file: PathBuf,
    },
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let Command::Show { file } = &args.command;
    let (path, bytes) = find(file, global, output)?;
    let manifest = read_manifest(path, &bytes);
    let text = manifest.text;
    let problems = manifest.read.problems.into_iter().map(|problem| (problem, text.clone()));
    let mistakes = Mistakes { problems: problems.collect(), ..Mistakes::default() };
    let Some(manifest) = &manifest.read.manifest else {
        return Err(PrepareError::Mistakes(Box::new(mistakes)).into());
    };
    if !mistakes.problems.is_empty() {
        output.say(text_of(&mistakes).trim_end_matches('\n'));
    }
    output.json(&manifest.config_json())?;
    Ok(Ending::default())
}

/// The file as it is shown, and its bytes.
fn find(file: &Path, global: &Global, output: Output) -> anyhow::Result<(String, Vec<u8>)> {
    let on_disk = global.dir.join(file);
    let from_disk = || {
        let bytes = std::fs::read(&on_disk);
        bytes.with_context(|| format!("cannot read {}", on_disk.display()))
    };
    let shown = file.display().to_string();
    if file.is_absolute() {
        return Ok((shown, from_disk()?));
    }
    let missing: anyhow::Error = match in_repository(file, global) {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(missing)) => missing.into(),
        Err(
            error @ (RepositoryError::NotFound { .. }
            | RepositoryError::Empty { .. }
            | RepositoryError::NoPath { .. }),
        ) => error.into(),
        Err(error) => return Err(error.into()),
    };
    if global.git_dir.is_some() || global.rev != "HEAD" || !on_disk.is_file() {
        return Err(missing);
    }
    if !global.worktree {
        output.warn(&format!("{missing}: {shown} is read from disk"));
    }
    Ok((shown, from_disk()?))
}

type Found = Result<(String, Vec<u8>), Usage>;

fn in_repository(file: &Path, global: &Global) -> Result<Found, RepositoryError> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let below = |path| crate::prepare::apps::below(&repository.within(""), path);
    let Some(path) = file.to_str().and_then(below) else {
        let message = format!("{} is not in the repository", file.display());
        return Ok(Err(Usage::new(message, "name it from -C DIR")));
    };
    Ok(match snapshot.read(&path)? {
        Some(bytes) => Ok((path, bytes)),
        None => {
            let message = format!("there is no {path} in {}", snapshot.name());
            Err(Usage::new(message, "name another commit with --rev, or use --worktree"))
        }
    })
}
