//! The forge where a change is reviewed: one comment that is kept up to date, a status of its
//! commit, and what is known of its review. Nothing that a forge says is run or planned by.

mod gitlab;
mod hub;
pub mod place;
pub mod requirement;

use crate::http::{Answer, HttpError, Request};
use hyper::Method;
use place::{Kind, Place};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a status that forges show; GitHub takes no more.
const STATUS_CHARS: usize = 140;
/// Entries of a page that is asked for, and pages that are read at most.
const PER_PAGE: usize = 100;
const PAGES: usize = 100;

/// Lines of a comment among which its mark is: its heading, the change, the mark, and what is
/// between them.
const OPENING: usize = 5;

/// A change on a forge, and the right to speak there.
pub struct Forge {
    place: Place,
    /// The number of the pull or merge request.
    number: u64,
    token: String,
}

/// Why the forge could not be told or asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// It did not answer, or with no success.
    #[error("the forge could not be asked")]
    Http(#[from] HttpError),
    /// It answered something else than it says in its description.
    #[error("{what} of the forge cannot be understood")]
    Answer {
        /// Which answer: method and path.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It keeps statuses only of commits that are in a branch of the repository itself: GitLab does.
    #[error("the forge keeps no status of a commit that is in no branch of its own")]
    ForeignCommit,
}

/// What became of the comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// There was none.
    Made,
    /// It said something else.
    Changed,
    /// It said so already.
    AlreadySo,
}

/// A commit's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is as it should be.
    Success,
    /// Something has yet to happen.
    Pending,
    /// It must not go in as it is.
    Failure,
    /// It could not be found out.
    Error,
}

/// A change that is under review, as its forge lists it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Open {
    /// The number of the pull or merge request.
    pub number: u64,
    /// The commit that is under review.
    pub head: String,
    /// The branch that it would be merged onto.
    pub base: String,
    /// What the commit can be fetched as.
    pub reference: String,
    /// Whether it comes from another repository, whose owner has no rights here.
    pub is_of_fork: bool,
}

/// How a change stands with its forge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pull {
    /// The commit that is under review.
    pub head: String,
    /// Where the branch is now that it would be merged onto.
    pub base: String,
    /// Who approved that commit and may.
    pub approved: BTreeSet<String>,
    /// Who wants it changed.
    pub objected: BTreeSet<String>,
    /// How each check of that commit stands.
    pub checks: BTreeMap<String, Check>,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It passed.
    Green,
    /// It has not ended.
    Running,
    /// It failed, or was cancelled.
    Red,
}

/// A comment as found.
struct Comment {
    id: u64,
    body: String,
    author: String,
    is_bot: bool,
}

/// Who the token is of: what others write is never taken for our own.
enum Author {
    Named(String),
    /// An app's token, which may not ask who it is.
    Bot,
}

impl Author {
    fn wrote(&self, comment: &Comment) -> bool {
        match self {
            Self::Named(name) => comment.author == *name,
            Self::Bot => comment.is_bot,
        }
    }
}

/// The hidden mark by which a comment is found again.
#[must_use]
pub fn mark(name: &str) -> String {
    format!("<!-- tiedown: {name} -->")
}

impl Forge {
    /// With what the environment gave.
    #[must_use]
    pub const fn new(place: Place, number: u64, token: String) -> Self {
        Self { place, number, token }
    }

    /// All changes that are under review in a repository.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub async fn open_changes(place: Place, token: String) -> Result<Vec<Open>, ForgeError> {
        // No number is asked about.
        let forge = Self::new(place, 0, token);
        match forge.place.kind {
            Kind::GitHub | Kind::Gitea => hub::open_changes(&forge).await,
            Kind::GitLab => gitlab::open_changes(&forge).await,
        }
    }

    /// Keeps one comment: the body has the mark of its name, and replaces what has it already and
    /// was written with the same right.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub async fn keep_comment(&self, name: &str, body: &str) -> Result<Kept, ForgeError> {
        let mark = mark(name);
        let author = self.author().await?;
        let comments = match self.place.kind {
            Kind::GitHub | Kind::Gitea => hub::comments(self).await?,
            Kind::GitLab => gitlab::comments(self).await?,
        };
        // Further below is the plan, in which a manifest may have put anything.
        let has_mark = |body: &str| body.lines().take(OPENING).any(|line| line.trim_end() == mark);
        let is_ours = |comment: &&Comment| has_mark(&comment.body) && author.wrote(comment);
        let mut ours = comments.iter().filter(is_ours);
        let old = ours.next();
        // Two that were made at once: only one of them would be kept up to date.
        for more in ours {
            match self.place.kind {
                Kind::GitHub | Kind::Gitea => hub::delete(self, more.id).await?,
                Kind::GitLab => gitlab::delete(self, more.id).await?,
            }
        }
        if old.is_some_and(|old| old.body.trim_end() == body.trim_end()) {
            return Ok(Kept::AlreadySo);
        }
        let id = old.map(|old| old.id);
        match self.place.kind {
            Kind::GitHub | Kind::Gitea => hub::write(self, id, body).await?,
            Kind::GitLab => gitlab::write(self, id, body).await?,
        }
        Ok(if id.is_some() { Kept::Changed } else { Kept::Made })
    }

    async fn author(&self) -> Result<Author, ForgeError> {
        #[derive(serde::Deserialize)]
        struct User {
            #[serde(alias = "username")]
            login: String,
        }
        match self.get::<User>("user").await {
            Ok(user) => Ok(Author::Named(user.login)),
            Err(ForgeError::Http(HttpError::Status { status, .. }))
                if self.place.kind == Kind::GitHub && status.as_u16() == 403 =>
            {
                Ok(Author::Bot)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the status of a commit under a name.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub async fn status(
        &self,
        commit: &str,
        name: &str,
        state: State,
        told: &str,
    ) -> Result<(), ForgeError> {
        let told: String = told.chars().take(STATUS_CHARS).collect();
        match self.place.kind {
            Kind::GitHub | Kind::Gitea => hub::status(self, commit, name, state, &told).await,
            Kind::GitLab => gitlab::status(self, commit, name, state, &told).await,
        }
    }

    /// The commit that is under review now.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub async fn head(&self) -> Result<String, ForgeError> {
        match self.place.kind {
            Kind::GitHub | Kind::Gitea => hub::head(self).await,
            Kind::GitLab => gitlab::head(self).await,
        }
    }

    /// Asks how the change stands.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub async fn pull(&self) -> Result<Pull, ForgeError> {
        match self.place.kind {
            Kind::GitHub | Kind::Gitea => hub::pull(self).await,
            Kind::GitLab => gitlab::pull(self).await,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ForgeError> {
        let answer = self.ask(Method::GET, path, None).await?;
        let what = format!("the answer to GET {path}");
        serde_json::from_str(&answer.body).map_err(|source| ForgeError::Answer { what, source })
    }

    /// Asks for long pages.
    fn per_page(&self) -> String {
        match self.place.kind {
            Kind::GitHub | Kind::GitLab => format!("per_page={PER_PAGE}"),
            Kind::Gitea => format!("limit={PER_PAGE}"),
        }
    }

    /// All pages of a list.
    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ForgeError> {
        let size = self.per_page();
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let found: Vec<T> = self.get(&format!("{path}{sign}{size}&page={page}")).await?;
            let is_last = match self.place.kind {
                Kind::GitHub | Kind::GitLab => found.len() < PER_PAGE,
                // It may give less than it was asked for, and nothing only at the end.
                Kind::Gitea => found.is_empty(),
            };
            all.extend(found);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<(), ForgeError> {
        self.ask(method, path, Some(body.to_string())).await.map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Answer, ForgeError> {
        let url = format!("{}/{path}", self.place.api);
        let ask = Request { method, url, headers: Vec::new(), body };
        let ask = match self.place.kind {
            Kind::GitHub => ask
                .header("authorization", format!("Bearer {}", self.token))
                .header("accept", "application/json")
                .header("x-github-api-version", "2022-11-28"),
            Kind::Gitea => ask.header("authorization", format!("token {}", self.token)),
            Kind::GitLab => ask.header("private-token", self.token.clone()),
        };
        Ok(ask.send().await?)
    }
}
