//! Decides: what a fleet should do next, from what is wanted and what is there.
//!
//! ```text
//! manifests ─► desired ──┐
//! trees, images ─► artifacts ┤
//! catalog ─► claims ─────┼─► diff ─► placement ─► safety ─► rollout ─► PLAN + REPORT
//! hosts ─► observed ─────┤                                     │
//! tiedown.toml ─► policy, permits                     check (independent judge)
//! ```
//!
//! Nothing here can open a file, start a process, read a clock or the environment: the crate is
//! `no_std`, all inputs are values, and the same inputs give the same plan, byte for byte.
#![no_std]

extern crate alloc;

pub mod check;
pub mod document;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod render;
pub mod report;
pub mod simulate;
