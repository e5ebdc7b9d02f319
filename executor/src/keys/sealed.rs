//! Keys in files of the host, each sealed with XChaCha20-Poly1305 under one sealing key. A sealed
//! key says for which volume it is and opens for no other.

use super::{KEY_BYTES, Key, KeyError, Keys};
use crate::durable;
use crate::names::HostDir;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use planner::model::id::VolumeId;
use planner::model::name::FleetName;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The format of a sealed key.
const VERSION: u32 = 1;

/// Bytes of a sealing key, RFC 8439.
const SEAL_BYTES: usize = 32;

/// Bytes of a nonce: long enough to be drawn at random.
const NONCE_BYTES: usize = 24;

/// Keys in `HOST/keys`.
#[derive(Debug)]
pub struct SealedKeys {
    fleet: FleetName,
    dir: HostDir,
    seal: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    volume: VolumeId,
    nonce: Vec<u8>,
    sealed: Vec<u8>,
}

impl SealedKeys {
    /// The keys of a host; `seal` is the file of the sealing key, [`HostDir::seal`] if not given.
    #[must_use]
    pub fn new(fleet: FleetName, dir: HostDir, seal: Option<PathBuf>) -> Self {
        let seal = seal.unwrap_or_else(|| dir.seal());
        Self { fleet, dir, seal }
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, KeyError> {
        let wrong = |why: String| KeyError::Seal { path: self.seal.display().to_string(), why };
        let bytes = fs::read(&self.seal).map_err(|error| wrong(error.to_string()))?;
        let bytes = Zeroizing::new(bytes);
        XChaCha20Poly1305::new_from_slice(&bytes)
            .map_err(|_| wrong(format!("it has {} bytes, not {SEAL_BYTES}", bytes.len())))
    }

    /// Makes the sealing key, unless there is one, or keys that another one has sealed.
    fn ensure_seal(&self) -> Result<(), KeyError> {
        if self.seal.exists() {
            return Ok(());
        }
        let keys = self.dir.keys();
        if fs::read_dir(&keys).is_ok_and(|mut entries| entries.next().is_some()) {
            let why = "it is gone, and there are keys that it sealed".to_owned();
            return Err(KeyError::Seal { path: self.seal.display().to_string(), why });
        }
        if let Some(parent) = self.seal.parent() {
            durable::make_dir(parent).map_err(io("making", parent))?;
        }
        let bytes = random(SEAL_BYTES).map_err(io("drawing", &self.seal))?;
        durable::replace(&self.seal, &bytes).map_err(io("writing", &self.seal))
    }

    /// What a sealed key is bound to: opened as anything else it does not open.
    fn bound_to(&self, volume: &VolumeId) -> String {
        format!("tiedown volume key {VERSION}\0{}\0{volume}", self.fleet)
    }

    fn make(&self, volume: &VolumeId) -> Result<Key, KeyError> {
        self.ensure_seal()?;
        let path = self.dir.key(volume);
        let secret = random(KEY_BYTES).map_err(io("drawing", &path))?;
        let nonce = random(NONCE_BYTES).map_err(io("drawing", &path))?;
        let bound = self.bound_to(volume);
        let payload = Payload { msg: &secret, aad: bound.as_bytes() };
        let sealed = self.cipher()?.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed =
            sealed.map_err(|error| io("sealing", &path)(io::Error::other(error.to_string())))?;
        let record =
            Sealed { version: VERSION, volume: volume.clone(), nonce: nonce.to_vec(), sealed };
        let bytes = serde_json::to_vec(&record)
            .map_err(|error| io("writing", &path)(io::Error::other(error)))?;
        let keys = self.dir.keys();
        durable::make_dir(&keys).map_err(io("making", &keys))?;
        durable::replace(&path, &bytes).map_err(io("writing", &path))?;
        // Read back from the file: what cannot be opened must never have encrypted anything.
        let key = self.get(volume)?;
        if key.0 == secret {
            return Ok(key);
        }
        Err(unreadable(volume, "it is not what was written"))
    }
}

impl Keys for SealedKeys {
    fn ensure(&self, volume: &VolumeId) -> Result<Key, KeyError> {
        match self.get(volume) {
            Err(KeyError::Absent { .. }) => self.make(volume),
            found => found,
        }
    }

    fn get(&self, volume: &VolumeId) -> Result<Key, KeyError> {
        let path = self.dir.key(volume);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(KeyError::Absent { volume: volume.clone() });
            }
            Err(error) => return Err(io("reading", &path)(error)),
        };
        let Sealed { version, nonce, sealed, .. } = serde_json::from_slice(&bytes)
            .map_err(|error| unreadable(volume, &error.to_string()))?;
        if version != VERSION || nonce.len() != NONCE_BYTES {
            return Err(unreadable(volume, "it has an unknown format"));
        }
        let bound = self.bound_to(volume);
        let payload = Payload { msg: &sealed, aad: bound.as_bytes() };
        let opened = self.cipher()?.decrypt(XNonce::from_slice(&nonce), payload);
        let opened = opened.map_err(|_| {
            unreadable(volume, "it was altered, or sealed for another volume or by another key")
        })?;
        Key::new(Zeroizing::new(opened)).ok_or_else(|| unreadable(volume, "it has a wrong length"))
    }

    fn destroy(&self, volume: &VolumeId) -> Result<(), KeyError> {
        let path = self.dir.key(volume);
        match fs::remove_file(&path) {
            Ok(()) => durable::sync_parent(&path).map_err(io("syncing", &path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io("removing", &path)(error)),
        }
    }
}

/// Bytes of the kernel's random generator.
fn random(count: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; count]);
    let mut filled = 0;
    while filled < count {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

fn unreadable(volume: &VolumeId, why: &str) -> KeyError {
    KeyError::Unreadable { volume: volume.clone(), why: why.to_owned() }
}

fn io<'a>(act: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> KeyError + 'a {
    move |source| KeyError::Io { act: format!("{act} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(number: u32) -> VolumeId {
        VolumeId::parse(&format!("vol_{number:016x}")).unwrap()
    }

    fn keys(root: &tempfile::TempDir) -> SealedKeys {
        SealedKeys::new("prod".parse().unwrap(), HostDir::at(root.path()), None)
    }

    #[test]
    fn a_key_is_made_once_and_kept_until_it_is_destroyed() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(keys(&root).get(&volume(1)), Err(KeyError::Absent { .. })));
        let key = keys(&root).ensure(&volume(1)).unwrap();
        assert_eq!(keys(&root).ensure(&volume(1)).unwrap(), key);
        assert_ne!(keys(&root).ensure(&volume(2)).unwrap(), key);
        keys(&root).destroy(&volume(1)).unwrap();
        keys(&root).destroy(&volume(1)).unwrap();
        assert!(matches!(keys(&root).get(&volume(1)), Err(KeyError::Absent { .. })));
        assert_eq!(format!("{key:?}"), "Key");
    }

    #[test]
    fn a_sealed_key_opens_for_its_volume_and_fleet_only_and_not_when_altered() {
        let root = tempfile::tempdir().unwrap();
        keys(&root).ensure(&volume(1)).unwrap();
        let dir = HostDir::at(root.path());
        let (one, two) = (dir.key(&volume(1)), dir.key(&volume(2)));
        fs::copy(&one, &two).unwrap();
        assert!(matches!(keys(&root).get(&volume(2)), Err(KeyError::Unreadable { .. })));
        let other = SealedKeys::new("dev".parse().unwrap(), dir, None);
        assert!(matches!(other.get(&volume(1)), Err(KeyError::Unreadable { .. })));
        let secret = keys(&root).get(&volume(1)).unwrap().expose();
        let stored = fs::read(&one).unwrap();
        assert!(!stored.windows(8).any(|window| window == &secret[..8]));
        for at in (0..stored.len()).step_by(7) {
            let mut altered = stored.clone();
            altered[at] = if altered[at] == b'1' { b'2' } else { b'1' };
            fs::write(&one, &altered).unwrap();
            let answer = keys(&root).get(&volume(1)).map(|key| key.expose());
            assert!(!matches!(&answer, Ok(key) if *key != secret), "byte {at}");
        }
    }

    #[test]
    fn a_lost_sealing_key_is_not_made_anew() {
        let root = tempfile::tempdir().unwrap();
        keys(&root).ensure(&volume(1)).unwrap();
        fs::remove_file(HostDir::at(root.path()).seal()).unwrap();
        assert!(matches!(keys(&root).get(&volume(1)), Err(KeyError::Seal { .. })));
        assert!(matches!(keys(&root).ensure(&volume(2)), Err(KeyError::Seal { .. })));
    }
}
