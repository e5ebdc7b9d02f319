//! The keys port: one key per volume, made once, kept as long as the volume's data is.

pub mod bundle;
pub mod header;
pub mod passphrase;
pub mod seal;
pub mod sealed;

use planner::model::id::VolumeId;
use zeroize::Zeroizing;

/// Bytes of a key: aes-xts takes two keys of 256 bits.
pub const KEY_BYTES: usize = 64;

/// A volume's key. Wiped when dropped; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// A key of these bytes; nothing if they are not [`KEY_BYTES`] many.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() == KEY_BYTES).then_some(Self(bytes))
    }

    /// The secret itself, for the standard input of a program.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<Vec<u8>> {
        self.0.clone()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The volume has none.
    #[error("there is no key of volume {volume}")]
    Absent {
        /// Which volume.
        volume: VolumeId,
    },
    /// It is there and cannot be opened: altered, another volume's, or sealed by another key.
    #[error("the key of volume {volume} cannot be opened: {why}")]
    Unreadable {
        /// Which volume.
        volume: VolumeId,
        /// Why.
        why: String,
    },
    /// The key that seals the others is missing or damaged.
    #[error("what seals the keys cannot be used: {path}: {why}")]
    Seal {
        /// Which it is, or where it should be.
        path: String,
        /// Why.
        why: String,
    },
    /// The operating system refused.
    #[error("{act}")]
    Io {
        /// What was being done, to which file.
        act: String,
        /// Its answer.
        source: std::io::Error,
    },
}

/// Keys of the volumes of one host.
///
/// Promises of every adapter: a key that was given out is kept until it is destroyed, and was
/// read back before it was given out the first time.
pub trait Keys: Send + Sync {
    /// The volume's key; made if there is none. Only for volumes that hold nothing yet.
    ///
    /// # Errors
    /// Any [`KeyError`] but `Absent`.
    fn ensure(&self, volume: &VolumeId) -> Result<Key, KeyError>;

    /// The volume's key.
    ///
    /// # Errors
    /// Any [`KeyError`].
    fn get(&self, volume: &VolumeId) -> Result<Key, KeyError>;

    /// Destroys the volume's key. Not there is fine.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    fn destroy(&self, volume: &VolumeId) -> Result<(), KeyError>;
}

/// Bytes of the kernel's random generator.
fn random(count: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    crate::cipher::random(count)
        .map_err(|source| KeyError::Io { act: "drawing random bytes".to_owned(), source })
}
