//! The real binary: what it says, how it ends, and what becomes of real fleets. And the
//! repository's own rules.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and says what it skipped"
)]

mod command_line;
mod end_to_end;
#[allow(dead_code, reason = "tests of the runtime ask more of it")]
#[path = "../../executor/tests/runtime/engine.rs"]
mod engine;
mod lab;
mod tidy;

use std::io::Write;

/// Says that something is not tested, past the capture of the test harness.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED, NOT TESTED: {what}");
}
