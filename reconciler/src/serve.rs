//! Passes that nobody asks for: a branch is followed, and hosts follow the branch.
//!
//! ```text
//! push ─┐                         ┌─► fetch ─► newer commit? ─► stop the pass that runs
//! hook ─┼─► triggers, merged ─────┤
//! time ─┘                         └─► pass ─► what may happen by itself is done, the rest waits
//! ```
//!
//! [`drive`] says when, [`passes`] does it, [`web`] shows it. A trigger says only “look again”: no
//! pass knows why it was run.

pub mod backoff;
pub mod drive;
pub mod follow;
pub mod passes;
pub mod shown;
pub mod trigger;
pub mod web;

/// What a daemon that runs passes calls itself where others find its lock.
pub const DAEMON: &str = "tiedown serve";
/// What one pass calls itself there.
pub const ONCE: &str = "a pass";
