//! Source trees: a directory of a snapshot without manifests, its digest, and its export. The
//! digest is over paths, modes and contents, so a commit elsewhere releases nothing.

use super::snapshot::{Entry, EntryKind, Snapshot};
use super::{Repository, RepositoryError, git_error, io_error};
use executor::artifact::{TreeError, Trees};
use git2::{ObjectType, Oid};
use planner::model::id::digest_of;
use planner::model::release::CommitId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// A source tree as found in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTree {
    /// Over paths, modes and contents: 64 hexadecimal digits.
    pub digest: String,
    /// How many files it has.
    pub files: usize,
    /// Files in it that are not part of it.
    pub without: BTreeSet<String>,
    /// Submodules in it: not followed, so empty where it runs.
    pub submodules: Vec<String>,
    /// Files that are pointers of Git LFS: their content is not in the repository.
    pub lfs: Vec<String>,
}

/// Which contents are pointers of Git LFS, by git's name for them, as far as somebody looked: one
/// file can be in many trees.
#[derive(Debug, Default)]
pub(super) struct Pointers(RefCell<BTreeMap<Oid, bool>>);

const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A pointer is smaller than this, in bytes.
const POINTER: usize = 1024;

impl Snapshot<'_> {
    /// The source tree under a directory, without the files that are left out, by their paths from
    /// the root.
    ///
    /// # Errors
    /// `NoPath`, or something in it could not be read.
    pub fn source_tree(
        &self,
        directory: &str,
        is_left_out: impl Fn(&str) -> bool,
    ) -> Result<SourceTree, RepositoryError> {
        let (mut submodules, mut lfs, mut parts) = (Vec::new(), Vec::new(), Parts::default());
        let mut without = BTreeSet::new();
        for entry in self.list(directory)? {
            if is_left_out(&entry.path) {
                without.insert(entry.path);
                continue;
            }
            if entry.kind == EntryKind::Submodule {
                submodules.push(entry.path);
                continue;
            }
            let (object, is_pointer) = self.seen(&entry)?;
            if is_pointer {
                lfs.push(entry.path.clone());
            }
            parts.add(&entry, directory, object);
        }
        Ok(SourceTree { files: parts.files, digest: parts.digest(), without, submodules, lfs })
    }

    /// Git's name for the content of an entry, and whether that is a pointer of Git LFS. What is in
    /// a commit has its name, and is not read if it is too large for a pointer.
    fn seen(&self, entry: &Entry) -> Result<(Oid, bool), RepositoryError> {
        let is_pointer = |content: &[u8]| content.len() < POINTER && content.starts_with(LFS);
        let Some(object) = entry.object else {
            let content = self.content(entry)?;
            return Ok((name_of(entry, &content)?, is_pointer(&content)));
        };
        if let Some(known) = self.pointers.0.borrow().get(&object) {
            return Ok((object, *known));
        }
        let header = self.repository().git.odb().and_then(|odb| odb.read_header(object));
        let act = || format!("cannot read {} of {}", entry.path, self.name());
        let (size, _) = header.map_err(git_error(act()))?;
        let found = size < POINTER && is_pointer(&self.content(entry)?);
        self.pointers.0.borrow_mut().insert(object, found);
        Ok((object, found))
    }
}

/// Git's name for a content, so that commit and disk give the same digest.
fn name_of(entry: &Entry, content: &[u8]) -> Result<Oid, RepositoryError> {
    let act = format!("cannot hash {}", entry.path);
    Oid::hash_object(ObjectType::Blob, content).map_err(git_error(act))
}

/// What a digest is made of.
#[derive(Default)]
struct Parts {
    bytes: Vec<Vec<u8>>,
    files: usize,
}

impl Parts {
    /// Contents count by git's name for them.
    fn add(&mut self, entry: &Entry, directory: &str, object: Oid) {
        self.bytes.push(below(&entry.path, directory).as_bytes().to_vec());
        self.bytes.push(entry.kind.mode().as_bytes().to_vec());
        self.bytes.push(object.as_bytes().to_vec());
        self.files += 1;
    }

    fn digest(&self) -> String {
        let mut parts: Vec<&[u8]> = vec![b"tree"];
        parts.extend(self.bytes.iter().map(Vec::as_slice));
        digest_of(&parts)
    }
}

fn below<'p>(path: &'p str, directory: &str) -> &'p str {
    if directory.is_empty() { path } else { path.strip_prefix(directory).map_or(path, |p| &p[1..]) }
}

/// Where a tree that was asked about is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The commit; `None`: the disk.
    pub commit: Option<CommitId>,
    /// The directory, from the root of the tree.
    pub directory: String,
    /// Files in it that are not part of it.
    pub without: BTreeSet<String>,
}

/// The source trees of one pass, by digest. Opens the repository anew for each export, because
/// exports go side by side.
#[derive(Debug, Default)]
pub struct KnownTrees {
    git_dir: PathBuf,
    origins: BTreeMap<String, Origin>,
}

impl KnownTrees {
    /// None yet, of this repository.
    #[must_use]
    pub fn new(repository: &Repository) -> Self {
        Self { git_dir: repository.git.path().to_owned(), origins: BTreeMap::new() }
    }

    /// Remembers where a digest was found.
    pub fn add(&mut self, digest: String, origin: Origin) {
        self.origins.insert(digest, origin);
    }

    fn write(&self, origin: &Origin, into: &Path) -> Result<String, RepositoryError> {
        let act = format!("cannot open {}", self.git_dir.display());
        let git = git2::Repository::open(&self.git_dir).map_err(git_error(act))?;
        let repository = Repository { git, prefix: String::new() };
        let snapshot = match &origin.commit {
            Some(commit) => repository.at(commit)?,
            None => repository.on_disk()?,
        };
        let mut parts = Parts::default();
        for entry in snapshot.list(&origin.directory)? {
            if origin.without.contains(&entry.path) || entry.kind == EntryKind::Submodule {
                continue;
            }
            let content = snapshot.content(&entry)?;
            parts.add(&entry, &origin.directory, name_of(&entry, &content)?);
            put(&into.join(below(&entry.path, &origin.directory)), entry.kind, &content)?;
        }
        Ok(parts.digest())
    }
}

fn put(path: &Path, kind: EntryKind, content: &[u8]) -> Result<(), RepositoryError> {
    let act = || format!("cannot write {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io_error(act()))?;
    }
    if kind == EntryKind::Link {
        use std::os::unix::ffi::OsStrExt;
        return symlink(std::ffi::OsStr::from_bytes(content), path).map_err(io_error(act()));
    }
    let mode = if kind == EntryKind::Program { 0o755 } else { 0o644 };
    // Never through a link that stands in its place.
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(io_error(act()))?;
    file.write_all(content).map_err(io_error(act()))?;
    let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
    file.set_permissions(permissions).map_err(io_error(act()))
}

/// The disk changed between the digest and the export.
#[derive(Debug, thiserror::Error)]
#[error("{directory} changed on disk since it was planned")]
struct Moved {
    directory: String,
}

impl Trees for KnownTrees {
    fn export(&self, digest: &str, into: &Path) -> Result<(), TreeError> {
        let digest = digest.to_owned();
        let origin = self.origins.get(&digest);
        let origin = origin.ok_or_else(|| TreeError::Unknown { digest: digest.clone() })?;
        match self.write(origin, into) {
            Ok(written) if written == digest => Ok(()),
            Ok(_) => {
                let moved = Moved { directory: origin.directory.clone() };
                Err(TreeError::Export { digest, source: moved.into() })
            }
            Err(error) => Err(TreeError::Export { digest, source: error.into() }),
        }
    }
}
