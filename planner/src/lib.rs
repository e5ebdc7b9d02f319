#![no_std]
//! p
