//! GitHub, and Gitea and Forgejo, which speak nearly the same: issues have comments, commits have
//! statuses, pull requests have reviews.

use super::place::Kind;
use super::{Check, Comment, Forge, ForgeError, Open, Pull, State};
use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct User {
    login: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    id: u64,
    body: Option<String>,
    user: Option<User>,
}

#[derive(Deserialize)]
struct PullRequest {
    number: u64,
    head: Side,
    base: Side,
}

#[derive(Deserialize)]
struct Side {
    sha: String,
    #[serde(rename = "ref")]
    name: String,
    /// Nothing where a fork is gone.
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
}

#[derive(Deserialize)]
struct Branch {
    commit: Tip,
}

#[derive(Deserialize)]
struct Tip {
    #[serde(alias = "sha")]
    id: String,
}

#[derive(Deserialize)]
struct Review {
    user: Option<User>,
    state: String,
    commit_id: Option<String>,
    /// GitHub: what the reviewer is to the repository.
    author_association: Option<String>,
    /// Gitea: whether the reviewer's word counts.
    official: Option<bool>,
    #[serde(default)]
    dismissed: bool,
    /// Gitea: whether what it is of was changed since.
    #[serde(default)]
    stale: bool,
}

#[derive(Deserialize)]
struct Statuses {
    #[serde(default)]
    statuses: Option<Vec<Status>>,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    #[serde(alias = "status")]
    state: String,
}

#[derive(Deserialize)]
struct Runs {
    check_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    name: String,
    status: String,
    conclusion: Option<String>,
}

fn repository(forge: &Forge) -> String {
    format!("repos/{}", forge.place.repository)
}

pub(super) async fn comments(forge: &Forge) -> Result<Vec<Comment>, ForgeError> {
    let path = format!("{}/issues/{}/comments", repository(forge), forge.number);
    let said: Vec<Said> = match forge.place.kind {
        // It gives all of them at once.
        Kind::Gitea => forge.get(&path).await?,
        Kind::GitHub | Kind::GitLab => forge.list(&path).await?,
    };
    let comment = |said: Said| {
        let user = said.user?;
        let is_bot = user.kind.as_deref() == Some("Bot");
        let body = said.body.unwrap_or_default();
        Some(Comment { id: said.id, body, author: user.login, is_bot })
    };
    Ok(said.into_iter().filter_map(comment).collect())
}

pub(super) async fn write(forge: &Forge, old: Option<u64>, body: &str) -> Result<(), ForgeError> {
    let issues = format!("{}/issues", repository(forge));
    let body = json!({ "body": body });
    match old {
        Some(id) => forge.send(Method::PATCH, &format!("{issues}/comments/{id}"), &body).await,
        None => {
            let path = format!("{issues}/{}/comments", forge.number);
            forge.send(Method::POST, &path, &body).await
        }
    }
}

pub(super) async fn delete(forge: &Forge, id: u64) -> Result<(), ForgeError> {
    let path = format!("{}/issues/comments/{id}", repository(forge));
    forge.ask(Method::DELETE, &path, None).await.map(drop)
}

pub(super) async fn open_changes(forge: &Forge) -> Result<Vec<Open>, ForgeError> {
    let requests: Vec<PullRequest> =
        forge.list(&format!("{}/pulls?state=open", repository(forge))).await?;
    let open = |PullRequest { number, head, base }: PullRequest| {
        let id = |side: &Side| side.repo.as_ref().map(|repository| repository.id);
        Open {
            number,
            is_of_fork: id(&head).is_none() || id(&head) != id(&base),
            head: head.sha,
            base: base.name,
            reference: format!("refs/pull/{number}/head"),
        }
    };
    Ok(requests.into_iter().map(open).collect())
}

async fn request(forge: &Forge) -> Result<PullRequest, ForgeError> {
    forge.get(&format!("{}/pulls/{}", repository(forge), forge.number)).await
}

pub(super) async fn head(forge: &Forge) -> Result<String, ForgeError> {
    Ok(request(forge).await?.head.sha)
}

pub(super) async fn status(
    forge: &Forge,
    commit: &str,
    name: &str,
    state: State,
    told: &str,
) -> Result<(), ForgeError> {
    let state = match state {
        State::Success => "success",
        State::Pending => "pending",
        State::Failure => "failure",
        State::Error => "error",
    };
    let path = format!("{}/statuses/{commit}", repository(forge));
    let body = json!({ "context": name, "state": state, "description": told });
    forge.send(Method::POST, &path, &body).await
}

pub(super) async fn pull(forge: &Forge) -> Result<Pull, ForgeError> {
    let repository = repository(forge);
    let request = request(forge).await?;
    let branch = format!("{repository}/branches/{}", super::place::escaped(&request.base.name));
    let base: Branch = forge.get(&branch).await?;
    let reviews: Vec<Review> =
        forge.list(&format!("{repository}/pulls/{}/reviews", forge.number)).await?;
    let head = request.head.sha;
    let mut pull = Pull { base: base.commit.id, ..Pull::default() };
    for (who, is_approval) in words(&reviews, &head) {
        let side = if is_approval { &mut pull.approved } else { &mut pull.objected };
        side.insert(who.to_owned());
    }
    // A check beyond the first page is one that has not been run: nothing is applied too early.
    let path = format!("{repository}/commits/{head}/status?{}", forge.per_page());
    let statuses: Statuses = forge.get(&path).await?;
    let statuses = statuses.statuses.unwrap_or_default().into_iter();
    pull.checks.extend(statuses.map(|status| (status.context, check(&status.state))));
    if forge.place.kind == Kind::GitHub {
        pull.checks.extend(runs(forge, &head).await?);
    }
    Ok(Pull { head, ..pull })
}

/// The last word of each who may have one: whether it is an approval of that commit.
fn words<'r>(reviews: &'r [Review], head: &str) -> BTreeMap<&'r str, bool> {
    let mut words = BTreeMap::new();
    for review in reviews {
        let Some(user) = &review.user else { continue };
        let may = review.official.unwrap_or_else(|| {
            let is = review.author_association.as_deref().unwrap_or_default();
            matches!(is, "OWNER" | "MEMBER" | "COLLABORATOR")
        });
        let is_of_head = review.commit_id.as_deref() == Some(head) && !review.stale;
        match review.state.as_str() {
            _ if review.dismissed || review.state == "DISMISSED" => {
                words.remove(user.login.as_str());
            }
            "APPROVED" if may && is_of_head => {
                words.insert(user.login.as_str(), true);
            }
            "APPROVED" => {
                words.remove(user.login.as_str());
            }
            "CHANGES_REQUESTED" | "REQUEST_CHANGES" if may => {
                words.insert(user.login.as_str(), false);
            }
            _ => {}
        }
    }
    words
}

async fn runs(forge: &Forge, head: &str) -> Result<Vec<(String, Check)>, ForgeError> {
    let path = format!("{}/commits/{head}/check-runs?{}", repository(forge), forge.per_page());
    let runs: Runs = forge.get(&path).await?;
    let run = |run: Run| {
        let state = match run.status.as_str() {
            "completed" => run.conclusion.unwrap_or_default(),
            _ => "pending".to_owned(),
        };
        (run.name, check(&state))
    };
    Ok(runs.check_runs.into_iter().map(run).collect())
}

fn check(state: &str) -> Check {
    match state {
        "success" | "neutral" | "skipped" => Check::Green,
        "pending" => Check::Running,
        _ => Check::Red,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_of_whoever_may_and_only_of_this_commit() {
        let review = |who: &str, state: &str, of: &str, is: &str| Review {
            user: Some(User { login: who.to_owned(), kind: None }),
            state: state.to_owned(),
            commit_id: Some(of.to_owned()),
            author_association: Some(is.to_owned()),
            official: None,
            dismissed: false,
            stale: who == "g",
        };
        let reviews = [
            review("a", "APPROVED", "old", "MEMBER"),
            review("b", "CHANGES_REQUESTED", "old", "OWNER"),
            review("c", "APPROVED", "head", "NONE"),
            review("d", "APPROVED", "head", "COLLABORATOR"),
            review("d", "COMMENTED", "head", "COLLABORATOR"),
            review("e", "CHANGES_REQUESTED", "head", "MEMBER"),
            review("e", "APPROVED", "head", "MEMBER"),
            review("f", "APPROVED", "head", "MEMBER"),
            review("f", "DISMISSED", "head", "MEMBER"),
            review("g", "APPROVED", "head", "MEMBER"),
        ];
        let told: Vec<(&str, bool)> = words(&reviews, "head").into_iter().collect();
        assert_eq!(told, [("b", false), ("d", true), ("e", true)]);
    }
}
