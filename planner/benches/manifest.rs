//! How long a manifest takes from bytes to what it means, beside a bare parse of the same bytes in
//! the same run; and how it grows with the number of mounts. Ends with 1 if a target is missed.
#![expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![expect(clippy::disallowed_types, reason = "a benchmark reads the clock; the planner does not")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use planner::manifest::read;
use planner::manifest::resolve::{Context, resolve};
use planner::model::name::Region;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Reading takes at most so many times as long as parsing.
const TIMES_PARSING: f64 = 2.5;
/// A hundred times as many mounts take at most so many times as long.
const TIMES_FOR_MOUNTS: f64 = 150.0;
/// For each file the best of so many rounds counts: what else the machine does makes rounds slower,
/// never faster.
const ROUNDS: usize = 100;

fn main() -> ExitCode {
    let files = files();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("{} manifests, {bytes} bytes; best of {ROUNDS} rounds each", files.len());
    let regions = regions(&files);
    let meaning = |path: &str, bytes: &[u8]| meaning(path, bytes, &regions);
    let mut best = (Duration::ZERO, Duration::ZERO);
    for (path, bytes) in &files {
        let (parsed, meant) = side_by_side(&|| parse(bytes), &|| meaning(path, bytes));
        best = (best.0 + parsed, best.1 + meant);
    }
    let (parsed, meant) = best;
    let slower = ratio(meant, parsed);
    println!("toml_edit::Document::parse   {}", per_file(parsed, files.len()));
    println!("bytes to resolved manifest   {}", per_file(meant, files.len()));
    println!("ratio                        {slower:.2} (at most {TIMES_PARSING})");

    let (few, many) = (mounts(100), mounts(10_000));
    let (few, many) = side_by_side(&|| meaning("fly.toml", &few), &|| meaning("fly.toml", &many));
    let growth = ratio(many, few);
    println!("100 mounts                   {few:.0?}");
    println!("10,000 mounts                {many:.0?}");
    println!("ratio                        {growth:.0} (at most {TIMES_FOR_MOUNTS})");
    ExitCode::from(u8::from(slower > TIMES_PARSING || growth > TIMES_FOR_MOUNTS))
}

/// The shortest time of each, measured in turns.
fn side_by_side(one: &dyn Fn(), other: &dyn Fn()) -> (Duration, Duration) {
    let time = |act: &dyn Fn()| {
        let start = Instant::now();
        act();
        start.elapsed()
    };
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        best = (best.0.min(time(one)), best.1.min(time(other)));
    }
    best
}

fn ratio(long: Duration, short: Duration) -> f64 {
    long.as_secs_f64() / short.as_secs_f64()
}

fn per_file(all: Duration, files: usize) -> String {
    let each = all.as_secs_f64() / files as f64;
    format!("{:.1} us a file, {:.0} files a second", each * 1e6, 1.0 / each)
}

fn parse(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = black_box(toml_edit::Document::parse(text));
    }
}

/// The regions that a fleet of all these would have hosts in.
fn regions(files: &[(String, Vec<u8>)]) -> BTreeSet<Region> {
    let named = files.iter().filter_map(|(path, bytes)| {
        let region = read(path, bytes).manifest?.written.primary_region?;
        Region::new(region.value).ok()
    });
    named.chain(Region::new("ewr")).collect()
}

fn meaning(path: &str, bytes: &[u8], regions: &BTreeSet<Region>) {
    let read = read(path, bytes);
    if let (Some(manifest), Ok(text)) = (&read.manifest, std::str::from_utf8(bytes)) {
        let context = Context { path, text, regions, file: &|_| None };
        black_box(resolve(manifest, &context));
    }
    black_box(read);
}

fn mounts(count: usize) -> Vec<u8> {
    let mount = |n: usize| {
        format!("[[mounts]]\nsource = 'd{n}'\ndestination = '/d{n}'\ninitial_size = '10gb'\n")
    };
    let mounts: String = (0..count).map(mount).collect();
    format!("app = 'a'\nprimary_region = 'ewr'\n{mounts}").into_bytes()
}

/// Real manifests where there are some, else those that tests are made of.
fn files() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = std::env::var_os("TIEDOWN_CORPUS").map(PathBuf::from);
    let corpus = corpus.unwrap_or_else(|| root.join("../../shared/corpus")).join("manifests");
    let directory = if corpus.is_dir() {
        corpus
    } else {
        println!("SKIPPED: there are no real manifests; set TIEDOWN_CORPUS. Test data instead.");
        root.join("../testdata/manifests/valid")
    };
    let mut found = Vec::new();
    let mut waiting = vec![directory];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}
