//! `tiedown comment`: a plan where its change is reviewed.

use super::apply::unless_closed;
use super::error::{self, Usage};
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output};
use super::plan::of_report;
use super::review::{Made, Subject};
use crate::forge::place::{self, Kind, Place, Said, Unsaid};
use crate::forge::requirement::{Requirement, judge};
use crate::forge::{Forge, ForgeError, Kept, State, mark};
use planner::model::permit::Permits;
use planner::render::{Plain, text};
use planner::report::Kind as Reason;
use serde_json::json;

/// Plan a change, and keep one comment and one status of its commit on GitHub, GitLab, Gitea or
/// Forgejo. Ends as `tiedown plan` does.
///
/// The comment is found again and replaced. Where it is about comes from the variables of GitHub,
/// Gitea and Forgejo Actions, GitLab CI and Woodpecker, or is said. The token is taken from the
/// environment only: TIEDOWN_FORGE_TOKEN, else GITHUB_TOKEN, GITLAB_TOKEN, GITEA_TOKEN or
/// FORGEJO_TOKEN.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown comment --base origin/main --server https://tiedown.example.com
  tiedown comment --base origin/main --forge gitea --api https://git.example.com/api/v1 \\
    --repository ops/fleet --number 7")]
pub(super) struct Args {
    /// Tells this comment and status from others on the same change.
    #[arg(long, value_name = "NAME", default_value = "tiedown", value_parser = name)]
    name: String,
    #[command(flatten)]
    forge: ForgeArgs,
    #[command(flatten)]
    subject: Subject,
}

/// Where changes are reviewed.
#[derive(Debug, clap::Args)]
pub(super) struct SiteArgs {
    /// What is spoken there: github, gitlab, gitea or forgejo.
    #[arg(long, value_name = "KIND", value_parser = kind, help_heading = "Forge")]
    forge: Option<Kind>,
    /// Where the forge's API is.
    #[arg(long, value_name = "URL", help_heading = "Forge")]
    api: Option<String>,
    /// Which repository, as OWNER/NAME.
    #[arg(long, value_name = "NAME", help_heading = "Forge")]
    repository: Option<String>,
}

/// Where a change is reviewed.
#[derive(Debug, clap::Args)]
pub(super) struct ForgeArgs {
    #[command(flatten)]
    site: SiteArgs,
    /// Which pull or merge request.
    #[arg(long, value_name = "N", help_heading = "Forge")]
    number: Option<u64>,
}

fn kind(word: &str) -> Result<Kind, String> {
    Kind::parse(word).ok_or_else(|| "it can be github, gitlab, gitea or forgejo".to_owned())
}

/// A name that ends no hidden mark early, and is short enough for a status.
fn name(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/ ".contains(c);
    if (1..=60).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err("1 to 60 letters, digits, spaces, `.`, `_` and `/`".to_owned())
}

impl SiteArgs {
    /// The place, the number of the change if there is one, and the token of the environment.
    pub(super) fn find(&self, number: Option<u64>) -> Result<(Place, Option<u64>, String), Usage> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let said = Said {
            kind: self.forge,
            api: self.api.clone(),
            repository: self.repository.clone(),
            number,
        };
        let (place, number) = place::find(&said, variable).map_err(unsaid)?;
        let tokens = place.kind.tokens();
        let token = tokens.iter().find_map(|name| variable(name));
        let token = token.ok_or_else(|| {
            let message = "there is no token for the forge in the environment";
            Usage::new(message, format!("set {}", tokens.join(", or ")))
        })?;
        Ok((place, number, token))
    }
}

impl ForgeArgs {
    /// The forge, with the token of the environment.
    pub(super) fn open(&self) -> Result<Forge, Usage> {
        let (place, number, token) = self.site.find(self.number)?;
        let lack = Unsaid("which pull or merge request it is: --number");
        let number = number.ok_or(lack).map_err(unsaid)?;
        Ok(Forge::new(place, number, token))
    }
}

fn unsaid(unsaid: Unsaid) -> Usage {
    Usage::new(unsaid.to_string(), "the CI systems that are known say all of it themselves")
}

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let forge = args.forge.open()?;
    let repository = global.repository()?;
    let made = args.subject.plan(Permits::NONE, global, &repository, output).await;
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            let commit = args.subject.head(global, &repository);
            let body = of_error(&args.name, &error);
            told(&forge, args, &body, commit, State::Error, "there is no plan", output).await?;
            return Err(error);
        }
    };
    let required = match (&made.change, made.settings.require.is_empty()) {
        (Some(change), false) => judge(&made.settings.require, &forge.pull().await?, change),
        (Some(_) | None, _) => Vec::new(),
    };
    let opening = [mark(&args.name), list(&required)];
    let opening: Vec<String> = opening.into_iter().filter(|part| !part.is_empty()).collect();
    let body = made.markdown(&opening.join("\n\n"));
    let (state, summary) = state(&made, &required);
    let commit = args.subject.head(global, &repository);
    told(&forge, args, &body, commit, state, &summary, output).await?;
    Ok(of_report(&made.looked.report))
}

/// Tells the forge, and whoever called.
async fn told(
    forge: &Forge,
    args: &Args,
    body: &str,
    commit: Option<String>,
    state: State,
    summary: &str,
    output: Output,
) -> anyhow::Result<()> {
    let mut is_newest = true;
    if let Some(commit) = &commit {
        let context = format!("{}/plan", args.name);
        match forge.status(commit, &context, state, summary).await {
            Err(ForgeError::ForeignCommit) => {
                output.warn("GitLab keeps no status of a commit that is in no branch of its own");
            }
            set => set?,
        }
        is_newest = forge.head().await? == *commit;
    }
    let word = match is_newest {
        true => match forge.keep_comment(&args.name, body).await? {
            Kept::Made => "made",
            Kept::Changed => "changed",
            Kept::AlreadySo => "already so",
        },
        // Whoever plans that one has told of it, or will.
        false => "left alone, for another commit is under review",
    };
    let shown = match output.format {
        Format::Json => output.json(&json!({ "comment": word, "summary": summary })),
        Format::Text => output.result(&format!("Comment: {word}. {summary}\n")),
    };
    unless_closed(shown).map(drop)
}

/// What a plan and what is required make of a commit's status.
fn state(made: &Made, required: &[Requirement]) -> (State, String) {
    let report = &made.looked.report;
    let summary = text::summary(&made.looked.plan, report, &Plain);
    let unmet = required.iter().filter(|one| !one.is_met).map(|one| one.what);
    let unmet = unmet.collect::<Vec<_>>().join(", ");
    if report.has(Reason::Refused) || report.has(Reason::Blocked) {
        (State::Failure, summary)
    } else if report.has(Reason::Unknown) {
        (State::Error, summary)
    } else if unmet.is_empty() {
        (State::Success, summary)
    } else {
        (State::Pending, format!("Wanting: {unmet}. {summary}"))
    }
}

/// What is required, for the comment.
fn list(required: &[Requirement]) -> String {
    let line = |one: &Requirement| {
        let sign = if one.is_met { "x" } else { " " };
        let told = planner::render::markdown::escaped(&one.told);
        format!("- [{sign}] {}: {told}", one.what)
    };
    required.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A comment that says why there is no plan.
fn of_error(name: &str, error: &anyhow::Error) -> String {
    let told = anstream::adapter::strip_str(&error::whole(error)).to_string();
    let title = "There is no plan for this change.";
    planner::render::markdown::failure(title, &mark(name), &told)
}
