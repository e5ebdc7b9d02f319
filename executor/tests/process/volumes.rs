//! Volumes: where they are seen, that they survive, that one tree holds them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use executor::runtime::process::{Bind, BindSource, Error, Launch, Refusal, State};

use super::bed::{self, Bed, wait};

#[test]
fn files_survive_the_instance_that_wrote_them() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut first = bed.script("first", "echo kept > /data/file; echo done; exec sleep 1000");
    let data = bed.volume(&mut first, "volume", "/data");
    bed.up(&first);
    bed.says("first", "done");
    bed.stop("first");
    assert_eq!(fs::read_to_string(data.join("file")).expect("a file"), "kept\n");
    let mut second = bed.script("second", "cat /data/file; echo done; exec sleep 1000");
    bed.volume(&mut second, "volume", "/data");
    bed.up(&second);
    assert!(bed.says("second", "done").contains("kept\n"));
}

#[test]
fn destinations_that_the_host_does_not_have() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let script = "for at in /var/lib/data/deep /app/data /usr/share/tiedown-test /data/inner; do
            echo here > $at/file || exit 1
        done
        test -d /var/lib/dpkg -o ! -d /var/lib && echo 'siblings are there'
        test -e /usr/share/tiedown-other || echo 'nothing else is'
        test -f /app/main.txt && echo 'the tree is there'
        touch /var/lib/new 2>/dev/null && echo 'the host is writable'
        echo done; exec sleep 1000";
    let mut launch = bed.script("nested", script);
    let tree = bed.path("tree");
    fs::create_dir_all(&tree).expect("a tree");
    fs::write(tree.join("main.txt"), "").expect("a file");
    launch.tree = Some(tree.clone());
    let places = [
        ("inner", "/data/inner"),
        ("outer", "/data"),
        ("deep", "/var/lib/data/deep"),
        ("app", "/app/data"),
        ("usr", "/usr/share/tiedown-test"),
    ];
    let data = places.map(|(name, at)| (name, bed.volume(&mut launch, name, at)));
    bed.up(&launch);
    let log = bed.says("nested", "done");
    for (name, data) in &data {
        assert_eq!(data.join("file").exists(), *name != "outer", "{name}: {log}");
    }
    assert!(log.contains("nothing else is\nthe tree is there\n"), "{log}");
    assert!(!log.contains("the host is writable"), "{log}");
    assert_eq!(log.contains("siblings are there"), PathBuf::from("/var/lib/dpkg").exists());
    assert!(!tree.join("data").exists() && !PathBuf::from("/usr/share/tiedown-test").exists());
}

#[test]
fn a_held_volume_is_refused_and_the_holder_named() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut holder = bed.script("holder", "exec sleep 1000");
    bed.volume(&mut holder, "volume", "/data");
    let record = bed.up(&holder);
    let mut other = bed.script("other", "exec sleep 1000");
    bed.volume(&mut other, "volume", "/data");
    let Err(Error::Refused(Refusal::Held { instance, pid, file })) = bed.start(&other) else {
        panic!("the volume is held");
    };
    assert_eq!(instance, "holder");
    assert_eq!(pid, record.init.map(|init| init.pid));
    assert_eq!(file, bed.path("volume.hold"));
    wait("a record", || matches!(bed.state("other"), State::Failed { .. }));
    bed.stop("holder");
    bed.up(&other);
}

/// An image as a storage driver makes it: ext4 with a directory `data`.
fn image(bed: &Bed, name: &str) -> PathBuf {
    let (image, content) = (bed.path(name), bed.path("content"));
    fs::create_dir_all(content.join("data")).expect("a directory");
    let file = fs::File::create(&image).expect("an image");
    file.set_len(32 << 20).expect("room");
    let made = Command::new("mkfs.ext4").args(["-q", "-d"]).arg(&content).arg(&image).status();
    assert!(made.expect("mkfs.ext4 of e2fsprogs").success());
    image
}

/// Adds a volume that is an image, with its hold.
pub(crate) fn image_volume(bed: &Bed, launch: &mut Launch, name: &str) -> PathBuf {
    let image = if bed.path(name).exists() { bed.path(name) } else { image(bed, name) };
    launch
        .binds
        .push(Bind { source: BindSource::Image(image.clone()), destination: "/data".into() });
    launch.holds.push(bed.path(&format!("{name}.hold")));
    image
}

pub(crate) fn images_work() -> bool {
    let can = bed::able() && bed::capabilities().loop_devices;
    if !can {
        bed::skip("loop devices are for root");
    }
    can
}

/// The loop devices behind which `image` is.
pub(crate) fn loops(image: &std::path::Path) -> String {
    let found = Command::new("losetup").arg("-j").arg(image).output().expect("losetup");
    String::from_utf8_lossy(&found.stdout).into_owned()
}

#[test]
fn an_image_is_mounted_for_its_instance_only_and_its_size_holds() {
    if !images_work() {
        return;
    }
    let bed = Bed::new();
    let script = "echo kept > /data/file
        test -e /data/lost+found && echo 'the file system shows'
        head -c 100000000 /dev/zero > /data/big 2>/dev/null || echo 'no room'
        rm /data/big; echo done; exec sleep 1000";
    let mut launch = bed.script("image", script);
    let image = image_volume(&bed, &mut launch, "image.ext4");
    bed.up(&launch);
    let log = bed.says("image", "done");
    assert!(log.contains("no room\n") && !log.contains("the file system shows"), "{log}");
    let device = loops(&image);
    assert!(device.starts_with("/dev/loop"), "{device}");
    let device = device.split(':').next().expect("a device").to_owned();
    let host = fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!host.contains(&device), "the host sees the mount");
    bed.stop("image");
    assert_eq!(loops(&image), "");
    let mut again = bed.script("again", "cat /data/file; echo done; exec sleep 1000");
    image_volume(&bed, &mut again, "image.ext4");
    bed.up(&again);
    assert!(bed.says("again", "done").contains("kept\n"));
}

#[test]
fn a_file_system_without_data_is_not_a_volume() {
    if !images_work() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("strange", "exec sleep 1000");
    let image = image_volume(&bed, &mut launch, "strange.ext4");
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).status();
    assert!(made.expect("mkfs.ext4 of e2fsprogs").success());
    let Err(Error::Refused(refusal)) = bed.start(&launch) else { panic!("it is no volume") };
    assert!(refusal.to_string().contains("it is not a volume"), "{refusal}");
    wait("the end of the loop device", || loops(&image).is_empty());
}
