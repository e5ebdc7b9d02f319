//! A passphrase, where it comes from, and how it becomes a key: Argon2id, made slow on purpose,
//! because people choose passphrases that can be guessed.

use super::seal::{io, read_private, seal};
use super::{KeyError, random};
use crate::cipher;
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where the service manager keeps credentials for a unit, systemd.exec(5).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Bytes of a salt, RFC 9106.
const SALT_BYTES: usize = 16;

/// The largest memory that a derivation may ask for: a file that was altered must not take the
/// machine down.
const MEMORY_MOST_KIB: u32 = 1024 * 1024;

/// Where a passphrase comes from. Never an argument and never the environment.
#[derive(Clone)]
pub enum Passphrase {
    /// A file that only its owner may read; a newline at its end is no part of it.
    File(PathBuf),
    /// A credential that the service manager hands over, by its name.
    Credential(String),
    /// Given by a person.
    Given(Zeroizing<Vec<u8>>),
    /// A person is asked, by this function.
    Asked(fn() -> std::io::Result<Zeroizing<Vec<u8>>>),
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passphrase({self})")
    }
}

impl fmt::Display for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::Given(_) | Self::Asked(_) => f.write_str("the passphrase"),
        }
    }
}

impl Passphrase {
    /// The passphrase itself.
    ///
    /// # Errors
    /// [`KeyError::Seal`] if it cannot be had, or is empty.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let mut text = match self {
            Self::File(path) => read_private(path)?,
            Self::Credential(name) => {
                let Some(directory) = std::env::var_os(CREDENTIALS) else {
                    let why = "no credentials were handed over: run it from a unit with \
                               LoadCredential= or LoadCredentialEncrypted=";
                    return Err(seal(self.to_string(), why));
                };
                read_private(&Path::new(&directory).join(name))?
            }
            Self::Given(text) => text.clone(),
            Self::Asked(ask) => ask().map_err(io("asking for", Path::new("the passphrase")))?,
        };
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        if text.is_empty() {
            return Err(seal(self.to_string(), "it is empty"));
        }
        Ok(text)
    }
}

/// How a passphrase becomes a key. Written down beside what the key seals; no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Derivation {
    /// Always `argon2id`.
    function: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
}

impl Derivation {
    /// The second choice of RFC 9106, for machines that have other work: 64 MiB, three passes.
    pub(super) fn draw() -> Result<Self, KeyError> {
        Ok(Self {
            function: "argon2id".to_owned(),
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
            salt: random(SALT_BYTES)?.to_vec(),
        })
    }

    pub(super) fn key(
        &self,
        passphrase: &[u8],
    ) -> Result<Zeroizing<[u8; cipher::KEY_BYTES]>, KeyError> {
        let wrong = |why: String| seal("the passphrase's derivation".to_owned(), &why);
        let Self { function, memory_kib, passes, lanes, salt } = self;
        if function != "argon2id" || *memory_kib > MEMORY_MOST_KIB {
            return Err(wrong(format!("{function} with {memory_kib} KiB is not done here")));
        }
        let params = Params::new(*memory_kib, *passes, *lanes, Some(cipher::KEY_BYTES));
        let params = params.map_err(|error| wrong(error.to_string()))?;
        let mut key = Zeroizing::new([0; cipher::KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, &mut *key)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(key)
    }
}
