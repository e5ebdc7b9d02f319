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
