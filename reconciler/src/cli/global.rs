//! What every command takes: where to read, what to read, and how to write.

use super::output::{Format, Output};
use crate::fleet::Abilities;
use crate::repository::snapshot::Snapshot;
use crate::repository::{Place, Repository, RepositoryError};
use crate::settings::load::{SettingsError, load};
use crate::settings::{FILE, Settings};
use std::path::PathBuf;

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(super) struct Global {
    /// A directory of a git work tree, with a tiedown.toml; with --git-dir a directory within the
    /// commit.
    #[arg(
        short = 'C',
        long = "directory",
        global = true,
        help_heading = "Reading and writing",
        value_name = "DIR",
        default_value = "."
    )]
    pub(super) dir: PathBuf,
    /// The git repository itself; it may be bare.
    #[arg(long, global = true, help_heading = "Reading and writing", value_name = "DIR")]
    pub(super) git_dir: Option<PathBuf>,
    /// The commit to read.
    #[arg(
        long,
        global = true,
        help_heading = "Reading and writing",
        value_name = "REV",
        default_value = "HEAD"
    )]
    pub(super) rev: String,
    /// Read from disk instead of from a commit.
    #[arg(long, global = true, help_heading = "Reading and writing", conflicts_with = "rev")]
    pub(super) worktree: bool,
    /// How results are written.
    #[arg(long, global = true, help_heading = "Reading and writing", value_enum, default_value_t)]
    pub(super) format: Asked,
}

/// How results are asked for. Not every command has each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Asked {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document; of `apply` one object a line, as things happen.
    Json,
    /// For a comment on a pull request; only of `plan`.
    Markdown,
    /// For code scanning: SARIF 2.1.0; only of `validate`.
    Sarif,
}

impl Asked {
    /// How everything is written that has no form of its own in what was asked for.
    #[must_use]
    pub(super) const fn format(self) -> Format {
        match self {
            Self::Text | Self::Markdown => Format::Text,
            Self::Json | Self::Sarif => Format::Json,
        }
    }
}

/// Which apps a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Apps {
    /// Only this app; may be given more than once.
    #[arg(long = "app", value_name = "APP")]
    only: Vec<String>,
    /// Not this app; may be given more than once.
    #[arg(long = "exclude-app", value_name = "APP")]
    except: Vec<String>,
}

impl Apps {
    pub(super) fn selection(&self) -> crate::prepare::selection::Selection {
        crate::prepare::selection::Selection {
            only: self.only.clone(),
            except: self.except.clone(),
            ..crate::prepare::selection::Selection::default()
        }
    }
}

impl Global {
    /// The repository.
    pub(super) fn repository(&self) -> Result<Repository, RepositoryError> {
        Repository::open(&Place { dir: self.dir.clone(), git_dir: self.git_dir.clone() })
    }

    /// What is read of it.
    pub(super) fn snapshot<'r>(
        &self,
        repository: &'r Repository,
    ) -> Result<Snapshot<'r>, RepositoryError> {
        if self.worktree {
            repository.on_disk()
        } else {
            repository.at(&repository.commit(&self.rev)?)
        }
    }

    /// The settings, and a warning about what would be read if it were committed.
    pub(super) fn settings(
        &self,
        snapshot: &Snapshot<'_>,
        abilities: &Abilities,
        output: Output,
    ) -> anyhow::Result<Settings> {
        let settings = load(snapshot, &abilities.machine());
        if let Err(SettingsError::Wrong { path, .. }) = &settings {
            self.warn_of_uncommitted(snapshot, output, |changed| changed == path)?;
        }
        let settings = settings?;
        let patterns = snapshot.repository().patterns(&settings.include, &settings.exclude)?;
        let file = snapshot.repository().within(FILE);
        let read = |path: &str| path == file || patterns.matches(path);
        self.warn_of_uncommitted(snapshot, output, read)?;
        Ok(settings)
    }

    pub(super) fn warn_of_uncommitted(
        &self,
        snapshot: &Snapshot<'_>,
        output: Output,
        is_read: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        if self.worktree || self.rev != "HEAD" {
            return Ok(());
        }
        let changed = snapshot.repository().uncommitted(is_read)?;
        if !changed.is_empty() {
            output.warn(&format!(
                "not committed, so not read: {} (--worktree reads from disk)",
                changed.join(", ")
            ));
        }
        Ok(())
    }
}
