//! Puts one changed file on disk, and into a commit of its own: whatever else is changed or staged
//! stays as it is and out of the commit.

use super::{Repository, RepositoryError, commit_id, git_error, io_error};
use planner::model::release::CommitId;
use std::fs;
use std::io::Write;
use std::path::Path;

impl Repository {
    /// Replaces a file of the work tree as a whole; its permissions stay.
    ///
    /// # Errors
    /// `Bare`, or the file could not be written.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), RepositoryError> {
        let bare = || RepositoryError::Bare { dir: self.path().to_owned() };
        let path = self.git.workdir().ok_or_else(bare)?.join(path);
        replace(&path, bytes).map_err(io_error(format!("cannot write {}", path.display())))
    }

    /// Whether a file on disk is not as `HEAD` has it.
    ///
    /// # Errors
    /// Git could not compare.
    pub fn is_changed(&self, path: &str) -> Result<bool, RepositoryError> {
        Ok(!self.uncommitted(|changed| changed == path)?.is_empty())
    }

    /// Whether there is a commit to commit onto, and somebody to do it.
    ///
    /// # Errors
    /// `Empty`, `NoAuthor`.
    pub fn can_commit(&self) -> Result<(), RepositoryError> {
        self.commit("HEAD")?;
        self.author().map(drop)
    }

    fn author(&self) -> Result<git2::Signature<'static>, RepositoryError> {
        self.git.signature().map_err(|source| RepositoryError::NoAuthor { source })
    }

    /// Commits one file as it is on disk onto `HEAD`, and nothing else.
    ///
    /// # Errors
    /// `Empty`, `NoAuthor`, or git could not write the commit.
    pub fn commit_file(&self, path: &str, message: &str) -> Result<CommitId, RepositoryError> {
        let act = format!("cannot commit {path}");
        let empty = |_| RepositoryError::Empty { dir: self.path().to_owned() };
        let author = self.author()?;
        let parent = self.git.head().and_then(|head| head.peel_to_commit()).map_err(empty)?;
        let written = || {
            let mut index = self.git.index()?;
            index.add_path(Path::new(path))?;
            let staged = index.get_path(Path::new(path), 0);
            let staged = staged.ok_or_else(|| git2::Error::from_str("it is not in the index"))?;
            let mode = if staged.mode & 0o111 == 0 {
                git2::FileMode::Blob
            } else {
                git2::FileMode::BlobExecutable
            };
            let mut update = git2::build::TreeUpdateBuilder::new();
            update.upsert(path, staged.id, mode);
            let tree = update.create_updated(&self.git, &parent.tree()?)?;
            let tree = self.git.find_tree(tree)?;
            let commit =
                self.git.commit(Some("HEAD"), &author, &author, message, &tree, &[&parent])?;
            index.write()?;
            Ok(commit)
        };
        written().map(commit_id).map_err(git_error(act))
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = || {
        // Made anew: nothing that is there already is written through.
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        file.write_all(bytes)?;
        file.set_permissions(permissions)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().inspect_err(|_| {
        // What was being made is of no use; that it stays behind would be no further error.
        let _ = fs::remove_file(&beside);
    })
}
