//! The planner's tests from outside: data in, text out. One binary, a module for each subject.
#![expect(clippy::unwrap_used, reason = "what does not hold here fails the test, as it should")]

mod by_hand;
mod check;
mod document;
mod manifests;
mod render;
mod scenarios;
mod simulate;
