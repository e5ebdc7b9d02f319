//! `tiedown edit`: changes a manifest on disk in place, shows what changed, and commits it if asked.

use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use super::paint::Ansi;
use crate::prepare::{Mistakes, PrepareError, ReadManifest, apps};
use crate::prepare::{read_manifests, read_usual_manifests};
use crate::repository::snapshot::Snapshot;
use crate::settings::Machine;
use crate::settings::load::{SettingsError, load};
use anyhow::Context;
use planner::manifest::edit::{self, Direction, EditError};
use planner::model::name::Region;
use planner::render::{Paint, Tone};
use serde_json::json;
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeMap;

/// Change a manifest on disk in place; comments and layout stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown edit scale web app ewr=3 --commit
  tiedown edit size web data 20GB")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Commit the change, and nothing else.
    #[arg(long, global = true)]
    commit: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say how many slots a process group has in regions.
    #[command(after_help = "Examples:
  tiedown edit scale web app ewr=3 ord=1 --commit
  tiedown edit scale web worker ord=none")]
    Scale {
        /// The app.
        app: String,
        /// The process group; `app` where there is no [processes].
        group: String,
        /// A region and its number of slots; `none` takes the region out of the list.
        #[arg(value_name = "REGION=N", required = true, value_parser = count)]
        counts: Vec<(Region, Option<u32>)>,
    },
    /// Say how large the volumes of a source are at least. Volumes never shrink.
    #[command(after_help = "Examples:\n  tiedown edit size web data 20GB --commit")]
    Size {
        /// The app.
        app: String,
        /// The volume's name: the `source` of its mount.
        source: String,
        /// The size, such as 20GB.
        size: String,
    },
}

fn count(text: &str) -> Result<(Region, Option<u32>), String> {
    let (region, count) = text.split_once('=').ok_or("write REGION=N, such as ewr=3")?;
    let region = Region::new(region).map_err(|error| error.to_string())?;
    if count == "none" {
        return Ok((region, None));
    }
    match count.parse() {
        Ok(count) => Ok((region, Some(count))),
        Err(_) => Err(format!("{count:?} is not a number of slots")),
    }
}

impl Command {
    fn app(&self) -> &str {
        match self {
            Self::Scale { app, .. } | Self::Size { app, .. } => app,
        }
    }

    fn edit(&self, path: &str, bytes: &[u8]) -> Result<Vec<u8>, EditError> {
        match self {
            Self::Scale { group, counts, .. } => {
                let counts: BTreeMap<Region, Option<u32>> = counts.iter().cloned().collect();
                edit::scale(path, bytes, group, &counts)
            }
            Self::Size { source, size, .. } => {
                edit::size(path, bytes, source, Some(size), Direction::Grow)
            }
        }
    }

    /// What is done, as the first line of a commit.
    fn message(&self) -> String {
        match self {
            Self::Scale { app, group, counts } => {
                let count = |(region, count): &(Region, Option<u32>)| match count {
                    Some(count) => format!("{region}={count}"),
                    None => format!("{region}=none"),
                };
                let counts: Vec<String> = counts.iter().map(count).collect();
                format!("Scale {app}/{group} to {}", counts.join(" "))
            }
            Self::Size { app, source, size } => format!("Grow {source} of {app} to {size}"),
        }
    }
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    if global.rev != "HEAD" {
        let hint = "check the commit out first, or leave --rev away";
        return Err(Usage::new("manifests are edited on disk, not in a commit", hint).into());
    }
    let repository = global.repository()?;
    let snapshot = repository.on_disk()?;
    let path = manifest_of(args.command.app(), &snapshot)?;
    if args.commit {
        repository.can_commit()?;
        if repository.is_changed(&path)? {
            let message = format!("{path} has changes that are not committed");
            return Err(Usage::new(message, "commit them first, or edit without --commit").into());
        }
    }
    let before = snapshot.read(&path)?.with_context(|| format!("{path} is gone"))?;
    let after = args.command.edit(&path, &before).map_err(|error| explained(error, &before))?;
    let changed = before != after;
    if changed {
        repository.write(&path, &after)?;
    }
    let commit = match args.commit && changed {
        true => Some(repository.commit_file(&path, &args.command.message())?),
        false => None,
    };
    let commit = commit.map(|commit| commit.as_str().to_owned());
    show(&path, &before, &after, commit.as_deref(), output)?;
    Ok(Ending::default())
}

/// The one manifest on disk that names the app.
fn manifest_of(app: &str, snapshot: &Snapshot<'_>) -> anyhow::Result<String> {
    let (manifests, _) = match load(snapshot, &Machine::here(true)) {
        Ok(settings) => read_manifests(snapshot, &settings)?,
        Err(SettingsError::Missing { .. }) => read_usual_manifests(snapshot)?,
        Err(error) => return Err(error.into()),
    };
    let names = |manifest: &&ReadManifest| apps::name(manifest).is_some_and(|n| n.as_str() == app);
    let found: Vec<&ReadManifest> = manifests.iter().filter(names).collect();
    match found.as_slice() {
        [one] => Ok(one.path.clone()),
        [] => {
            let known: Vec<String> =
                manifests.iter().filter_map(apps::name).map(|name| name.to_string()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let message = format!("no manifest on disk names the app {app:?}");
            Err(Usage::new(message, near(app, &known, "app")).into())
        }
        several => {
            let mistakes = Mistakes { clashes: apps::clashes(several), ..Mistakes::default() };
            Err(PrepareError::Mistakes(Box::new(mistakes)).into())
        }
    }
}

fn near(word: &str, known: &[&str], what: &str) -> String {
    match similar::get_close_matches(word, known, 1, 0.6).first() {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => format!("there is no {what}"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// The error with its place or the way out.
fn explained(error: EditError, bytes: &[u8]) -> anyhow::Error {
    let message = error.to_string();
    let texts = |known: &[String], word: &str, what: &str| {
        near(word, &known.iter().map(String::as_str).collect::<Vec<_>>(), what)
    };
    let hint = match &error {
        EditError::Unreadable { problems, .. } => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let problems = problems.iter().cloned().map(|problem| (problem, text.clone()));
            let mistakes = Mistakes { problems: problems.collect(), ..Mistakes::default() };
            return PrepareError::Mistakes(Box::new(mistakes)).into();
        }
        EditError::NoGroup { group, known, .. } => texts(known, group, "process group"),
        EditError::NoSource { source_name, known, .. } => texts(known, source_name, "mount"),
        EditError::TooMany { .. } => "write a smaller number".to_owned(),
        EditError::BadSize { .. } => "write whole gigabytes, such as 20GB".to_owned(),
        EditError::Shrinks { .. } => "make a new volume and move the data to it".to_owned(),
        EditError::ByHand { .. } => "edit it by hand, then run `tiedown validate`".to_owned(),
    };
    Usage::new(message, hint).into()
}

fn show(
    path: &str,
    before: &[u8],
    after: &[u8],
    commit: Option<&str>,
    output: Output,
) -> anyhow::Result<()> {
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let diff = TextDiff::from_lines(before.as_ref(), after.as_ref());
    match output.format {
        Format::Json => {
            let text = diff.unified_diff().header(path, path).to_string();
            output.json(&json!({
                "path": path, "changed": before != after, "diff": text, "commit": commit,
            }))
        }
        Format::Text if before == after => output.result(&format!("{path} says so already.\n")),
        Format::Text => {
            output.result(&painted(path, &diff))?;
            if let Some(commit) = commit {
                output.say(&format!("Committed as {commit}."));
            }
            Ok(())
        }
    }
}

/// A unified diff in colours.
fn painted(path: &str, diff: &TextDiff<'_, '_, str>) -> String {
    let heading = |text: String| Ansi.paint(Tone::Heading, &text) + "\n";
    let mut text = heading(format!("--- {path}")) + &heading(format!("+++ {path}"));
    for hunk in diff.unified_diff().iter_hunks() {
        text += &(Ansi.paint(Tone::Dim, &hunk.header().to_string()) + "\n");
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            text += &match change.tag() {
                ChangeTag::Equal => format!(" {line}"),
                ChangeTag::Delete => Ansi.paint(Tone::Destroy, &format!("-{line}")),
                ChangeTag::Insert => Ansi.paint(Tone::Add, &format!("+{line}")),
            };
            text.push('\n');
        }
    }
    text
}
