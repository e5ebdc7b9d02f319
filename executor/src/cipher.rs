//! XChaCha20-Poly1305, RFC 8439 with the longer nonce: seals a secret bound to what it is, so that
//! opened as anything else it does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use std::io;
use zeroize::Zeroizing;

/// Bytes of a sealing key.
pub(crate) const KEY_BYTES: usize = 32;

/// Bytes of a nonce: long enough to be drawn at random.
const NONCE_BYTES: usize = 24;

/// A secret that was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub(crate) nonce: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
}

impl Envelope {
    /// From a nonce and what was sealed, one after the other.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        Some(Self { nonce: nonce.to_vec(), sealed: sealed.to_vec() })
    }
}

/// One sealing key at work. Wiped when dropped.
pub(crate) struct Cipher(XChaCha20Poly1305);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    pub(crate) fn of(key: &Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(XChaCha20Poly1305::new((&**key).into()))
    }

    /// With a key as it was read; nothing if it has another length.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(bytes).ok()?);
        Some(Self::of(&key))
    }

    /// Seals a secret under a new nonce.
    ///
    /// # Errors
    /// If the kernel gives no random bytes, or the secret is larger than 256 GiB.
    pub(crate) fn seal(&self, bound_to: &str, secret: &[u8]) -> io::Result<Envelope> {
        let nonce = random(NONCE_BYTES)?;
        let payload = Payload { msg: secret, aad: bound_to.as_bytes() };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Envelope { nonce: nonce.to_vec(), sealed })
    }

    /// Opens what was sealed; nothing if it was altered, or sealed as something else or by another
    /// key.
    pub(crate) fn open(&self, bound_to: &str, envelope: &Envelope) -> Option<Zeroizing<Vec<u8>>> {
        if envelope.nonce.len() != NONCE_BYTES {
            return None;
        }
        let payload = Payload { msg: &envelope.sealed, aad: bound_to.as_bytes() };
        let opened = self.0.decrypt(XNonce::from_slice(&envelope.nonce), payload);
        opened.ok().map(Zeroizing::new)
    }
}

/// Bytes of the kernel's random generator.
///
/// # Errors
/// If the kernel gives none.
pub(crate) fn random(count: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; count]);
    let mut filled = 0;
    while filled < count {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes)
}
