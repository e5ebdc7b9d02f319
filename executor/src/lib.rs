//! Acts: observes hosts and carries out finished plans. Chooses nothing.
//!
//! The seam is [`host::Host`]: it says what it sees and carries out steps, one at a time, each
//! "ensure". Behind it stand the ports: [`storage::Storage`], [`runtime::Runtime`] and
//! [`artifact::Trees`]; beside it [`catalog::Catalog`] and [`journal::Journal`] remember.

pub mod apply;
pub mod artifact;
pub mod catalog;
mod cipher;
pub mod clock;
pub mod command;
mod durable;
pub mod ensure;
pub mod event;
#[cfg(feature = "fake")]
pub mod fake;
mod flock;
pub mod host;
pub mod journal;
pub mod keys;
pub mod machine;
pub mod names;
pub mod observe;
pub mod orders;
pub mod runtime;
pub mod secrets;
pub mod steps;
pub mod storage;

use std::error::Error;
use std::fmt::Write;

/// An error and its causes, one after another, as they are told to people.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let _ = write!(text, ": {source}");
        cause = source.source();
    }
    text
}
