//! A forge with one pull request, on loopback: it takes what its description says that it takes,
//! remembers it, and answers as its description says that it answers.

use super::description::Description;
use super::prism::Prism;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

pub(super) const TOKEN: &str = "t0ken-of-the-forge-77aa";
/// What readers of the hosts' server show.
pub(super) const READER: &str = "t0ken-of-the-readers-41bd";

#[derive(Default)]
pub(super) struct State {
    pub(super) comments: Vec<(u64, String, String)>,
    /// Commit, name, state, words.
    pub(super) statuses: Vec<[String; 4]>,
    pub(super) head: String,
    pub(super) base: String,
    /// Who approved: the head; on GitLab at 11:00 on 2 November 2026, whatever the head was.
    pub(super) approved: Vec<String>,
    /// GitLab: when the head came under review.
    pub(super) pushed: &'static str,
    /// How the check `test` stands.
    pub(super) test: Option<&'static str>,
    /// Whether the token is an app's, which may not ask who it is.
    pub(super) is_app: bool,
    /// Comments that were written.
    pub(super) writes: usize,
    /// What a server of the hosts says, which is here too.
    pub(super) observed: String,
    /// Whether it says so to anybody.
    pub(super) is_public: bool,
    /// Whether the change is of a fork.
    pub(super) is_of_fork: bool,
    /// All that was not as described.
    pub(super) wrong: Vec<String>,
    /// Operations that are in no description.
    pub(super) undescribed: Vec<String>,
    /// All that was asked: method and path, with the names of what was said with it.
    pub(super) asked: BTreeMap<String, BTreeSet<String>>,
}

pub(super) struct Server {
    pub(super) kind: &'static str,
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// What stands in front of it.
    prism: Option<Prism>,
}

impl Server {
    pub(super) fn start(kind: &'static str, description: Description) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let pushed = "2026-11-02T10:00:00.000Z";
        let state = Arc::new(Mutex::new(State { pushed, ..State::default() }));
        let shared = Arc::clone(&state);
        // It ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(kind, &description, &shared, stream);
            }
        });
        Self { kind, address, state, prism: None }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Has every request and answer judged by somebody else too, if that can be had.
    pub(super) fn judge(&mut self) -> bool {
        self.prism = Prism::before(self.kind, &self.api());
        self.prism.is_some()
    }

    pub(super) fn api(&self) -> String {
        let base = base(self.kind);
        let direct = || format!("http://{}{base}", self.address);
        self.prism.as_ref().map_or_else(direct, |prism| prism.url.clone())
    }
}

/// What paths of the API begin with.
fn base(kind: &str) -> &'static str {
    match kind {
        "gitlab" => "/api/v4",
        "gitea" => "/api/v1",
        _ => "",
    }
}

fn answer(kind: &str, described: &Description, state: &Mutex<State>, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut token, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name {
            "authorization" | "private-token" => token = format!("{name} {value}"),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Option<Value> = (length > 0).then(|| serde_json::from_slice(&body).unwrap());
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut state = state.lock().unwrap();
    let shown = match kind {
        _ if path == "/api/v1/observed" => format!("authorization Bearer {READER}"),
        "github" => format!("authorization Bearer {TOKEN}"),
        "gitea" => format!("authorization token {TOKEN}"),
        _ => format!("private-token {TOKEN}"),
    };
    let is_observed = path == "/api/v1/observed";
    let is_untold = is_observed && token.is_empty();
    if token != shown && !is_untold {
        state.wrong.push(format!("{method} {path} shows {token:?}"));
    }
    let (status, said) = match path {
        _ if is_untold && !state.is_public => (401, "a bearer token is needed".to_owned()),
        "/api/v1/observed" => (200, state.observed.clone()),
        _ => {
            let asked = (method, path, query);
            let (status, said) = respond(kind, described, &mut state, asked, body.as_ref());
            (status, said.to_string())
        }
    };
    // An answer of no content has none.
    let said = if status == 204 { String::new() } else { said };
    let head = match said.len() {
        0 => String::new(),
        length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
    };
    // Whoever asked may have gone.
    let _ =
        write!(reader.into_inner(), "HTTP/1.1 {status} x\r\n{head}Connection: close\r\n\r\n{said}");
}

fn respond(
    kind: &str,
    described: &Description,
    state: &mut State,
    (method, path, query): (&str, &str, &str),
    body: Option<&Value>,
) -> (u16, Value) {
    if path.ends_with("/user") && state.is_app {
        return (403, json!({ "message": "Resource not accessible by integration" }));
    }
    let names = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
    let keys = body.and_then(Value::as_object).into_iter().flat_map(|body| body.keys());
    let said = names.chain(keys.map(String::as_str)).map(str::to_owned);
    state.asked.entry(format!("{method} {path}")).or_default().extend(said);
    if let Some(refused) = refuses(kind, state, method, path, body) {
        return refused;
    }
    let Some(says) = says(kind, state, method, path, query, body) else {
        state.wrong.push(format!("{method} {path} is asked"));
        return (404, json!({}));
    };
    // Version 3 of GitLab's, which is described, gives no pages of versions.
    let operation = described.operation(method, path).filter(|_| !path.ends_with("/versions"));
    let Some(operation) = operation else {
        state.undescribed.push(format!("{method} {path}"));
        return (200, says);
    };
    let wrong = operation.judge_request(query, body).into_iter();
    state.wrong.extend(wrong.map(|wrong| format!("{method} {path}: {wrong}")));
    match operation.answer(&says) {
        Ok(answer) => answer,
        Err(wrong) => {
            let wrong =
                wrong.into_iter().map(|wrong| format!("answer to {method} {path}: {wrong}"));
            state.wrong.extend(wrong);
            (500, json!({}))
        }
    }
}

/// What GitLab does not do, in its words.
fn refuses(
    kind: &str,
    state: &State,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Option<(u16, Value)> {
    let commit = path.strip_prefix("/api/v4/projects/ops%2Ffleet/statuses/")?;
    let body = body.filter(|_| kind == "gitlab" && method == "POST")?;
    if state.is_of_fork {
        return Some((404, json!({ "message": "404 References for commit Not Found" })));
    }
    let mut before = state.statuses.iter().rev();
    let before = before.find(|told| told[0] == commit && body["name"] == told[1])?;
    let is_pending = before[2] == "pending" && body["state"] == "pending";
    let told = "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot \
                transition via \"enqueue\")";
    is_pending.then(|| (400, json!({ "message": told })))
}

/// What is said to a request, as far as it matters.
fn says(
    kind: &str,
    state: &mut State,
    method: &str,
    path: &str,
    query: &str,
    body: Option<&Value>,
) -> Option<Value> {
    let is_lab = kind == "gitlab";
    let login = if is_lab { "username" } else { "login" };
    let is_further_page =
        query.split('&').any(|pair| pair.starts_with("page=") && pair != "page=1");
    let repository = if is_lab { "projects/ops%2Ffleet" } else { "repos/ops/fleet" };
    let text = |key: &str| body.and_then(|body| body[key].as_str()).unwrap_or_default().to_owned();
    if path.ends_with("/user") {
        return Some(json!({ login: "tiedown-bot" }));
    }
    let path = path.strip_prefix(base(kind))?.strip_prefix('/')?;
    let parts: Vec<&str> = path.strip_prefix(repository)?.split('/').skip(1).collect();
    let comment = |(id, author, body): &(u64, String, String)| {
        let user = if is_lab { "author" } else { "user" };
        let mut user_says = json!({ login: author });
        if kind == "github" && author.ends_with("[bot]") {
            user_says["type"] = "Bot".into();
        }
        json!({ "id": id, "body": body, user: user_says })
    };
    match (method, parts.as_slice()) {
        ("GET", ["issues" | "merge_requests", "7", "comments" | "notes"]) => {
            let all = if is_further_page { &[] } else { state.comments.as_slice() };
            Some(all.iter().map(comment).collect())
        }
        ("POST", ["issues" | "merge_requests", "7", "comments" | "notes"]) => {
            let id = 100 + state.comments.len() as u64;
            let author = if state.is_app { "actions[bot]" } else { "tiedown-bot" };
            state.comments.push((id, author.to_owned(), text("body")));
            state.writes += 1;
            state.comments.last().map(comment)
        }
        ("PATCH", ["issues", "comments", id]) | ("PUT", ["merge_requests", "7", "notes", id]) => {
            let found = state.comments.iter_mut().find(|comment| comment.0.to_string() == **id)?;
            found.2 = text("body");
            state.writes += 1;
            Some(comment(found))
        }
        ("DELETE", ["issues", "comments", id])
        | ("DELETE", ["merge_requests", "7", "notes", id]) => {
            let found = state.comments.iter().position(|comment| comment.0.to_string() == **id)?;
            state.comments.remove(found);
            Some(json!({}))
        }
        ("POST", ["statuses", commit]) => {
            let name = text(if is_lab { "name" } else { "context" });
            let status = [(*commit).to_owned(), name, text("state"), text("description")];
            state.statuses.push(status);
            Some(json!({}))
        }
        ("GET", ["pulls", "7"]) => Some(pull(state)),
        ("GET", ["pulls"]) if is_further_page => Some(json!([])),
        ("GET", ["pulls"]) => Some(json!([pull(state)])),
        ("GET", ["merge_requests", "7"]) => Some(merge_request(state)),
        ("GET", ["merge_requests"]) => Some(json!([merge_request(state)])),
        ("GET", ["branches", "main"]) if kind == "gitea" => {
            Some(json!({ "name": "main", "commit": { "id": state.base } }))
        }
        ("GET", ["branches", "main"]) => {
            Some(json!({ "name": "main", "commit": { "sha": state.base } }))
        }
        ("GET", ["repository", "branches", "main"]) => {
            Some(json!({ "name": "main", "commit": { "id": state.base } }))
        }
        _ => reviewed(kind, state, &parts, is_further_page),
    }
}

fn pull(state: &State) -> Value {
    let of = if state.is_of_fork { 12 } else { 11 };
    json!({
        "number": 7,
        "head": { "sha": state.head, "ref": "change", "repo": { "id": of } },
        "base": { "sha": state.base, "ref": "main", "repo": { "id": 11 } },
    })
}

fn merge_request(state: &State) -> Value {
    let of = if state.is_of_fork { 12 } else { 11 };
    json!({
        "iid": 7,
        "sha": state.head,
        "target_branch": "main",
        "source_project_id": of,
        "target_project_id": 11,
    })
}

/// What is said of reviews and checks.
fn reviewed(kind: &str, state: &State, parts: &[&str], is_further_page: bool) -> Option<Value> {
    let approved = state.approved.iter().filter(|_| !is_further_page);
    let tests = state.test.iter().filter(|_| !is_further_page);
    match parts {
        ["pulls", "7", "reviews"] => Some(
            approved
                .map(|who| {
                    let mut review = json!({
                        "user": { "login": who }, "state": "APPROVED", "commit_id": state.head,
                    });
                    match kind {
                        "github" => review["author_association"] = "MEMBER".into(),
                        _ => review["official"] = true.into(),
                    }
                    review
                })
                .collect(),
        ),
        ["merge_requests", "7", "approvals"] => {
            let at = "2026-11-02T11:00:00.000Z";
            let by = approved.map(|who| json!({ "user": { "username": who }, "approved_at": at }));
            Some(json!({ "approved_by": by.collect::<Value>() }))
        }
        ["merge_requests", "7", "versions"] => Some(json!([
            { "head_commit_sha": state.head, "created_at": state.pushed },
        ])),
        ["commits", _, "status"] => {
            let key = if kind == "github" { "state" } else { "status" };
            // GitHub's own jobs are check runs and no statuses.
            let tests = tests.filter(|_| kind == "gitea");
            let statuses: Value = tests.map(|s| json!({ "context": "test", key: s })).collect();
            Some(json!({ "statuses": statuses }))
        }
        ["commits", _, "check-runs"] => {
            let run = |how: &&'static str| match *how {
                "pending" => json!({ "name": "test", "status": "in_progress" }),
                how => json!({ "name": "test", "status": "completed", "conclusion": how }),
            };
            Some(json!({ "total_count": 1, "check_runs": tests.map(run).collect::<Value>() }))
        }
        ["repository", "commits", commit, "statuses"] => {
            let own = state.statuses.iter().filter(|told| told[0] == **commit);
            let own = own.map(|[_, name, how, _]| json!({ "name": name, "status": how }));
            let tests = tests.map(|status| json!({ "name": "test", "status": status }));
            Some(tests.chain(own).collect())
        }
        _ => None,
    }
}
