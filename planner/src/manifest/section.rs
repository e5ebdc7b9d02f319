//! One module for each section of fly.toml: its shape as written, the older forms it may have,
//! and the rules that it alone can break.

pub mod build;
pub mod checks;
pub mod deploy;
pub mod env;
pub mod experimental;
pub mod files;
pub mod http;
pub mod metrics;
pub mod mounts;
pub mod processes;
pub mod restart;
pub mod services;
pub mod statics;
pub mod tiedown;
pub mod top;
pub mod vm;
