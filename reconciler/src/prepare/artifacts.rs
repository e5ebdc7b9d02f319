//! What each app runs: its source tree at this commit, named by content; or an image, of which what
//! was applied is remembered and the rest is left to be looked up.

use super::apps::{Meant, above, below};
use super::images::{self, References};
use crate::repository::RepositoryError;
use crate::repository::snapshot::{Patterns, Snapshot};
use crate::repository::tree::{KnownTrees, Origin};
use crate::settings::{FILE, Settings};
use planner::manifest::resolve::Runs;
use planner::model::artifact::{Artifact, Artifacts, Resolved};
use planner::model::claim::Claims;
use planner::model::name::AppName;
use std::collections::BTreeMap;

/// What became of all references.
#[derive(Debug)]
pub struct Found {
    /// By app.
    pub artifacts: Artifacts,
    /// Images that are to be looked up.
    pub references: References,
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
    settings: &Settings,
    claims: &Claims,
) -> Result<Found, RepositoryError> {
    let mut found = Found {
        artifacts: Artifacts::new(),
        references: References::new(),
        trees: KnownTrees::new(snapshot.repository()),
        notes: Vec::new(),
    };
    let can_run_images = !images::engines(settings).is_empty();
    for (app, meant) in apps {
        let resolved = match &meant.runs {
            Runs::Tree { path } => tree(snapshot, &meant.path, path, patterns, &mut found)?,
            Runs::Image { reference } => {
                let known = images::remembered(app, reference, claims);
                if known.is_none() && can_run_images {
                    found.references.insert(app.clone(), reference.clone());
                }
                known.map_or_else(|| image(reference, can_run_images), Resolved::Found)
            }
            Runs::Build { from } => Resolved::Missing {
                why: format!("it runs an image built from {from}, and nobody has built it"),
                hint: "build it, push it, and name it: image = \"REFERENCE\" in [build]".to_owned(),
            },
        };
        found.artifacts.insert(app.clone(), resolved);
    }
    Ok(found)
}

/// An image of which nothing is known yet.
fn image(reference: &str, can_run_images: bool) -> Resolved {
    if can_run_images {
        let why = format!("the image {reference} is looked up where hosts are asked");
        return Resolved::Missing {
            why,
            hint: "run `tiedown plan` where the hosts are".to_owned(),
        };
    }
    let why = format!("it runs the image {reference}, and no host of this fleet can run images");
    let hint = "give a host runtime = { driver = \"docker\" } in tiedown.toml, or remove [build] \
                and give [processes] to run it from its source tree";
    Resolved::Missing { why, hint: hint.to_owned() }
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
    Ok(Resolved::Found(Artifact::Tree { digest: tree.digest.into() }))
}
