//! Volumes as file systems in files: that they are ones, that their cap is one, and that they
//! grow while they are used.

use super::contract::{assert_refused, got, put};
use super::{Place, images_work, skipped, spec};
use executor::command::Command;
use executor::ensure::Ensured::{AlreadySo, Changed, Made};
use executor::storage::local::LocalKind;
use executor::storage::{Storage, StorageError};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec};
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

async fn run(name: &str, args: &[&str]) -> String {
    let output = Command::named(name).unwrap().args(args).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Bytes of the file system in an image.
async fn capacity(image: &Path) -> u64 {
    let text = run("debugfs", &["-R", "show_super_stats -h", image.to_str().unwrap()]).await;
    let number = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().parse().unwrap()
    };
    number("Block count:") * number("Block size:")
}

/// An image mounted through a loop device, as an instance has it.
struct Mounted {
    place: PathBuf,
    device: String,
}

impl Mounted {
    async fn new(image: &Path, place: PathBuf) -> Self {
        let device = run("losetup", &["--find", "--show", image.to_str().unwrap()]).await;
        fs::create_dir_all(&place).unwrap();
        let flags = MountFlags::empty();
        rustix::mount::mount(&device, &place, "ext4", flags, None::<&CStr>).unwrap();
        Self { place, device }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.place, UnmountFlags::empty()).unwrap();
        let done = std::process::Command::new("losetup").args(["-d", &self.device]).status();
        assert!(done.unwrap().success());
    }
}

fn may_grow_mounted() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 24) != 0
}

#[tokio::test]
async fn a_new_image_is_thin_sound_and_capped() {
    if !images_work() {
        return;
    }
    let place = Place::with_pool(LocalKind::Image).await;
    let wanted = VolumeSpec { size: Size::from_gb(0), ..spec(1) };
    assert_refused!(place.storage.make(&wanted).await, Conflict);
    let wanted = VolumeSpec { size: Size::from_mib(1024), ..spec(1) };
    place.storage.make(&wanted).await.unwrap();
    let dir = place.volume(&wanted.id);
    let metadata = fs::metadata(dir.image()).unwrap();
    assert_eq!(metadata.len(), wanted.size.bytes());
    assert!(metadata.blocks() * 512 < wanted.size.bytes() / 8, "{} blocks", metadata.blocks());
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(capacity(&dir.image()).await, wanted.size.bytes());
    run("e2fsck", &["-n", "-f", dir.image().to_str().unwrap()]).await;
    let listing = run("debugfs", &["-R", "ls -p", dir.image().to_str().unwrap()]).await;
    assert!(listing.contains("/040755/0/0/data/"), "{listing}");
    assert!(!dir.seed().exists());
}

#[tokio::test]
async fn a_half_made_image_is_made_anew() {
    if !images_work() {
        return;
    }
    let place = Place::with_pool(LocalKind::Image).await;
    place.storage.make(&spec(1)).await.unwrap();
    let dir = place.volume(&spec(1).id);
    let text = fs::read_to_string(dir.record()).unwrap();
    let text = text.replace("\"attached\"", "\"making\"").replace(": true", ": false");
    fs::write(dir.record(), text).unwrap();
    fs::create_dir_all(dir.seed().join("data")).unwrap();
    fs::write(dir.image(), "half of a file system").unwrap();
    assert_eq!(place.storage.make(&spec(1)).await.unwrap(), Made);
    run("e2fsck", &["-n", "-f", dir.image().to_str().unwrap()]).await;
    assert_eq!(place.storage.make(&spec(1)).await.unwrap(), AlreadySo);
}

#[tokio::test]
async fn an_interrupted_growth_is_finished_and_never_cut_back() {
    if !images_work() {
        return;
    }
    let place = Place::with_pool(LocalKind::Image).await;
    place.storage.make(&spec(1)).await.unwrap();
    let (id, dir) = (spec(1).id, place.volume(&spec(1).id));
    put(&place.storage.attachment(&id).await.unwrap(), "precious").await;
    let begun = Size::from_mib(64);
    OpenOptions::new().write(true).open(dir.image()).unwrap().set_len(begun.bytes()).unwrap();
    let size = place.storage.contents().await.unwrap().volumes[&id].spec.size;
    assert_eq!(size, spec(1).size);
    assert_refused!(place.storage.grow(&id, Size::from_mib(32)).await, Conflict);
    assert_eq!(place.storage.contents().await.unwrap().volumes[&id].spec.size, begun);
    assert_eq!(capacity(&dir.image()).await, begun.bytes());
    assert_eq!(place.storage.grow(&id, begun).await.unwrap(), AlreadySo);
    assert_eq!(got(&place.storage.attachment(&id).await.unwrap()).await, "precious");
}

#[tokio::test]
async fn an_image_that_was_grown_by_hand_shows_its_size() {
    if !images_work() {
        return;
    }
    let place = Place::with_pool(LocalKind::Image).await;
    place.storage.make(&spec(1)).await.unwrap();
    let (id, image) = (spec(1).id, place.volume(&spec(1).id).image());
    let size = async || place.storage.contents().await.unwrap().volumes[&id].spec.size;
    assert_eq!(size().await, spec(1).size);
    let by_hand = Size::from_mib(64);
    run("resize2fs", &[image.to_str().unwrap(), "64M"]).await;
    assert_eq!(size().await, by_hand);
    assert_refused!(place.storage.grow(&id, Size::from_mib(32)).await, Conflict);
    assert_eq!(place.storage.grow(&id, Size::from_mib(128)).await.unwrap(), Changed);
    assert_eq!(size().await, Size::from_mib(128));
    assert_eq!(capacity(&image).await, Size::from_mib(128).bytes());
}

#[tokio::test]
async fn a_cut_or_lost_image_is_an_error() {
    if !images_work() {
        return;
    }
    let place = Place::with_pool(LocalKind::Image).await;
    place.storage.make(&spec(1)).await.unwrap();
    let (id, image) = (spec(1).id, place.volume(&spec(1).id).image());
    OpenOptions::new().write(true).open(&image).unwrap().set_len(4096).unwrap();
    assert_refused!(place.storage.contents().await, Unreadable);
    assert_refused!(place.storage.grow(&id, Size::from_mib(64)).await, Unreadable);
    fs::remove_file(&image).unwrap();
    assert_refused!(place.storage.contents().await, Unreadable);
    assert_refused!(place.storage.make(&spec(1)).await, Unreadable);
    assert_refused!(place.storage.attachment(&id).await, Unreadable);
}

#[tokio::test]
async fn a_mounted_image_is_held_and_grows_where_the_kernel_lets_us() {
    if !images_work() {
        return;
    }
    let place = Place::with_pool(LocalKind::Image).await;
    place.storage.make(&spec(1)).await.unwrap();
    let (id, dir) = (spec(1).id, place.volume(&spec(1).id));
    let to = Size::from_mib(64);
    let mounted = Mounted::new(&dir.image(), place.dir().path().join("mounted")).await;
    fs::write(mounted.place.join("data/file"), "precious").unwrap();
    let answer = place.storage.retire(&id, &Keeping::DEFAULT, Timestamp(1)).await;
    let Err(StorageError::Held { holder, .. }) = &answer else { panic!("{answer:?}") };
    assert!(holder.contains(&mounted.device), "{holder}");
    let grown = place.storage.grow(&id, to).await;
    assert!(!dir.growing().exists());
    match may_grow_mounted() {
        true => {
            assert_eq!(grown.unwrap(), Changed);
            let blocks = rustix::fs::statvfs(&mounted.place).unwrap();
            assert!(blocks.f_blocks * blocks.f_frsize > spec(1).size.bytes());
        }
        false => {
            skipped("growing a mounted file system: this root has no CAP_SYS_RESOURCE");
            assert_refused!(grown, Missing);
            let size = place.storage.contents().await.unwrap().volumes[&id].spec.size;
            assert_eq!(size, spec(1).size);
        }
    }
    drop(mounted);
    place.storage.grow(&id, to).await.unwrap();
    assert_eq!(capacity(&dir.image()).await, to.bytes());
    run("e2fsck", &["-n", "-f", dir.image().to_str().unwrap()]).await;
    assert_eq!(got(&place.storage.attachment(&id).await.unwrap()).await, "precious");
    let retired = place.storage.retire(&id, &Keeping::DEFAULT, Timestamp(1)).await;
    assert_eq!(retired.unwrap(), Changed);
}

#[tokio::test]
async fn a_mounted_image_is_copied_as_it_is_at_one_moment() {
    if !images_work() {
        return;
    }
    let place = Place::with_pool(LocalKind::Image).await;
    place.storage.make(&spec(1)).await.unwrap();
    let (dir, id) = (place.volume(&spec(1).id), spec(1).id);
    let at = dir.path().with_file_name("at");
    let mounted = Mounted::new(&dir.image(), at.clone()).await;
    let hold = fs::File::create(dir.hold()).unwrap();
    rustix::fs::flock(&hold, rustix::fs::FlockOperation::LockExclusive).unwrap();
    // Two files that are always written one after the other, and never synced.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (first, second) = (at.join("data/first"), at.join("data/second"));
    let writer = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            let mut number = 0u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                fs::write(&first, format!("{number:020}")).unwrap();
                fs::write(&second, format!("{number:020}")).unwrap();
            }
            number
        }
    });
    while fs::read(at.join("data/second")).unwrap_or_default().is_empty() {
        tokio::task::yield_now().await;
    }
    let copy =
        VolumeSpec { id: spec(2).id, kind: VolumeKind::Clone, origin: Some(id.clone()), ..spec(1) };
    assert_eq!(place.storage.copy(&id, &copy, Timestamp(1)).await.unwrap(), Made);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(writer.join().unwrap() > 0, "it could be written to again");
    assert!(!dir.growing().exists());
    let image = place.volume(&copy.id).image();
    run("e2fsck", &["-n", "-f", image.to_str().unwrap()]).await;
    let number = async |name: &str| {
        let request = format!("cat data/{name}");
        let text = run("debugfs", &["-R", &request, image.to_str().unwrap()]).await;
        text.parse::<u64>().unwrap_or_default()
    };
    let (first, second) = (number("first").await, number("second").await);
    // A file may be cut just then, never hold what came later than the other.
    let apart = first == 0 || second == 0 || first == second || first == second + 1;
    assert!(apart, "{first} and {second} are of different moments");
    drop(mounted);
}
