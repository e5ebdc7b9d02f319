//! The real binary on real git repositories, without applying: what it says and how it ends.

mod changes;
mod edits;
mod forge;
mod help;
mod https;
mod install;
mod layouts;
mod manifests;
mod reading;
mod repo;
mod schema;
mod wrong;
