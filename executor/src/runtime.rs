//! What runs instances on a host.

pub mod process;
