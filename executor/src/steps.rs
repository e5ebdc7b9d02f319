//! What waits for an instance after its steps: gates.

pub mod health;
