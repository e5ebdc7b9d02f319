//! Acts: observes hosts and carries out finished plans. Chooses nothing.
//!
//! The seam is [`host::Host`]: it says what it sees and carries out steps, one at a time, each
//! "ensure". Behind it stand the ports: [`storage::Storage`], [`runtime::Runtime`] and
//! [`artifact::Trees`]; beside it [`catalog::Catalog`] and [`journal::Journal`] remember.

pub mod artifact;
pub mod catalog;
pub mod command;
pub mod ensure;
pub mod event;
pub mod host;
pub mod journal;
pub mod runtime;
pub mod storage;
