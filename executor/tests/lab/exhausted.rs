//! A pool whose data or metadata is full, and a disk that fails: it is told clearly, and other
//! volumes are not harmed.

use super::bed::{self, GROUP, run};
use crate::storage::contract::put;
use crate::storage::{marks, spec};
use executor::command::Command;
use executor::storage::lvm::LvmStorage;
use executor::storage::{Medium, Storage, StorageError};
use planner::model::observed::PoolView;
use planner::model::size::Size;
use planner::model::volume::VolumeSpec;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A pool that is made by hand, so that it is small, and given to the storage bare.
pub(super) async fn small_pool(data: &str, metadata: &str) -> LvmStorage {
    run(&format!(
        "lvm lvcreate -q -y -T -c 64k -Zy --errorwhenfull y --poolmetadataspare n \
         --poolmetadatasize {metadata} -L {data} {GROUP}/thin"
    ))
    .await;
    let storage = bed::open();
    let size: u64 =
        run(&format!("lvm lvs --noheadings --units b --nosuffix -o lv_size {GROUP}/thin"))
            .await
            .trim()
            .parse()
            .unwrap();
    storage.make_pool(&marks(1), Size::from_bytes(size)).await.unwrap();
    storage
}

fn large(number: u32) -> VolumeSpec {
    VolumeSpec { size: Size::from_mib(96), ..spec(number) }
}

pub(super) async fn mounted(storage: &LvmStorage, number: u32) -> PathBuf {
    let at = PathBuf::from(format!("/run/volume-{number}"));
    let attachment = storage.attachment(&spec(number).id).await.unwrap();
    let Medium::Device(device) = attachment.medium else { panic!("no device") };
    std::fs::create_dir_all(&at).unwrap();
    mount(device, &at, "ext4", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
    at.join("data")
}

pub(super) fn unmounted(number: u32) {
    unmount(format!("/run/volume-{number}"), UnmountFlags::empty()).unwrap();
}

/// Writes and syncs, until an error.
fn fill(file: &Path, most: u64) -> std::io::Result<()> {
    let mut file = File::options().create(true).append(true).open(file)?;
    for _ in 0..most {
        file.write_all(&[7; 1 << 20])?;
        file.sync_data()?;
    }
    Ok(())
}

/// The volume is whole: its file system is clean, and what was written to it is there.
async fn whole(storage: &LvmStorage, number: u32) {
    let attachment = storage.attachment(&spec(number).id).await.unwrap();
    let Medium::Device(device) = &attachment.medium else { panic!("no device") };
    run(&format!("e2fsck -fn {}", device.display())).await;
    assert_eq!(crate::storage::contract::got(&attachment).await, "precious");
}

fn refused(answer: Result<executor::ensure::Ensured, StorageError>, what: &str, way: &str) {
    let Err(error) = answer else { panic!("it was made") };
    let told = executor::chain(&error);
    assert!(told.contains(what) && told.contains(way), "{told}");
}

#[tokio::test]
async fn a_pool_without_room_for_data_harms_nobody_else() {
    if !bed::inside("lab::exhausted::a_pool_without_room_for_data_harms_nobody_else") {
        return;
    }
    bed::make_group().await;
    let storage = small_pool("96M", "8M").await;
    for number in [1, 2] {
        storage.make(&large(number)).await.unwrap();
    }
    put(&storage.attachment(&spec(2).id).await.unwrap(), "precious").await;
    let data = mounted(&storage, 1).await;
    assert!(fill(&data.join("all"), 96).is_err(), "96 MiB fit in what is left of 96 MiB");
    let PoolView::Present(pool) = storage.pool().await.unwrap() else { panic!("no pool") };
    assert!(pool.used.bytes() * 10 > pool.size.bytes() * 9, "{pool:?}");
    refused(storage.make(&spec(3)).await, "pool vg0/thin", "lvextend -L");
    refused(storage.grow(&spec(2).id, Size::from_mib(128)).await, "pool vg0/thin", "lvextend -L");
    assert_eq!(storage.contents().await.unwrap().volumes.len(), 2);
    whole(&storage, 2).await;
    // The way out that was told.
    run(&format!("lvm lvextend -q -L +256M {GROUP}/thin")).await;
    // ext4 takes no writes after it failed some; mounted anew, as by a restart, it does.
    unmounted(1);
    let data = mounted(&storage, 1).await;
    fill(&data.join("more"), 8).unwrap();
    unmounted(1);
    storage.make(&spec(3)).await.unwrap();
    whole(&storage, 2).await;
}

#[tokio::test]
async fn a_pool_without_room_for_metadata_is_told_in_time_and_comes_back() {
    let name = "a_pool_without_room_for_metadata_is_told_in_time_and_comes_back";
    if !bed::inside(&format!("lab::exhausted::{name}")) {
        return;
    }
    run(&format!("vgcreate -q --setautoactivation n -s 1m {GROUP} {DISK}")).await;
    let storage = small_pool("256M", "2M").await;
    storage.make(&spec(1)).await.unwrap();
    put(&storage.attachment(&spec(1).id).await.unwrap(), "precious").await;
    // Each thin device takes a block of metadata: no data has to be written for that.
    take_metadata(1000, 340).await;
    refused(storage.make(&spec(2)).await, "of its metadata in use", "--poolmetadatasize");
    whole(&storage, 1).await;
    take_metadata(2000, 300).await;
    refused(storage.make(&spec(2)).await, "100 % of its metadata", "--poolmetadatasize");
    whole(&storage, 1).await;
    // The way out that was told; full metadata grows while the pool is not active.
    run(&format!("cryptsetup close tiedown-{}", spec(1).id)).await;
    run(&format!("lvm vgchange -q -an {GROUP}")).await;
    run(&format!("lvm lvextend -q --poolmetadatasize +8M {GROUP}/thin")).await;
    whole(&storage, 1).await;
    storage.make(&spec(2)).await.unwrap();
}

/// Makes so many thin devices that LVM does not know, or as many as go in.
async fn take_metadata(first: u32, count: u32) {
    let script = format!(
        "for id in $(seq {first} {}); do dmsetup message {GROUP}-thin-tpool 0 create_thin $id \
         2>/dev/null || exit 0; done",
        first + count
    );
    Command::named("sh").unwrap().args(["-c", &script]).output().await.unwrap();
}

const DISK: &str = "/dev/ubdb";

/// The whole disk of the lab host behind another device, which can be told to fail.
async fn disk(table: &str) {
    let sectors = run(&format!("blockdev --getsz {DISK}")).await;
    let text = format!("0 {} {table}\n", sectors.trim());
    std::fs::write("/run/disk", text).unwrap();
    if !Path::new("/dev/mapper/disk").exists() {
        run("dmsetup create disk /run/disk").await;
        run("dmsetup mknodes disk").await;
        return;
    }
    run("dmsetup suspend --noflush --nolockfs disk").await;
    run("dmsetup load disk /run/disk").await;
    run("dmsetup resume disk").await;
}

#[tokio::test]
async fn a_disk_that_fails_writes_loses_nothing_that_was_written() {
    let name = "a_disk_that_fails_writes_loses_nothing_that_was_written";
    if !bed::inside(&format!("lab::exhausted::{name}")) {
        return;
    }
    let works = format!("linear {DISK} 0");
    let fails = format!("flakey {DISK} 0 0 3600 1 error_writes");
    disk(&works).await;
    // The machine's own filter holds beside that of every command.
    let mut conf = File::options().append(true).open("/etc/lvm/lvm.conf").unwrap();
    writeln!(conf, "devices {{ global_filter=[\"r|^{DISK}|\"] }}").unwrap();
    run("pvcreate -q -y --metadatasize 16m /dev/mapper/disk").await;
    run(&format!("vgcreate -q --setautoactivation n {GROUP} /dev/mapper/disk")).await;
    let storage = small_pool("512M", "8M").await;
    storage.make(&spec(1)).await.unwrap();
    put(&storage.attachment(&spec(1).id).await.unwrap(), "precious").await;
    run("sync").await;
    disk(&fails).await;
    refused(storage.make(&spec(2)).await, "making volume vol_0000000000000002", "lvm");
    disk(&works).await;
    repaired(&[1]).await;
    whole(&storage, 1).await;
    storage.make(&spec(2)).await.unwrap();
    // An instance writes on, and sees it.
    let data = mounted(&storage, 2).await;
    disk(&fails).await;
    assert!(fill(&data.join("all"), 8).is_err(), "what was not written was said to be");
    refused(storage.make(&spec(3)).await, "", "");
    disk(&works).await;
    unmounted(2);
    repaired(&[1, 2]).await;
    whole(&storage, 1).await;
    storage.make(&spec(3)).await.unwrap();
}

/// The way out that is told.
async fn repaired(open: &[u32]) {
    for number in open {
        let opened = executor::names::opened(&spec(*number).id);
        if executor::names::device(&opened).exists() {
            run(&format!("cryptsetup close {opened}")).await;
        }
    }
    run(&format!("lvm vgchange -q -an {GROUP}")).await;
    let clear = r#"global/thin_check_options=["-q","--clear-needs-check-flag"]"#;
    run(&format!("lvm lvchange -q -ay -K --config {clear} {GROUP}/thin")).await;
}
