//! Which apps a pass is about: `--app` and `--exclude-app`, and what a change touches.

use planner::model::name::AppName;
use std::collections::BTreeSet;

/// The apps asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these; empty: all.
    pub only: Vec<String>,
    /// Not these.
    pub except: Vec<String>,
    /// Of them only those that a change touches, if it is about one.
    pub within: Option<BTreeSet<AppName>>,
    /// Whether apps whose manifests have mistakes are left as they are, and the others go on; else
    /// a mistake ends it all.
    pub tolerant: bool,
}

/// An app that nobody knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no app {name:?} in these manifests, nor was one applied before")]
pub struct SelectionError {
    /// As asked for, cut to 80 characters.
    pub name: String,
    /// The nearest that there is.
    pub near: Option<String>,
}

impl Selection {
    /// The apps of those known that this pass is not about.
    ///
    /// # Errors
    /// [`SelectionError`]: a name that is not among them, which was surely mistyped.
    pub fn left_out(&self, known: &BTreeSet<AppName>) -> Result<BTreeSet<AppName>, SelectionError> {
        let names: Vec<&str> = known.iter().map(AppName::as_str).collect();
        for name in self.only.iter().chain(&self.except) {
            if !names.contains(&name.as_str()) {
                let near = similar::get_close_matches(name.as_str(), &names, 1, 0.6);
                let near = near.first().map(|near| (*near).to_owned());
                return Err(SelectionError { name: name.chars().take(80).collect(), near });
            }
        }
        let listed = |list: &[String], app: &AppName| list.iter().any(|name| name == app.as_str());
        let out = |app: &&AppName| {
            listed(&self.except, app)
                || !(self.only.is_empty() || listed(&self.only, app))
                || self.within.as_ref().is_some_and(|within| !within.contains(*app))
        };
        Ok(known.iter().filter(out).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_about_what_was_asked_for() {
        let known: BTreeSet<AppName> =
            ["store", "web", "worker"].map(|name| AppName::new(name).unwrap()).into();
        let select = |only: &[&str], except: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
            let selection =
                Selection { only: own(only), except: own(except), ..Selection::default() };
            let left_out = selection.left_out(&known)?;
            Ok(left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(select(&[], &[]), Ok(String::new()));
        assert_eq!(select(&["web"], &[]), Ok("store worker".to_owned()));
        assert_eq!(select(&[], &["web"]), Ok("web".to_owned()));
        assert_eq!(select(&["web", "store"], &["web"]), Ok("web worker".to_owned()));
        let touched = Some([AppName::new("web").unwrap()].into());
        let within = Selection { within: touched, ..Selection::default() };
        assert_eq!(within.left_out(&known).unwrap().len(), 2);
        let wrong = SelectionError { name: "stroe".into(), near: Some("store".into()) };
        assert_eq!(select(&[], &["stroe"]), Err(wrong));
    }
}
