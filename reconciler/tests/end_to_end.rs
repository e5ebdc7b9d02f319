//! The real binary on real git repositories with real processes and volumes. Each test has a
//! fleet of its own, with its own state directory and its own addresses, and takes it down.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and says what it skipped"
)]

#[path = "end_to_end/fleet.rs"]
mod fleet;

#[path = "end_to_end/crashes.rs"]
mod crashes;
#[path = "end_to_end/failures.rs"]
mod failures;
#[path = "end_to_end/stories.rs"]
mod stories;
