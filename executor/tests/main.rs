//! The executor against this very machine: real files, file systems, locks and processes.

mod catalog;
mod child;
mod journal;
mod storage;
