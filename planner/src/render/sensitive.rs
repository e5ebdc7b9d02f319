//! Which values are not shown. A manifest's environment is no place for secrets; some people put
//! them there all the same, and a plan is read by more people than a manifest. What only looks
//! like a secret is masked too: a value too few is asked about, one too many is out.

use crate::plan::change::Field;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What is shown in place of a value.
pub(super) const MASK: &str = "(sensitive)";

/// Words in a variable's name that say that its value is nobody's business.
const WORDS: [&str; 15] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "KEY",
    "DSN",
    "CREDENTIAL",
    "AUTH",
    "PRIVATE",
    "MNEMONIC",
    "WEBHOOK",
    "COOKIE",
    "DATABASE_URL",
    "REDIS_URL",
];

/// The same, where they stand between underscores: parts of too many other words.
const PARTS: [&str; 6] = ["PASS", "PWD", "SALT", "PIN", "JWT", "PSK"];

/// How keys and tokens begin that well-known services give out.
const BEGINNINGS: [&str; 20] = [
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "sk_test_",
    "xoxb-",
    "xoxp-",
    "npm_",
    "pypi-",
    "hvs.",
    "fo1_",
];

/// Shorter ones than this are words, not keys.
const KEY_LENGTH: usize = 16;

/// Whether a field's values must not be shown.
pub(super) fn is_sensitive(field: &Field) -> bool {
    // Of a secret there is nothing but its version.
    if field.name.starts_with("secrets.") {
        return false;
    }
    let name = field.name.to_ascii_uppercase();
    // Only variables and files carry secrets; `key` of our own words is no secret.
    let variable = name.rsplit(['.', ' ']).next().unwrap_or(&name);
    let ours = variable.len() == name.len();
    if ours && !field.name.bytes().any(|b| b.is_ascii_uppercase()) {
        return field.name == "command" && values(field).any(|value| says_flag(value));
    }
    says(variable) || values(field).any(|value| !value.contains('\n') && is_secret(value))
}

/// The value as it may be shown; of one with several lines, those that may be.
pub(super) fn shown(field: &Field, value: Option<&String>) -> Option<String> {
    let value = value?;
    if is_sensitive(field) {
        return Some(MASK.into());
    }
    if !value.contains('\n') {
        return Some(value.clone());
    }
    let mut text: String = value.lines().map(|line| line_shown(line).to_string() + "\n").collect();
    if !value.ends_with('\n') {
        text.pop();
    }
    Some(text)
}

/// A line of a file as it may be shown.
pub(super) fn line_shown(line: &str) -> Cow<'_, str> {
    let assigns = line.split_once(['=', ':']).is_some_and(|(name, value)| {
        let name = name.trim().trim_matches(['"', '\'', '-']).to_ascii_uppercase();
        !value.trim().is_empty() && name.split_whitespace().last().is_some_and(says)
    });
    match assigns || is_secret(line) {
        true => Cow::Borrowed(MASK),
        false => Cow::Borrowed(line),
    }
}

fn values(field: &Field) -> impl Iterator<Item = &String> {
    [&field.before, &field.after].into_iter().flatten()
}

/// Whether a name in capitals says that what it names is secret.
fn says(name: &str) -> bool {
    let name = name.replace(['-', '.'], "_");
    let word = |word: &str| match word.len() {
        // Short words are parts of others: KEY of KEYBOARD, AUTH of AUTHOR.
        ..=4 => name.ends_with(word) || name.split('_').any(|part| part == word),
        _ => name.contains(word),
    };
    WORDS.iter().any(|w| word(w)) || name.split('_').any(|part| PARTS.contains(&part))
}

/// Whether a command has a flag such as `--token=…` or `--token …`, or a secret among its words.
fn says_flag(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let flag = |index: usize, word: &str| {
        let Some(name) = word.strip_prefix('-') else { return false };
        let (name, has) = match name.split_once('=') {
            Some((name, value)) => (name, !value.is_empty()),
            None => (name, words.get(index + 1).is_some_and(|next| !next.starts_with('-'))),
        };
        has && says(&name.trim_start_matches('-').to_ascii_uppercase())
    };
    is_secret(command) || words.iter().enumerate().any(|(index, word)| flag(index, word))
}

/// Whether a value looks like a secret: a URL with a password, a private key, a token.
fn is_secret(value: &str) -> bool {
    let login = |rest: &str| {
        let authority = rest.split(['/', '?', '#', '"', ' ']).next().unwrap_or(rest);
        authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
    };
    let apart = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ',' | ';' | '&');
    let token = |word: &str| {
        let signed = word.starts_with("eyJ") && word.split('.').count() == 3;
        let given = BEGINNINGS.iter().any(|beginning| word.starts_with(beginning));
        word.len() >= KEY_LENGTH && (signed || given)
    };
    value.contains("PRIVATE KEY-----")
        || value.split("://").skip(1).any(login)
        || value.split(apart).any(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> Field {
        Field { name: name.into(), before: None, after: Some(value.into()) }
    }

    #[test]
    fn values_of_secrets_are_not_shown() {
        for name in [
            "env.API_TOKEN",
            "env STRIPE_SECRET",
            "env.PGPASSWORD",
            "env.SENTRY_DSN",
            "env.MY_KEY",
            "env.APIKEY",
            "env.DB_PASS",
            "env.SLACK_WEBHOOK",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(is_sensitive(&field(name, "x")), "{name}");
        }
        for name in [
            "env.LOG_LEVEL",
            "env.MONKEYS",
            "size",
            "env.KEYBOARD",
            "key",
            "authority",
            "env.COMPASS",
            "env.PINS",
            "secrets.TOKEN",
        ] {
            assert!(!is_sensitive(&field(name, "x")), "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown_whatever_it_is_called() {
        for value in [
            "postgres://me:pass@db/x",
            "https://example.com https://me:pass@example.com",
            "ghp_0123456789abcdef0123",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "-----BEGIN RSA PRIVATE KEY-----",
        ] {
            assert!(is_sensitive(&field("env.UPSTREAM", value)), "{value}");
        }
        for value in ["https://example.com/a@b:c", "sk-short", "info", "eyJ", "a.b.c"] {
            assert!(!is_sensitive(&field("env.UPSTREAM", value)), "{value}");
        }
    }

    #[test]
    fn commands_and_files_are_shown_but_for_what_is_secret_in_them() {
        for command in ["serve --token=abc", "serve --api-key abc", "serve -password abc"] {
            assert!(is_sensitive(&field("command", command)), "{command}");
        }
        for command in ["serve --port 80", "serve --token", "serve --key-file=/etc/x", "token abc"]
        {
            let secret = is_sensitive(&field("command", command));
            assert_eq!(secret, command.contains("key-file"), "{command}");
        }
        let file = field("files./etc/app.conf", "");
        let text =
            "port = 80\npassword = hunter2\n  api_key: \"x\"\nurl = postgres://a:b@c\n# keys\n";
        let expected = "port = 80\n(sensitive)\n(sensitive)\n(sensitive)\n# keys\n";
        assert_eq!(shown(&file, Some(&text.to_string())).as_deref(), Some(expected));
    }
}
