//! Hosts and a catalog in memory, for faults that the real ones cannot be made to show on demand.

pub mod catalog;
pub mod host;
