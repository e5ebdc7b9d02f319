//! What a plan is about and made from: a commit, or a change that is under review; and hosts that
//! are looked at, or what somebody else saw of them.

use super::comment::ForgeArgs;
use super::error::{Refused, Stale, Usage};
use super::global::{Apps, Global};
use super::output::Output;
use crate::fleet::{Abilities, Records};
use crate::forge::requirement::judge;
use crate::http::{HttpError, Request};
use crate::pass::{Ask, Looked};
use crate::repository::Repository;
use crate::repository::snapshot::Snapshot;
use crate::review::{Change, of_settings, touched};
use crate::serve::web::API_TOKEN;
use crate::settings::{Settings, load, meant};
use anyhow::Context;
use planner::by_itself::SHOWN;
use planner::document::ObservedDocument;
use planner::model::permit::Permits;
use planner::plan::Plan;
use planner::report::{Kind, Line};
use std::path::PathBuf;

/// Apps that are named at most.
const NAMED: usize = 20;

/// A change that is under review.
#[derive(Debug, clap::Args)]
pub(super) struct UnderReview {
    /// Take a change: what HEAD would change once it is merged onto this commit, for the apps that
    /// it touches. Hosts, policy and requirements are those of this commit.
    #[arg(long, value_name = "REV", help_heading = "Changes under review")]
    base: Option<String>,
    /// The commit that is merged.
    #[arg(
        long,
        value_name = "REV",
        help_heading = "Changes under review",
        requires = "base",
        default_value = "HEAD"
    )]
    head: String,
    /// Take hosts, policy and requirements from this file instead of from the base.
    #[arg(long, value_name = "FILE", help_heading = "Changes under review", requires = "base")]
    settings: Option<PathBuf>,
}

/// What a plan is about, and what it is made from.
#[derive(Debug, clap::Args)]
pub(super) struct Subject {
    #[command(flatten)]
    review: UnderReview,
    /// Ask a running `tiedown serve` what hosts say, instead of looking. TIEDOWN_API_TOKEN is shown
    /// to it.
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Changes under review",
        conflicts_with = "observed"
    )]
    server: Option<String>,
    /// Plan from a document of `tiedown observe` instead of looking.
    #[arg(long, value_name = "FILE")]
    observed: Option<PathBuf>,
    #[command(flatten)]
    apps: Apps,
}

/// A plan, and what it is about.
pub(super) struct Made {
    pub(super) looked: Looked,
    pub(super) settings: Settings,
    /// The change, if it is about one.
    pub(super) change: Option<Change>,
}

/// What is read for a plan.
pub(super) struct Source<'r> {
    pub(super) snapshot: Snapshot<'r>,
    pub(super) settings: Settings,
    /// The change, if it is about one.
    pub(super) change: Option<Change>,
    /// What it does to `tiedown.toml`.
    pub(super) of_settings: Option<Line>,
}

impl UnderReview {
    /// What is read: the commit that is asked for, or a change by the settings of its base.
    pub(super) fn source<'r>(
        &self,
        global: &Global,
        repository: &'r Repository,
        abilities: &Abilities,
        output: Output,
    ) -> anyhow::Result<Source<'r>> {
        let Some(base) = &self.base else {
            let snapshot = global.snapshot(repository)?;
            let settings = global.settings(&snapshot, abilities, output)?;
            return Ok(Source { snapshot, settings, change: None, of_settings: None });
        };
        if global.worktree || global.rev != "HEAD" {
            let hint = "say which commit with --head";
            return Err(Usage::new("a change is between two commits", hint).into());
        }
        let (base, head) = (repository.commit(base)?, repository.commit(&self.head)?);
        let merged = repository.merge(&base, &head)?;
        let (before, snapshot) = (repository.at(&base)?, repository.at(&merged)?);
        let machine = abilities.machine();
        let settings = match &self.settings {
            Some(path) => {
                let what = || format!("cannot use the settings {}", path.display());
                let text = std::fs::read_to_string(path).with_context(what)?;
                let path = path.display().to_string();
                meant::read(&path, &text, &machine)
                    .map_err(|problems| load::SettingsError::Wrong { path, problems })?
            }
            None => load::load(&before, &machine)?,
        };
        let apps = touched(&before, &snapshot, &settings)?;
        let of_settings = of_settings(&before, &snapshot, &machine)?;
        let change = Some(Change { base, head, merged, apps });
        Ok(Source { snapshot, settings, change, of_settings })
    }
}

impl Subject {
    /// Plans. Where hosts are looked at, the plan is judged too.
    pub(super) async fn plan(
        &self,
        permits: Permits,
        global: &Global,
        repository: &Repository,
        output: Output,
    ) -> anyhow::Result<Made> {
        let abilities = match self.observed.is_some() || self.server.is_some() {
            // Hosts are those of the document, and what this machine is does not matter.
            true => Abilities::untried()?,
            false => Abilities::probe()?,
        };
        let source = self.review.source(global, repository, &abilities, output)?;
        let document = self.document(&source.settings).await?;
        if document.is_none()
            && let Some((message, hint)) = abilities.missing(&source.settings)
        {
            output.warn(&format!("{message}; {hint}"));
        }
        let records = Records::look(&source.settings)?;
        let mut selection = self.apps.selection();
        selection.within = source.change.as_ref().map(|change| change.apps.clone());
        let ask = Ask {
            snapshot: &source.snapshot,
            settings: &source.settings,
            abilities: &abilities,
            records: &records,
            selection: &selection,
            permits,
        };
        let mut looked = match document {
            Some(document) => ask.look_at(document)?,
            None => {
                ask.guard_records()?;
                let looked = ask.look().await?;
                ask.judge(&looked.plan, &looked.observed, &looked.claims)?;
                looked
            }
        };
        looked.report.lines.extend(source.of_settings.clone());
        looked.report.lines.sort();
        let Source { settings, change, .. } = source;
        Ok(Made { looked, settings, change })
    }

    /// The commit that is looked at, also where nothing can be planned of it.
    pub(super) fn head(&self, global: &Global, repository: &Repository) -> Option<String> {
        let rev = if self.review.base.is_some() { &self.review.head } else { &global.rev };
        repository.commit(rev).ok().map(|commit| commit.as_str().to_owned())
    }

    /// What somebody else saw, if that is asked for.
    async fn document(&self, settings: &Settings) -> anyhow::Result<Option<ObservedDocument>> {
        let (text, what) = match (&self.observed, &self.server) {
            (Some(path), _) => {
                let what = format!("cannot use the observations {}", path.display());
                (std::fs::read_to_string(path).with_context(|| what.clone())?, what)
            }
            (None, Some(url)) => {
                (ask_server(url).await?, "cannot use what the server says".to_owned())
            }
            (None, None) => return Ok(None),
        };
        let document = ObservedDocument::from_json(text).context(what)?;
        if document.fleet != settings.fleet {
            let message = format!("the observations are of the fleet {}", document.fleet);
            let hint = format!("observe {} itself", settings.fleet);
            return Err(Refused { message, hint }.into());
        }
        Ok(Some(document))
    }
}

async fn ask_server(url: &str) -> anyhow::Result<String> {
    let mut ask = Request::get(format!("{}/api/v1/observed", url.trim_end_matches('/')));
    if let Some(token) = std::env::var(API_TOKEN).ok().filter(|token| !token.is_empty()) {
        ask = ask.header("authorization", format!("Bearer {token}"));
    }
    match ask.send().await {
        Ok(answer) => Ok(answer.body),
        Err(error @ HttpError::Status { status, .. }) if status.as_u16() == 401 => {
            let hint = format!("put the server's token into {API_TOKEN}");
            Err(Usage::new(error.to_string(), hint).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What a change is, on a line; for a comment, or without its signs.
pub(super) fn told(change: &Change, plan: &Plan, is_comment: bool) -> String {
    let quote = if is_comment { "`" } else { "" };
    let quoted = |text: &str| format!("{quote}{text}{quote}");
    let mut apps: Vec<String> =
        change.apps.iter().take(NAMED).map(|app| quoted(app.as_str())).collect();
    if let Some(more) = change.apps.len().checked_sub(NAMED).filter(|more| *more > 0) {
        apps.push(format!("{more} more"));
    }
    let apps = if apps.is_empty() { "no app".to_owned() } else { apps.join(", ") };
    let short = |text: &str| quoted(&text[..SHOWN.min(text.len())]);
    let (head, base) = (short(change.head.as_str()), short(change.base.as_str()));
    format!("{head} onto {base} touches {apps}; plan {}", short(&plan.digest()))
}

/// Whether a plan is the one that somebody saw elsewhere, such as in a comment.
pub(super) fn is_the_one(seen: Option<&str>, plan: &Plan) -> Result<(), Stale> {
    let digest = plan.digest();
    match seen {
        Some(seen) if !digest.starts_with(seen) => {
            let found = format!("the plan is {} by now", &digest[..SHOWN]);
            Err(Stale { found })
        }
        Some(_) | None => Ok(()),
    }
}

/// The beginning of a digest that is not too easily that of something else.
pub(super) fn digest(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase();
    if (8..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("it is 8 to 64 hexadecimal digits".to_owned())
}

/// Whether a change may be applied before it is merged: it is up to date with its base, so that it
/// is a commit which stays, and its forge says all that is required of it.
pub(super) async fn may_be_applied(
    change: &Change,
    source: &Source<'_>,
    forge: &ForgeArgs,
) -> anyhow::Result<()> {
    let required = &source.settings.require;
    if !change.is_up_to_date() {
        let message = "the change is not up to date with its base, so nothing was begun".to_owned();
        let hint = "merge the base into it, or rebase it".to_owned();
        return Err(Refused { message, hint }.into());
    }
    if let Some(line) = source.of_settings.as_ref().filter(|line| line.kind == Kind::Refused) {
        let hint = line.hint.clone().unwrap_or_default();
        return Err(Refused { message: line.why.clone(), hint }.into());
    }
    if required.is_empty() {
        return Ok(());
    }
    let judged = judge(required, &forge.open()?.pull().await?, change);
    let unmet = judged.iter().filter(|one| !one.is_met);
    let unmet: Vec<String> = unmet.map(|one| format!("{}: {}", one.what, one.told)).collect();
    if unmet.is_empty() {
        return Ok(());
    }
    let message = format!("the change does not meet [require]: {}", unmet.join("; "));
    Err(Refused { message, hint: "`tiedown comment` shows all of it on the change".into() }.into())
}
