//! Errors told once: mistakes with their places, the chain of causes, the way out; and which
//! ending an error is.

use super::exit::Ending;
use super::output::{Closed, Format, Output};
use crate::fleet::FleetError;
use crate::pass::PassError;
use crate::prepare::selection::SelectionError;
use crate::prepare::{Mistakes, PrepareError};
use crate::repository::RepositoryError;
use crate::settings::load::SettingsError;
use executor::apply::ApplyError;
use executor::catalog::CatalogError;
use executor::secrets::SecretError;
use planner::manifest::problem::{Look, Severity};
use serde_json::{Value, json};

/// A mistake of whoever called, with the way out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Usage {
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: String,
}

impl Usage {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Something that a guard forbids.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refused {
    /// What, and why.
    pub(super) message: String,
    /// What would change that.
    pub(super) hint: String,
}

/// A saved plan that the world has left behind.
#[derive(Debug, thiserror::Error)]
#[error("the world moved since the plan was made, so nothing was done: {found}")]
pub(super) struct Stale {
    /// What does not fit any more.
    pub(super) found: String,
}

/// What an error comes down to.
#[derive(Default)]
struct Found<'a> {
    hint: Option<String>,
    ending: Ending,
    mistakes: Option<&'a Mistakes>,
    settings: &'a [crate::settings::problem::Problem],
}

/// Tells an error, and which ending it is. A reader that has gone is none.
pub(super) fn tell(error: &anyhow::Error, output: Output) -> Ending {
    if error.is::<Closed>() {
        return Ending::default();
    }
    let found = find(error);
    for problem in found.settings {
        output.say(&problem.render(true));
    }
    if let Some(mistakes) = found.mistakes {
        output.say(text_of(mistakes).trim_end_matches('\n'));
        output.say("");
    }
    let message = format!("{error:#}");
    output.error(&message);
    if let Some(hint) = &found.hint {
        output.hint(hint);
    }
    if output.format == Format::Json {
        let mut problems: Vec<Value> = found.settings.iter().map(|p| json!(p)).collect();
        problems.extend(found.mistakes.map(json_of).unwrap_or_default());
        let mut document = json!({
            "errored": true,
            "exit": found.ending.exit().code(),
            "error": message,
            "hint": found.hint,
            "problems": problems,
        });
        if output.lines {
            document["event"] = "summary".into();
        }
        // The error is told already; a reader that has gone changes nothing.
        let _ = output.json(&document);
    }
    found.ending
}

/// All that is told of an error, as one text.
pub(super) fn whole(error: &anyhow::Error) -> String {
    let found = find(error);
    let mut text: String = found.settings.iter().map(|p| p.render(false) + "\n").collect();
    text += &found.mistakes.map(text_of).unwrap_or_default();
    text += &format!("error: {error:#}\n");
    text += &found.hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    text
}

/// The way out of an error, if there is a general one.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    find(error).hint
}

/// Mistakes of manifests with their source lines, in the order of their files, an empty line
/// after each.
pub(super) fn text_of(mistakes: &Mistakes) -> String {
    let problems = mistakes.problems.iter();
    let problems = problems.map(|(problem, text)| problem.render(text, Look::Styled));
    let clashes = mistakes.clashes.iter().map(|clash| clash.render(true));
    problems.chain(clashes).map(|text| text + "\n").collect()
}

/// Mistakes as JSON.
pub(super) fn json_of(mistakes: &Mistakes) -> Vec<Value> {
    let problems = mistakes.problems.iter().map(|(problem, _)| json!(problem));
    problems.chain(mistakes.clashes.iter().map(clash_json)).collect()
}

/// What a clash of manifests is called where mistakes have names.
pub(super) const CLASH: &str = "clash";

fn clash_json(clash: &crate::settings::problem::Problem) -> Value {
    let mut value = json!(clash);
    value["severity"] = json!(Severity::Error);
    value["code"] = json!(CLASH);
    value
}

/// How many mistakes there are, in words.
pub(super) fn count(mistakes: &Mistakes) -> String {
    let of = |severity| mistakes.problems.iter().filter(|(p, _)| p.severity == severity).count();
    let errors = of(Severity::Error) + mistakes.clashes.len();
    format!("{}, {}", plural(errors, "error"), plural(of(Severity::Warning), "warning"))
}

/// A number and what is counted.
pub(super) fn plural(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}

fn find(error: &anyhow::Error) -> Found<'_> {
    let errored = Ending { errored: true, ..Ending::default() };
    let mut found = Found { ending: errored, ..Found::default() };
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<Usage>() {
            found.hint = Some(error.hint.clone());
        } else if let Some(error) = cause.downcast_ref::<Refused>() {
            found.hint = Some(error.hint.clone());
            found.ending = Ending { refused: true, ..Ending::default() };
        } else if cause.is::<Stale>() {
            found.hint = Some("plan again".to_owned());
            found.ending = Ending { stale: true, ..Ending::default() };
        } else if let Some(error) = cause.downcast_ref::<SettingsError>() {
            of_settings(error, &mut found);
        } else if let Some(error) = cause.downcast_ref::<RepositoryError>() {
            found.hint = error.hint();
        } else if let Some(error) = cause.downcast_ref::<PrepareError>() {
            of_prepare(error, &mut found);
        } else if let Some(error) = cause.downcast_ref::<SecretError>() {
            of_secrets(error, &mut found);
        } else if let Some(error) = cause.downcast_ref::<CatalogError>() {
            of_catalog(error, &mut found);
        } else if let Some(error) = cause.downcast_ref::<FleetError>() {
            of_fleet(error, &mut found);
        } else if let Some(error) = cause.downcast_ref::<PassError>() {
            of_pass(error, &mut found);
        }
    }
    found
}

fn of_settings<'a>(error: &'a SettingsError, found: &mut Found<'a>) {
    found.hint = error.hint();
    if let SettingsError::Wrong { problems, .. } = error {
        found.settings = problems;
    }
}

fn of_prepare<'a>(error: &'a PrepareError, found: &mut Found<'a>) {
    match error {
        PrepareError::Mistakes(mistakes) => found.mistakes = Some(mistakes),
        PrepareError::Selection(SelectionError { near, .. }) => {
            found.hint = near.as_ref().map(|near| format!("did you mean {near}?"));
        }
        PrepareError::Repository(error) => found.hint = error.hint(),
        PrepareError::Secrets(error) => of_secrets(error, found),
        PrepareError::Pattern(_) => {}
    }
}

fn of_secrets(error: &SecretError, found: &mut Found<'_>) {
    match error {
        SecretError::Seal { .. } => {
            let hint = "bring the key back; without it set every secret anew, once `secrets` in \
                        the state directory is removed";
            found.hint = Some(hint.to_owned());
        }
        SecretError::Busy => {
            found.ending = Ending { locked: true, ..Ending::default() };
            found.hint = Some("try again".to_owned());
        }
        SecretError::Absent { app, name, .. } => {
            found.hint = Some(format!("tiedown secrets set {app} {name}"));
        }
        SecretError::Unreadable { .. } | SecretError::Io { .. } => {}
    }
}

fn of_catalog(error: &CatalogError, found: &mut Found<'_>) {
    match error {
        CatalogError::Locked { .. } => {
            found.ending = Ending { locked: true, ..Ending::default() };
            found.hint = Some("wait for it with --lock-timeout SECONDS, or try later".to_owned());
        }
        CatalogError::NotOurs { .. } => {
            found.ending = Ending { refused: true, ..Ending::default() };
            found.hint =
                Some("give each fleet a `state_dir` of its own in tiedown.toml".to_owned());
        }
        CatalogError::Store { .. } => {}
    }
}

fn of_fleet(error: &FleetError, found: &mut Found<'_>) {
    match error {
        FleetError::Catalog(error) => of_catalog(error, found),
        FleetError::Probe(_) | FleetError::Machine(_) => {
            found.hint = Some("run `tiedown doctor`".to_owned());
        }
    }
}

fn of_pass<'a>(error: &'a PassError, found: &mut Found<'a>) {
    match error {
        PassError::Prepare(error) => of_prepare(error, found),
        PassError::Fleet(error) => of_fleet(error, found),
        PassError::Catalog(error) | PassError::Apply(ApplyError::Catalog(error)) => {
            of_catalog(error, found);
        }
        PassError::Repository(error) => found.hint = error.hint(),
        PassError::RecordsGone { .. } => {
            found.ending = Ending { refused: true, ..Ending::default() };
            found.hint = Some(
                "bring the state directory back; or start anew with --allow-empty, if nothing of \
                 the fleet is left"
                    .to_owned(),
            );
        }
        PassError::Unsound(_) => {
            found.hint = Some("this is a fault of tiedown; nothing was touched".to_owned());
        }
        PassError::Apply(ApplyError::NoHost { .. }) => {}
    }
}
