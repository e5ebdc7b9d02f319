//! The files of one commit, or those on disk: listed and read without a checkout. Symbolic links
//! and submodules are named and never followed.

use super::tree::Pointers;
use super::{Repository, RepositoryError, git_error, io_error, oid};
use git2::{ObjectType, Oid};
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use planner::model::release::CommitId;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is read: a commit, or the disk.
pub struct Snapshot<'r> {
    repository: &'r Repository,
    source: Source<'r>,
    pub(super) pointers: Pointers,
}

/// Where a [`Snapshot`] reads.
enum Source<'r> {
    /// A commit, with the root of its tree: that is as large as the repository is wide, so it is
    /// read once.
    Commit { id: CommitId, root: git2::Tree<'r> },
    /// The work tree, at this place.
    Disk(PathBuf),
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the root of the tree.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Git's name for its content, where that is known without reading it: in a commit.
    pub(super) object: Option<Oid>,
}

/// What a name in a tree stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A file that can be executed.
    Program,
    /// A symbolic link; its content is its target.
    Link,
    /// Another repository; not followed.
    Submodule,
}

impl EntryKind {
    /// Git's mode of it, in octal digits.
    #[must_use]
    pub const fn mode(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Program => "100755",
            Self::Link => "120000",
            Self::Submodule => "160000",
        }
    }
}

impl Repository {
    /// What a commit holds.
    ///
    /// # Errors
    /// `NoPath` if the directory that tiedown was pointed at is not in it.
    pub fn at(&self, commit: &CommitId) -> Result<Snapshot<'_>, RepositoryError> {
        let root = self.git.find_commit(oid(commit)?).and_then(|commit| commit.tree());
        let root = root.map_err(git_error(format!("cannot read commit {commit}")))?;
        let source = Source::Commit { id: commit.clone(), root };
        let snapshot = Snapshot { repository: self, source, pointers: Pointers::default() };
        if !self.prefix.is_empty() {
            snapshot.directory(&self.prefix)?;
        }
        Ok(snapshot)
    }

    /// What is on disk.
    ///
    /// # Errors
    /// `Bare`.
    pub fn on_disk(&self) -> Result<Snapshot<'_>, RepositoryError> {
        let bare = || RepositoryError::Bare { dir: self.path().to_owned() };
        let root = self.git.workdir().ok_or_else(bare)?.to_owned();
        let source = Source::Disk(root);
        Ok(Snapshot { repository: self, source, pointers: Pointers::default() })
    }
}

/// Which files are manifests: globs relative to the directory that tiedown was pointed at.
#[derive(Debug)]
pub struct Patterns {
    prefix: String,
    include: GlobSet,
    exclude: GlobSet,
}

impl Patterns {
    /// Whether the file, from the root of the tree, is a manifest.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let below = match self.prefix.as_str() {
            "" => Some(path),
            prefix => path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
        };
        below.is_some_and(|path| self.include.is_match(path) && !self.exclude.is_match(path))
    }
}

fn glob_set(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob: Glob = GlobBuilder::new(pattern).literal_separator(true).build()?;
        set.add(glob);
    }
    set.build()
}

impl Repository {
    /// Compiles globs.
    ///
    /// # Errors
    /// One of them is none.
    pub fn patterns(
        &self,
        include: &[String],
        exclude: &[String],
    ) -> Result<Patterns, globset::Error> {
        let (include, exclude) = (glob_set(include)?, glob_set(exclude)?);
        Ok(Patterns { prefix: self.prefix.clone(), include, exclude })
    }
}

impl<'r> Snapshot<'r> {
    /// The repository it is of.
    #[must_use]
    pub const fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// The work tree that it reads; nothing if it reads a commit.
    #[must_use]
    pub fn work_tree(&self) -> Option<&Path> {
        match &self.source {
            Source::Commit { .. } => None,
            Source::Disk(root) => Some(root),
        }
    }

    /// The commit, if it is one.
    #[must_use]
    pub const fn commit(&self) -> Option<&CommitId> {
        match &self.source {
            Source::Commit { id, .. } => Some(id),
            Source::Disk(_) => None,
        }
    }

    /// What to call it in a message.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.source {
            Source::Commit { id, .. } => format!("commit {id}"),
            Source::Disk(_) => "the work tree".to_owned(),
        }
    }

    /// The manifests under the directory that tiedown was pointed at, by path from the root.
    ///
    /// # Errors
    /// Something could not be read: an incomplete list is never given.
    pub fn manifests(
        &self,
        patterns: &Patterns,
    ) -> Result<BTreeMap<String, Vec<u8>>, RepositoryError> {
        let mut manifests = BTreeMap::new();
        for entry in self.list(&self.repository.prefix)? {
            match entry.kind {
                EntryKind::File | EntryKind::Program if patterns.matches(&entry.path) => {
                    let bytes = self.content(&entry)?;
                    manifests.insert(entry.path, bytes);
                }
                EntryKind::File | EntryKind::Program | EntryKind::Link | EntryKind::Submodule => {}
            }
        }
        Ok(manifests)
    }

    /// The bytes of a file; nothing if there is no such file.
    ///
    /// # Errors
    /// It could not be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RepositoryError> {
        match &self.source {
            Source::Disk(root) => match std::fs::read(root.join(path)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(io_error(format!("cannot read {path}"))(e)),
            },
            Source::Commit { id, root } => {
                let act = format!("cannot read {path} of commit {id}");
                match root.get_path(Path::new(path)) {
                    Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
                    Err(e) => Err(git_error(act)(e)),
                    Ok(entry) if entry.kind() != Some(ObjectType::Blob) => Ok(None),
                    Ok(entry) => {
                        let blob = self.repository.git.find_blob(entry.id());
                        Ok(Some(blob.map_err(git_error(act))?.content().to_vec()))
                    }
                }
            }
        }
    }

    /// All files under a directory, sorted by path.
    ///
    /// # Errors
    /// `NoPath` if there is no such directory; or something in it could not be read.
    pub fn list(&self, directory: &str) -> Result<Vec<Entry>, RepositoryError> {
        let mut entries = Vec::new();
        match &self.source {
            Source::Commit { .. } => {
                self.walk_tree(&self.directory(directory)?, directory, &mut entries)?;
            }
            Source::Disk(root) => {
                if !root.join(directory).is_dir() {
                    return Err(self.no_path(directory));
                }
                let act = "cannot read the index of the work tree";
                let index = self.repository.git.index().map_err(git_error(act))?;
                self.walk_disk(root, directory, &index, &mut entries)?;
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        refuse_clashes(&entries)?;
        Ok(entries)
    }

    /// The content of an entry; a link's is its target.
    ///
    /// # Errors
    /// It could not be read; a submodule has none.
    pub fn content(&self, entry: &Entry) -> Result<Vec<u8>, RepositoryError> {
        let path = &entry.path;
        match (&self.source, entry.object) {
            (Source::Commit { id, .. }, Some(object)) => {
                let blob = self.repository.git.find_blob(object);
                let act = format!("cannot read {path} of commit {id}");
                Ok(blob.map_err(git_error(act))?.content().to_vec())
            }
            (Source::Disk(root), _) if entry.kind == EntryKind::Link => {
                let target = std::fs::read_link(root.join(path));
                let target = target.map_err(io_error(format!("cannot read the link {path}")))?;
                Ok(target.into_os_string().into_encoded_bytes())
            }
            (Source::Disk(root), _) => {
                std::fs::read(root.join(path)).map_err(io_error(format!("cannot read {path}")))
            }
            (Source::Commit { .. }, None) => Err(self.no_path(path)),
        }
    }

    /// Whether there is such a directory.
    #[must_use]
    pub fn has_directory(&self, path: &str) -> bool {
        match &self.source {
            Source::Commit { .. } => self.directory(path).is_ok(),
            Source::Disk(root) => root.join(path).is_dir(),
        }
    }

    fn no_path(&self, path: &str) -> RepositoryError {
        RepositoryError::NoPath { path: path.to_owned(), source_name: self.name() }
    }

    fn directory(&self, path: &str) -> Result<git2::Tree<'r>, RepositoryError> {
        let Source::Commit { root, .. } = &self.source else { return Err(self.no_path(path)) };
        if path.is_empty() {
            return Ok(root.clone());
        }
        let entry = root.get_path(Path::new(path)).map_err(|_| self.no_path(path))?;
        self.repository.git.find_tree(entry.id()).map_err(|_| self.no_path(path))
    }

    fn walk_tree(
        &self,
        tree: &git2::Tree<'_>,
        directory: &str,
        entries: &mut Vec<Entry>,
    ) -> Result<(), RepositoryError> {
        for entry in tree {
            let name = entry.name().ok().filter(|name| is_file_name(name));
            let lossy = || String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let wrong = || RepositoryError::Name { path: join(directory, &lossy()) };
            let name = name.ok_or_else(wrong)?;
            let path = join(directory, name);
            let kind = match entry.filemode() {
                0o040_000 => {
                    let act = format!("cannot read the directory {path}");
                    let below = self.repository.git.find_tree(entry.id());
                    self.walk_tree(&below.map_err(git_error(act))?, &path, entries)?;
                    continue;
                }
                0o120_000 => EntryKind::Link,
                0o160_000 => EntryKind::Submodule,
                mode if mode & 0o111 != 0 => EntryKind::Program,
                _ => EntryKind::File,
            };
            entries.push(Entry { path, kind, object: Some(entry.id()) });
        }
        Ok(())
    }

    fn walk_disk(
        &self,
        root: &Path,
        directory: &str,
        index: &git2::Index,
        entries: &mut Vec<Entry>,
    ) -> Result<(), RepositoryError> {
        let act = || format!("cannot list {}", root.join(directory).display());
        for found in std::fs::read_dir(root.join(directory)).map_err(io_error(act()))? {
            let found = found.map_err(io_error(act()))?;
            let name = found.file_name();
            let lossy = || join(directory, &name.to_string_lossy());
            let name = name.to_str().ok_or_else(|| RepositoryError::Name { path: lossy() })?;
            if name == ".git" {
                continue;
            }
            let path = join(directory, name);
            let kind = found.file_type().map_err(io_error(act()))?;
            if self.is_ignored(&path, kind.is_dir(), index)? {
                continue;
            }
            if kind.is_dir() && found.path().join(".git").exists() {
                entries.push(Entry { path, kind: EntryKind::Submodule, object: None });
            } else if kind.is_dir() {
                self.walk_disk(root, &path, index, entries)?;
            } else if kind.is_symlink() {
                entries.push(Entry { path, kind: EntryKind::Link, object: None });
            } else if kind.is_file() {
                let mode = found.metadata().map_err(io_error(act()))?.permissions().mode();
                let kind = if mode & 0o100 == 0 { EntryKind::File } else { EntryKind::Program };
                entries.push(Entry { path, kind, object: None });
            }
        }
        Ok(())
    }

    /// What git ignores and does not track all the same.
    fn is_ignored(
        &self,
        path: &str,
        is_dir: bool,
        index: &git2::Index,
    ) -> Result<bool, RepositoryError> {
        let asked = if is_dir { format!("{path}/") } else { path.to_owned() };
        let act = format!("cannot ask whether {path} is ignored");
        if !self.repository.git.is_path_ignored(&asked).map_err(git_error(act))? {
            return Ok(false);
        }
        let tracked = if is_dir {
            index.find_prefix(&asked).is_ok()
        } else {
            index.get_path(Path::new(path), 0).is_some()
        };
        Ok(!tracked)
    }
}

pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// A tree made by hand can hold one name twice, as a link and as a directory: what is under the
/// directory would be written through the link.
fn refuse_clashes(entries: &[Entry]) -> Result<(), RepositoryError> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for entry in entries {
        let mut above = entry.path.match_indices('/').map(|(end, _)| &entry.path[..end]);
        if !seen.insert(&entry.path) || above.any(|path| seen.contains(path)) {
            return Err(RepositoryError::Name { path: entry.path.clone() });
        }
    }
    Ok(())
}

/// A tree made by hand can hold names that would lead out of a directory.
fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | ".git") && !name.contains(['/', '\0'])
}
