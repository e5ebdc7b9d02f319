//! Real git repositories with real processes and volumes. Each test has a fleet of its own, with
//! its own state directory and its own addresses, and takes it down.

mod fleet;

mod changes;
mod crashes;
mod deploys;
mod docker;
mod drift;
mod endings;
mod failures;
mod hands;
mod hooks;
mod mistakes;
mod outages;
mod partial;
mod privileges;
mod proxied;
mod quickstart;
mod reverts;
mod saved;
mod secrets;
mod serve;
mod simulated;
mod snapshots;
mod ssh;
mod stories;
mod stress;
mod tools;
