//! Immediate: all slots at once, without waiting for any.

use alloc::vec::Vec;

/// One wave of all slots.
pub(super) fn waves<T>(down: Vec<T>, up: Vec<T>) -> Vec<Vec<T>> {
    let all: Vec<T> = down.into_iter().chain(up).collect();
    if all.is_empty() { Vec::new() } else { alloc::vec![all] }
}
