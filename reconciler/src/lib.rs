//! Drives: meets people and git. What the binary `tiedown` is made of.

pub mod cli;
pub mod drift;
pub mod endpoints;
pub mod fleet;
pub mod forge;
pub mod git;
pub mod history;
pub mod http;
pub mod notify;
pub mod pass;
mod passphrase;
pub mod prepare;
pub mod repository;
pub mod review;
pub mod serve;
pub mod settings;
pub mod status;
pub mod units;
pub mod volumes;
