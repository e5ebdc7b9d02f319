//! The program `git`, for what libgit2 does worse: the network with the user's own ssh and
//! credential helpers, and signatures. It reads no terminal, and no secret is among its arguments.

use executor::command::{Command, CommandError, Overrun};
use planner::model::release::CommitId;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

/// The variable with a token for an https remote.
pub const TOKEN: &str = "TIEDOWN_GIT_TOKEN";

/// What the user's ssh, proxies and credential helpers need to know.
const INHERITED: [&str; 9] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
];

/// How long the network may take.
const FETCH: Duration = Duration::from_secs(300);

/// Why a remote cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Arguments are seen by every user of the machine.
    #[error("the address of the remote has a password in it")]
    Password,
    /// It would be taken for an option.
    #[error("{0:?} is no address of a remote or no name of a branch")]
    NoAddress(String),
    /// Git failed.
    #[error("git failed")]
    Failed(#[from] CommandError),
}

/// Fetches a branch and all tags of a remote into a bare repository, where the branch has the same
/// name. What the remote no longer has stays here.
///
/// # Errors
/// [`GitError`].
pub async fn fetch(git_dir: &Path, url: &str, branch: &str) -> Result<(), GitError> {
    let scope = scope(url)?;
    if branch.starts_with('-') || branch.contains([':', '*', '+', ' ']) {
        return Err(GitError::NoAddress(branch.chars().take(80).collect()));
    }
    let mut config = vec![
        // A collection that goes on by itself would outlive the daemon.
        ("gc.autoDetach".to_owned(), "false".to_owned()),
        ("maintenance.autoDetach".to_owned(), "false".to_owned()),
        ("safe.directory".to_owned(), git_dir.display().to_string()),
    ];
    let token = std::env::var_os(TOKEN).filter(|token| !token.is_empty());
    if let (Some(scope), true) = (scope, token.is_some()) {
        // Asked for this remote only, so that a redirection elsewhere does not get it.
        let helper = format!(
            "!f() {{ test \"$1\" = get && printf 'username=x-access-token\\npassword=%s\\n' \
             \"${TOKEN}\"; }}; f"
        );
        config.push((format!("credential.{scope}.helper"), String::new()));
        config.push((format!("credential.{scope}.helper"), helper));
    }
    let mut command = git(git_dir, &config)?;
    if let Some(token) = token {
        command = command.env(TOKEN, token);
    }
    let branch = format!("+refs/heads/{branch}:refs/heads/{branch}");
    command
        .args(["fetch", "--quiet", "--no-write-fetch-head", "--end-of-options", url])
        .args([branch.as_str(), "+refs/tags/*:refs/tags/*"])
        .deadline(FETCH, Overrun::Kill)
        .output()
        .await?;
    Ok(())
}

/// Scheme and host of an address that takes a token; nothing for ssh and files.
fn scope(url: &str) -> Result<Option<String>, GitError> {
    if url.is_empty() || url.starts_with('-') {
        return Err(GitError::NoAddress(url.chars().take(80).collect()));
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(None) };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(u, h)| (u, h));
    if user.contains(':') {
        return Err(GitError::Password);
    }
    let takes_token = matches!(scheme, "https" | "http");
    Ok(takes_token.then(|| format!("{scheme}://{host}")))
}

/// Whether the commit, or a tag of it, is signed with an ssh key of the file of allowed signers
/// (ssh-keygen(1)). Whatever is in doubt is not.
pub async fn is_vouched(git_dir: &Path, commit: &CommitId, signers: &Path) -> bool {
    let config = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let config = [
        config("safe.directory", &git_dir.display().to_string()),
        config("gpg.ssh.allowedSignersFile", &signers.display().to_string()),
        config("gpg.ssh.program", "ssh-keygen"),
        // Other kinds of keys have no list of who may.
        config("gpg.program", "false"),
        config("gpg.openpgp.program", "false"),
        config("gpg.x509.program", "false"),
    ];
    let run = async |args: &[&str]| {
        let command = git(git_dir, &config).ok()?;
        command.args(args).output().await.ok()
    };
    if run(&["verify-commit", "--raw", commit.as_str()]).await.is_some() {
        return true;
    }
    let points_at = format!("--points-at={commit}");
    let tags = run(&["for-each-ref", "--format=%(refname:strip=2)", &points_at, "refs/tags"]).await;
    let tags = tags.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    for tag in tags.unwrap_or_default().lines().filter(|tag| !tag.starts_with('-')) {
        if run(&["verify-tag", "--raw", tag]).await.is_some() {
            return true;
        }
    }
    false
}

/// `git` for a repository, with configuration that no file can change.
fn git(git_dir: &Path, config: &[(String, String)]) -> Result<Command, CommandError> {
    let mut command = Command::named("git")?
        .arg("--git-dir")
        .arg(git_dir)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_COUNT", config.len().to_string());
    for (index, (key, value)) in config.iter().enumerate() {
        command = command
            .env(format!("GIT_CONFIG_KEY_{index}"), key)
            .env(format!("GIT_CONFIG_VALUE_{index}"), value);
    }
    let mut inherited: Vec<(&str, std::ffi::OsString)> =
        INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect();
    if !inherited.iter().any(|(name, _)| *name == "GIT_SSH_COMMAND") {
        inherited.push(("GIT_SSH_COMMAND", OsStr::new("ssh -oBatchMode=yes").to_owned()));
    }
    for (name, value) in inherited {
        command = command.env(name, value);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_host_and_a_password_is_no_argument() {
        let scope = |url| scope(url).unwrap();
        assert_eq!(scope("https://x@git.example.com/a/b.git").unwrap(), "https://git.example.com");
        assert_eq!(scope("http://127.0.0.1:8080/r").unwrap(), "http://127.0.0.1:8080");
        for plain in ["/srv/git/fleet.git", "ssh://git@example.com/fleet", "git@example.com:fleet"]
        {
            assert_eq!(scope(plain), None);
        }
        assert!(matches!(super::scope("https://me:secret@example.com"), Err(GitError::Password)));
        assert!(matches!(super::scope("--upload-pack=x"), Err(GitError::NoAddress(_))));
    }
}
