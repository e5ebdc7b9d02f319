//! Bluegreen: when the second set is up, one slot follows alone, to prove that the release comes up
//! in a slot's own place too; then all others at once, for the second set serves meanwhile.

use alloc::vec;
use alloc::vec::Vec;

/// Two waves at most. `down` do not serve and go first, so that as few as possible are touched if
/// the first fails.
pub(super) fn waves<T>(down: Vec<T>, up: Vec<T>) -> Vec<Vec<T>> {
    let mut all = down.into_iter().chain(up);
    let Some(first) = all.next() else { return Vec::new() };
    let rest: Vec<T> = all.collect();
    if rest.is_empty() { vec![vec![first]] } else { vec![vec![first], rest] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_alone_and_then_all_others() {
        assert_eq!(waves(vec![4], vec![1, 2]), [vec![4], vec![1, 2]]);
        assert_eq!(waves(vec![], vec![1]), [vec![1]]);
        assert!(waves::<u8>(vec![], vec![]).is_empty());
    }
}
