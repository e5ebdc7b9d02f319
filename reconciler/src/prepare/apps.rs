//! Manifests to apps: each resolved against the fleet's regions, and no name twice.

use super::{Mistakes, ReadManifest};
use crate::settings::Settings;
use crate::settings::problem::Problem as Clash;
use planner::model::desired::App;
use planner::model::name::AppName;
use std::collections::BTreeMap;

/// The name of a manifest's app, if it has one that is a name.
#[must_use]
pub fn name(manifest: &ReadManifest) -> Option<AppName> {
    manifest.read.app.as_deref().and_then(|name| AppName::new(name).ok())
}

/// All apps, and all that is wrong: every problem of every manifest, and names that clash.
#[must_use]
pub fn resolve(
    manifests: &[&ReadManifest],
    settings: &Settings,
) -> (BTreeMap<AppName, App>, Mistakes) {
    let mut apps = BTreeMap::new();
    let mut mistakes = Mistakes { clashes: clashes(manifests), ..Mistakes::default() };
    let regions = settings.regions();
    for manifest in manifests {
        let problems = manifest.read.problems.iter().cloned();
        mistakes.problems.extend(problems.map(|problem| (problem, manifest.text.clone())));
        if manifest.read.has_errors() {
            continue;
        }
        let Some(written) = &manifest.read.manifest else { continue };
        let context = Context { path: &manifest.path, regions: &regions };
        let (app, problems) = planner::manifest::resolve::resolve(written, &context);
        let problems = problems.into_iter().map(|problem| (problem, manifest.text.clone()));
        mistakes.problems.extend(problems);
        if let Some(app) = app {
            apps.insert(app.name.clone(), app);
        }
    }
    (apps, mistakes)
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
    document.and_then(|document| document.get("app").and_then(toml_edit::Item::span)).unwrap_or(0..0)
}
