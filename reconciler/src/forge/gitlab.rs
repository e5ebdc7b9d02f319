//! GitLab: merge requests have notes and approvals, commits have statuses, also those of jobs.

use super::{Check, Comment, Forge, ForgeError, Pull, State};
use hyper::Method;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: String,
    author: User,
}

#[derive(Deserialize)]
struct MergeRequest {
    sha: String,
    target_branch: String,
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
    format!("{}/merge_requests/{}", project(forge), forge.place.number)
}

pub(super) async fn comments(forge: &Forge) -> Result<Vec<Comment>, ForgeError> {
    let notes: Vec<Note> = forge.list(&format!("{}/notes", request(forge))).await?;
    let comment = |note: Note| Comment {
        id: note.id,
        body: note.body,
        author: note.author.username,
        is_bot: false,
    };
    Ok(notes.into_iter().map(comment).collect())
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
    Ok(forge.get::<MergeRequest>(&request(forge)).await?.sha)
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
        State::Failure | State::Error => "failed",
    };
    let path = format!("{}/statuses/{commit}", project(forge));
    let body = json!({ "name": name, "state": state, "description": told });
    forge.send(Method::POST, &path, &body).await
}

pub(super) async fn pull(forge: &Forge) -> Result<Pull, ForgeError> {
    let (project, path) = (project(forge), request(forge));
    let request: MergeRequest = forge.get(&path).await?;
    let target = super::place::escaped(&request.target_branch);
    let base: Branch = forge.get(&format!("{project}/repository/branches/{target}")).await?;
    // With a push GitLab takes approvals back if the project says so; it ties them to no commit.
    let approvals: Approvals = forge.get(&format!("{path}/approvals")).await?;
    let head = request.sha;
    let statuses = format!("{project}/repository/commits/{head}/statuses");
    let statuses: Vec<Status> = forge.list(&statuses).await?;
    let mut pull = Pull { head, base: base.commit.id, ..Pull::default() };
    pull.approved.extend(approvals.approved_by.into_iter().map(|by| by.user.username));
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
