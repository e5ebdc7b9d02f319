//! Volumes on this machine: what every storage promises, and what the local one does when it
//! finds things that a crash, a copy or a person left.

mod adopted;
pub(crate) mod contract;
mod hazards;
mod images;
mod killed;
mod model;

use executor::command::Command;
use executor::names::{HostDir, VolumeDir};
use executor::storage::local::{LocalKind, LocalStorage};
use executor::storage::{PoolMarks, Storage};
use planner::model::id::{Incarnation, MachineId, PoolId, VolumeId};
use planner::model::name::FleetName;
use planner::model::size::Size;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec};
use std::io::Write;
use tempfile::TempDir;

/// A place for one pool.
pub(crate) struct Place {
    root: TempDir,
    pub(crate) storage: LocalStorage,
    pub(crate) kind: LocalKind,
}

pub(crate) fn fleet() -> FleetName {
    "prod".parse().unwrap()
}

impl Place {
    pub(crate) fn new(kind: LocalKind) -> Self {
        let root = tempfile::tempdir().unwrap();
        let storage = open(&root, kind);
        Self { root, storage, kind }
    }

    /// The same place after whatever happened, as a new process would open it.
    pub(crate) fn reopened(&self) -> LocalStorage {
        open(&self.root, self.kind)
    }

    pub(crate) fn dir(&self) -> HostDir {
        HostDir::at(self.root.path().join("ewr-1"))
    }

    pub(crate) fn volume(&self, id: &VolumeId) -> VolumeDir {
        self.dir().volume(id)
    }

    /// With a pool in it.
    pub(crate) async fn with_pool(kind: LocalKind) -> Self {
        let place = Self::new(kind);
        place.storage.make_pool(&marks(1), POOL_SIZE).await.unwrap();
        place
    }
}

fn open(root: &TempDir, kind: LocalKind) -> LocalStorage {
    LocalStorage::new(fleet(), "ewr-1".parse().unwrap(), root.path().join("ewr-1"), kind)
}

pub(crate) const POOL_SIZE: Size = Size::from_mib(4096);

/// The marks of pool number so.
pub(crate) fn marks(number: u32) -> PoolMarks {
    PoolMarks {
        id: PoolId::parse(&format!("{number:08}-aaaa")).unwrap(),
        fleet: fleet(),
        host: "ewr-1".parse().unwrap(),
        machine: MachineId::parse("0123456789abcdef0123456789abcdef").unwrap(),
    }
}

/// Volume number so, of 16 MiB.
pub(crate) fn spec(number: u32) -> VolumeSpec {
    VolumeSpec {
        id: VolumeId::parse(&format!("vol_{number:016x}")).unwrap(),
        slot: format!("web/app/ewr/{number}").parse().unwrap(),
        source: "data".parse().unwrap(),
        incarnation: Incarnation::FIRST,
        size: Size::from_mib(16),
        keeping: Keeping::DEFAULT,
        kind: VolumeKind::Own,
        origin: None,
        name: None,
    }
}

/// Whether file systems in files can be used here; if not, says so where it is seen.
pub(crate) fn images_work() -> bool {
    let root = rustix::process::geteuid().is_root();
    let loops = std::path::Path::new("/dev/loop-control").exists();
    let programs = ["mkfs.ext4", "losetup", "resize2fs", "e2fsck", "debugfs"];
    let missing: Vec<_> = programs.iter().filter(|name| Command::named(name).is_err()).collect();
    if root && loops && missing.is_empty() {
        return true;
    }
    skipped(&format!("volumes as images: root {root}, loop devices {loops}, missing {missing:?}"));
    false
}

/// Says that something is not tested, past the test harness's capture.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED, NOT TESTED: {what}");
}
