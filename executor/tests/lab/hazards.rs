//! What people, other programs and backups do to a pool: it is told, and nothing is taken for
//! ours, given to another, or touched.

use super::bed::{self, GROUP, run};
use super::between::reboot;
use crate::storage::contract::{assert_refused, got, put};
use crate::storage::spec;
use executor::command::Command;
use executor::names;
use executor::storage::{Storage, StorageError};
use planner::model::time::Timestamp;
use planner::model::volume::Keeping;

#[tokio::test]
async fn nothing_of_others_is_taken_or_touched() {
    if !bed::inside("lab::hazards::nothing_of_others_is_taken_or_touched") {
        return;
    }
    let storage = bed::with_pool().await;
    storage.make(&spec(1)).await.unwrap();
    a_thin_device_that_lvm_does_not_know(&storage).await;
    other_peoples_volumes(&storage).await;
    a_snapshot_keeps_its_origin(&storage).await;
    what_has_only_the_name_of_a_volume(&storage).await;
    a_restored_backup_of_the_group(&storage).await;
}

/// The next thin device that LVM makes is already there, with data: as after a lost transaction.
async fn a_thin_device_that_lvm_does_not_know(storage: &dyn Storage) {
    let pool = format!("{GROUP}-thin-tpool");
    run(&format!("dmsetup message {pool} 0 create_thin 2")).await;
    write_secret(&pool).await;
    let answer = storage.make(&spec(2)).await;
    let Err(StorageError::Conflict { found, .. }) = &answer else { panic!("{answer:?}") };
    assert!(found.contains("stray_2_"), "{found}");
    // It was given to nobody and is still there; the next try gets a device of its own.
    let contents = storage.contents().await.unwrap();
    assert_eq!(contents.foreign.len(), 1, "{:?}", contents.foreign);
    let stray = &contents.foreign[0].name;
    let kept = run(&format!("dd if=/dev/{GROUP}/{stray} bs=6 count=1 status=none")).await;
    assert_eq!(kept, "secret");
    storage.make(&spec(2)).await.unwrap();
    run(&format!("lvm lvremove -q -f {GROUP}/{stray}")).await;
}

/// Writes into thin device 2 and lets go of it.
async fn write_secret(pool: &str) {
    let table = format!("0 32768 thin /dev/mapper/{pool} 2");
    let command =
        Command::named("dmsetup").unwrap().args(["create", "stranger", "--table", &table]);
    command.output().await.unwrap();
    run("dmsetup mknodes stranger").await;
    std::fs::write("/run/secret", "secret").unwrap();
    run("dd if=/run/secret of=/dev/mapper/stranger conv=fsync status=none").await;
    run("dmsetup remove stranger").await;
}

async fn other_peoples_volumes(storage: &dyn Storage) {
    run(&format!("lvm lvcreate -q -y -Wn -V 16M -T {GROUP}/thin -n backup")).await;
    let other = format!("lvm lvcreate -q -y -Wn -V 16M -T {GROUP}/thin -n vol_00000000000000ff");
    run(&format!(
        "{other} --addtag tiedown.fleet=other --addtag tiedown.volume=vol_00000000000000ff"
    ))
    .await;
    let contents = storage.contents().await.unwrap();
    let foreign: Vec<_> = contents.foreign.iter().map(|it| (&*it.name, &*it.whose)).collect();
    let other = ("vol_00000000000000ff", "fleet other, another pool or host");
    assert_eq!(foreign, [("backup", "nobody that is known"), other]);
    let stranger = spec(255);
    assert_refused!(storage.make(&stranger).await, Conflict);
    assert_refused!(storage.destroy(&stranger.id).await, Conflict);
    run(&format!("lvm lvremove -q -f {GROUP}/backup {GROUP}/vol_00000000000000ff")).await;
}

async fn a_snapshot_keeps_its_origin(storage: &dyn Storage) {
    let id = spec(2).id;
    run(&format!("lvm lvcreate -q -y -s -n copy {GROUP}/{}", id.as_str())).await;
    storage.retire(&id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    assert_refused!(storage.destroy(&id).await, Conflict);
    run(&format!("lvm lvremove -q -f {GROUP}/copy")).await;
    storage.destroy(&id).await.unwrap();
}

/// After a reboot, before the volume is open again: devices and nodes of its names that are others'.
async fn what_has_only_the_name_of_a_volume(storage: &dyn Storage) {
    let id = spec(1).id;
    put(&storage.attachment(&id).await.unwrap(), "its own").await;
    reboot().await;
    let (thin, open) = (names::mapped(GROUP, id.as_str()), names::opened(&id));
    stranger(&thin).await;
    refused(storage, "the device of that name is").await;
    run(&format!("dmsetup remove {thin}")).await;
    stranger(&open).await;
    refused(storage, "not its own").await;
    run(&format!("dmsetup remove {open}")).await;
    storage.attachment(&id).await.unwrap();
    let node = names::device(&open).display().to_string();
    run(&format!("rm {node}")).await;
    run(&format!("mknod {node} b 7 0")).await;
    refused(storage, "it is device 7:0").await;
    run(&format!("rm {node}")).await;
    run(&format!("dmsetup mknodes {open}")).await;
    assert_eq!(got(&storage.attachment(&id).await.unwrap()).await, "its own");
}

async fn stranger(name: &str) {
    let command = Command::named("dmsetup").unwrap();
    command.args(["create", name, "--table", "0 8192 error"]).output().await.unwrap();
    run(&format!("dmsetup mknodes {name}")).await;
}

async fn refused(storage: &dyn Storage, because: &str) {
    let answer = storage.attachment(&spec(1).id).await;
    let Err(StorageError::Unreadable { why, .. }) = &answer else { panic!("{answer:?}") };
    assert!(why.contains(because), "{why}");
}

async fn a_restored_backup_of_the_group(storage: &dyn Storage) {
    let attachment = storage.attachment(&spec(1).id).await.unwrap();
    put(&attachment, "precious").await;
    run(&format!("lvm vgcfgbackup -f /run/backup {GROUP}")).await;
    storage.retire(&spec(1).id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    run(&format!("lvm vgcfgrestore -y -f /run/backup --force {GROUP}")).await;
    for answer in [
        storage.contents().await.map(drop),
        storage.attachment(&spec(1).id).await.map(drop),
        storage.destroy(&spec(1).id).await.map(drop),
    ] {
        let Err(StorageError::Unreadable { why, .. }) = &answer else { panic!("{answer:?}") };
        assert!(why.contains("came from a backup"), "{why}");
    }
}
