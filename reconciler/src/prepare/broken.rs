//! Manifests with mistakes, where nobody is there to mend them: their apps are left as they are,
//! and the others go on. Where it cannot be read which app it is, it may be any.

use super::apps::{self, Meant};
use super::{Mistakes, ReadManifest};
use planner::manifest::problem::Severity;
use planner::model::name::AppName;
use planner::model::object::Object;
use planner::report::{Kind, Line};
use std::collections::{BTreeMap, BTreeSet};

/// What became of manifests with mistakes.
#[derive(Debug, Default)]
pub struct Broken {
    /// Apps that are left as they are.
    pub apps: BTreeSet<AppName>,
    /// A manifest that does not say which app it is of.
    pub nameless: Option<String>,
    /// All of it, for the report.
    pub lines: Vec<Line>,
}

/// Sorts out the apps whose manifests have mistakes.
#[must_use]
pub fn sort_out(
    manifests: &[&ReadManifest],
    mistakes: &Mistakes,
    apps: &mut BTreeMap<AppName, Meant>,
) -> Broken {
    let mut firsts: BTreeMap<&str, String> = BTreeMap::new();
    let errors = mistakes.problems.iter().map(|(problem, _)| problem);
    let errors = errors.filter(|problem| problem.severity == Severity::Error);
    let errors = errors.map(|error| (&error.file, error.line, &error.message));
    let clashes = mistakes.clashes.iter().map(|clash| (&clash.file, clash.line, &clash.message));
    for (file, line, message) in errors.chain(clashes) {
        let first = || format!("{file}:{line}: {message}");
        firsts.entry(file).or_insert_with(first);
    }
    let mut broken = Broken::default();
    for (path, first) in firsts {
        let manifest = manifests.iter().find(|manifest| manifest.path == path);
        let hint = Some("`tiedown validate` shows all mistakes; mend them in a new commit".into());
        let (object, why) = match manifest.and_then(|manifest| apps::name(manifest)) {
            Some(app) => {
                apps.remove(&app);
                broken.apps.insert(app.clone());
                let why = format!("its manifest has mistakes, so it is left as it is: {first}");
                (Object::App { app }, why)
            }
            None => {
                broken.nameless = Some(path.to_owned());
                let why = format!("{path} does not say which app it is of, so nothing is removed");
                (Object::Fleet, format!("{why}: {first}"))
            }
        };
        broken.lines.push(Line { kind: Kind::Unknown, object, why, hint });
    }
    broken
}
