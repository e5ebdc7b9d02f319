//! Drives: meets people and git. What the binary `tiedown` is made of.

pub mod repository;
pub mod settings;
