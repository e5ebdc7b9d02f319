//! What each app runs: its source tree at this commit, named by content. Images are named and not
//! yet found.

use super::apps::{Meant, above, below};
use crate::repository::RepositoryError;
use crate::repository::snapshot::{Patterns, Snapshot};
use crate::repository::tree::{KnownTrees, Origin};
use crate::settings::FILE;
use planner::manifest::resolve::Runs;
use planner::model::artifact::{Artifact, Artifacts, Resolved};
use planner::model::name::AppName;
use std::collections::BTreeMap;

/// What became of all references.
#[derive(Debug)]
pub struct Found {
    /// By app.
    pub artifacts: Artifacts,
    /// Where trees are found again.
    pub trees: KnownTrees,
    /// What a reader should know beside.
    pub notes: Vec<String>,
}

/// Resolves what each app refers to.
///
/// # Errors
/// The repository could not be read; a reference that leads nowhere is in the result.
pub fn resolve(
    snapshot: &Snapshot<'_>,
    apps: &BTreeMap<AppName, Meant>,
    patterns: &Patterns,
) -> Result<Found, RepositoryError> {
    let mut found = Found {
        artifacts: Artifacts::new(),
        trees: KnownTrees::new(snapshot.repository()),
        notes: Vec::new(),
    };
    for (app, meant) in apps {
        let resolved = match &meant.runs {
            Runs::Tree { path } => tree(snapshot, &meant.path, path, patterns, &mut found)?,
            Runs::Image { reference } => image(&format!("the image {reference}")),
            Runs::Build { from } => image(&format!("an image that is built from {from}")),
        };
        found.artifacts.insert(app.clone(), resolved);
    }
    Ok(found)
}

fn image(what: &str) -> Resolved {
    Resolved::Missing {
        why: format!("it runs {what}, and no host of this fleet can run images"),
        hint: "remove [build] and give [processes] to run it from its source tree".to_owned(),
    }
}

fn tree(
    snapshot: &Snapshot<'_>,
    manifest: &str,
    source: &str,
    patterns: &Patterns,
    found: &mut Found,
) -> Result<Resolved, RepositoryError> {
    let directory = below(above(manifest), source).filter(|path| snapshot.has_directory(path));
    let Some(directory) = directory else {
        return Ok(Resolved::Missing {
            why: format!("its source {source:?} is not a directory of {}", snapshot.name()),
            hint: "`source` of [tiedown] is a path from the manifest's directory".to_owned(),
        });
    };
    let settings = snapshot.repository().within(FILE);
    let tree =
        snapshot.source_tree(&directory, |path| patterns.matches(path) || path == settings)?;
    for path in tree.submodules {
        found.notes.push(format!("{path} is a submodule: what is in it is not in the release"));
    }
    for path in tree.lfs {
        found.notes.push(format!("{path} is a pointer of Git LFS: the release has the pointer"));
    }
    let origin = Origin { commit: snapshot.commit().cloned(), directory, without: tree.without };
    found.trees.add(tree.digest.clone(), origin);
    Ok(Resolved::Found(Artifact::Tree { digest: tree.digest }))
}
