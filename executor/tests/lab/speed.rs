//! What many volumes cost: made together and observed, beside a script that starts a process for
//! each act, with the same encryption and the same file system.

use super::bed::{self, GROUP, run};
use crate::storage::{marks, spec};
use executor::command::Command;
use executor::storage::Storage;
use planner::model::size::Size;
use planner::model::volume::VolumeSpec;
use rustix::mount::{MountFlags, mount};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

/// Volumes of an ordinary run; `VOLUMES` says otherwise.
const VOLUMES: u32 = 3;

/// How many steps go on at once where nobody says otherwise, so how many are made together.
const TOGETHER: usize = 10;

/// Where programs leave how long they took.
const TIMES: &str = "/run/times";

#[tokio::test]
async fn many_volumes_pay_for_lvm_together() {
    let volumes = std::env::var("VOLUMES").map_or(VOLUMES, |text| text.parse().unwrap());
    let set = [("VOLUMES", volumes.to_string())];
    if !bed::inside_with("lab::speed::many_volumes_pay_for_lvm_together", &set) {
        return;
    }
    bed::make_group().await;
    let storage = bed::open();
    storage.make_pool(&marks(1), Size::from_mib(5 * 1024)).await.unwrap();
    time_programs();
    let specs: Vec<VolumeSpec> = (1..=volumes).map(spec).collect();
    let begun = Instant::now();
    for together in specs.chunks(TOGETHER) {
        for answer in storage.make_all(together).await {
            answer.unwrap();
        }
    }
    let made = (begun.elapsed(), times());
    let begun = Instant::now();
    let contents = storage.contents().await.unwrap();
    let seen = (begun.elapsed(), times());
    assert_eq!(contents.volumes.len(), specs.len());
    assert!(contents.volumes.values().all(|view| view.formatted));
    // Two programs, however many volumes.
    assert_eq!(seen.1.values().map(|(count, _)| count).sum::<u32>(), 2, "{:?}", seen.1);
    let lvm = made.1["lvm"].0;
    let batches = volumes.div_ceil(u32::try_from(TOGETHER).unwrap());
    assert!(lvm <= 6 * batches, "{lvm} processes of LVM for {volumes} volumes");
    let begun = Instant::now();
    script(volumes).await;
    let scripted = (begun.elapsed(), times());
    let runs = [("made together", &made), ("observed", &seen), ("by a script", &scripted)];
    for (what, (whole, programs)) in runs {
        println!("{what}: {:.2} s in all", whole.as_secs_f64());
        for (program, (count, seconds)) in programs {
            println!("{what}: {program}: {count} processes, {seconds:.2} s");
        }
    }
}

/// From now on each program leaves its name and how long it took.
fn time_programs() {
    let place = Path::new("/usr/local/sbin");
    let programs = ["cryptsetup", "lvm", "dmsetup", "blkid", "mkfs.ext4"];
    let real = programs.map(|name| executor::command::find(name).unwrap());
    mount("time", place, "tmpfs", MountFlags::empty(), Some(c"mode=755")).unwrap();
    for (name, real) in programs.iter().zip(real) {
        let text = format!(
            "#!/bin/bash\nbegun=$EPOCHREALTIME\n{} \"$@\"\nstatus=$?\n\
             echo {name} $begun $EPOCHREALTIME >>{TIMES}\nexit $status\n",
            real.display()
        );
        let path = place.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Processes and seconds by program since the last time.
fn times() -> BTreeMap<String, (u32, f64)> {
    let text = std::fs::read_to_string(TIMES).unwrap_or_default();
    let _ = std::fs::remove_file(TIMES);
    let mut times = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (begun, ended): (f64, f64) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        let entry = times.entry(words[0].to_owned()).or_insert((0, 0.0));
        *entry = (entry.0 + 1, entry.1 + ended - begun);
    }
    times
}

/// What somebody would write: a process for each act, and one to look at each volume.
async fn script(volumes: u32) {
    let script = format!(
        "set -e; head -c 64 /dev/urandom >/run/key\n\
         for number in $(seq {volumes}); do\n\
         name=other_$number device=/dev/mapper/{GROUP}-other_$number\n\
         lvm lvcreate -q -y -Wn -V 32M -T {GROUP}/thin -n $name --addtag slot=web/app/ewr/$number \
         --addtag state=making\n\
         blkid -p -o export $device || [ $? = 2 ]\n\
         cryptsetup luksFormat -q --type luks2 -c aes-xts-plain64 -s 512 --hash sha256 \
         --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 4096 --luks2-metadata-size 16k \
         --luks2-keyslots-size 16352k --key-file - $device </run/key\n\
         cryptsetup open -q --type luks2 --key-file - $device $name </run/key\n\
         mkfs.ext4 -q -F -b 4096 -m 0 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 \
         /dev/mapper/$name\n\
         lvm lvchange -q --deltag state=making --addtag state=attached {GROUP}/$name\n\
         done\n\
         for number in $(seq {volumes}); do lvm lvs -o lv_name,lv_size,lv_tags,data_percent \
         {GROUP}/other_$number >/dev/null; done"
    );
    let command = Command::named("bash").unwrap().args(["-c", &script]);
    let long = std::time::Duration::from_secs(1800);
    let command = command.deadline(long, executor::command::Overrun::Kill);
    command.output().await.unwrap();
    let made = run(&format!("lvm lvs --noheadings -o lv_name {GROUP}")).await;
    assert_eq!(made.matches("other_").count(), volumes as usize);
}
