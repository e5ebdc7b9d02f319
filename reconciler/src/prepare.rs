//! From manifests to what the planner takes: what is desired, references made firm, and how the
//! commit relates to those applied before. Finds what only shows when manifests meet.

pub mod apps;
pub mod artifacts;
pub mod broken;
pub mod images;
pub mod selection;

use crate::repository::RepositoryError;
use crate::repository::snapshot::{Patterns, Snapshot};
use crate::repository::tree::KnownTrees;
use crate::settings::problem::Problem as Clash;
use crate::settings::{INCLUDE, Settings};
use broken::Broken;
use executor::secrets::SecretError;
use images::References;
use planner::manifest::problem::{Problem, Severity};
use planner::manifest::resolve::Resolved;
use planner::manifest::{self, Read};
use planner::model::artifact::Artifacts;
use planner::model::claim::Claims;
use planner::model::desired::{Desired, Lineage};
use planner::model::name::AppName;
use planner::model::release::SecretVersions;
use planner::report::Line;
use selection::{Selection, SelectionError};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// One manifest as read.
#[derive(Debug)]
pub struct ReadManifest {
    /// From the root of the tree.
    pub path: String,
    /// Its text, for showing problems; what is not UTF-8 replaced.
    pub text: String,
    /// What came of reading it.
    pub read: Read,
}

/// Mistakes in manifests, each with its place.
#[derive(Debug, Default)]
pub struct Mistakes {
    /// Of single manifests, with their texts.
    pub problems: Vec<(Problem, String)>,
    /// Of manifests that do not go together.
    pub clashes: Vec<Clash>,
}

impl Mistakes {
    /// Whether any of it is more than a warning.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let error = |(problem, _): &(Problem, String)| problem.severity == Severity::Error;
        !self.clashes.is_empty() || self.problems.iter().any(error)
    }
}

/// Why nothing can be planned.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Manifests have mistakes.
    #[error("the manifests have mistakes")]
    Mistakes(Box<Mistakes>),
    /// The apps asked for make no sense.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The repository could not be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The secrets of the fleet could not be read.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// A glob of `[apps]` is none.
    #[error("a pattern of [apps] in tiedown.toml cannot be used")]
    Pattern(#[from] globset::Error),
}

/// All that a commit gives the planner.
#[derive(Debug)]
pub struct Prepared {
    /// What is asked for.
    pub desired: Desired,
    /// What it refers to.
    pub artifacts: Artifacts,
    /// Images among it that are still to be looked up.
    pub references: References,
    /// Where the trees among them are found again.
    pub trees: KnownTrees,
    /// Warnings of manifests, with their texts.
    pub warnings: Vec<(Problem, String)>,
    /// What a reader should know beside, as sentences.
    pub notes: Vec<String>,
    /// Apps that are left as they are for the mistakes of their manifests.
    pub broken: Vec<Line>,
}

/// Reads all manifests of the fleet.
///
/// # Errors
/// [`PrepareError::Repository`], [`PrepareError::Pattern`]; a mistake in a manifest is none.
pub fn read_manifests(
    snapshot: &Snapshot<'_>,
    settings: &Settings,
) -> Result<(Vec<ReadManifest>, Patterns), PrepareError> {
    matching(snapshot, &settings.include, &settings.exclude)
}

/// Reads all manifests there are by the usual patterns, where no fleet says which.
///
/// # Errors
/// As [`read_manifests`].
pub fn read_usual_manifests(
    snapshot: &Snapshot<'_>,
) -> Result<(Vec<ReadManifest>, Patterns), PrepareError> {
    matching(snapshot, &INCLUDE.map(str::to_owned), &[])
}

fn matching(
    snapshot: &Snapshot<'_>,
    include: &[String],
    exclude: &[String],
) -> Result<(Vec<ReadManifest>, Patterns), PrepareError> {
    let patterns = snapshot.repository().patterns(include, exclude)?;
    let found = snapshot.manifests(&patterns)?;
    let manifests = found.into_iter().map(|(path, bytes)| read_manifest(path, &bytes)).collect();
    Ok((manifests, patterns))
}

/// Reads one manifest; `path` is shown.
#[must_use]
pub fn read_manifest(path: String, bytes: &[u8]) -> ReadManifest {
    let read = manifest::read(&path, bytes);
    ReadManifest { read, text: String::from_utf8_lossy(bytes).into_owned(), path }
}

/// That there are no manifests, for whoever expected some.
#[must_use]
pub fn none_found(snapshot: &Snapshot<'_>) -> String {
    format!("no manifest in {} matches `include` of [apps]", snapshot.name())
}

/// Versions of the secrets that are set, by app.
pub type Secrets = BTreeMap<AppName, SecretVersions>;

/// Which secrets are set in the fleet; of none of them the value.
///
/// # Errors
/// [`PrepareError::Secrets`].
pub fn read_secrets(settings: &Settings) -> Result<Secrets, PrepareError> {
    Ok(executor::secrets::versions(&settings.secrets())?)
}

/// Prepares a plan.
///
/// # Errors
/// [`PrepareError`]; mistakes of apps that are left out are not among them.
pub fn prepare(
    snapshot: &Snapshot<'_>,
    settings: &Settings,
    selection: &Selection,
    claims: &Claims,
    secrets: &Secrets,
) -> Result<Prepared, PrepareError> {
    let patterns = snapshot.repository().patterns(&settings.include, &settings.exclude)?;
    let (manifests, resolved) = read_resolved(snapshot, settings, &patterns)?;
    let named = manifests.iter().filter_map(apps::name);
    let known = named.chain(claims.apps.keys().cloned()).collect();
    let mut left_out = selection.left_out(&known)?;
    let considered =
        |manifest: &&ReadManifest| apps::name(manifest).is_none_or(|app| !left_out.contains(&app));
    let resolved = manifests.iter().zip(resolved);
    let resolved = resolved.filter(|(manifest, _)| considered(manifest));
    let (mut apps, mistakes) = apps::gather(resolved);
    let considered: Vec<&ReadManifest> = manifests.iter().filter(considered).collect();
    let broken = match mistakes.has_errors() {
        true if !selection.tolerant => {
            return Err(PrepareError::Mistakes(Box::new(mistakes)));
        }
        true => broken::sort_out(&considered, &mistakes, &mut apps),
        false => Broken::default(),
    };
    left_out.extend(broken.apps);
    for (name, meant) in &mut apps {
        let set = secrets.get(name).cloned().unwrap_or_default();
        meant.app.groups.values_mut().for_each(|group| group.secrets.clone_from(&set));
    }
    let mut found = artifacts::resolve(snapshot, &apps, &patterns, settings, claims)?;
    found.notes.extend(manifests.is_empty().then(|| none_found(snapshot)));
    let lineages = match broken.nameless {
        // It may be any app: of none can be said that it was deleted.
        Some(path) => unknown_to_all(claims, &format!("{path} does not say which app it is of")),
        None => lineages(snapshot, claims, &manifests)?,
    };
    let hosts = settings.hosts.iter().map(|(name, host)| (name.clone(), host.spec.clone()));
    Ok(Prepared {
        desired: Desired {
            fleet: settings.fleet.clone(),
            hosts: hosts.collect(),
            commit: snapshot.commit().cloned(),
            apps: apps.into_iter().map(|(name, meant)| (name, meant.app)).collect(),
            left_out,
            lineages,
        },
        artifacts: found.artifacts,
        references: found.references,
        trees: found.trees,
        warnings: mistakes.problems,
        notes: found.notes,
        broken: broken.lines,
    })
}

/// All manifests of the fleet, and what each means. What was read of one is many times as large as
/// the app that it becomes, so it is let go before the next is read.
fn read_resolved(
    snapshot: &Snapshot<'_>,
    settings: &Settings,
    patterns: &Patterns,
) -> Result<(Vec<ReadManifest>, Vec<Option<Resolved>>), PrepareError> {
    let regions = settings.regions();
    let found = snapshot.manifests(patterns)?;
    let resolved = found.into_iter().map(|(path, bytes)| {
        let mut manifest = read_manifest(path, &bytes);
        let resolved = apps::one(snapshot, &manifest, &regions);
        manifest.read.manifest = None;
        (manifest, resolved)
    });
    Ok(resolved.unzip())
}

/// How the source relates to what was applied last, app by app. A manifest that is there and not
/// among those read was left out by `[apps]`, or by being pointed at another directory.
fn lineages(
    snapshot: &Snapshot<'_>,
    claims: &Claims,
    read: &[ReadManifest],
) -> Result<BTreeMap<AppName, Lineage>, RepositoryError> {
    let read: BTreeSet<&str> = read.iter().map(|manifest| manifest.path.as_str()).collect();
    let mut lineages = BTreeMap::new();
    // Most apps were applied with few commits, and each comparison walks the history.
    let mut compared = BTreeMap::new();
    for (app, record) in &claims.apps {
        let lineage = match (snapshot.commit(), &record.commit) {
            (Some(now), Some(applied)) => match compared.entry(applied) {
                Entry::Occupied(known) => Lineage::clone(known.get()),
                Entry::Vacant(new) => {
                    new.insert(snapshot.repository().lineage(now, applied)?).clone()
                }
            },
            (None, _) => unknown("what is to be applied is the work tree, not a commit"),
            (Some(_), None) => unknown("what was applied last was a work tree, not a commit"),
        };
        let manifest = &record.manifest;
        let lineage = match lineage {
            Lineage::Descends
                if !read.contains(manifest.as_str()) && snapshot.read(manifest)?.is_some() =>
            {
                Lineage::Unselected { manifest: manifest.clone() }
            }
            lineage => lineage,
        };
        lineages.insert(app.clone(), lineage);
    }
    Ok(lineages)
}

fn unknown_to_all(claims: &Claims, why: &str) -> BTreeMap<AppName, Lineage> {
    claims.apps.keys().map(|app| (app.clone(), unknown(why))).collect()
}

fn unknown(why: &str) -> Lineage {
    Lineage::Unknown { why: why.to_owned() }
}
