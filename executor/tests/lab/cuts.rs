//! Power cuts at random moments: what was acknowledged is there after each, and nothing is lost,
//! doubled, half made or readable by another.

use super::bed::{self, GROUP};
use super::journal::{Act, Expected, Journal};
use crate::storage::{POOL_SIZE, marks, skipped, spec};
use executor::storage::lvm::LvmStorage;
use executor::storage::{Attachment, Medium, Storage};
use planner::model::observed::PoolView;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec, VolumeState};
use planner::plan::step::Marks;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TEST: &str = "lab::cuts::what_was_acknowledged_survives_power_cuts";

/// How often the power is cut in an ordinary run; `CUTS` says otherwise.
const CUTS: u64 = 3;

/// A cut comes within so many hundredths of the time that the host took until it began to work:
/// so it comes in the middle of acts, however slow the machine is.
const WORK: u64 = 150;

/// Volumes at one time.
const VOLUMES: usize = 5;

/// xorshift64*, good enough to choose acts and moments, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

pub(super) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[tokio::test]
async fn what_was_acknowledged_survives_power_cuts() {
    if let Some(seed) = number("EXECUTOR_TEST_CUTS") {
        return work(seed).await;
    }
    if !bed::works() {
        return;
    }
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let cuts = number("CUTS").unwrap_or(CUTS);
    let _ = writeln!(std::io::stderr(), "\npower cuts: {cuts} with SEED={seed}");
    let place = tempfile::tempdir().unwrap();
    let mut random = Random::new(seed);
    for cut in 0..=cuts {
        let share = random.below(WORK);
        // The last host is not cut: it only looks.
        let share = (cut < cuts).then_some(share);
        let said = host(place.path(), seed.wrapping_add(cut), share);
        let ready = said.iter().any(|line| line == "ready");
        assert!(ready, "SEED={seed}, after cut {cut}:\n{}", said.join("\n"));
    }
    let journal = std::fs::read_to_string(place.path().join("shared/journal")).unwrap();
    if !journal.contains("done write") {
        skipped("power cuts: this machine was too slow for a single write before a cut");
    }
}

/// Boots the host and cuts its power when it has worked for that share, in hundredths, of the time
/// that it took until it began to; what it said.
fn host(place: &Path, seed: u64, cut: Option<u64>) -> Vec<String> {
    let booted = Instant::now();
    let seed = match cut {
        Some(_) => format!("EXECUTOR_TEST_CUTS={seed}"),
        None => "EXECUTOR_TEST_CUTS=0".to_owned(),
    };
    let mut process = Command::new(bed::program())
        .args(["-d", &place.display().to_string(), "-t", "900"])
        .args(["-e", &seed, "-e", "RUST_BACKTRACE=0"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let ready = line == "ready";
        said.push(line);
        if let (true, Some(share)) = (ready, cut) {
            let moment = u64::try_from(booted.elapsed().as_millis()).unwrap() * share / 100;
            // The one thing here that is meant to come at a moment, not at a state.
            std::thread::sleep(Duration::from_millis(moment));
            process.kill().unwrap();
        }
    }
    // Its output has ended, so every process that had it is gone.
    process.wait().unwrap();
    said
}

/// Inside: puts right what the last cut left, as applying again would, looks at everything, and
/// goes on until the power is cut. With seed 0 it only looks.
async fn work(seed: u64) {
    let path = Path::new("/run/lab/journal");
    if !path.exists() {
        bed::make_group().await;
    }
    let mut journal = Journal::open(path);
    let storage = bed::open();
    if storage.pool().await.unwrap() == PoolView::Absent {
        storage.make_pool(&marks(1), POOL_SIZE).await.unwrap();
    }
    if let Some(act) = journal.in_flight {
        match act {
            // Whether it was written is not known, and need not be.
            Act::Write(..) => {}
            act => {
                perform(&storage, act, &mut BTreeSet::new()).await;
                journal.done(act);
            }
        }
    }
    verify(&storage, &journal).await;
    let mut out = std::io::stdout();
    out.write_all(b"\nready\n").unwrap();
    out.flush().unwrap();
    let mut random = Random::new(seed);
    let mut mounted = BTreeSet::new();
    if seed == 0 {
        return;
    }
    loop {
        let act = choose(&mut random, &journal);
        journal.ask(act);
        perform(&storage, act, &mut mounted).await;
        journal.done(act);
    }
}

fn choose(random: &mut Random, journal: &Journal) -> Act {
    let volumes: Vec<_> = journal.volumes.iter().collect();
    if volumes.is_empty() || (volumes.len() < VOLUMES && random.below(4) == 0) {
        let next = journal.used + 1;
        let several = volumes.len() + 2 <= VOLUMES && random.below(2) == 0;
        return if several { Act::MakeAll(next, 2) } else { Act::Make(next) };
    }
    let pick = usize::try_from(random.below(volumes.len() as u64)).unwrap();
    let (number, volume) = (*volumes[pick].0, volumes[pick].1);
    let (room, next) = (volumes.len() < VOLUMES, journal.used + 1);
    match (volume.copy_of, volume.retired, random.below(2)) {
        (Some(_), true, 0) if room => return Act::Restore(number, next),
        (Some(_), true, _) => return Act::Destroy(number),
        (Some(_), false, 0) => return Act::Write(number, next),
        (Some(_), false, _) => return Act::RemoveClone(number),
        (None, ..) => {}
    }
    let copied = volumes.iter().any(|(_, other)| other.copy_of == Some(number));
    match (volume.retired, random.below(8)) {
        (true, 0..4) if !copied => Act::Destroy(number),
        (true, 4) if room => Act::Snapshot(number, next),
        (true, _) => Act::TakeBack(number),
        (false, 4) if room => Act::Snapshot(number, next),
        (false, 5) if room => Act::Clone(number, next),
        (false, 0..2) => Act::Retire(number),
        (false, 2..4) if volume.size < Size::from_mib(96) => {
            Act::Grow(number, volume.size.plus(Size::from_mib(16)))
        }
        (false, _) => Act::Write(number, next),
    }
}

async fn perform(storage: &LvmStorage, act: Act, mounted: &mut BTreeSet<u32>) {
    let marks = |number: u32| {
        let spec = spec(number);
        Marks { slot: spec.slot, source: spec.source, keeping: spec.keeping }
    };
    match act {
        Act::Make(number) => drop(storage.make(&spec(number)).await.unwrap()),
        Act::MakeAll(first, count) => {
            let specs: Vec<_> = (first..first + count).map(spec).collect();
            for answer in storage.make_all(&specs).await {
                answer.unwrap();
            }
        }
        // It may be mounted.
        Act::Grow(number, to) => drop(storage.grow(&spec(number).id, to).await.unwrap()),
        Act::Retire(number) => {
            release(number, mounted);
            storage.retire(&spec(number).id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
        }
        Act::TakeBack(number) => {
            storage.take_back(&spec(number).id, &marks(number)).await.unwrap();
        }
        Act::Destroy(number) => drop(storage.destroy(&spec(number).id).await.unwrap()),
        Act::Snapshot(of, number) => copy(storage, of, number, VolumeKind::Snapshot).await,
        Act::Restore(of, number) => copy(storage, of, number, VolumeKind::Own).await,
        Act::Clone(of, number) => copy(storage, of, number, VolumeKind::Clone).await,
        Act::RemoveClone(number) => {
            release(number, mounted);
            storage.remove_clone(&spec(number).id).await.unwrap();
        }
        Act::Write(number, line) => {
            let place = attach(storage, number, mounted).await;
            let mut file = std::fs::File::options().create(true).append(true).open(place).unwrap();
            writeln!(file, "{number} {line}").unwrap();
            file.sync_all().unwrap();
        }
    }
}

async fn copy(storage: &LvmStorage, of: u32, number: u32, kind: VolumeKind) {
    let of = storage.contents().await.unwrap().volumes[&spec(of).id].spec.clone();
    let origin = Some(of.id.clone());
    let volume = VolumeSpec { size: of.size, kind, origin, ..spec(number) };
    storage.copy(&of.id, &volume, Timestamp(1)).await.unwrap();
}

/// Mounts the volume, if it is not; says where its file is.
async fn attach(
    storage: &LvmStorage,
    number: u32,
    mounted: &mut BTreeSet<u32>,
) -> std::path::PathBuf {
    let at = std::path::PathBuf::from(format!("/run/volume-{number}"));
    if mounted.insert(number) {
        let Attachment { medium, .. } = storage.attachment(&spec(number).id).await.unwrap();
        let Medium::Device(device) = medium else { panic!("{medium:?}") };
        std::fs::create_dir_all(&at).unwrap();
        mount(device, &at, "ext4", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
    }
    at.join("data/lines")
}

fn release(number: u32, mounted: &mut BTreeSet<u32>) {
    if mounted.remove(&number) {
        unmount(format!("/run/volume-{number}"), UnmountFlags::empty()).unwrap();
    }
}

async fn verify(storage: &LvmStorage, journal: &Journal) {
    let contents = storage.contents().await.unwrap();
    let found: BTreeSet<_> = contents.volumes.keys().cloned().collect();
    let wanted: BTreeSet<_> = journal.volumes.keys().map(|number| spec(*number).id).collect();
    assert_eq!(found, wanted, "volumes were lost or doubled");
    assert!(contents.foreign.is_empty(), "{:?}", contents.foreign);
    for (number, expected) in &journal.volumes {
        let view = &contents.volumes[&spec(*number).id];
        assert!(view.formatted, "volume {number} is half made");
        assert_eq!(view.spec.size, expected.size, "volume {number}");
        let retired = matches!(view.state, VolumeState::Retired { .. });
        assert_eq!(retired, expected.retired, "volume {number}");
        if !retired {
            lines(storage, *number, expected).await;
        }
    }
    thin_ids().await;
}

/// Every acknowledged line is in the volume, and none of another volume; its file system is clean.
async fn lines(storage: &LvmStorage, number: u32, expected: &Expected) {
    let mut mounted = BTreeSet::new();
    let path = attach(storage, number, &mut mounted).await;
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let found: BTreeSet<&str> = text.lines().collect();
    for (volume, line) in &expected.written {
        assert!(found.contains(&*format!("{volume} {line}")), "line {line} of {number}: {text}");
    }
    let of_family = |line: &&str| {
        let volume = line.split(' ').next().and_then(|volume| volume.parse().ok());
        volume.is_some_and(|volume: u32| expected.family.contains(&volume))
    };
    assert!(found.iter().all(of_family), "volume {number} holds {text}");
    release(number, &mut mounted);
    let device = executor::names::device(&executor::names::opened(&spec(number).id));
    bed::run(&format!("e2fsck -fn {}", device.display())).await;
}

/// The pool knows exactly the thin devices that LVM knows.
pub(crate) async fn thin_ids() {
    let listed = bed::run(&format!("lvm lvs --noheadings -o thin_id,transaction_id {GROUP}")).await;
    let lvm: BTreeSet<u64> = listed
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() == 2)
        .map(|words| words[0].parse().unwrap())
        .collect();
    if lvm.is_empty() {
        return;
    }
    // A retired volume may be inactive, the pool is not: it was read.
    let pool = format!("{GROUP}-thin-tpool");
    bed::run(&format!("dmsetup message {pool} 0 reserve_metadata_snap")).await;
    let dump = bed::run(&format!("thin_dump -m /dev/mapper/{GROUP}-thin_tmeta")).await;
    bed::run(&format!("dmsetup message {pool} 0 release_metadata_snap")).await;
    let kernel: BTreeSet<u64> = dump
        .lines()
        .filter_map(|line| line.trim().strip_prefix("<device dev_id=\"")?.split('"').next())
        .map(|id| id.parse().unwrap())
        .collect();
    assert_eq!(kernel, lvm, "thin devices of the kernel, and those of LVM");
}
