//! The git repository: the only user of git2. Finds it, resolves revisions, compares commits,
//! and says which manifests are not committed. What a commit holds is read in [`snapshot`].

mod clean;
pub mod memory;
mod merge;
mod record;
pub mod snapshot;
pub mod tree;

use git2::{ErrorCode, Oid};
use planner::model::desired::Lineage;
use planner::model::id::digest_of;
use planner::model::release::CommitId;
use std::path::{Path, PathBuf};

/// Where tiedown was pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `-C`: a directory of the work tree; with `git_dir` a directory within the commit.
    pub dir: PathBuf,
    /// `--git-dir`: the repository itself, with or without a work tree.
    pub git_dir: Option<PathBuf>,
}

/// An open repository, and the directory in it that tiedown was pointed at.
pub struct Repository {
    git: git2::Repository,
    /// That directory from the root of the tree, `/` between its parts; empty: the root.
    prefix: String,
}

/// Why the repository did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is no such directory.
    #[error("there is no directory {}", dir.display())]
    NoDirectory {
        /// As asked for.
        dir: PathBuf,
    },
    /// No repository here or above.
    #[error("{} is not in a git repository", dir.display())]
    NotFound {
        /// As asked for.
        dir: PathBuf,
    },
    /// Git trusts a repository only if whoever asks owns it.
    #[error("the git repository of {} belongs to another user", dir.display())]
    NotOwned {
        /// As asked for.
        dir: PathBuf,
    },
    /// `HEAD` has no commit yet.
    #[error("the repository {} has no commit yet", dir.display())]
    Empty {
        /// The repository.
        dir: PathBuf,
    },
    /// There is no such commit.
    #[error("there is no commit {rev:?} in the repository {}", dir.display())]
    NoCommit {
        /// As asked for, cut to 80 characters.
        rev: String,
        /// The repository.
        dir: PathBuf,
    },
    /// The commit does not hold the path.
    #[error("{path} is not in {source_name}")]
    NoPath {
        /// From the root of the tree.
        path: String,
        /// The commit, or the work tree.
        source_name: String,
    },
    /// A repository without a work tree was asked for files on disk.
    #[error("the repository {} is bare: it has no work tree to read", dir.display())]
    Bare {
        /// The repository.
        dir: PathBuf,
    },
    /// A name that is not text.
    #[error("the path {path} is not UTF-8, or not the name of a file")]
    Name {
        /// With what is not text replaced.
        path: String,
    },
    /// The two cannot be merged without a person.
    #[error("{head} cannot be merged onto {base}: {} in conflict", paths.join(", "))]
    Conflict {
        /// What is merged onto.
        base: String,
        /// What is merged.
        head: String,
        /// Files, from the root of the tree; the first ones.
        paths: Vec<String>,
    },
    /// They have no commit in common, as far as this clone goes back.
    #[error("{head} and {base} have no commit in common here")]
    Unrelated {
        /// The one.
        base: String,
        /// The other.
        head: String,
    },
    /// Git does not know who commits.
    #[error("git does not know who you are")]
    NoAuthor {
        /// What libgit2 said.
        source: git2::Error,
    },
    /// Git could not read it.
    #[error("{act}")]
    Git {
        /// What was being done.
        act: String,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// The operating system refused.
    #[error("{act}")]
    Io {
        /// What was being done, to which file.
        act: String,
        /// Its answer.
        source: std::io::Error,
    },
}

impl RepositoryError {
    /// The way out, if there is a general one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoDirectory { .. } | Self::NotFound { .. } => {
                "point tiedown at a directory of a git work tree with -C DIR, or at a repository \
                 with --git-dir; `git init` makes one"
            }
            Self::NotOwned { dir } => {
                return Some(format!(
                    "run as its owner, or trust it: git config --global --add safe.directory {}",
                    dir.display()
                ));
            }
            Self::Empty { .. } => "commit the manifests, or read them from disk with --worktree",
            Self::NoCommit { .. } => "fetch it first, or name another with --rev",
            Self::NoPath { .. } => "commit it, name another commit with --rev, or use --worktree",
            Self::Bare { .. } => "name a commit with --rev instead of --worktree",
            Self::Name { .. } => "rename it",
            Self::Conflict { .. } => "bring the branch up to date with its base",
            Self::Unrelated { .. } => "fetch all of their history: a shallow clone has too little",
            Self::NoAuthor { .. } => {
                "say it with `git config user.name NAME` and `git config user.email ADDRESS`"
            }
            Self::Git { .. } | Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

pub(crate) fn git_error(act: impl Into<String>) -> impl FnOnce(git2::Error) -> RepositoryError {
    let act = act.into();
    move |source| RepositoryError::Git { act, source }
}

pub(crate) fn io_error(act: impl Into<String>) -> impl FnOnce(std::io::Error) -> RepositoryError {
    let act = act.into();
    move |source| RepositoryError::Io { act, source }
}

impl Repository {
    /// Opens the repository that the place is in.
    ///
    /// # Errors
    /// `NoDirectory`, `NotFound`, `NotOwned`, or that git could not read it.
    pub fn open(place: &Place) -> Result<Self, RepositoryError> {
        // Objects come from our own disk; libgit2 would hash each a second time.
        git2::opts::strict_hash_verification(false);
        if let Some(git_dir) = &place.git_dir {
            let git = git2::Repository::open(git_dir).map_err(|e| not_open(git_dir, e))?;
            let prefix = tree_path(&place.dir)?;
            return Ok(Self { git, prefix });
        }
        let dir = place.dir.canonicalize().ok().filter(|dir| dir.is_dir());
        let dir = dir.ok_or_else(|| RepositoryError::NoDirectory { dir: place.dir.clone() })?;
        let git = git2::Repository::discover(&dir).map_err(|e| not_open(&place.dir, e))?;
        let root = git.workdir().and_then(|root| root.canonicalize().ok());
        let below = root.as_deref().and_then(|root| dir.strip_prefix(root).ok());
        let prefix = below.map_or_else(|| Ok(String::new()), tree_path)?;
        Ok(Self { git, prefix })
    }

    /// The repository's own directory, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.git.workdir().unwrap_or_else(|| self.git.path())
    }

    /// A path of the directory that tiedown was pointed at, from the root of the tree.
    #[must_use]
    pub fn within(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    /// The commit that a revision names.
    ///
    /// # Errors
    /// `Empty` if it is `HEAD` and there is no commit yet; `NoCommit`.
    pub fn commit(&self, rev: &str) -> Result<CommitId, RepositoryError> {
        let dir = self.path().to_owned();
        let unborn = || {
            let error = self.git.head().err();
            error.is_some_and(|e| matches!(e.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound))
        };
        if rev == "HEAD" && unborn() {
            return Err(RepositoryError::Empty { dir });
        }
        let found = self.git.revparse_single(rev).and_then(|object| object.peel_to_commit());
        match found {
            Ok(commit) => Ok(commit_id(commit.id())),
            Err(_) => Err(RepositoryError::NoCommit { rev: rev.chars().take(80).collect(), dir }),
        }
    }

    /// The commit of a branch.
    ///
    /// # Errors
    /// `NoCommit`.
    pub fn branch(&self, name: &str) -> Result<CommitId, RepositoryError> {
        self.commit(&format!("refs/heads/{name}"))
    }

    /// The branch that `HEAD` names, whether it has a commit or not.
    ///
    /// # Errors
    /// `HEAD` names no branch.
    pub fn head_branch(&self) -> Result<String, RepositoryError> {
        let head = self.git.find_reference("HEAD");
        let target = head.and_then(|head| head.symbolic_target().map(|t| t.map(str::to_owned)));
        let target = target.map_err(git_error("cannot read HEAD"))?;
        let branch = target.as_deref().and_then(|target| target.strip_prefix("refs/heads/"));
        branch.map(str::to_owned).ok_or_else(|| RepositoryError::NoCommit {
            rev: "HEAD as a branch".to_owned(),
            dir: self.path().to_owned(),
        })
    }

    /// A text that is another whenever a tag is new, gone or moved.
    ///
    /// # Errors
    /// Git could not list them.
    pub fn tags(&self) -> Result<String, RepositoryError> {
        let tags = || {
            let mut tags = Vec::new();
            for tag in self.git.references_glob("refs/tags/*")? {
                let tag = tag?;
                let target = tag.target().unwrap_or(Oid::ZERO_SHA1);
                tags.push([tag.name_bytes(), target.as_bytes()].concat());
            }
            Ok(tags)
        };
        let tags: Vec<Vec<u8>> = tags().map_err(git_error("cannot list the tags"))?;
        Ok(digest_of(&tags.iter().map(Vec::as_slice).collect::<Vec<_>>()))
    }

    /// Git's own directory.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        self.git.path()
    }

    /// Reads objects of a directory too: those of a push that is not accepted yet are kept apart
    /// from the repository's own.
    ///
    /// # Errors
    /// It cannot be added.
    pub fn read_objects_of(&self, directory: &Path) -> Result<(), RepositoryError> {
        let act = format!("cannot read the objects in {}", directory.display());
        let path = directory
            .to_str()
            .ok_or_else(|| RepositoryError::Name { path: directory.display().to_string() })?;
        let odb = self.git.odb().map_err(git_error(act.clone()))?;
        odb.add_disk_alternate(path).map_err(git_error(act))
    }

    /// Makes an empty bare repository, unless there is one.
    ///
    /// # Errors
    /// Git could not make it.
    pub fn make_bare(git_dir: &Path) -> Result<(), RepositoryError> {
        let act = format!("cannot make the repository {}", git_dir.display());
        git2::Repository::init_bare(git_dir).map(drop).map_err(git_error(act))
    }

    /// How a commit relates to the one applied before.
    ///
    /// # Errors
    /// Git could not read the history.
    pub fn lineage(&self, now: &CommitId, applied: &CommitId) -> Result<Lineage, RepositoryError> {
        if now == applied {
            return Ok(Lineage::Descends);
        }
        let act = || format!("cannot compare the commits {now} and {applied}");
        let (new, old) = (oid(now)?, oid(applied)?);
        if self.git.find_commit(old).is_err() {
            let why = format!("the commit applied last, {applied}, is not in this repository");
            return Ok(Lineage::Unknown { why });
        }
        if self.git.graph_descendant_of(new, old).map_err(git_error(act()))? {
            return Ok(Lineage::Descends);
        }
        let applied = applied.clone();
        if self.git.graph_descendant_of(old, new).map_err(git_error(act()))? {
            return Ok(Lineage::Older { applied });
        }
        Ok(Lineage::Sideways { applied })
    }

    /// Files that differ from `HEAD` on disk or are not in it, of those that `is_read` says
    /// tiedown reads (paths from the root of the tree). Nothing for a bare repository.
    ///
    /// # Errors
    /// Git could not compare.
    pub fn uncommitted(
        &self,
        is_read: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, RepositoryError> {
        if self.git.is_bare() || self.is_plainly_clean(&is_read) {
            return Ok(Vec::new());
        }
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).exclude_submodules(true);
        if !self.prefix.is_empty() {
            options.pathspec(&self.prefix);
        }
        let act = "cannot compare the work tree with HEAD";
        let statuses = self.git.statuses(Some(&mut options)).map_err(git_error(act))?;
        let paths = statuses.iter().filter_map(|entry| entry.path().ok().map(str::to_owned));
        let mut paths: Vec<String> = paths.filter(|path| is_read(path)).collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// The directory of git that is common to all its work trees.
    fn common_dir(&self) -> &Path {
        self.git.commondir()
    }
}

fn not_open(dir: &Path, error: git2::Error) -> RepositoryError {
    let dir = dir.to_owned();
    match error.code() {
        ErrorCode::NotFound => RepositoryError::NotFound { dir },
        ErrorCode::Owner => RepositoryError::NotOwned { dir },
        _ => RepositoryError::Git {
            act: format!("cannot open {} as a git repository", dir.display()),
            source: error,
        },
    }
}

/// A relative path as git writes it: `/` between parts, no `.`; `..` is refused.
fn tree_path(path: &Path) -> Result<String, RepositoryError> {
    let wrong = || RepositoryError::Name { path: path.display().to_string() };
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::Normal(name) => parts.push(name.to_str().ok_or_else(wrong)?),
            std::path::Component::Prefix(_)
            | std::path::Component::RootDir
            | std::path::Component::ParentDir => return Err(wrong()),
        }
    }
    Ok(parts.join("/"))
}

fn commit_id(oid: Oid) -> CommitId {
    CommitId::parse(&oid.to_string()).expect("git writes object names in hexadecimal")
}

fn oid(commit: &CommitId) -> Result<Oid, RepositoryError> {
    let act = format!("cannot read the commit {commit}");
    Oid::from_str(commit.as_str()).map_err(git_error(act))
}

#[cfg(test)]
mod tests;
