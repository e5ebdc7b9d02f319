//! The executor against this very machine: real files, file systems, locks, processes, namespaces
//! and mounts; and the apply loop on hosts in memory.

mod apply;
mod catalog;
mod child;
mod journal;
mod process;
mod storage;
