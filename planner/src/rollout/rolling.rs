//! Rolling: some slots at a time, those that do not serve first and free.

use alloc::vec::Vec;

/// Splits slots into waves. `down` do not serve: they go first, all at once, and cost nothing.
/// `up` go at most `budget` at a time.
pub(super) fn waves<T>(down: Vec<T>, up: Vec<T>, budget: usize) -> Vec<Vec<T>> {
    let mut waves = Vec::new();
    if !down.is_empty() {
        waves.push(down);
    }
    let mut up = up.into_iter().peekable();
    while budget > 0 && up.peek().is_some() {
        waves.push(up.by_ref().take(budget).collect());
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn slots_that_are_down_go_first_and_free() {
        assert_eq!(waves(vec![4, 5], vec![1, 2, 3], 2), [vec![4, 5], vec![1, 2], vec![3]]);
        assert_eq!(waves(vec![], vec![1, 2, 3], 1), [vec![1], vec![2], vec![3]]);
        assert_eq!(waves(vec![4], vec![1], 0), [vec![4]]);
        assert!(waves::<u8>(vec![], vec![], 3).is_empty());
    }
}
