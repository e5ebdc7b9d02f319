//! The real binary on real git repositories, without applying: what it says and how it ends.

mod help;
mod reading;
mod repo;
mod wrong;
