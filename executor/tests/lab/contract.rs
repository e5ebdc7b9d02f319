//! The contract of every storage, on LVM; and what only LVM does with copies.

use super::bed::{self, run};
use crate::storage::contract::{assert_refused, contract};
use crate::storage::spec;
use executor::names;
use executor::storage::{Medium, Storage, StorageError};
use planner::model::policy::Fullness;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

#[tokio::test]
async fn lvm_keeps_the_contract() {
    if bed::inside("lab::contract::lvm_keeps_the_contract") {
        bed::make_group().await;
        contract(&bed::open()).await;
    }
}

#[tokio::test]
async fn a_snapshot_of_a_volume_in_use_is_sound_and_keeps_its_key() {
    if !bed::inside("lab::contract::a_snapshot_of_a_volume_in_use_is_sound_and_keeps_its_key") {
        return;
    }
    let storage = bed::with_pool().await;
    storage.make(&spec(1)).await.unwrap();
    let Medium::Device(device) = storage.attachment(&spec(1).id).await.unwrap().medium else {
        panic!("no device")
    };
    std::fs::create_dir_all("/run/at").unwrap();
    mount(&device, "/run/at", "ext4", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
    // Written and not synced: it is in the snapshot all the same.
    let text: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    std::fs::write("/run/at/data/lines", &text).unwrap();
    let copy = |number, kind, of| VolumeSpec { kind, origin: Some(of), ..spec(number) };
    let snapshot = copy(2, VolumeKind::Snapshot, spec(1).id);
    storage.copy(&spec(1).id, &snapshot, Timestamp(1)).await.unwrap();
    std::fs::write("/run/at/data/lines", "overwritten").unwrap();
    unmount("/run/at", UnmountFlags::empty()).unwrap();

    let restored = copy(3, VolumeKind::Own, snapshot.id.clone());
    storage.copy(&snapshot.id, &restored, Timestamp(2)).await.unwrap();
    let Medium::Device(device) = storage.attachment(&restored.id).await.unwrap().medium else {
        panic!("no device")
    };
    run(&format!("e2fsck -fn {}", device.display())).await;
    mount(&device, "/run/at", "ext4", MountFlags::RDONLY, None::<&std::ffi::CStr>).unwrap();
    assert_eq!(std::fs::read_to_string("/run/at/data/lines").unwrap(), text);
    unmount("/run/at", UnmountFlags::empty()).unwrap();
    // The snapshot opens by a key of its own, with the encryption of its origin; what was restored
    // has another encryption.
    let digest = async |number: u32| {
        let id = spec(number).id;
        let device = names::device(&names::mapped(bed::GROUP, id.as_str()));
        let dump = run(&format!("cryptsetup luksDump {}", device.display())).await;
        let digests = dump.split("Digests:").nth(1).unwrap().to_owned();
        assert!(dump.contains(&names::luks_uuid(&id)), "{dump}");
        digests
    };
    assert_eq!(digest(1).await, digest(2).await);
    assert_ne!(digest(1).await, digest(3).await);
    storage.retire(&spec(1).id, &Keeping::DEFAULT, Timestamp(3)).await.unwrap();
    assert_refused!(storage.destroy(&spec(1).id).await, Conflict);

    // Nothing more is put into a pool that is as full as it may be.
    let full = bed::open().until(Fullness { data_thousandths: 1, ..Fullness::default() });
    let answer = full.make(&spec(4)).await;
    assert!(format!("{answer:?}").contains("lvextend -L +SIZE"), "{answer:?}");
    let more = copy(5, VolumeKind::Snapshot, spec(1).id);
    assert_refused!(full.copy(&spec(1).id, &more, Timestamp(4)).await, Conflict);
    assert_refused!(
        full.grow(&restored.id, planner::model::size::Size::from_mib(64)).await,
        Conflict
    );
    assert_eq!(storage.contents().await.unwrap().volumes.len(), 3);
}
