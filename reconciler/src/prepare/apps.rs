//! Manifests to apps: each resolved against the fleet's regions, and no name twice.

use super::{Mistakes, ReadManifest};
use crate::repository::snapshot::Snapshot;
use crate::settings::Settings;
use crate::settings::problem::Problem as Clash;
use planner::manifest::resolve::{Context, Resolved, Runs};
use planner::model::desired::App;
use planner::model::name::{AppName, Region};
use std::collections::{BTreeMap, BTreeSet};

/// The name of a manifest's app, if it has one that is a name.
#[must_use]
pub fn name(manifest: &ReadManifest) -> Option<AppName> {
    manifest.read.app.as_deref().and_then(|name| AppName::new(name).ok())
}

/// What a manifest means, and where it stands.
#[derive(Debug)]
pub struct Meant {
    /// The app.
    pub app: App,
    /// What it is released from.
    pub runs: Runs,
    /// The manifest's path from the root of the tree.
    pub path: String,
}

/// All apps, and all that is wrong: every problem of every manifest, and names that clash.
#[must_use]
pub fn resolve(
    snapshot: &Snapshot<'_>,
    manifests: &[&ReadManifest],
    settings: &Settings,
) -> (BTreeMap<AppName, Meant>, Mistakes) {
    let regions = settings.regions();
    let resolved = manifests.iter().map(|manifest| one(snapshot, manifest, &regions));
    gather(manifests.iter().copied().zip(resolved))
}

/// One manifest, resolved; nothing if it could not be read.
#[must_use]
pub fn one(
    snapshot: &Snapshot<'_>,
    manifest: &ReadManifest,
    regions: &BTreeSet<Region>,
) -> Option<Resolved> {
    let written = manifest.read.manifest.as_ref().filter(|_| !manifest.read.has_errors())?;
    let path = manifest.path.as_str();
    let file = |file: &str| snapshot.read(&below(above(path), file)?).ok().flatten();
    let context = Context { path, text: &manifest.text, regions, file: &file };
    Some(planner::manifest::resolve::resolve(written, &context))
}

/// As [`resolve`], of manifests that each are resolved.
pub fn gather<'m>(
    manifests: impl Iterator<Item = (&'m ReadManifest, Option<Resolved>)>,
) -> (BTreeMap<AppName, Meant>, Mistakes) {
    let (mut apps, mut mistakes) = (BTreeMap::new(), Mistakes::default());
    let mut all = Vec::new();
    for (manifest, resolved) in manifests {
        all.push(manifest);
        let path = manifest.path.as_str();
        let problems = manifest.read.problems.iter().cloned();
        mistakes.problems.extend(problems.map(|problem| (problem, manifest.text.clone())));
        let Some(resolved) = resolved else { continue };
        let told = mistakes.problems.len();
        let problems = resolved.problems.into_iter();
        mistakes.problems.extend(problems.map(|problem| (problem, manifest.text.clone())));
        match resolved.app {
            Some(app) => {
                let meant = Meant { runs: resolved.runs, path: path.to_owned(), app };
                apps.insert(meant.app.name.clone(), meant);
            }
            None if mistakes.problems.len() == told => {
                let hint = Some("write app = \"NAME\" at the top".to_owned());
                let message = "the manifest names no app".to_owned();
                mistakes.clashes.push(Clash::new(path, &manifest.text, 0..0, message, hint));
            }
            None => {}
        }
    }
    mistakes.clashes.splice(0..0, clashes(&all));
    (apps, mistakes)
}

/// The directory that a path is in.
#[must_use]
pub fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// A path from a directory; nothing if it leads out of the repository.
#[must_use]
pub fn below(directory: &str, path: &str) -> Option<String> {
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

/// Manifests that name one app: a mistake at each of them, which names the others.
#[must_use]
pub fn clashes(manifests: &[&ReadManifest]) -> Vec<Clash> {
    let mut named: BTreeMap<AppName, Vec<&ReadManifest>> = BTreeMap::new();
    for manifest in manifests {
        if let Some(app) = name(manifest) {
            named.entry(app).or_default().push(manifest);
        }
    }
    let mut clashes = Vec::new();
    for (app, places) in named.iter().filter(|(_, places)| places.len() > 1) {
        let message = format!("{} manifests name the app {app}", places.len());
        for here in places {
            let others = places.iter().filter(|other| other.path != here.path);
            let others: Vec<&str> = others.map(|other| other.path.as_str()).collect();
            let hint = format!(
                "the other is {}; rename one, or select one with `include` or `exclude` of [apps] \
                 in tiedown.toml",
                others.join(", ")
            );
            let span = app_span(&here.text);
            clashes.push(Clash::new(&here.path, &here.text, span, message.clone(), Some(hint)));
        }
    }
    clashes
}

/// Where a manifest names its app; its beginning if that cannot be found.
fn app_span(text: &str) -> std::ops::Range<usize> {
    let document = toml_edit::Document::parse(text).ok();
    document
        .and_then(|document| document.get("app").and_then(toml_edit::Item::span))
        .unwrap_or(0..0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_repository() {
        assert_eq!(below("a/b", ".").as_deref(), Some("a/b"));
        assert_eq!(below("a/b", "../c/./d").as_deref(), Some("a/c/d"));
        assert_eq!(below("a", "..").as_deref(), Some(""));
        assert_eq!(below("a", "../.."), None);
        assert_eq!(below("a", "/etc"), None);
    }
}
