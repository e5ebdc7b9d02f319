//! Drives: meets people and git. What the binary `tiedown` is made of.

pub mod fleet;
pub mod pass;
pub mod prepare;
pub mod repository;
pub mod settings;
