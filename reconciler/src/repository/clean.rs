//! Whether what tiedown reads is on disk as `HEAD` has it, in the usual case that all of it is:
//! then git's index says so. Directories are listed, but only files that are read are looked at;
//! git itself looks at every file of the work tree.

use super::Repository;
use super::snapshot::join;
use git2::{DiffDelta, DiffOptions, Index, IndexEntry, IndexTime};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The bits of a mode that say what it is of, a file among it, and the first of those that let it
/// be executed.
const KIND: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const SUBMODULE: u32 = 0o160_000;
const PROGRAM: u32 = 0o100;

/// The bits of an index entry's flags that are not 0 where a merge is not done.
const STAGE: u16 = 0x3000;

/// What the index has under the directory that tiedown was pointed at.
struct Tracked {
    /// When it was written: seconds and nanoseconds.
    written: (i64, i64),
    /// Files that are read.
    files: BTreeMap<String, IndexEntry>,
    /// Directories with files in them.
    directories: BTreeSet<String>,
    submodules: BTreeSet<String>,
}

/// Directories of the work tree, compared with the index.
struct Walk<'a, F> {
    repository: &'a Repository,
    root: &'a Path,
    is_read: &'a F,
    tracked: Tracked,
    /// How many files are as the index has them.
    met: usize,
}

impl Repository {
    /// Whether all that is read is on disk as `HEAD` has it, and no more of it is there. `false`
    /// also where that cannot be told at a glance; then git is to be asked.
    pub(super) fn is_plainly_clean(&self, is_read: &impl Fn(&str) -> bool) -> bool {
        self.look_plainly(is_read).is_some()
    }

    /// Nothing if something differs, or may.
    fn look_plainly(&self, is_read: &impl Fn(&str) -> bool) -> Option<()> {
        let root = self.git.workdir()?;
        // Before the index is read: one that is written meanwhile is taken to be older than it is.
        let written = std::fs::metadata(self.git.path().join("index")).ok()?;
        let mut index = self.git.index().ok()?;
        index.read(false).ok()?;
        let head = self.git.head().and_then(|head| head.peel_to_tree()).ok()?;
        let mut options = DiffOptions::new();
        if !self.prefix.is_empty() {
            options.pathspec(&self.prefix).disable_pathspec_match(true);
        }
        let options = Some(&mut options);
        let staged = self.git.diff_tree_to_index(Some(&head), Some(&index), options).ok()?;
        let is_of_read = |delta: DiffDelta<'_>| {
            let mut paths = [delta.old_file().path(), delta.new_file().path()].into_iter();
            paths.any(|path| path.and_then(Path::to_str).is_some_and(is_read))
        };
        if staged.deltas().any(is_of_read) {
            return None;
        }
        let tracked = Tracked::of(&index, &written, &self.prefix, is_read);
        let expected = tracked.files.len();
        let mut walk = Walk { repository: self, root, is_read, tracked, met: 0 };
        walk.compare(&self.prefix)?;
        (walk.met == expected).then_some(())
    }
}

impl Tracked {
    fn of(
        index: &Index,
        written: &Metadata,
        prefix: &str,
        is_read: &impl Fn(&str) -> bool,
    ) -> Self {
        let mut tracked = Self {
            written: (written.mtime(), written.mtime_nsec()),
            files: BTreeMap::new(),
            directories: BTreeSet::new(),
            submodules: BTreeSet::new(),
        };
        for mut entry in index.iter() {
            // What is not text is never read.
            let Ok(path) = String::from_utf8(std::mem::take(&mut entry.path)) else { continue };
            let rest = path.strip_prefix(prefix);
            if rest.is_none_or(|rest| !prefix.is_empty() && !rest.starts_with('/')) {
                continue;
            }
            if let Some((directory, _)) = path.rsplit_once('/')
                && !tracked.directories.contains(directory)
            {
                let above = directory.match_indices('/').map(|(end, _)| &directory[..end]);
                tracked.directories.extend(above.chain([directory]).map(str::to_owned));
            }
            if entry.mode & KIND == SUBMODULE {
                tracked.submodules.insert(path);
            } else if is_read(&path) {
                tracked.files.insert(path, entry);
            }
        }
        tracked
    }

    /// Whether a file is the one that the index was written for: it looks the same in every way
    /// that is remembered, and is older than the index, so that a change since would show.
    fn has(&self, path: &str, found: &Metadata) -> bool {
        let Some(entry) = self.files.get(path) else { return false };
        let same = |time: IndexTime, seconds: i64, nanoseconds: i64| {
            (i64::from(time.seconds()), i64::from(time.nanoseconds())) == (seconds, nanoseconds)
        };
        // Git remembers the lower half of what is wider.
        let lower = |wide: u64| wide & u64::from(u32::MAX);
        entry.flags & STAGE == 0
            && (entry.mode & KIND, found.mode() & KIND) == (FILE, FILE)
            && (entry.mode ^ found.mode()) & PROGRAM == 0
            && u64::from(entry.file_size) == lower(found.size())
            && u64::from(entry.ino) == lower(found.ino())
            && (entry.uid, entry.gid) == (found.uid(), found.gid())
            && same(entry.mtime, found.mtime(), found.mtime_nsec())
            && same(entry.ctime, found.ctime(), found.ctime_nsec())
            && (found.mtime(), found.mtime_nsec()) < self.written
    }

    /// Whether git would not look under a directory: a submodule, or one that is ignored and has
    /// nothing that is tracked all the same.
    fn passes_over(&self, directory: &str, repository: &git2::Repository) -> bool {
        let is_ignored = || repository.is_path_ignored(format!("{directory}/")).unwrap_or(false);
        !self.directories.contains(directory)
            && (self.submodules.contains(directory) || is_ignored())
    }
}

impl<F: Fn(&str) -> bool> Walk<'_, F> {
    /// Goes through a directory. Nothing if something in it differs, or may.
    fn compare(&mut self, directory: &str) -> Option<()> {
        let mut below = Vec::new();
        for found in std::fs::read_dir(self.root.join(directory)).ok()? {
            let found = found.ok()?;
            let name = found.file_name();
            // What is not text is never read.
            let Some(name) = name.to_str() else { continue };
            if name == ".git" && directory.is_empty() {
                continue;
            }
            if name == ".git" {
                // Another repository, which is for git to tell.
                return None;
            }
            let path = join(directory, name);
            if found.file_type().ok()?.is_dir() {
                below.push(path);
            } else if (self.is_read)(&path) {
                self.tracked.has(&path, &found.metadata().ok()?).then_some(())?;
                self.met += 1;
            }
        }
        let passed_over = |path: &String| self.tracked.passes_over(path, &self.repository.git);
        below.retain(|path| !passed_over(path));
        below.iter().try_for_each(|path| self.compare(path))
    }
}
