//! Acts: carries out a finished plan on hosts. Chooses nothing.

pub mod command;
pub mod runtime;
