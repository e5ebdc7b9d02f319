//! The executor against this very machine: real files, file systems, locks, processes, namespaces
//! and mounts; and the apply loop on hosts in memory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; a child process speaks to its test by printing"
)]

mod apply;
mod catalog;
mod child;
mod journal;
mod lab;
mod left;
mod process;
mod runtime;
mod storage;
