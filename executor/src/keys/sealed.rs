//! Keys in files of the host, each sealed on its own. A sealed key says for which volume it is and
//! opens for no other.

use super::seal::{Seal, SealedBy, io};
use super::{KEY_BYTES, Key, KeyError, Keys, random};
use crate::cipher::Envelope;
use crate::durable;
use crate::names::HostDir;
use planner::model::id::VolumeId;
use planner::model::name::FleetName;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};

/// The format of a sealed key.
const VERSION: u32 = 1;

/// Keys in `HOST/keys`.
#[derive(Debug)]
pub struct SealedKeys {
    fleet: FleetName,
    dir: HostDir,
    seal: Seal,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u32,
    volume: VolumeId,
    #[serde(flatten)]
    envelope: Envelope,
}

impl SealedKeys {
    /// The keys of a host.
    #[must_use]
    pub fn new(fleet: FleetName, dir: HostDir, by: SealedBy) -> Self {
        Self { fleet, seal: Seal::new(dir.clone(), by), dir }
    }

    /// Volumes that have a key here, whatever became of them.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub fn volumes(&self) -> Result<Vec<VolumeId>, KeyError> {
        let keys = self.dir.keys();
        let entries = match fs::read_dir(&keys) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io("listing", &keys))?,
        };
        let mut volumes = Vec::new();
        for entry in entries {
            let name = entry.map_err(io("listing", &keys))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            volumes.extend(id.and_then(|id| VolumeId::parse(id).ok()));
        }
        volumes.sort();
        Ok(volumes)
    }

    /// Whether all keys can be had, and more be made: how many there are. What needs a passphrase
    /// that is not on the disk is not tried.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn look(&self) -> Result<usize, KeyError> {
        let volumes = self.volumes()?;
        self.seal.look()?;
        if self.seal.is_on_disk() {
            for volume in &volumes {
                self.get(volume)?;
            }
        }
        Ok(volumes.len())
    }

    /// Puts a key back that was exported, unless the volume has one.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`] if it has another; else any.
    pub fn put_back(&self, volume: &VolumeId, key: &Key) -> Result<bool, KeyError> {
        match self.get(volume) {
            Ok(found) if found == *key => Ok(false),
            Ok(_) => Err(unreadable(volume, "there is another key of it already")),
            Err(KeyError::Absent { .. }) => self.write(volume, key).map(|()| true),
            Err(error) => Err(error),
        }
    }

    /// What a sealed key is bound to: opened as anything else it does not open.
    fn bound_to(&self, volume: &VolumeId) -> String {
        format!("tiedown volume key {VERSION}\0{}\0{volume}", self.fleet)
    }

    fn write(&self, volume: &VolumeId, key: &Key) -> Result<(), KeyError> {
        let (keys, path) = (self.dir.keys(), self.dir.key(volume));
        let used = fs::read_dir(&keys).is_ok_and(|mut entries| entries.next().is_some());
        let envelope = self.seal.seal(&self.bound_to(volume), &key.0, used)?;
        let record = Sealed { version: VERSION, volume: volume.clone(), envelope };
        let bytes = serde_json::to_vec(&record)
            .map_err(|error| io("writing", &path)(io::Error::other(error)))?;
        durable::make_dir(&keys).map_err(io("making", &keys))?;
        durable::replace(&path, &bytes).map_err(io("writing", &path))?;
        // Read back from the file: what cannot be opened must never have encrypted anything.
        match self.get(volume)? == *key {
            true => Ok(()),
            false => Err(unreadable(volume, "it is not what was written")),
        }
    }
}

impl Keys for SealedKeys {
    fn ensure(&self, volume: &VolumeId) -> Result<Key, KeyError> {
        match self.get(volume) {
            Err(KeyError::Absent { .. }) => {
                let key = Key(random(KEY_BYTES)?);
                self.write(volume, &key).map(|()| key)
            }
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
        let Sealed { version, envelope, .. } = serde_json::from_slice(&bytes)
            .map_err(|error| unreadable(volume, &error.to_string()))?;
        if version != VERSION {
            return Err(unreadable(volume, "it has an unknown format"));
        }
        let opened = self.seal.open(&self.bound_to(volume), &envelope)?.ok_or_else(|| {
            unreadable(volume, "it was altered, or sealed for another volume or by another key")
        })?;
        Key::new(opened).ok_or_else(|| unreadable(volume, "it has a wrong length"))
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

fn unreadable(volume: &VolumeId, why: &str) -> KeyError {
    KeyError::Unreadable { volume: volume.clone(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::passphrase::Passphrase;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn volume(number: u32) -> VolumeId {
        VolumeId::parse(&format!("vol_{number:016x}")).unwrap()
    }

    fn sealed_by(root: &tempfile::TempDir, by: SealedBy) -> SealedKeys {
        SealedKeys::new("prod".parse().unwrap(), HostDir::at(root.path()), by)
    }

    fn keys(root: &tempfile::TempDir) -> SealedKeys {
        sealed_by(root, SealedBy::Own)
    }

    #[test]
    fn a_key_is_made_once_and_kept_until_it_is_destroyed() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(keys(&root).get(&volume(1)), Err(KeyError::Absent { .. })));
        let key = keys(&root).ensure(&volume(1)).unwrap();
        assert_eq!(keys(&root).ensure(&volume(1)).unwrap(), key);
        assert_ne!(keys(&root).ensure(&volume(2)).unwrap(), key);
        assert_eq!(keys(&root).volumes().unwrap(), [volume(1), volume(2)]);
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
        let other = SealedKeys::new("dev".parse().unwrap(), dir, SealedBy::Own);
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

    #[test]
    fn a_key_file_elsewhere_must_be_there_whole_and_private() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = elsewhere.path().join("seal.key");
        let keys = || sealed_by(&root, SealedBy::KeyFile(file.clone()));
        assert!(matches!(keys().ensure(&volume(1)), Err(KeyError::Seal { .. })));
        super::super::seal::make_key_file(&file).unwrap();
        let key = keys().ensure(&volume(1)).unwrap();
        assert_eq!(keys().get(&volume(1)).unwrap(), key);
        assert!(!HostDir::at(root.path()).seal().exists(), "nothing is in the host's directory");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let Err(error) = keys().get(&volume(1)) else { panic!("others may read it") };
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::write(&file, [0; 31]).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let Err(error) = keys().get(&volume(1)) else { panic!("it was cut") };
        assert!(error.to_string().contains("31 bytes"), "{error}");
    }

    #[test]
    fn a_passphrase_seals_and_another_one_is_told() {
        let root = tempfile::tempdir().unwrap();
        let with = |text: &str| {
            let given = Passphrase::Given(text.as_bytes().to_vec().into());
            sealed_by(&root, SealedBy::Passphrase(given))
        };
        assert!(matches!(with("").ensure(&volume(1)), Err(KeyError::Seal { .. })));
        let key = with("correct horse\n").ensure(&volume(1)).unwrap();
        assert_eq!(with("correct horse").get(&volume(1)).unwrap(), key);
        let Err(error) = with("incorrect horse").ensure(&volume(2)) else { panic!("it opened") };
        assert!(error.to_string().contains("not the passphrase"), "{error}");
        fs::remove_file(HostDir::at(root.path()).seal_derivation()).unwrap();
        assert!(matches!(with("correct horse").ensure(&volume(2)), Err(KeyError::Seal { .. })));
    }

    #[test]
    fn a_key_that_was_exported_is_put_back_and_never_replaces_another() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = keys(&one).ensure(&volume(1)).unwrap();
        assert!(keys(&two).put_back(&volume(1), &key).unwrap());
        assert!(!keys(&two).put_back(&volume(1), &key).unwrap());
        assert_eq!(keys(&two).get(&volume(1)).unwrap(), key);
        let other = keys(&one).ensure(&volume(2)).unwrap();
        assert!(keys(&two).put_back(&volume(1), &other).is_err());
        assert_eq!(keys(&two).get(&volume(1)).unwrap(), key);
    }
}
