//! The shared vocabulary: data with invariants, no decisions.

pub mod artifact;
pub mod claim;
pub mod desired;
pub mod few;
pub mod guest;
pub mod health;
pub mod host;
pub mod id;
pub mod instance;
pub mod name;
pub mod network;
pub mod object;
pub mod observed;
pub mod permit;
pub mod policy;
pub mod release;
pub mod size;
pub mod slot;
pub mod time;
pub mod volume;
