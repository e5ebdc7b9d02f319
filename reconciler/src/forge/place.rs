//! Where a change is reviewed: what kind of forge, where its API is, which repository, which pull
//! or merge request. What whoever calls does not say, the variables of a CI system do.

/// Kinds of forges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// github.com, or GitHub Enterprise.
    GitHub,
    /// gitlab.com, or one's own.
    GitLab,
    /// Gitea or Forgejo.
    Gitea,
}

impl Kind {
    /// The kind that has this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "github" => Some(Self::GitHub),
            "gitlab" => Some(Self::GitLab),
            "gitea" | "forgejo" => Some(Self::Gitea),
            _ => None,
        }
    }

    /// The variables with a token, in the order in which they count.
    #[must_use]
    pub const fn tokens(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["TIEDOWN_FORGE_TOKEN", "GITHUB_TOKEN"],
            Self::GitLab => &["TIEDOWN_FORGE_TOKEN", "GITLAB_TOKEN"],
            Self::Gitea => &["TIEDOWN_FORGE_TOKEN", "GITEA_TOKEN", "FORGEJO_TOKEN", "GITHUB_TOKEN"],
        }
    }
}

/// One repository on one forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What is spoken there.
    pub kind: Kind,
    /// Where its API begins, without a slash at its end.
    pub api: String,
    /// `OWNER/NAME`; of GitLab also the project's number.
    pub repository: String,
}

/// What is said about it; nothing where the environment shall say it.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// What kind.
    pub kind: Option<Kind>,
    /// Where the API is.
    pub api: Option<String>,
    /// Which repository.
    pub repository: Option<String>,
    /// Which pull or merge request.
    pub number: Option<u64>,
}

/// What neither whoever calls nor the environment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not said {0}")]
pub struct Unsaid(pub &'static str);

/// Finds the place, and the number of the pull or merge request if there is one, from what is said
/// and from variables.
///
/// # Errors
/// [`Unsaid`].
pub fn find(
    said: &Said,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(Place, Option<u64>), Unsaid> {
    let is = |name: &str, value: &str| variable(name).as_deref() == Some(value);
    let known = if is("CI", "woodpecker") {
        woodpecker(&variable)
    } else if is("GITLAB_CI", "true") {
        Said {
            kind: Some(Kind::GitLab),
            api: variable("CI_API_V4_URL"),
            // Of a fork's pipeline the request is elsewhere.
            repository: variable("CI_MERGE_REQUEST_PROJECT_PATH")
                .or_else(|| variable("CI_PROJECT_PATH")),
            number: variable("CI_MERGE_REQUEST_IID").and_then(|number| number.parse().ok()),
        }
    } else if is("GITHUB_ACTIONS", "true") {
        // Gitea and Forgejo run the same actions, with the same variables.
        let is_gitea = is("GITEA_ACTIONS", "true") || is("FORGEJO_ACTIONS", "true");
        let reference = variable("GITHUB_REF").unwrap_or_default();
        let number = reference.strip_prefix("refs/pull/").and_then(|rest| rest.split('/').next());
        Said {
            kind: Some(if is_gitea { Kind::Gitea } else { Kind::GitHub }),
            api: variable("GITHUB_API_URL"),
            repository: variable("GITHUB_REPOSITORY"),
            number: number.and_then(|number| number.parse().ok()),
        }
    } else {
        Said::default()
    };
    let kind = said.kind.or(known.kind).ok_or(Unsaid("what kind of forge it is: --forge"))?;
    // What the environment says of another kind of forge is about that one.
    let known = if known.kind == Some(kind) { known } else { Said::default() };
    let usual = match kind {
        Kind::GitHub => Some("https://api.github.com".to_owned()),
        Kind::GitLab => Some("https://gitlab.com/api/v4".to_owned()),
        Kind::Gitea => None,
    };
    let api = said.api.clone().or(known.api).or(usual);
    let api = api.ok_or(Unsaid("where the forge's API is: --api"))?;
    let repository = said.repository.clone().or(known.repository);
    let repository = repository.ok_or(Unsaid("which repository it is: --repository"))?;
    let place = Place { kind, api: api.trim_end_matches('/').to_owned(), repository };
    Ok((place, said.number.or(known.number)))
}

fn woodpecker(variable: &impl Fn(&str) -> Option<String>) -> Said {
    let kind = variable("CI_FORGE_TYPE").and_then(|word| Kind::parse(&word));
    let api = kind.zip(variable("CI_FORGE_URL")).map(|(kind, url)| {
        let url = url.trim_end_matches('/');
        match kind {
            Kind::GitHub if url == "https://github.com" => "https://api.github.com".to_owned(),
            Kind::GitHub => format!("{url}/api/v3"),
            Kind::GitLab => format!("{url}/api/v4"),
            Kind::Gitea => format!("{url}/api/v1"),
        }
    });
    let number = variable("CI_COMMIT_PULL_REQUEST").and_then(|number| number.parse().ok());
    Said { kind, api, repository: variable("CI_REPO"), number }
}

/// A name as one part of a path: only what never means anything else stays as it is.
pub(super) fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            byte => text += &format!("%{byte:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)], said: &Said) -> Result<(Place, Option<u64>), Unsaid> {
        find(said, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_ci_system_says_where_it_is() {
        let place = |kind, api: &str, repository: &str, number| {
            let (api, repository) = (api.to_owned(), repository.to_owned());
            Ok((Place { kind, api, repository }, Some(number)))
        };
        let mut actions = vec![
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_API_URL", "https://api.github.com"),
            ("GITHUB_REPOSITORY", "ops/fleet"),
            ("GITHUB_REF", "refs/pull/7/merge"),
        ];
        let hub = place(Kind::GitHub, "https://api.github.com", "ops/fleet", 7);
        assert_eq!(with(&actions, &Said::default()), hub);
        actions.push(("FORGEJO_ACTIONS", "true"));
        actions[1].1 = "https://git.example.com/api/v1/";
        let tea = place(Kind::Gitea, "https://git.example.com/api/v1", "ops/fleet", 7);
        assert_eq!(with(&actions, &Said::default()), tea);
        let mut lab = vec![
            ("GITLAB_CI", "true"),
            ("CI_API_V4_URL", "https://gitlab.example.com/api/v4"),
            ("CI_PROJECT_PATH", "ops/all/fleet"),
            ("CI_MERGE_REQUEST_IID", "12"),
        ];
        let found = place(Kind::GitLab, "https://gitlab.example.com/api/v4", "ops/all/fleet", 12);
        assert_eq!(with(&lab, &Said::default()), found);
        lab[2].1 = "somebody/fleet";
        lab.push(("CI_MERGE_REQUEST_PROJECT_PATH", "ops/all/fleet"));
        assert_eq!(with(&lab, &Said::default()), found);
        let woodpecker = [
            ("CI", "woodpecker"),
            ("CI_FORGE_TYPE", "forgejo"),
            ("CI_FORGE_URL", "https://git.example.com"),
            ("CI_REPO", "ops/fleet"),
            ("CI_COMMIT_PULL_REQUEST", "7"),
        ];
        assert_eq!(with(&woodpecker, &Said::default()), tea);
        // What is said counts, and what is not said anywhere is asked for.
        let said = Said { number: Some(3), ..Said::default() };
        assert_eq!(with(&woodpecker, &said).unwrap().1, Some(3));
        let said = Said { kind: Some(Kind::Gitea), ..Said::default() };
        assert_eq!(with(&lab, &said), Err(Unsaid("where the forge's API is: --api")));
        assert!(with(&[], &Said::default()).is_err());
        assert_eq!(with(&lab[..3], &Said::default()).unwrap().1, None);
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(escaped("ops/all/fleet"), "ops%2Fall%2Ffleet");
        assert_eq!(escaped("release/1.0 ä?#"), "release%2F1.0%20%C3%A4%3F%23");
    }
}
