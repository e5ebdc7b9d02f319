//! The planner's tests from outside: data in, text out. One binary, a module for each subject.

mod by_hand;
mod check;
mod document;
mod render;
mod simulate;
