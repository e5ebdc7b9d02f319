//! What seals the secrets of a host: a key in a file, or a passphrase. The secrets are sealed with
//! XChaCha20-Poly1305, each bound to what it is; opened as anything else it does not open.

use super::passphrase::{Derivation, Passphrase};
use super::{KeyError, random};
use crate::cipher::{self, Cipher, Envelope};
use crate::durable;
use crate::names::HostDir;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// The format of what is written down about a passphrase.
const VERSION: u32 = 1;

/// What a passphrase is known again by: it is sealed beside the salt.
const KNOWN: &[u8] = b"tiedown";

/// Where the sealing key comes from.
#[derive(Debug, Clone)]
pub enum SealedBy {
    /// A file of the host's own directory, made when it is first needed.
    Own,
    /// A file elsewhere, which must be there: a disk that is not mounted is not a key to be made.
    KeyFile(PathBuf),
    /// A passphrase.
    Passphrase(Passphrase),
}

/// Seals and opens secrets of one host.
#[derive(Debug)]
pub struct Seal {
    by: SealedBy,
    dir: HostDir,
    /// Had once: a passphrase is asked for, and turned into a key, only once.
    cipher: OnceLock<Cipher>,
}

/// What is written down about a passphrase: how it becomes a key, and how it is known again.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    derivation: Derivation,
    known: Envelope,
}

impl Seal {
    /// The seal of a host with that directory.
    #[must_use]
    pub const fn new(dir: HostDir, by: SealedBy) -> Self {
        Self { by, dir, cipher: OnceLock::new() }
    }

    /// Seals a secret. What is needed for it is made if it is not there yet, unless `used` says
    /// that something was sealed before.
    ///
    /// # Errors
    /// [`KeyError::Seal`], [`KeyError::Io`].
    pub fn seal(&self, bound_to: &str, secret: &[u8], used: bool) -> Result<Envelope, KeyError> {
        sealed_by(self.cipher(!used)?, bound_to, secret)
    }

    /// Opens what was sealed; nothing if it was altered, or sealed as something else or by another
    /// key.
    ///
    /// # Errors
    /// [`KeyError::Seal`], [`KeyError::Io`].
    pub fn open(
        &self,
        bound_to: &str,
        envelope: &Envelope,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        Ok(self.cipher(false)?.open(bound_to, envelope))
    }

    /// Whether it can be looked for now: not where a person or the service manager gives it.
    #[must_use]
    pub const fn is_on_disk(&self) -> bool {
        match &self.by {
            SealedBy::Own | SealedBy::KeyFile(_) | SealedBy::Passphrase(Passphrase::File(_)) => {
                true
            }
            SealedBy::Passphrase(_) => false,
        }
    }

    /// Whether what must be on the disk before anything is sealed is there. Makes nothing.
    ///
    /// # Errors
    /// [`KeyError::Seal`].
    pub fn look(&self) -> Result<(), KeyError> {
        match &self.by {
            SealedBy::KeyFile(path) => key_file(path).map(drop),
            SealedBy::Passphrase(passphrase @ Passphrase::File(_)) => passphrase.read().map(drop),
            SealedBy::Own | SealedBy::Passphrase(_) => Ok(()),
        }
    }

    fn cipher(&self, fresh: bool) -> Result<&Cipher, KeyError> {
        if let Some(cipher) = self.cipher.get() {
            return Ok(cipher);
        }
        let cipher = match &self.by {
            SealedBy::Own => own(&self.dir.seal(), fresh)?,
            SealedBy::KeyFile(path) => key_file(path)?,
            SealedBy::Passphrase(passphrase) => self.derived(passphrase, fresh)?,
        };
        Ok(self.cipher.get_or_init(|| cipher))
    }

    fn derived(&self, passphrase: &Passphrase, fresh: bool) -> Result<Cipher, KeyError> {
        let path = self.dir.seal_derivation();
        let wrong = |why: &str| seal(passphrase.to_string(), why);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && fresh => {
                let derivation = Derivation::draw()?;
                let cipher = Cipher::of(&derivation.key(&passphrase.read()?)?);
                let written = Written {
                    version: VERSION,
                    known: sealed_by(&cipher, &path_free(VERSION), KNOWN)?,
                    derivation,
                };
                let bytes = serde_json::to_vec(&written)
                    .map_err(|error| io("writing", &path)(io::Error::other(error)))?;
                make_parent(&path)?;
                durable::replace(&path, &bytes).map_err(io("writing", &path))?;
                return Ok(cipher);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let why = "is gone, and there are keys that were sealed with it";
                return Err(seal(path.display().to_string(), why));
            }
            bytes => bytes.map_err(io("reading", &path))?,
        };
        let written: Written = serde_json::from_slice(&bytes)
            .map_err(|error| seal(path.display().to_string(), &error.to_string()))?;
        if written.version != VERSION {
            return Err(seal(path.display().to_string(), "it has an unknown format"));
        }
        let cipher = Cipher::of(&written.derivation.key(&passphrase.read()?)?);
        match cipher.open(&path_free(written.version), &written.known) {
            Some(known) if *known == KNOWN => Ok(cipher),
            Some(_) | None => Err(wrong("it is not the passphrase that the keys are sealed with")),
        }
    }
}

/// What the known word is bound to. Directories can be moved, so no path is part of it.
fn path_free(version: u32) -> String {
    format!("tiedown passphrase {version}")
}

/// Seals a secret of this host.
pub(super) fn sealed_by(
    cipher: &Cipher,
    bound_to: &str,
    secret: &[u8],
) -> Result<Envelope, KeyError> {
    let sealed = cipher.seal(bound_to, secret);
    sealed.map_err(|source| KeyError::Io { act: "sealing".to_owned(), source })
}

/// The host's own sealing key; made if nothing was sealed yet.
fn own(path: &Path, fresh: bool) -> Result<Cipher, KeyError> {
    if !path.exists() {
        if !fresh {
            let why = "it is gone, and there are keys that it sealed";
            return Err(seal(path.display().to_string(), why));
        }
        make_key_file(path)?;
    }
    key_file(path)
}

/// Makes a sealing key in a file, mode 0600. The caller knows that there is none.
///
/// # Errors
/// [`KeyError::Io`].
pub fn make_key_file(path: &Path) -> Result<(), KeyError> {
    make_parent(path)?;
    durable::replace(path, &random(cipher::KEY_BYTES)?).map_err(io("writing", path))
}

fn make_parent(path: &Path) -> Result<(), KeyError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    durable::make_dir(parent).map_err(io("making", parent))
}

fn key_file(path: &Path) -> Result<Cipher, KeyError> {
    let bytes = read_private(path)?;
    Cipher::of_bytes(&bytes).ok_or_else(|| {
        let why = format!("it has {} bytes, not {}", bytes.len(), cipher::KEY_BYTES);
        seal(path.display().to_string(), &why)
    })
}

/// The content of a file that only its owner may read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let wrong = |why: String| seal(path.display().to_string(), &why);
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let bytes = Zeroizing::new(bytes);
    let mode = fs::metadata(path).map_err(|error| wrong(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(format!("others may read it (mode {:o}): chmod 600", mode & 0o777)));
    }
    Ok(bytes)
}

pub(super) fn seal(path: String, why: &str) -> KeyError {
    KeyError::Seal { path, why: why.to_owned() }
}

pub(super) fn io<'a>(act: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> KeyError + 'a {
    move |source| KeyError::Io { act: format!("{act} {}", path.display()), source }
}
