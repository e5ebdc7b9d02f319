//! Keys and headers of real volumes: what opens them, what brings them back, and that no key is
//! ever seen.

use super::bed::{self, GROUP, run};
use crate::storage::{fleet, spec};
use executor::keys::seal::SealedBy;
use executor::keys::sealed::SealedKeys;
use executor::keys::{Key, Keys};
use executor::storage::lvm::LvmStorage;
use executor::storage::{Storage, StorageError};
use planner::model::time::Timestamp;
use planner::model::volume::Keeping;
use rustix::mount::{MountFlags, mount};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

#[tokio::test]
async fn keys_open_their_volumes_and_are_never_seen() {
    if !bed::inside("lab::keys::keys_open_their_volumes_and_are_never_seen") {
        return;
    }
    let storage = bed::with_pool().await;
    let keys = SealedKeys::new(fleet(), bed::dir(), SealedBy::Own);
    // Made before anything runs, so that it is known what must not be seen.
    let secret = keys.ensure(&spec(1).id).unwrap();
    watch_programs();
    a_life(&storage).await;
    let seen = std::fs::read(SEEN).unwrap();
    assert!(contains(&seen, b"luksFormat") && contains(&seen, b"LC_ALL=C"), "nothing was seen");
    assert!(forms(&secret).iter().all(|form| !contains(&seen, form)), "a key was seen");
    nothing_on_disk(&secret);
    a_damaged_header_comes_back(&storage, &keys).await;
    the_copy_goes_with_the_volume(&storage, &keys).await;
}

/// Every act that needs a key.
async fn a_life(storage: &LvmStorage) {
    let id = spec(1).id;
    storage.make(&spec(1)).await.unwrap();
    storage.attachment(&id).await.unwrap();
    let more = spec(1).size.plus(spec(1).size);
    storage.grow(&id, more).await.unwrap();
}

/// Where arguments and environment of programs are kept.
const SEEN: &str = "/run/seen";

/// From now on whatever runs is seen as anybody on the machine can see it.
fn watch_programs() {
    let place = Path::new("/usr/local/sbin");
    let programs = ["cryptsetup", "lvm", "dmsetup", "blkid", "mkfs.ext4", "resize2fs"];
    let real = programs.map(|name| executor::command::find(name).unwrap());
    let options = Some(c"mode=755");
    mount("watch", place, "tmpfs", MountFlags::empty(), options).unwrap();
    for (name, real) in programs.iter().zip(real) {
        let text = format!(
            "#!/bin/sh\ncat /proc/$$/cmdline /proc/$$/environ >>{SEEN}\nexec {} \"$@\"\n",
            real.display()
        );
        let path = place.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A key as it is, and as people and programs write bytes.
fn forms(key: &Key) -> Vec<Vec<u8>> {
    let bytes = key.expose();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    vec![
        bytes[..8].to_vec(),
        hex.as_bytes()[..16].to_vec(),
        hex[..16].to_uppercase().into_bytes(),
        list[..8].join(",").into_bytes(),
        list[..8].join(", ").into_bytes(),
    ]
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// All that is written down of the host, record and sealed key and copy of the header among it.
fn nothing_on_disk(key: &Key) {
    let (forms, mut places, mut files) = (forms(key), vec![bed::dir().path().to_owned()], 0);
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(forms.iter().all(|form| !contains(&bytes, form)), "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 4, "only {files} files were looked at");
}

async fn check(storage: &LvmStorage, keys: &SealedKeys) -> (bool, bool) {
    let checks = storage.verify_keys(&|volume| keys.get(volume)).await.unwrap();
    let [check] = &checks[..] else { panic!("{checks:?}") };
    assert_eq!((&check.volume, &check.slot), (&spec(1).id, &spec(1).slot));
    (check.opens.is_ok(), check.copy.is_ok())
}

async fn a_damaged_header_comes_back(storage: &LvmStorage, keys: &SealedKeys) {
    assert_eq!(check(storage, keys).await, (true, true));
    let copy = std::fs::metadata(bed::dir().volume(&spec(1).id).header()).unwrap();
    assert!(copy.blocks() * 512 < 1 << 20, "the noise of a header was kept: {copy:?}");
    let wrong = Key::new(vec![7; 64].into()).unwrap();
    let checks = storage.verify_keys(&|_| Ok(wrong.clone())).await.unwrap();
    assert!(checks[0].opens.as_ref().unwrap_err().contains("does not open"), "{checks:?}");
    assert!(checks[0].copy.is_err(), "{checks:?}");
    let id = spec(1).id;
    run(&format!("cryptsetup close tiedown-{id}")).await;
    let device = format!("/dev/mapper/{GROUP}-{id}");
    run(&format!("dd if=/dev/zero of={device} bs=1M count=4 conv=fsync status=none")).await;
    assert_eq!(check(storage, keys).await, (false, true));
    let answer = storage.attachment(&id).await;
    assert!(matches!(answer, Err(StorageError::Command { .. })), "{answer:?}");
    // What docs/keys.md says.
    let copy = bed::dir().volume(&id).header();
    let copy = copy.display();
    run(&format!("cryptsetup luksHeaderRestore -q --header-backup-file {copy} {device}")).await;
    assert_eq!(check(storage, keys).await, (true, true));
    let attachment = storage.attachment(&id).await.unwrap();
    let executor::storage::Medium::Device(open) = attachment.medium else { panic!("no device") };
    run(&format!("e2fsck -fn {}", open.display())).await;
}

async fn the_copy_goes_with_the_volume(storage: &LvmStorage, keys: &SealedKeys) {
    let id = spec(1).id;
    storage.retire(&id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    assert_eq!(check(storage, keys).await, (true, true), "a retired volume keeps its key");
    let copy = bed::dir().volume(&id).header();
    assert!(copy.exists());
    storage.destroy(&id).await.unwrap();
    assert!(!copy.exists() && !bed::dir().key(&id).exists());
}
