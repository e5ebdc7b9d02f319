//! The real binary on real git repositories with real processes and volumes. Each test has a
//! fleet of its own, with its own state directory and its own addresses, and takes it down.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "end_to_end/fleet.rs"]
mod fleet;

#[path = "end_to_end/crashes.rs"]
mod crashes;
#[path = "end_to_end/endings.rs"]
mod endings;
#[path = "end_to_end/failures.rs"]
mod failures;
#[path = "end_to_end/stories.rs"]
mod stories;
