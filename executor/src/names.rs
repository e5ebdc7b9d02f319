//! Every path of a state directory, and nothing else makes one. Only checked names go in, so no
//! path leaves its directory.
//!
//! ```text
//! STATE_DIR/catalog.db  machine-id  drift.json  locks/{app-APP,host-HOST,fleet,passes,catalog}.lock
//! STATE_DIR/secrets/{seal.key, APP.json}
//! STATE_DIR/hosts/HOST/{pool.json, volumes/VOL/…, instances/INST, trees/DIGEST}
//! ```

use crate::catalog::LockName;
use planner::model::id::{InstanceId, VolumeId, digest_of};
use planner::model::name::{AppName, FleetName, HostName};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where a fleet keeps all its state on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The state directory at `path`, whether it exists or not.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The catalog's database.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.0.join("catalog.db")
    }

    /// The machine's identity, where the system has none of its own.
    #[must_use]
    pub fn machine_id(&self) -> PathBuf {
        self.0.join("machine-id")
    }

    /// What was told of drift last.
    #[must_use]
    pub fn told_drift(&self) -> PathBuf {
        self.0.join("drift.json")
    }

    /// The directory of all locks.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    /// The file that is locked for something. A name's prefix says its kind, so no app and no
    /// host can take another's.
    #[must_use]
    pub fn lock(&self, what: &LockName) -> PathBuf {
        let name = match what {
            LockName::App(app) => format!("app-{app}.lock"),
            LockName::Host(host) => format!("host-{host}.lock"),
            LockName::Fleet => "fleet.lock".to_owned(),
            LockName::Passes => "passes.lock".to_owned(),
        };
        self.locks().join(name)
    }

    /// The file that is locked while the catalog is made.
    #[must_use]
    pub fn catalog_lock(&self) -> PathBuf {
        self.locks().join("catalog.lock")
    }

    /// The directory of sealed secrets.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// An app's sealed secrets.
    #[must_use]
    pub fn secrets_of(&self, app: &AppName) -> PathBuf {
        self.secrets().join(format!("{app}{SEALED}"))
    }

    /// The app that a name in the directory of secrets is of, if it is one that we give.
    #[must_use]
    pub fn secrets_entry(&self, name: &OsStr) -> Option<AppName> {
        name.to_str()?.strip_suffix(SEALED)?.parse().ok()
    }

    /// The key that seals secrets.
    #[must_use]
    pub fn secrets_seal(&self) -> PathBuf {
        self.secrets().join("seal.key")
    }

    /// The file that is locked while secrets are changed.
    #[must_use]
    pub fn secrets_lock(&self) -> PathBuf {
        self.locks().join("secrets.lock")
    }

    /// A host's directory.
    #[must_use]
    pub fn host(&self, host: &HostName) -> HostDir {
        HostDir(self.0.join("hosts").join(host.as_str()))
    }
}

/// Where one host keeps its pool, instances and source trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDir(PathBuf);

impl HostDir {
    /// A host's directory at a place of its own.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The pool's marks.
    #[must_use]
    pub fn pool(&self) -> PathBuf {
        self.0.join("pool.json")
    }

    /// The directory of all volumes.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    /// A volume's directory.
    #[must_use]
    pub fn volume(&self, id: &VolumeId) -> VolumeDir {
        VolumeDir(self.volumes().join(id.as_str()))
    }

    /// A volume's directory before it has its name.
    #[must_use]
    pub fn volume_coming(&self, id: &VolumeId) -> VolumeDir {
        VolumeDir(self.volumes().join(format!("{COMING}{id}")))
    }

    /// A volume's directory after it has lost its name.
    #[must_use]
    pub fn volume_going(&self, id: &VolumeId) -> VolumeDir {
        VolumeDir(self.volumes().join(format!("{GOING}{id}")))
    }

    /// The directory of sealed keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// A volume's sealed key.
    #[must_use]
    pub fn key(&self, volume: &VolumeId) -> PathBuf {
        self.keys().join(format!("{volume}.json"))
    }

    /// The key that seals the others, where the settings name no other place.
    #[must_use]
    pub fn seal(&self) -> PathBuf {
        self.0.join("seal.key")
    }

    /// How the passphrase becomes a key, where a passphrase seals the keys.
    #[must_use]
    pub fn seal_derivation(&self) -> PathBuf {
        self.0.join("seal.json")
    }

    /// The directory of all instances.
    #[must_use]
    pub fn instances(&self) -> PathBuf {
        self.0.join("instances")
    }

    /// An instance's directory.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> PathBuf {
        self.instances().join(id.as_str())
    }

    /// The directory of exported source trees, by digest.
    #[must_use]
    pub fn trees(&self) -> PathBuf {
        self.0.join("trees")
    }
}

impl HostDir {
    /// The directory of something in the pool that is not ours; nothing if the name is no plain
    /// one, or one that tiedown gives.
    #[must_use]
    pub fn volume_named(&self, name: &str) -> Option<VolumeDir> {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        let other = plain && self.volume_entry(OsStr::new(name)) == VolumeEntry::Other;
        other.then(|| VolumeDir(self.volumes().join(name)))
    }
}

const SEALED: &str = ".json";

const COMING: &str = ".coming-";
const GOING: &str = ".going-";

/// What a name in the directory of volumes says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeEntry {
    /// A volume.
    Volume(VolumeId),
    /// What a crash left of a volume that did not have its name yet, or had lost it.
    Remnant(VolumeDir),
    /// No name that tiedown gives.
    Other,
}

impl HostDir {
    /// Reads a name in the directory of volumes.
    #[must_use]
    pub fn volume_entry(&self, name: &OsStr) -> VolumeEntry {
        let Some(name) = name.to_str() else { return VolumeEntry::Other };
        if let Ok(id) = VolumeId::parse(name) {
            return VolumeEntry::Volume(id);
        }
        let id = name.strip_prefix(COMING).or_else(|| name.strip_prefix(GOING));
        match id.map(VolumeId::parse) {
            Some(Ok(_)) => VolumeEntry::Remnant(VolumeDir(self.volumes().join(name))),
            Some(Err(_)) | None => VolumeEntry::Other,
        }
    }
}

/// Where one volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDir(PathBuf);

impl VolumeDir {
    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its marks and state.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.0.join("volume.json")
    }

    /// Locked by whoever uses the volume.
    #[must_use]
    pub fn hold(&self) -> PathBuf {
        self.0.join("hold")
    }

    /// Its file system, as a file.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.0.join("image")
    }

    /// Its data, as a directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// A copy of the header of an encrypted volume: without a header no key opens it.
    #[must_use]
    pub fn header(&self) -> PathBuf {
        self.0.join("header.luks")
    }

    /// What a new file system begins with, while it is made.
    #[must_use]
    pub fn seed(&self) -> PathBuf {
        self.0.join("seed")
    }

    /// Where a mounted file system is mounted once more, while it is grown.
    #[must_use]
    pub fn growing(&self) -> PathBuf {
        self.0.join("growing")
    }
}

/// The copy of a remote repository that is followed: beside the states of fleets, whose names do
/// not begin with a dot.
#[must_use]
pub fn mirror(base: &Path, url: &str) -> PathBuf {
    let digest = digest_of(&[b"mirror", url.as_bytes()]);
    base.join(".mirrors").join(format!("{}.git", &digest[..16]))
}

/// The directory in a volume's file system that is bound into instances. It does not exist in the
/// directory that the file system is mounted on, so nothing writes beside a missing mount.
pub const DATA: &str = "data";

/// What every mark on a logical volume begins with; the rest is `KEY=VALUE`.
pub const MARK: &str = "tiedown.";

/// A mark on a logical volume, as LVM writes tags.
#[must_use]
pub fn mark(key: &str, value: &dyn std::fmt::Display) -> String {
    format!("{MARK}{key}={value}")
}

/// The name under which a thin device is kept that LVM did not know and almost took for new.
#[must_use]
pub fn stray(thin_id: u64, volume: &VolumeId) -> String {
    format!("stray_{thin_id}_{volume}")
}

/// The kernel's name of a logical volume: LVM doubles dashes, lvm(8).
#[must_use]
pub fn mapped(group: &str, volume: &str) -> String {
    format!("{}-{}", group.replace('-', "--"), volume.replace('-', "--"))
}

/// The kernel's name of a thin pool's target.
#[must_use]
pub fn mapped_pool(group: &str, pool: &str) -> String {
    format!("{}-tpool", mapped(group, pool))
}

/// The kernel's name of a thin pool's metadata.
#[must_use]
pub fn mapped_metadata(group: &str, pool: &str) -> String {
    format!("{}_tmeta", mapped(group, pool))
}

/// What the kernel's name of every open volume begins with.
pub const OPENED: &str = "tiedown-";

/// The kernel's name of a volume that is open.
#[must_use]
pub fn opened(volume: &VolumeId) -> String {
    format!("{OPENED}{volume}")
}

/// Where a mapped device is.
#[must_use]
pub fn device(mapped: &str) -> PathBuf {
    Path::new("/dev/mapper").join(mapped)
}

/// The UUID of a volume's LUKS header: by it a volume is known again.
#[must_use]
pub fn luks_uuid(volume: &VolumeId) -> String {
    uuid(&digest_of(&[b"luks", volume.as_str().as_bytes()]))
}

/// The UUID of a volume's file system.
#[must_use]
pub fn ext4_uuid(volume: &VolumeId) -> String {
    uuid(&digest_of(&[b"ext4", volume.as_str().as_bytes()]))
}

/// The first digits of a digest, written as a UUID.
fn uuid(digest: &str) -> String {
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &digest[range]);
    parts.join("-")
}

/// The bridge of a host's instances: 11 of the 15 letters that the kernel gives a link's name. It is
/// made from the directory of the instances: a host that is renamed keeps that, and a fleet which is
/// set up twice on one machine by mistake does not find the other's bridge.
#[must_use]
pub fn bridge(fleet: &FleetName, instances: &Path) -> String {
    let place = instances.as_os_str().as_encoded_bytes();
    let digest = digest_of(&[b"bridge", fleet.as_str().as_bytes(), place]);
    format!("td-{}", &digest[..8])
}

/// The host's end of an instance's link to its bridge: 14 letters. As with the bridge, the directory
/// of the instances is part of it.
#[must_use]
pub fn link(instance: &InstanceId, instances: &Path) -> String {
    let place = instances.as_os_str().as_encoded_bytes();
    format!("td{}", &digest_of(&[b"link", instance.as_str().as_bytes(), place])[..12])
}

/// The container of an instance. As with its link, the directory of the instances is part of it.
#[must_use]
pub fn container(instance: &InstanceId, instances: &Path) -> String {
    format!("tiedown-{instance}-{}", &link(instance, instances)[2..8])
}

/// The directory that an instance's volumes are mounted in for a container: apart from all that is
/// ever removed with what is in it, and gone after a reboot.
#[must_use]
pub fn room(instance: &InstanceId, instances: &Path) -> PathBuf {
    Path::new("/run/tiedown").join(container(instance, instances))
}

/// The volume that a file of a volume's directory belongs to, for people.
#[must_use]
pub fn volume_of(file: &Path) -> String {
    let directory = file.parent().and_then(Path::file_name);
    directory.unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// Where a file is written before it takes its place: beside it, hidden.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_directory_of_volumes_read_back() {
        let host = HostDir::at("/s/hosts/h");
        let id = VolumeId::parse("vol_0123456789abcdef").unwrap();
        let entry = |dir: VolumeDir| host.volume_entry(dir.path().file_name().unwrap());
        assert_eq!(entry(host.volume(&id)), VolumeEntry::Volume(id.clone()));
        let (coming, going) = (host.volume_coming(&id), host.volume_going(&id));
        assert_eq!(entry(coming.clone()), VolumeEntry::Remnant(coming));
        assert_eq!(entry(going.clone()), VolumeEntry::Remnant(going));
        for name in ["lost+found", ".coming-x", "vol_", "vol_0123456789abcdef.bak", ".."] {
            assert_eq!(host.volume_entry(OsStr::new(name)), VolumeEntry::Other, "{name}");
        }
    }

    #[test]
    fn an_app_cannot_take_the_lock_of_a_host_or_of_the_fleet() {
        let state = StateDir::at("/s");
        let app = |name: &str| state.lock(&LockName::App(name.parse().unwrap()));
        let host = state.lock(&LockName::Host("x".parse().unwrap()));
        assert_eq!(app("x"), Path::new("/s/locks/app-x.lock"));
        for path in [app("x"), app("fleet"), app("host-x"), app("catalog")] {
            assert_ne!(path, host);
            assert_ne!(path, state.lock(&LockName::Fleet));
            assert_ne!(path, state.catalog_lock());
        }
    }

    #[test]
    fn a_file_is_written_beside_its_place() {
        assert_eq!(beside(Path::new("/a/pool.json")), Path::new("/a/.pool.json.new"));
    }
}
