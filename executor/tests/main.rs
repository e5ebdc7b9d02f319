//! The executor against this very machine: real processes, namespaces, mounts.

#![allow(clippy::print_stderr)] // A skipped test says so where people look.

mod process;
