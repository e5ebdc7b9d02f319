//! What each app runs: its source tree at this commit, named by content. Images are named and not
//! yet found.

use super::{ReadManifest, apps};
use crate::repository::RepositoryError;
use crate::repository::snapshot::{Patterns, Snapshot};
use crate::repository::tree::{KnownTrees, Origin};
use crate::settings::FILE;
use planner::manifest::Manifest;
use planner::model::artifact::{Artifact, Artifacts, Resolved};
use std::collections::BTreeSet;

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

/// Resolves what each manifest refers to.
///
/// # Errors
/// The repository could not be read; a reference that leads nowhere is in the result.
pub fn resolve(
    snapshot: &Snapshot<'_>,
    manifests: &[&ReadManifest],
    patterns: &Patterns,
) -> Result<Found, RepositoryError> {
    let mut found = Found {
        artifacts: Artifacts::new(),
        trees: KnownTrees::new(snapshot.repository()),
        notes: Vec::new(),
    };
    for manifest in manifests {
        let (Some(app), Some(written)) = (apps::name(manifest), &manifest.read.manifest) else {
            continue;
        };
        let resolved = match image(written) {
            Some(missing) => missing,
            None => tree(snapshot, manifest, written, patterns, &mut found)?,
        };
        found.artifacts.insert(app, resolved);
    }
    Ok(found)
}

fn image(written: &Manifest) -> Option<Resolved> {
    let build = written.written.build.as_ref()?;
    let what = match (&build.image, &build.dockerfile) {
        (Some(image), _) => format!("the image {}", image.value),
        (None, Some(file)) => format!("an image built from {}", file.value),
        (None, None) => return None,
    };
    Some(Resolved::Missing {
        why: format!("it runs {what}, and no host of this fleet can run images"),
        hint: "remove [build] and give [processes] to run it from its source tree".to_owned(),
    })
}

fn tree(
    snapshot: &Snapshot<'_>,
    manifest: &ReadManifest,
    written: &Manifest,
    patterns: &Patterns,
    found: &mut Found,
) -> Result<Resolved, RepositoryError> {
    let source = written.tiedown.source.as_ref().map_or(".", |source| source.value.as_str());
    let above = manifest.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let Some(directory) = below(above, source).filter(|path| snapshot.has_directory(path)) else {
        return Ok(Resolved::Missing {
            why: format!("its source {source:?} is not a directory of {}", snapshot.name()),
            hint: "`source` of [tiedown] is a path from the manifest's directory".to_owned(),
        });
    };
    let settings = snapshot.repository().within(FILE);
    let entries = snapshot.list(&directory)?.into_iter().map(|entry| entry.path);
    let without: BTreeSet<String> =
        entries.filter(|path| patterns.matches(path) || *path == settings).collect();
    let tree = snapshot.source_tree(&directory, &without)?;
    for path in tree.submodules {
        found.notes.push(format!("{path} is a submodule: what is in it is not part of the release"));
    }
    for path in tree.lfs {
        found.notes.push(format!("{path} is a pointer of Git LFS: the release has the pointer only"));
    }
    let origin = Origin { commit: snapshot.commit().cloned(), directory, without };
    found.trees.add(tree.digest.clone(), origin);
    Ok(Resolved::Found(Artifact::Tree { digest: tree.digest }))
}

/// A path from a directory; nothing if it leads out of the repository.
fn below(directory: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_stays_in_the_repository() {
        assert_eq!(below("a/b", ".").as_deref(), Some("a/b"));
        assert_eq!(below("a/b", "../c/./d").as_deref(), Some("a/c/d"));
        assert_eq!(below("a", "..").as_deref(), Some(""));
        assert_eq!(below("a", "../.."), None);
        assert_eq!(below("a", "/etc"), None);
    }
}
