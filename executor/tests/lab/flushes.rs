//! All writes to a disk are kept in a log and played again up to random flushes: what was
//! acknowledged before is there, also if the disk had lost all that it was not told to keep. A
//! power cut of a lab host cannot show that: its writes are in the outer machine's memory.

use super::bed::{self, GROUP, run};
use super::cuts::{Random, number};
use super::exhausted::{mounted, small_pool, unmounted};
use crate::storage::{fleet, spec};
use executor::command::Command;
use executor::keys::Keys;
use executor::keys::seal::SealedBy;
use executor::keys::sealed::SealedKeys;
use executor::storage::Storage;
use planner::model::size::Size;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Flushes that are played up to in an ordinary run; `FLUSHES` says otherwise.
const FLUSHES: u64 = 3;

/// Sectors of a GiB.
const GIB: u64 = 2 << 20;

#[tokio::test]
async fn what_was_acknowledged_is_there_at_every_flush() {
    let (seed, flushes) = (
        number("SEED").unwrap_or_else(|| u64::from(std::process::id())),
        number("FLUSHES").unwrap_or(FLUSHES),
    );
    let set = [("SEED", seed.to_string()), ("FLUSHES", flushes.to_string())];
    let name = "lab::flushes::what_was_acknowledged_is_there_at_every_flush";
    if !bed::inside_with(name, &set) {
        return;
    }
    println!("flushes: {flushes} with SEED={seed}");
    disks().await;
    let log = Log::read(&record().await);
    let played = File::options().write(true).open("/dev/mapper/played").unwrap();
    let (mut random, mut next) = (Random::new(seed), 0);
    for point in log.points(&mut random, flushes) {
        for entry in &log.entries[next..=point] {
            log.play(entry, &played);
        }
        played.sync_all().unwrap();
        next = point + 1;
        check(&log.acknowledged(point), point).await;
    }
}

/// One disk as four, and the first of them with a log.
async fn disks() {
    for (name, from, gibs) in [("data", 0, 1), ("log", 1, 2), ("played", 3, 1), ("lost", 4, 1)] {
        device(name, &format!("0 {} linear /dev/ubdb {}", gibs * GIB, from * GIB)).await;
    }
    device("disk", &format!("0 {GIB} log-writes /dev/mapper/data /dev/mapper/log")).await;
    let mut conf = File::options().append(true).open("/etc/lvm/lvm.conf").unwrap();
    let only = r#"devices { global_filter=["a|^/dev/mapper/disk$|", "r|.*|"] }"#;
    writeln!(conf, "{only}").unwrap();
}

async fn device(name: &str, table: &str) {
    let command = Command::named("dmsetup").unwrap().args(["create", name, "--table", table]);
    command.output().await.unwrap();
    run(&format!("dmsetup mknodes {name}")).await;
}

/// Makes, writes and grows; each line that is on the disk is marked in the log. Says where the
/// log is.
async fn record() -> std::path::PathBuf {
    run("pvcreate -q -y --metadatasize 16m /dev/mapper/disk").await;
    run(&format!("vgcreate -q --setautoactivation n {GROUP} /dev/mapper/disk")).await;
    let storage = small_pool("512M", "8M").await;
    for volume in [1, 2] {
        storage.make(&spec(volume)).await.unwrap();
        let data = mounted(&storage, volume).await;
        for line in 0..4 {
            acknowledge(&data, volume, line).await;
        }
    }
    storage.grow(&spec(1).id, Size::from_mib(64)).await.unwrap();
    acknowledge(Path::new("/run/volume-1/data"), 1, 4).await;
    for volume in [1, 2] {
        unmounted(volume);
        run(&format!("cryptsetup close tiedown-{}", spec(volume).id)).await;
    }
    run(&format!("lvm vgchange -q -an {GROUP}")).await;
    run("dmsetup remove disk").await;
    "/dev/mapper/log".into()
}

async fn acknowledge(data: &Path, volume: u32, line: u32) {
    let path = data.join("lines");
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    writeln!(file, "{volume} {line}").unwrap();
    file.sync_all().unwrap();
    run(&format!("dmsetup message disk 0 mark {volume}-{line}")).await;
}

/// What the kernel's log-writes.rst describes: a header, then entries, each in a sector, with what
/// was written in the sectors behind it.
struct Log {
    file: File,
    sector: u64,
    entries: Vec<Entry>,
}

struct Entry {
    sector: u64,
    sectors: u64,
    flags: u64,
    /// Where in the log it begins, in bytes.
    at: u64,
    mark: Option<String>,
}

const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

impl Log {
    fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let mut head = [0; 28];
        file.read_exact_at(&mut head, 0).unwrap();
        let word = |bytes: &[u8], at: usize| {
            u64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap())
        };
        assert_eq!(word(&head, 0), 0x006a_7366_7773_6872, "no log of writes");
        let (count, sector) = (word(&head, 2), u32::from_le_bytes(head[24..].try_into().unwrap()));
        let (sector, mut at) = (u64::from(sector), u64::from(sector));
        let mut entries = Vec::new();
        for _ in 0..count {
            let mut bytes = [0; 512];
            file.read_exact_at(&mut bytes, at).unwrap();
            let [place, sectors, flags, length] = [0, 1, 2, 3].map(|field| word(&bytes, field));
            let text = || String::from_utf8_lossy(&bytes[32..32 + length as usize]).into_owned();
            let mark = (flags & MARK != 0).then(text);
            entries.push(Entry { sector: place, sectors, flags, at: at + sector, mark });
            let data = if flags & DISCARD == 0 { sectors } else { 0 };
            at += (1 + data) * sector;
        }
        Self { file, sector, entries }
    }

    /// Random flushes, in their order, behind the first mark.
    fn points(&self, random: &mut Random, count: u64) -> Vec<usize> {
        let first = self.entries.iter().position(|entry| entry.mark.is_some()).unwrap();
        let flushed = |at: &usize| self.entries[*at].flags & (FLUSH | FUA) != 0;
        let all: Vec<usize> = (first..self.entries.len()).filter(flushed).collect();
        assert!(all.len() > 20, "{} flushes in {} entries", all.len(), self.entries.len());
        let pick = |_| all[usize::try_from(random.below(all.len() as u64)).unwrap()];
        let mut points: Vec<usize> = (0..count).map(pick).collect();
        points.sort_unstable();
        points.dedup();
        points
    }

    fn play(&self, entry: &Entry, disk: &File) {
        if entry.flags & (MARK | DISCARD) != 0 || entry.sectors == 0 {
            return;
        }
        let mut bytes = vec![0; usize::try_from(entry.sectors * self.sector).unwrap()];
        self.file.read_exact_at(&mut bytes, entry.at).unwrap();
        disk.write_all_at(&bytes, entry.sector * self.sector).unwrap();
    }

    /// Lines by volume that were marked up to there.
    fn acknowledged(&self, point: usize) -> BTreeMap<u32, Vec<String>> {
        let mut lines = BTreeMap::<u32, Vec<String>>::new();
        for mark in self.entries[..=point].iter().filter_map(|entry| entry.mark.as_deref()) {
            let (volume, line) = mark.trim_end_matches('\0').split_once('-').unwrap();
            lines.entry(volume.parse().unwrap()).or_default().push(format!("{volume} {line}"));
        }
        lines
    }
}

/// Looks at what is on the disk at that point, as after a loss of power. What that writes is lost
/// again.
async fn check(acknowledged: &BTreeMap<u32, Vec<String>>, point: usize) {
    device("disk", &format!("0 {GIB} snapshot /dev/mapper/played /dev/mapper/lost N 8")).await;
    let keys = SealedKeys::new(fleet(), bed::dir(), SealedBy::Own);
    for (volume, lines) in acknowledged {
        let id = spec(*volume).id;
        run(&format!("lvm lvchange -q -ay -K {GROUP}/{id}")).await;
        let device = format!("/dev/mapper/{GROUP}-{id}");
        let command = Command::named("cryptsetup").unwrap().args(["open", "-q", "--key-file", "-"]);
        let command = command.args([&device, "checked"]).input(keys.get(&id).unwrap().expose());
        command.output().await.unwrap();
        let open = executor::names::device("checked");
        std::fs::create_dir_all("/run/checked").unwrap();
        mount(&open, "/run/checked", "ext4", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
        let found = std::fs::read_to_string("/run/checked/data/lines").unwrap();
        let found: Vec<&str> = found.lines().collect();
        for line in lines {
            assert!(found.contains(&line.as_str()), "at {point}: {line} is not among {found:?}");
        }
        unmount("/run/checked", UnmountFlags::empty()).unwrap();
        run(&format!("e2fsck -fn {}", open.display())).await;
        run("cryptsetup close checked").await;
    }
    run(&format!("lvm vgchange -q -an {GROUP}")).await;
    run("dmsetup remove disk").await;
}
