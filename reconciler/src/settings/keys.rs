//! `keys` of a `[[hosts]]` entry: what seals the keys of its volumes, and where that is.

use super::section::{Reader, Section};
use std::path::{Component, Path, PathBuf};

/// What seals the keys of a host's volumes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeysSettings {
    /// A key file in the host's own directory, made when it is first needed.
    #[default]
    Own,
    /// `file`: a key file elsewhere.
    File(PathBuf),
    /// `passphrase_file`: a passphrase in a file.
    PassphraseFile(PathBuf),
    /// `credential`: a passphrase that the service manager hands over.
    Credential(String),
    /// `ask`: a passphrase that a person is asked for.
    Ask,
}

const KEYS: [&str; 4] = ["file", "passphrase_file", "credential", "ask"];

/// Reads `keys` of a host, or its default.
pub(super) fn read(reader: &mut Reader<'_>, host: &Section<'_>) -> KeysSettings {
    let Some(section) = host.table(reader, "keys", "`keys`") else {
        return KeysSettings::default();
    };
    section.allow(reader, &KEYS);
    let given = KEYS.into_iter().filter(|key| section.has(key)).count();
    if given != 1 {
        let message = format!("`keys` says {given} things that seal, not one");
        let hint = "one of file = \"/PATH\", passphrase_file = \"/PATH\", credential = \"NAME\", \
                    ask = true";
        reader.wrong(section.span(), message, hint);
    }
    let file = section.parsed_by(reader, "file", absolute);
    let passphrase_file = section.parsed_by(reader, "passphrase_file", absolute);
    let credential = section.parsed_by(reader, "credential", credential);
    if let Some(file) = file {
        KeysSettings::File(file.value)
    } else if let Some(file) = passphrase_file {
        KeysSettings::PassphraseFile(file.value)
    } else if let Some(name) = credential {
        KeysSettings::Credential(name.value)
    } else if section.flag(reader, "ask") == Some(true) {
        KeysSettings::Ask
    } else {
        KeysSettings::Own
    }
}

/// An absolute path of something below `/`, without `..`.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain && path.parent().is_some() {
        return Ok(path.to_owned());
    }
    let shown: String = text.chars().take(80).collect();
    Err(format!("{shown:?} must be an absolute path without `..`, and not `/`"))
}

/// A credential's name, systemd.exec(5): a file's name.
fn credential(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=255).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    let shown: String = text.chars().take(80).collect();
    Err(format!("{shown:?} is not a credential's name: letters, digits, `-`, `_` and `.`"))
}
