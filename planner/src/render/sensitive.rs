//! Which values are not shown. A manifest's environment is no place for secrets; some people put
//! them there all the same, and a plan is read by more people than a manifest.

use crate::plan::change::Field;
use alloc::string::String;

/// What is shown in place of a value.
pub(super) const MASK: &str = "(sensitive)";

/// Words in a variable's name that say that its value is nobody's business.
const WORDS: [&str; 12] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "KEY",
    "DSN",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "DATABASE_URL",
    "REDIS_URL",
];

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
        return false;
    }
    let says = |word: &str| match word.len() {
        // Short words are parts of others: KEY of KEYBOARD, AUTH of AUTHOR.
        ..=4 => variable.ends_with(word) || variable.split('_').any(|part| part == word),
        _ => variable.contains(word),
    };
    WORDS.iter().any(|word| says(word)) || has_login(field)
}

/// Whether a value is a URL with a password in it.
fn has_login(field: &Field) -> bool {
    [&field.before, &field.after].into_iter().flatten().any(|value| {
        let Some((_, rest)) = value.split_once("://") else { return false };
        let authority = rest.split(['/', '?', '#', '"', ' ']).next().unwrap_or(rest);
        authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
    })
}

/// The value as it may be shown.
pub(super) fn shown(field: &Field, value: Option<&String>) -> Option<String> {
    value.map(|value| if is_sensitive(field) { MASK.into() } else { value.clone() })
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
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(is_sensitive(&field(name, "x")), "{name}");
        }
        for name in ["env.LOG_LEVEL", "env.MONKEYS", "size", "env.KEYBOARD", "key", "secrets.TOKEN"]
        {
            assert!(!is_sensitive(&field(name, "x")), "{name}");
        }
        assert!(is_sensitive(&field("env.UPSTREAM", "postgres://me:pass@db/x")));
        assert!(!is_sensitive(&field("env.UPSTREAM", "https://example.com/a@b:c")));
    }
}
