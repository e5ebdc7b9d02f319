//! GitLab: merge requests have notes and approvals, commits have statuses, also those of jobs.

use super::{Check, Comment, Forge, ForgeError, Open, Pull, State};
use crate::http::HttpError;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What GitLab notes when somebody approves, and when they take it back.
const APPROVED: &str = "approved this merge request";
const UNAPPROVED: &str = "unapproved this merge request";

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: String,
    author: User,
    /// Whether GitLab itself wrote it.
    #[serde(default)]
    system: bool,
    created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    /// Nothing where the source branch has no commit of its own, or is gone.
    sha: Option<String>,
    target_branch: String,
    source_project_id: Option<u64>,
    target_project_id: Option<u64>,
}

/// What was under review at a time.
#[derive(Deserialize)]
struct Version {
    head_commit_sha: String,
    created_at: Timestamp,
}

#[derive(Deserialize)]
struct Branch {
    commit: Tip,
}

#[derive(Deserialize)]
struct Tip {
    id: String,
}

#[derive(Deserialize)]
struct Approvals {
    #[serde(default)]
    approved_by: Vec<Approval>,
}

#[derive(Deserialize)]
struct Approval {
    user: User,
    /// Older versions do not say it here.
    approved_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Status {
    name: String,
    status: String,
}

fn project(forge: &Forge) -> String {
    format!("projects/{}", super::place::escaped(&forge.place.repository))
}

fn request(forge: &Forge) -> String {
    format!("{}/merge_requests/{}", project(forge), forge.number)
}

pub(super) async fn open_changes(forge: &Forge) -> Result<Vec<Open>, ForgeError> {
    let path = format!("{}/merge_requests?state=opened", project(forge));
    let requests: Vec<MergeRequest> = forge.list(&path).await?;
    let open = |request: MergeRequest| {
        Some(Open {
            number: request.iid,
            head: request.sha?,
            base: request.target_branch,
            reference: format!("refs/merge-requests/{}/head", request.iid),
            is_of_fork: request.source_project_id.is_none()
                || request.source_project_id != request.target_project_id,
        })
    };
    Ok(requests.into_iter().filter_map(open).collect())
}

async fn notes(forge: &Forge) -> Result<Vec<Note>, ForgeError> {
    forge.list(&format!("{}/notes", request(forge))).await
}

pub(super) async fn comments(forge: &Forge) -> Result<Vec<Comment>, ForgeError> {
    let comment = |note: Note| Comment {
        id: note.id,
        body: note.body,
        author: note.author.username,
        is_bot: false,
    };
    Ok(notes(forge).await?.into_iter().map(comment).collect())
}

pub(super) async fn write(forge: &Forge, old: Option<u64>, body: &str) -> Result<(), ForgeError> {
    let notes = format!("{}/notes", request(forge));
    let body = json!({ "body": body });
    match old {
        Some(id) => forge.send(Method::PUT, &format!("{notes}/{id}"), &body).await,
        None => forge.send(Method::POST, &notes, &body).await,
    }
}

pub(super) async fn delete(forge: &Forge, id: u64) -> Result<(), ForgeError> {
    let path = format!("{}/notes/{id}", request(forge));
    forge.ask(Method::DELETE, &path, None).await.map(drop)
}

pub(super) async fn head(forge: &Forge) -> Result<String, ForgeError> {
    Ok(forge.get::<MergeRequest>(&request(forge)).await?.sha.unwrap_or_default())
}

pub(super) async fn status(
    forge: &Forge,
    commit: &str,
    name: &str,
    state: State,
    told: &str,
) -> Result<(), ForgeError> {
    let word = match state {
        State::Success => "success",
        State::Pending => "pending",
        State::Failure | State::Error => "failed",
    };
    let path = format!("{}/statuses/{commit}", project(forge));
    let body = json!({ "name": name, "state": word, "description": told });
    match forge.send(Method::POST, &path, &body).await {
        // What is pending cannot be made pending.
        Err(ForgeError::Http(HttpError::Status { status, .. }))
            if status == StatusCode::BAD_REQUEST
                && state == State::Pending
                && is_pending(forge, commit, name).await? =>
        {
            Ok(())
        }
        Err(ForgeError::Http(HttpError::Status { status, .. }))
            if status == StatusCode::NOT_FOUND =>
        {
            Err(ForgeError::ForeignCommit)
        }
        sent => sent,
    }
}

async fn statuses(forge: &Forge, commit: &str) -> Result<Vec<Status>, ForgeError> {
    forge.list(&format!("{}/repository/commits/{commit}/statuses", project(forge))).await
}

async fn is_pending(forge: &Forge, commit: &str, name: &str) -> Result<bool, ForgeError> {
    let statuses = statuses(forge, commit).await?;
    Ok(statuses.iter().any(|status| status.name == name && status.status == "pending"))
}

pub(super) async fn pull(forge: &Forge) -> Result<Pull, ForgeError> {
    let path = request(forge);
    let request: MergeRequest = forge.get(&path).await?;
    let target = super::place::escaped(&request.target_branch);
    let branch = format!("{}/repository/branches/{target}", project(forge));
    let base: Branch = forge.get(&branch).await?;
    let head = request.sha.unwrap_or_default();
    let statuses = statuses(forge, &head).await?;
    let approved = approved(forge, &path, &head).await?;
    let mut pull = Pull { head, base: base.commit.id, approved, ..Pull::default() };
    for Status { name, status } in statuses {
        let check = match status.as_str() {
            "success" | "skipped" => Check::Green,
            "failed" | "canceled" => Check::Red,
            _ => Check::Running,
        };
        pull.checks.insert(name, check);
    }
    Ok(pull)
}

/// Who approved this commit. GitLab ties approvals to no commit, and takes them back on a push only
/// where a project says so: those count that were given after the commit came under review.
async fn approved(forge: &Forge, path: &str, head: &str) -> Result<BTreeSet<String>, ForgeError> {
    let approvals: Approvals = forge.get(&format!("{path}/approvals")).await?;
    if approvals.approved_by.is_empty() {
        return Ok(BTreeSet::new());
    }
    let versions: Vec<Version> = forge.list(&format!("{path}/versions")).await?;
    let is_untold = approvals.approved_by.iter().any(|approval| approval.approved_at.is_none());
    let notes = if is_untold { notes(forge).await? } else { Vec::new() };
    Ok(of_head(approvals.approved_by, &versions, &approved_by_notes(&notes), head))
}

/// When each approved last, as GitLab noted it.
fn approved_by_notes(notes: &[Note]) -> BTreeMap<&str, Timestamp> {
    let mut times = BTreeMap::new();
    let mut of_system: Vec<(Timestamp, &Note)> = notes
        .iter()
        .filter(|note| note.system)
        .filter_map(|note| note.created_at.map(|time| (time, note)))
        .collect();
    of_system.sort_by_key(|(time, note)| (*time, note.id));
    for (time, note) in of_system {
        match note.body.as_str() {
            APPROVED => drop(times.insert(note.author.username.as_str(), time)),
            UNAPPROVED => drop(times.remove(note.author.username.as_str())),
            _ => {}
        }
    }
    times
}

/// Of those who approved, the ones who did once `head` was the newest version. When that was not
/// is not known of any other.
fn of_head(
    approvals: Vec<Approval>,
    versions: &[Version],
    noted: &BTreeMap<&str, Timestamp>,
    head: &str,
) -> BTreeSet<String> {
    let newest = versions.iter().max_by_key(|version| version.created_at);
    let Some(since) = newest.filter(|version| version.head_commit_sha == head) else {
        return BTreeSet::new();
    };
    let is_later = |approval: &Approval| {
        let noted = || noted.get(approval.user.username.as_str()).copied();
        approval.approved_at.or_else(noted).is_some_and(|time| time > since.created_at)
    };
    approvals.into_iter().filter(is_later).map(|approval| approval.user.username).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn told(approved: &[(&str, Option<&str>)], notes: &[Note], head: &str) -> Vec<String> {
        let version =
            |head: &str, at| Version { head_commit_sha: head.to_owned(), created_at: time(at) };
        let versions = [
            version("head", "2026-11-02T10:00:00+02:00"),
            version("old", "2026-11-01T10:00:00Z"),
            version("head", "2026-10-01T10:00:00Z"),
        ];
        let approval = |(who, at): &(&str, Option<&str>)| Approval {
            user: User { username: (*who).to_owned() },
            approved_at: at.map(time),
        };
        let approvals = approved.iter().map(approval).collect();
        of_head(approvals, &versions, &approved_by_notes(notes), head).into_iter().collect()
    }

    #[test]
    fn an_approval_from_before_the_push_does_not_count() {
        let approved = [
            ("early", Some("2026-11-01T12:00:00Z")),
            ("same", Some("2026-11-02T08:00:00Z")),
            ("late", Some("2026-11-02T08:00:00.001Z")),
            ("untold", None),
        ];
        assert_eq!(told(&approved, &[], "head"), ["late"]);
        // What is under review is not what GitLab has looked at yet, or no longer.
        assert!(told(&approved, &[], "newer").is_empty());
        assert!(told(&approved, &[], "old").is_empty());
    }

    #[test]
    fn where_it_is_not_said_when_it_is_read_in_what_gitlab_noted() {
        let note = |id, who: &str, body: &str, system, at| Note {
            id,
            body: body.to_owned(),
            author: User { username: who.to_owned() },
            system,
            created_at: Some(time(at)),
        };
        let notes = [
            note(9, "again", APPROVED, true, "2026-11-02T12:00:00Z"),
            note(8, "back", UNAPPROVED, true, "2026-11-02T11:00:00Z"),
            note(7, "back", APPROVED, true, "2026-11-02T10:00:00Z"),
            note(6, "says", APPROVED, false, "2026-11-02T10:00:00Z"),
            note(5, "before", APPROVED, true, "2026-11-01T12:00:00Z"),
            note(4, "again", APPROVED, true, "2026-11-01T12:00:00Z"),
        ];
        let approved = ["again", "back", "says", "before"].map(|who| (who, None));
        assert_eq!(told(&approved, &notes, "head"), ["again"]);
    }
}
