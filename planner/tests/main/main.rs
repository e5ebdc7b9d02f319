//! The planner's tests from outside: data in, text out. One binary, a module for each subject.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and says what it compared or skipped"
)]

mod by_hand;
mod by_itself;
mod check;
mod document;
mod drift;
mod fleet;
mod hands;
mod manifests;
mod markdown;
mod plan;
mod properties;
mod remainder;
mod render;
mod scenarios;
mod simulate;
mod why;
