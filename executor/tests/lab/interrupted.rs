//! What commands of LVM leave behind that were cut short: changes that LVM has written down and
//! the kernel has not made, devices that are suspended or shorter than LVM says.

use super::bed::{self, GROUP, run};
use super::cuts::thin_ids;
use crate::storage::spec;
use executor::command::Command;
use executor::ensure::Ensured;
use executor::keys::{Key, KeyError, Keys};
use executor::names;
use executor::storage::{Storage, StorageError};
use planner::model::id::VolumeId;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec, VolumeState};
use std::path::Path;

#[tokio::test]
async fn what_an_interrupted_command_left_is_put_right() {
    if !bed::inside("lab::interrupted::what_an_interrupted_command_left_is_put_right") {
        return;
    }
    let storage = bed::with_pool().await;
    a_volume_that_the_kernel_has_not_made(&storage, 1).await;
    storage.make(&spec(2)).await.unwrap();
    a_volume_that_only_lacked_its_marks(&storage).await;
    a_volume_that_the_kernel_has_not_made(&storage, 3).await;
    a_volume_that_the_kernel_has_not_deleted(&storage).await;
    a_volume_that_lvm_does_not_have_removed(&storage).await;
    a_suspended_pool_and_a_short_volume(&storage).await;
    a_volume_given_up_before_the_kernel_made_it(&storage).await;
    a_snapshot_that_the_kernel_made_and_did_not_count(&storage).await;
    a_pool_that_is_ahead_of_lvm(&storage).await;
}

/// Fails whatever needs a key, and so leaves every volume half made.
struct NoKeys;

impl Keys for NoKeys {
    fn ensure(&self, _: &VolumeId) -> Result<Key, KeyError> {
        Ok(Key::new(vec![1; executor::keys::KEY_BYTES].into()).unwrap())
    }

    fn get(&self, volume: &VolumeId) -> Result<Key, KeyError> {
        Err(KeyError::Absent { volume: volume.clone() })
    }

    fn destroy(&self, volume: &VolumeId) -> Result<(), KeyError> {
        Err(KeyError::Absent { volume: volume.clone() })
    }
}

async fn a_volume_that_the_kernel_has_not_made(storage: &dyn Storage, number: u32) {
    not_made_by_the_kernel(number).await;
    storage.make(&spec(number)).await.unwrap();
    assert!(storage.contents().await.unwrap().volumes[&spec(number).id].formatted);
    settled().await;
}

async fn not_made_by_the_kernel(number: u32) {
    let id = spec(number).id;
    let answer = bed::open_with(Box::new(NoKeys)).make(&spec(number)).await;
    assert!(matches!(answer, Err(StorageError::Key { .. })), "{answer:?}");
    let (text, at) = (backup().await, transactions().await.0);
    run(&format!("lvm lvremove -q -f {GROUP}/{id}")).await;
    restore(&text, at, at + 2, &format!("create = \"{id}\"")).await;
    assert_eq!(transactions().await, (at + 2, at + 1));
}

/// Cut after the record said that it was whole, and before its marks did.
async fn a_volume_that_only_lacked_its_marks(storage: &dyn Storage) {
    let id = spec(2).id;
    let identity = run(&format!("cryptsetup luksDump /dev/{GROUP}/{id}")).await;
    let marks = [("state", "attached", "making"), ("formatted", "true", "false")];
    for (key, is, was) in [&marks[..], &[("generation", "2", "1")]].concat() {
        let (is, was) = (names::mark(key, &is), names::mark(key, &was));
        run(&format!("lvm lvchange -q --deltag {is} --addtag {was} {GROUP}/{id}")).await;
    }
    let path = bed::dir().volume(&id).record();
    let record = std::fs::read_to_string(&path).unwrap();
    let unsettled = record.replace("\"settled\": true", "\"settled\": false");
    assert_ne!(record, unsettled);
    std::fs::write(&path, unsettled).unwrap();
    assert!(!storage.contents().await.unwrap().volumes[&id].formatted);
    storage.make(&spec(2)).await.unwrap();
    let view = &storage.contents().await.unwrap().volumes[&id];
    assert!(view.formatted && view.state == VolumeState::Attached, "{view:?}");
    assert_eq!(run(&format!("cryptsetup luksDump /dev/{GROUP}/{id}")).await, identity);
    assert_eq!(storage.make(&spec(2)).await.unwrap(), Ensured::AlreadySo);
}

async fn a_volume_that_the_kernel_has_not_deleted(storage: &dyn Storage) {
    let (text, at) = (backup().await, transactions().await.0);
    run(&format!("lvm lvcreate -q -y -Wn -V 16M -T {GROUP}/thin -n going")).await;
    run(&format!("lvm lvchange -an {GROUP}/going")).await;
    let listed = run(&format!("lvm lvs --noheadings -o thin_id {GROUP}/going")).await;
    restore(&text, at, at + 2, &format!("delete = {}", listed.trim())).await;
    assert_eq!(transactions().await, (at + 2, at + 1));
    // Whatever act comes next puts it right, and is done.
    storage.grow(&spec(1).id, Size::from_mib(32)).await.unwrap();
    settled().await;
}

/// Nobody wants it any more, and there is nothing that could be activated.
async fn a_volume_given_up_before_the_kernel_made_it(storage: &dyn Storage) {
    for (number, retired) in [(5, false), (6, true)] {
        not_made_by_the_kernel(number).await;
        let id = spec(number).id;
        if retired {
            storage.retire(&id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
        }
        storage.destroy(&id).await.unwrap();
        assert!(!storage.contents().await.unwrap().volumes.contains_key(&id));
        settled().await;
    }
}

/// The kernel refuses to make it again, and LVM to do anything in that pool before it is made.
async fn a_snapshot_that_the_kernel_made_and_did_not_count(storage: &dyn Storage) {
    let id = spec(1).id;
    let of = storage.contents().await.unwrap().volumes[&id].spec.clone();
    let copy = |number| VolumeSpec {
        id: spec(number).id,
        kind: VolumeKind::Snapshot,
        origin: Some(id.clone()),
        ..of.clone()
    };
    for (number, given_up) in [(7, false), (8, true)] {
        let snapshot = copy(number);
        let answer = bed::open_with(Box::new(NoKeys)).copy(&id, &snapshot, Timestamp(1)).await;
        assert!(matches!(answer, Err(StorageError::Key { .. })), "{answer:?}");
        let (text, at) = (backup().await, transactions().await.0);
        restore(&text, at, at, &format!("create = \"{}\"", snapshot.id)).await;
        run(&format!("lvm lvchange -an {GROUP}/{}", snapshot.id)).await;
        message(&format!("set_transaction_id {at} {}", at - 1)).await;
        assert_eq!(transactions().await, (at, at - 1));
        if given_up {
            storage.grow(&id, Size::from_mib(64)).await.unwrap();
            storage.destroy(&snapshot.id).await.unwrap();
        } else {
            storage.copy(&id, &snapshot, Timestamp(1)).await.unwrap();
            assert!(storage.contents().await.unwrap().volumes[&snapshot.id].is_whole());
            storage.destroy(&snapshot.id).await.unwrap();
        }
        settled().await;
    }
}

/// LVM has a change in its queue that the kernel has made and counted; what it adds to that is not
/// asked of the kernel. And the same where that was noticed, and then the power was cut.
async fn a_volume_that_lvm_does_not_have_removed(storage: &dyn Storage) {
    for number in [9, 10, 11] {
        storage.make(&spec(number)).await.unwrap();
        storage.retire(&spec(number).id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    }
    let thin_id = run(&format!("lvm lvs --noheadings -o thin_id {GROUP}/{}", spec(9).id)).await;
    storage.destroy(&spec(9).id).await.unwrap();
    let (text, at) = (backup().await, transactions().await.0);
    restore(&text, at, at, &format!("delete = {}", thin_id.trim())).await;
    storage.destroy(&spec(10).id).await.unwrap();
    settled().await;

    let thin_id = run(&format!("lvm lvs --noheadings -o thin_id {GROUP}/{}", spec(11).id)).await;
    let answer = bed::open_with(Box::new(NoKeys)).destroy(&spec(11).id).await;
    assert!(matches!(answer, Err(StorageError::Key { .. })), "{answer:?}");
    message(&format!("create_thin {}", thin_id.trim())).await;
    let view = storage.contents().await.unwrap().volumes[&spec(11).id].clone();
    assert_eq!(view.state, VolumeState::Erasing);
    assert_eq!(storage.destroy(&spec(11).id).await.unwrap(), Ensured::Made);
    settled().await;
}

async fn message(text: &str) {
    let command = Command::named("dmsetup").unwrap();
    let command = command.args(["message", &format!("{GROUP}-thin-tpool"), "0", text]);
    command.output().await.unwrap();
}

async fn a_suspended_pool_and_a_short_volume(storage: &dyn Storage) {
    let volume = format!("{GROUP}-{}", spec(1).id);
    let table = run(&format!("dmsetup table {volume}")).await;
    let words: Vec<&str> = table.split_ascii_whitespace().collect();
    let sectors: u64 = words[1].parse().unwrap();
    std::fs::write("/run/table", format!("0 {} {}\n", sectors - 8192, words[2..].join(" ")))
        .unwrap();
    run(&format!("cryptsetup close tiedown-{}", spec(1).id)).await;
    run(&format!("dmsetup load {volume} /run/table")).await;
    run(&format!("dmsetup resume {volume}")).await;
    run(&format!("dmsetup suspend {GROUP}-thin-tpool")).await;
    storage.grow(&spec(1).id, Size::from_mib(48)).await.unwrap();
    settled().await;
    let attachment = storage.attachment(&spec(1).id).await.unwrap();
    let executor::storage::Medium::Device(device) = attachment.medium else { panic!() };
    run(&format!("e2fsck -fn {}", device.display())).await;
}

/// LVM's metadata came from a backup: nothing is made, because LVM would give it a thin device
/// that is somebody's.
async fn a_pool_that_is_ahead_of_lvm(storage: &dyn Storage) {
    let text = backup().await;
    run(&format!("lvm lvcreate -q -y -Wn -V 16M -T {GROUP}/thin -n later")).await;
    std::fs::write("/run/crafted", text).unwrap();
    run(&format!("lvm vgcfgrestore -y --force -f /run/crafted {GROUP}")).await;
    let answer = storage.make(&spec(4)).await;
    let Err(StorageError::Conflict { found, .. }) = &answer else { panic!("{answer:?}") };
    assert!(found.contains("came from a backup"), "{found}");
    assert!(!storage.contents().await.unwrap().volumes.contains_key(&spec(4).id));
}

/// The group's metadata, as LVM writes it.
async fn backup() -> String {
    let _ = std::fs::remove_file("/run/backup");
    run(&format!("lvm vgcfgbackup -f /run/backup {GROUP}")).await;
    std::fs::read_to_string(Path::new("/run/backup")).unwrap()
}

/// Brings it back with the pool at another change, and a message to the kernel in the queue.
async fn restore(text: &str, from: u64, to: u64, message: &str) {
    let pool = format!("transaction_id = {from}\n");
    assert_eq!(text.matches(&pool).count(), 1, "{text}");
    // Volumes say at which change they were made; none may be newer than the pool.
    let crafted =
        text.replace(&pool, &format!("transaction_id = {to}\nmessage1 {{\n{message}\n}}\n"));
    std::fs::write("/run/crafted", crafted).unwrap();
    run(&format!("lvm vgcfgrestore -y --force -f /run/crafted {GROUP}")).await;
}

/// The pool's last change, as LVM says and as the kernel says.
async fn transactions() -> (u64, u64) {
    let lvm = run(&format!("lvm lvs --noheadings -o transaction_id {GROUP}/thin")).await;
    let status = run("dmsetup status --target thin-pool").await;
    let words: Vec<&str> = status.split_ascii_whitespace().collect();
    let at = words.iter().position(|word| *word == "thin-pool").unwrap();
    (lvm.trim().parse().unwrap(), words[at + 1].parse().unwrap())
}

/// Kernel and LVM agree, and nothing is suspended.
pub(super) async fn settled() {
    let (lvm, kernel) = transactions().await;
    assert_eq!(lvm, kernel, "changes of the pool, as LVM and as the kernel know them");
    let states = run("dmsetup info -c --noheadings -o name,suspended").await;
    assert!(!states.contains("Suspended"), "{states}");
    thin_ids().await;
}
