//! Whole commands on made-up fleets, in CPU seconds and peak memory; terraform on the same shape
//! where it is installed; and how well volumes are placed. `make bench` runs it in a release
//! build. It prints the tables of `docs/benchmarks.md`, and fails if a target is missed.
//!
//! Arguments: numbers of apps. None: 1,000 and 20,000, and all else.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::exit,
    reason = "a program for a person who watches it: it panics where it cannot go on"
)]

#[path = "fleets/measure.rs"]
mod measure;
#[path = "fleets/placement.rs"]
mod placement;
#[path = "fleets/shape.rs"]
mod shape;
#[path = "fleets/terraform.rs"]
mod terraform;

use measure::{Cost, measured};
use shape::{Made, Shape};

/// Apps of the two sizes that are compared.
const SIZES: [usize; 2] = [1_000, 20_000];

/// How many times longer the larger may take, beyond which something is not linear.
const RATIO: f64 = 25.0;

fn main() -> std::process::ExitCode {
    // The command that is measured runs in this binary, and starts its own hidden stages in it.
    let mut stages = std::env::args_os();
    if stages.nth(1).is_some_and(|first| first == "internal") {
        return executor::runtime::process::internal_main(stages);
    }
    bench();
    std::process::ExitCode::SUCCESS
}

fn bench() {
    let mut args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == measure::ALONE) {
        std::process::exit(measure::alone(&args.split_off(1)));
    }
    let asked: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked.clone() };
    println!("| apps | objects | command | CPU s | peak MiB |");
    println!("| ---: | ---: | --- | ---: | ---: |");
    let costs: Vec<(Cost, Cost)> = sizes.iter().map(|apps| tiedown(*apps)).collect();
    if !asked.is_empty() {
        return;
    }
    let mut missed = false;
    let mut judge = |what: &str, holds: bool| {
        println!("- {what}: {}", if holds { "met" } else { "MISSED" });
        missed |= !holds;
    };
    let theirs = terraform::plan(SIZES[0]);
    println!();
    for (what, pick) in [("from empty", 0), ("no-op", 1)] {
        let of = |costs: &(Cost, Cost)| if pick == 0 { costs.0 } else { costs.1 };
        let ratio = of(&costs[1]).cpu_seconds / of(&costs[0]).cpu_seconds;
        judge(
            &format!("{what}, 20 times the apps in {ratio:.1} times the CPU (≤ 25)"),
            ratio <= RATIO,
        );
        let Some(theirs) = &theirs else { continue };
        let cpu = of(theirs).cpu_seconds / of(&costs[0]).cpu_seconds;
        judge(&format!("{what}, {cpu:.0} times less CPU than terraform (≥ 100)"), cpu >= 100.0);
        let memory = of(theirs).peak_mib / of(&costs[0]).peak_mib;
        judge(
            &format!("{what}, {memory:.1} times less memory than terraform (≥ 10)"),
            memory >= 10.0,
        );
    }
    println!();
    for (what, holds) in placement::all() {
        judge(&what, holds);
    }
    std::process::exit(i32::from(missed));
}

/// What `tiedown plan` costs from empty and when nothing is to be done.
fn tiedown(apps: usize) -> (Cost, Cost) {
    let made = Made::new(&Shape::of_apps(apps));
    let (empty, full) = (made.path("empty.json"), made.path("full.json"));
    made.observe(&empty, &full);
    let plan = |document: &std::path::Path, says: &str| {
        let document = document.to_str().unwrap();
        measured(made.command(&["plan", "--observed", document]), says)
    };
    let first = format!("Plan: {} to add, 0 to change, 0 to destroy.", apps * 4);
    let from_empty = plan(&empty, &first);
    row(apps, "`tiedown plan`, from empty", from_empty);
    let nothing = "No changes. Your infrastructure matches the configuration.";
    let no_op = plan(&full, nothing);
    row(apps, "`tiedown plan`, no changes", no_op);
    (from_empty, no_op)
}

/// One line of the table.
fn row(apps: usize, command: &str, cost: Cost) {
    let Cost { cpu_seconds, peak_mib } = cost;
    println!("| {apps} | {} | {command} | {cpu_seconds:.2} | {peak_mib:.0} |", apps * 5);
}
