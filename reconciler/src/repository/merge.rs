//! What two commits would be once merged, and what differs between two. Nothing is written: the
//! merge is kept in memory, and is gone with the open repository.

use super::{Repository, RepositoryError, commit_id, git_error, oid};
use planner::model::release::CommitId;
use std::collections::BTreeSet;

/// Before every other place that git would write an object to.
const FIRST: i32 = 1000;
/// Paths in conflict that are named at most.
const NAMED: usize = 10;

impl Repository {
    /// The commit that `head` is once merged onto `base`: `head` itself if it descends from
    /// `base`, else a commit of both, which this open repository alone knows. The same two commits
    /// give the same third.
    ///
    /// # Errors
    /// `Conflict`, `Unrelated`; or git could not merge.
    pub fn merge(&self, base: &CommitId, head: &CommitId) -> Result<CommitId, RepositoryError> {
        let act = format!("cannot merge {head} onto {base}");
        let (ours, theirs) = (oid(base)?, oid(head)?);
        if self.git.merge_base(ours, theirs).is_err() {
            let (base, head) = (base.to_string(), head.to_string());
            return Err(RepositoryError::Unrelated { base, head });
        }
        let descends = || self.git.graph_descendant_of(theirs, ours);
        if ours == theirs || descends().map_err(git_error(act.clone()))? {
            return Ok(head.clone());
        }
        self.merged(ours, theirs).map_err(git_error(act))?.map_err(|paths| {
            RepositoryError::Conflict { base: base.to_string(), head: head.to_string(), paths }
        })
    }

    fn merged(
        &self,
        ours: git2::Oid,
        theirs: git2::Oid,
    ) -> Result<Result<CommitId, Vec<String>>, git2::Error> {
        let odb = self.git.odb()?;
        odb.add_new_mempack_backend(FIRST)?;
        let (ours, theirs) = (self.git.find_commit(ours)?, self.git.find_commit(theirs)?);
        let mut index = self.git.merge_commits(&ours, &theirs, None)?;
        if index.has_conflicts() {
            let mut paths = BTreeSet::new();
            for conflict in index.conflicts()? {
                let conflict = conflict?;
                let sides = [conflict.our, conflict.their, conflict.ancestor];
                let path = sides.into_iter().flatten().next().map(|entry| entry.path);
                paths.extend(path.map(|path| String::from_utf8_lossy(&path).into_owned()));
            }
            return Ok(Err(paths.into_iter().take(NAMED).collect()));
        }
        let tree = self.git.find_tree(index.write_tree_to(&self.git)?)?;
        // Of both, so that the same two commits always give the same name.
        let time = ours.time().seconds().max(theirs.time().seconds());
        let by = git2::Signature::new("tiedown", "tiedown", &git2::Time::new(time, 0))?;
        let message = format!("{} merged onto {}\n", theirs.id(), ours.id());
        let commit = self.git.commit(None, &by, &by, &message, &tree, &[&ours, &theirs])?;
        Ok(Ok(commit_id(commit)))
    }

    /// Files that differ between two commits, from the root of the tree: changed, new, deleted; of
    /// one that moved both names.
    ///
    /// # Errors
    /// Git could not compare.
    pub fn changed(
        &self,
        before: &CommitId,
        after: &CommitId,
    ) -> Result<BTreeSet<String>, RepositoryError> {
        let act = format!("cannot compare the commits {before} and {after}");
        let (before, after) = (oid(before)?, oid(after)?);
        let diff = || {
            let before = self.git.find_commit(before)?.tree()?;
            let after = self.git.find_commit(after)?.tree()?;
            self.git.diff_tree_to_tree(Some(&before), Some(&after), None)
        };
        let diff = diff().map_err(git_error(act))?;
        let sides = diff.deltas().flat_map(|delta| [delta.old_file(), delta.new_file()]);
        let paths = sides.filter_map(|file| file.path_bytes());
        Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }
}
