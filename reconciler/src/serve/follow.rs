//! What is followed: a branch of a repository of this machine, or of a remote, of which a bare
//! copy is kept. A remote that is away, or a branch that is gone, changes nothing here.

use super::trigger::{Trigger, Triggers};
use crate::git::{self, GitError};
use crate::repository::{Place, Repository, RepositoryError};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use planner::model::release::CommitId;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What is followed.
#[derive(Debug, Clone)]
pub struct Follow {
    /// The repository, or the copy of the remote.
    pub place: Place,
    /// The branch; none: the one that `HEAD` names.
    pub branch: Option<String>,
    /// The remote, if it is one.
    pub remote: Option<String>,
    /// Whoever has it fetches.
    pub turn: Arc<Mutex<()>>,
}

/// Why it cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The remote cannot be got at.
    #[error("the remote could not be fetched")]
    Fetch(#[from] GitError),
    /// It was cut short: a fault of tiedown.
    #[error("fetching the remote was cut short")]
    Died,
    /// The repository cannot be watched.
    #[error("the repository cannot be watched")]
    Watch(#[from] notify::Error),
}

impl Follow {
    /// Brings the copy up to date, if there is a remote. A fetch that nobody waits for any more
    /// comes to its end all the same, and the next one after it.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn fetch(&self) -> Result<(), FollowError> {
        let (Some(url), Some(git_dir)) = (self.remote.clone(), self.place.git_dir.clone()) else {
            return Ok(());
        };
        let branch = self.branch.clone().unwrap_or_else(|| "main".to_owned());
        let turn = Arc::clone(&self.turn);
        let fetched = tokio::spawn(async move {
            let _turn = turn.lock().await;
            Repository::make_bare(&git_dir)?;
            Ok(git::fetch(&git_dir, &url, &branch).await?)
        });
        fetched.await.unwrap_or(Err(FollowError::Died))
    }

    /// The repository, and the commit that its branch is at.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub fn open(&self) -> Result<(Repository, CommitId), RepositoryError> {
        let repository = Repository::open(&self.place)?;
        let branch = match &self.branch {
            Some(branch) => branch.clone(),
            None => repository.head_branch()?,
        };
        let commit = repository.branch(&branch)?;
        Ok((repository, commit))
    }

    /// Fires whenever a branch moves, for as long as the value lives. Events can be lost: whoever
    /// follows looks from time to time all the same.
    ///
    /// # Errors
    /// [`FollowError`].
    pub fn watch(&self, triggers: Arc<Triggers>) -> Result<RecommendedWatcher, FollowError> {
        let repository = Repository::open(&self.place)?;
        let git_dir = repository.git_dir().to_owned();
        let root = git_dir.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let moved = event.is_ok_and(|event| {
                    !matches!(event.kind, EventKind::Access(_))
                        && event.paths.iter().any(|path| is_ref(&root, path))
                });
                if moved {
                    triggers.fire(Trigger::Push);
                }
            })?;
        watcher.watch(&git_dir, RecursiveMode::NonRecursive)?;
        watcher.watch(&git_dir.join("refs/heads"), RecursiveMode::Recursive)?;
        Ok(watcher)
    }
}

/// Whether a file of git says where branches are.
fn is_ref(git_dir: &Path, path: &Path) -> bool {
    let Ok(path) = path.strip_prefix(git_dir) else { return false };
    path.starts_with("refs") || path == Path::new("HEAD") || path == Path::new("packed-refs")
}
