//! The executor against this very machine: real processes, namespaces, mounts.

mod apply;
mod process;
