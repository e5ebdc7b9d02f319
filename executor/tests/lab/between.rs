//! Between whoever asks for a change and the change: programs that are cut short, before they run,
//! after, or inside of LVM before one of the changes that it makes; and LVM held there.

use super::bed::{GROUP, run};
use executor::command;
use rustix::mount::{MountFlags, mount};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// `N HOW`: how many programs that change something, or for `cut` and `hold` how many changes of
/// LVM, may still be begun, and how the last of them ends. Not there: all run.
pub(super) const CUT: &str = "/run/cut";

/// There once a change is held.
pub(super) const HELD: &str = "/run/cut.held";

/// Lets a change go that is held.
pub(super) const GO: &str = "/run/cut.go";

/// The status of what was held, once it has ended.
pub(super) const ENDED: &str = "/run/cut.ended";

/// Counts the changes of LVM: `fixtures/lab/before-change.c`.
const COUNTER: &str = "/run/before-change.so";

/// From now on programs are cut short as [`CUT`] says. After that none runs: whoever started them
/// is gone.
pub(super) async fn put_programs_between() {
    let counter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/lab/before-change.c");
    run(&format!("cc -O2 -shared -fPIC -o {COUNTER} {}", counter.display())).await;
    let place = Path::new("/usr/local/sbin");
    let changing = [
        ("lvm", "*"),
        ("cryptsetup", "luks*"),
        ("mkfs.ext4", "*"),
        ("resize2fs", "*"),
        ("e2image", "*"),
    ];
    let real = changing.map(|(name, _)| command::find(name).unwrap());
    mount("cut", place, "tmpfs", MountFlags::empty(), Some(c"mode=755")).unwrap();
    for ((name, act), real) in changing.into_iter().zip(real) {
        let counted =
            if name == "lvm" { format!("CUT={CUT} LD_PRELOAD={COUNTER}") } else { String::new() };
        let real = real.display();
        let text = format!(
            r#"#!/bin/bash
[ -e {CUT} ] || exec {real} "$@"
exec 9>/run/cut.lock; flock 9
read -r left how <{CUT}
[ "$left" != 0 ] || exit 1
case $how in cut | hold)
    {counted} {real} "$@" 9>&-; status=$?
    [ "$how" = cut ] || [ ! -e {HELD} ] || {{ echo $status >{ENDED}.new; mv {ENDED}.new {ENDED}; }}
    exit $status ;;
esac
case "$1 $*" in "lvs "* | "lvchange "*" -ay "* | "lvchange "*" --refresh "*) exec {real} "$@" ;; esac
case "$1" in {act}) ;; *) exec {real} "$@" ;; esac
left=$((left - 1))
echo "$left $how" >{CUT}
[ "$left" = 0 ] || exec {real} "$@"
case "$how $#" in
"half 0") head -n 1 | {real} ;;
after*) {real} "$@" ;;
esac
exit 1
"#
        );
        let path = place.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// What a reboot leaves: nothing open, nothing active.
pub(super) async fn reboot() {
    // What LVM left suspended would keep waiting whoever closes what is above.
    for line in run("dmsetup info -c --noheadings --separator / -o name,suspended").await.lines() {
        if let Some(name) = line.strip_suffix("/Suspended") {
            run(&format!("dmsetup resume {name}")).await;
        }
    }
    for name in run("dmsetup ls --target crypt").await.lines() {
        let name = name.split_ascii_whitespace().next().unwrap_or_default();
        if name.starts_with("tiedown-") {
            run(&format!("cryptsetup close {name}")).await;
        }
    }
    run(&format!("lvm vgchange -q -an {GROUP}")).await;
}
