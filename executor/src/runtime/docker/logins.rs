//! Logins of registries as `docker login` leaves them: in the client's configuration, or with a helper
//! that it names. Read when one is needed, and kept nowhere.

use crate::command::{Command, CommandError};
use bollard::auth::DockerCredentials;
use data_encoding::BASE64;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The registry of references that name none, and what its login is called.
const HUB: &str = "docker.io";
const HUB_LOGIN: &str = "https://index.docker.io/v1/";
/// The name of a user whose password is a token.
const TOKEN: &str = "<token>";
/// What a helper says that knows no login.
const UNKNOWN: &str = "credentials not found";

/// Why a login cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The configuration cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The helper that the configuration names does not answer.
    #[error("the helper for logins does not answer")]
    Helper(#[from] CommandError),
    /// What is there for the registry is no login.
    #[error("what is kept as the login of {registry} is none")]
    Malformed {
        /// Which.
        registry: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Configuration {
    auths: BTreeMap<String, Kept>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kept {
    auth: String,
    identitytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The login of the registry of a reference, if there is one: `$DOCKER_CONFIG/config.json`, else
/// `$HOME/.docker/config.json`.
///
/// # Errors
/// Any [`LoginError`].
pub async fn of(reference: &str) -> Result<Option<DockerCredentials>, LoginError> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let directory = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    let Some(path) = directory.map(|directory| directory.join("config.json")) else {
        return Ok(None);
    };
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoginError::Unreadable { path, source }),
        Ok(text) => text,
    };
    let configuration: Configuration = serde_json::from_slice(&text)
        .map_err(|error| LoginError::Unreadable { path, source: error.into() })?;
    configuration.login(registry(reference)).await
}

impl Configuration {
    async fn login(&self, registry: &str) -> Result<Option<DockerCredentials>, LoginError> {
        let name = if registry == HUB { HUB_LOGIN } else { registry };
        let helper = self.cred_helpers.get(registry).or(self.creds_store.as_ref());
        if let Some(helper) = helper {
            return ask(helper, name).await;
        }
        let same = |kept: &&String| *kept == name || host(kept) == registry;
        let Some(kept) = self.auths.keys().find(same).and_then(|name| self.auths.get(name)) else {
            return Ok(None);
        };
        let malformed = || LoginError::Malformed { registry: registry.to_owned() };
        kept.login().ok_or_else(malformed).map(Some)
    }
}

impl Kept {
    fn login(&self) -> Option<DockerCredentials> {
        let both = String::from_utf8(BASE64.decode(self.auth.as_bytes()).ok()?).ok()?;
        let (username, password) = both.split_once(':')?;
        Some(match self.identitytoken.as_str() {
            "" => by_password(username, password),
            token => by_token(token),
        })
    }
}

async fn ask(helper: &str, name: &str) -> Result<Option<DockerCredentials>, LoginError> {
    let mut command = Command::named(&format!("docker-credential-{helper}"))?
        .arg("get")
        .input(name.as_bytes().to_vec());
    if let Some(home) = std::env::var_os("HOME") {
        command = command.env("HOME", home);
    }
    match command.output().await {
        Err(CommandError::Failed { stderr, .. }) if stderr.contains(UNKNOWN) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(output) => answered(&output.stdout, name).map(Some),
    }
}

fn answered(said: &[u8], name: &str) -> Result<DockerCredentials, LoginError> {
    let answer: Answer = serde_json::from_slice(said)
        .map_err(|_| LoginError::Malformed { registry: name.to_owned() })?;
    Ok(match answer.username.as_str() {
        TOKEN => by_token(&answer.secret),
        username => by_password(username, &answer.secret),
    })
}

fn by_password(username: &str, password: &str) -> DockerCredentials {
    DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        ..DockerCredentials::default()
    }
}

fn by_token(token: &str) -> DockerCredentials {
    DockerCredentials { identitytoken: Some(token.to_owned()), ..DockerCredentials::default() }
}

/// The registry that a reference names by its first part, which then has a dot or a port.
fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        Some(_) | None => HUB,
    }
}

/// The host of an address.
fn host(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    address.split('/').next().unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(login: &DockerCredentials) -> (&str, &str) {
        let text = |field: &'static str, value: &Option<String>| match value {
            Some(_) => field,
            None => "",
        };
        (login.username.as_deref().unwrap_or_default(), text("token", &login.identitytoken))
    }

    #[tokio::test]
    async fn a_login_is_found_by_the_registry_of_a_reference() {
        // "me:word" and "hub:word".
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOndvcmQ="},
            "https://reg.example/v2/": {"auth": "bWU6d29yZA=="},
            "token.example:5000": {"auth": "bWU6d29yZA==", "identitytoken": "abc"},
            "bad.example": {"auth": "no login"}}}"#;
        let all: Configuration = serde_json::from_str(text).expect("a configuration");
        for (reference, wanted) in [
            ("web", Some(("hub", ""))),
            ("team/web:1", Some(("hub", ""))),
            ("reg.example/web:1", Some(("me", ""))),
            ("token.example:5000/web", Some(("", "token"))),
            ("other.example/web", None),
        ] {
            let login = all.login(registry(reference)).await.expect("it is read");
            assert_eq!(login.as_ref().map(user), wanted, "{reference}");
        }
        assert!(all.login(registry("bad.example/web")).await.is_err());
    }

    #[tokio::test]
    async fn a_helper_is_asked_where_one_is_named() {
        let text = r#"{"credHelpers": {"reg.example": "no-such-helper"}}"#;
        let all: Configuration = serde_json::from_str(text).expect("a configuration");
        let error = all.login("reg.example").await.expect_err("it is not installed");
        assert!(crate::chain(&error).contains("docker-credential-no-such-helper"), "{error}");
        let login = answered(br#"{"ServerURL":"x","Username":"me","Secret":"word"}"#, "x");
        assert_eq!(user(&login.expect("a login")), ("me", ""));
        let login = answered(br#"{"ServerURL":"x","Username":"<token>","Secret":"word"}"#, "x");
        assert_eq!(user(&login.expect("a login")), ("", "token"));
    }
}
