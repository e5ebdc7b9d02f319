//! Names that people write: checked once, at construction, so that no later code has to
//! think about quotes, slashes, dots or length.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}: {rule}")]
pub struct NameError {
    /// What it should have been the name of.
    pub kind: &'static str,
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// The grammar, in words.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:literal, $max:literal, $first:expr, $rest:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "SmolStr", into = "SmolStr")]
        pub struct $type(SmolStr);

        impl $type {
            /// Checks the grammar and wraps the text.
            ///
            /// # Errors
            /// [`NameError`] says the rule that was broken.
            pub fn new(text: impl Into<SmolStr>) -> Result<Self, NameError> {
                let text = text.into();
                let mut bytes = text.bytes();
                let first: fn(u8) -> bool = $first;
                let rest: fn(u8) -> bool = $rest;
                if text.len() <= $max && bytes.next().is_some_and(first) && bytes.all(rest) {
                    return Ok(Self(text));
                }
                Err(NameError { kind: $kind, text: text.chars().take(80).collect(), rule: $rule })
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<SmolStr> for $type {
            type Error = NameError;
            fn try_from(text: SmolStr) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl core::str::FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$type> for SmolStr {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

const fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

const fn lower_dash(byte: u8) -> bool {
    lower(byte) || byte == b'-'
}

const fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn word_no_digit(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn word_dash(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

name!(
    /// A named set of hosts that one repository rules.
    FleetName,
    "fleet name",
    "1 to 40 lower-case letters, digits and dashes, not starting with a dash",
    40,
    lower,
    lower_dash
);
name!(
    /// A machine of the fleet, or a part of one.
    HostName,
    "host name",
    "1 to 63 lower-case letters, digits and dashes, not starting with a dash",
    63,
    lower,
    lower_dash
);
name!(
    /// `app` of a manifest; Fly's rule for app names.
    AppName,
    "app name",
    "1 to 63 lower-case letters, digits and dashes, not starting with a dash",
    63,
    lower,
    lower_dash
);
name!(
    /// A process group: a key of `[processes]`, or `app`.
    GroupName,
    "process group name",
    "1 to 63 letters, digits, dashes and underscores, not starting with a dash",
    63,
    word,
    word_dash
);
name!(
    /// A place that hosts are in, such as `ewr`.
    Region,
    "region",
    "1 to 20 lower-case letters, digits and dashes, not starting with a dash",
    20,
    lower,
    lower_dash
);
name!(
    /// `source` of a mount: the volume's name. Fly's rule for volume names.
    SourceName,
    "volume name",
    "1 to 30 letters, digits and underscores",
    30,
    word,
    word
);
name!(
    /// What a person calls a snapshot, among those of its volume.
    SnapshotName,
    "snapshot name",
    "1 to 40 letters, digits, dashes and underscores, not starting with a dash",
    40,
    word,
    word_dash
);
name!(
    /// A secret of an app: the name of the variable that it is in.
    SecretName,
    "secret name",
    "1 to 128 letters, digits and underscores, not starting with a digit",
    128,
    word_no_digit,
    word
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused_and_cut() {
        for text in ["", "-a", "a/b", "../x", "a b", "$(x)", "a'b", "é", "A"] {
            assert!(AppName::new(text).is_err(), "{text:?}");
        }
        let long = "x".repeat(300);
        assert_eq!(AppName::new(long).unwrap_err().text.len(), 80);
        assert!(AppName::new("x".repeat(63)).is_ok());
        assert!(SourceName::new("data_1").is_ok());
        assert!(SourceName::new("data-1").is_err());
    }
}
