//! Decides: desired and observed in, plan and report out. Knows no machine.
#![no_std]

extern crate alloc;

pub mod manifest;
