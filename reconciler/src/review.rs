//! A change under review: the apps that it touches once it is merged, and what it does to
//! `tiedown.toml`. It is judged by the `tiedown.toml` of its base, so it cannot loosen what it is
//! judged by.

use crate::prepare::apps::{self, Meant, above, below};
use crate::prepare::{PrepareError, ReadManifest, read_manifests};
use crate::repository::snapshot::{Patterns, Snapshot};
use crate::settings::load::{SettingsError, load};
use crate::settings::{FILE, Machine, Settings};
use planner::manifest::resolve::Runs;
use planner::model::name::AppName;
use planner::model::object::Object;
use planner::model::release::CommitId;
use planner::report::{Kind, Line};
use serde::Serialize;
use std::collections::BTreeSet;

/// Which change it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is merged onto.
    pub base: CommitId,
    /// What is merged.
    pub head: CommitId,
    /// What is planned: `head`, if it descends from `base`; else both as they would be merged.
    pub merged: CommitId,
    /// The apps that it touches.
    pub apps: BTreeSet<AppName>,
}

impl Change {
    /// Whether `head` is up to date with `base`, so that what is planned is a commit of somebody.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.merged == self.head
    }
}

/// The apps that differ between two commits: their manifests, what these mean, or files under
/// their `source`. An app whose manifest is gone, or has mistakes, is one of them.
///
/// # Errors
/// [`PrepareError::Repository`], [`PrepareError::Pattern`].
pub fn touched(
    base: &Snapshot<'_>,
    merged: &Snapshot<'_>,
    settings: &Settings,
) -> Result<BTreeSet<AppName>, PrepareError> {
    let (Some(before), Some(after)) = (base.commit(), merged.commit()) else {
        return Ok(BTreeSet::new());
    };
    let changed = merged.repository().changed(before, after)?;
    if changed.is_empty() {
        return Ok(BTreeSet::new());
    }
    let (before, _) = read_manifests(base, settings)?;
    let (after, patterns) = read_manifests(merged, settings)?;
    let files = Files { changed: &changed, patterns: &patterns, merged };
    let named = before.iter().chain(&after).filter(|manifest| changed.contains(&manifest.path));
    let mut touched: BTreeSet<AppName> = named.filter_map(apps::name).collect();
    let meant = |snapshot, manifests: &[ReadManifest]| {
        let manifests: Vec<&ReadManifest> = manifests.iter().collect();
        apps::resolve(snapshot, &manifests, settings).0
    };
    let (before, after) = (meant(base, &before), meant(merged, &after));
    for (name, meant) in &after {
        let is_as_before = before.get(name).is_some_and(|before| before.app == meant.app);
        if !is_as_before || files.are_under(meant) {
            touched.insert(name.clone());
        }
    }
    Ok(touched)
}

struct Files<'a> {
    changed: &'a BTreeSet<String>,
    patterns: &'a Patterns,
    merged: &'a Snapshot<'a>,
}

impl Files<'_> {
    /// Whether one of them is released with the app.
    fn are_under(&self, meant: &Meant) -> bool {
        let source = match &meant.runs {
            Runs::Tree { path } => path.as_str(),
            // What an image is built from is at least the manifest's directory.
            Runs::Build { .. } => ".",
            Runs::Image { .. } => return false,
        };
        let Some(directory) = below(above(&meant.path), source) else { return false };
        let settings = self.merged.repository().within(FILE);
        let is_under = |path: &&String| {
            directory.is_empty()
                || path.strip_prefix(&directory).is_some_and(|rest| rest.starts_with('/'))
        };
        let mut under = self.changed.iter().filter(is_under);
        under.any(|path| !self.patterns.matches(path) && *path != settings)
    }
}

/// What a change does to `tiedown.toml`, for the report; nothing if it leaves it as it is. One
/// that could not be read once it is merged is refused.
///
/// # Errors
/// The repository could not be read.
pub fn of_settings(
    base: &Snapshot<'_>,
    merged: &Snapshot<'_>,
    machine: &Machine,
) -> Result<Option<Line>, SettingsError> {
    let path = merged.repository().within(FILE);
    if base.read(&path)? == merged.read(&path)? {
        return Ok(None);
    }
    let line = |kind, why, hint: &str| {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Ok(Some(Line { kind, object: Object::Fleet, why, hint }))
    };
    let after = match load(merged, machine) {
        Ok(after) => after,
        Err(SettingsError::Repository(error)) => return Err(error.into()),
        Err(error @ SettingsError::Missing { .. }) => {
            return line(Kind::Refused, error.to_string(), "keep the file");
        }
        Err(error @ SettingsError::NotText { .. }) => {
            return line(Kind::Refused, error.to_string(), "");
        }
        Err(SettingsError::Wrong { path, problems }) => {
            let told = problems.iter().map(|p| format!("{path}:{}: {}", p.line, p.message));
            let told = told.collect::<Vec<_>>().join("; ");
            let why = format!("the change makes mistakes in {path}: {told}");
            return line(Kind::Refused, why, "mend them in the same change");
        }
    };
    let Ok(before) = load(base, machine) else {
        return line(Kind::Note, format!("the change makes {path} what it is"), "");
    };
    let parts = differences(&before, &after);
    if parts.is_empty() {
        return Ok(None);
    }
    let why = format!("the change alters {} in {path}; this plan is still by", parts.join(", "));
    line(Kind::Note, format!("{why} that of its base"), "what it would mean is seen once it is in")
}

/// The parts in which two settings differ, by name.
fn differences(before: &Settings, after: &Settings) -> Vec<String> {
    let Settings { fleet, state_dir, include, exclude, hosts, policy, endpoints, serve, require } =
        before;
    let mut parts = Vec::new();
    let mut differs = |differs: bool, name: &str| parts.extend(differs.then(|| name.to_owned()));
    differs(*fleet != after.fleet, "`fleet`");
    differs(*state_dir != after.state_dir, "`state_dir`");
    differs((include, exclude) != (&after.include, &after.exclude), "[apps]");
    differs(*policy != after.policy, "[policy]");
    differs(*endpoints != after.endpoints, "[endpoints]");
    differs(*serve != after.serve, "[serve]");
    differs(*require != after.require, "[require]");
    let names: BTreeSet<_> = hosts.keys().chain(after.hosts.keys()).collect();
    let names = names.into_iter().filter(|name| hosts.get(name) != after.hosts.get(name));
    parts.extend(names.map(|name| format!("host {name}")));
    parts
}
