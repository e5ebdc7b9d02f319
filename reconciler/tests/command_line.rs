//! The real binary on real git repositories, without applying: what it says and how it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/edits.rs"]
mod edits;
#[path = "command_line/help.rs"]
mod help;
#[path = "command_line/layouts.rs"]
mod layouts;
#[path = "command_line/manifests.rs"]
mod manifests;
#[path = "command_line/reading.rs"]
mod reading;
#[path = "command_line/repo.rs"]
mod repo;
#[path = "command_line/schema.rs"]
mod schema;
#[path = "command_line/wrong.rs"]
mod wrong;
