//! Which slots a group should have: numbers per region, from what is listed and what is there.

use crate::model::desired::Scale;
use crate::model::name::Region;
use alloc::collections::{BTreeMap, BTreeSet};

/// Slot numbers per region.
pub(super) type Numbers = BTreeMap<Region, BTreeSet<u32>>;

/// The numbers that a group should have. A listed count keeps the lowest that are there and
/// fills up from the lowest that is missing; without a list what is there is kept.
pub(super) fn numbers(scale: &Scale, existing: &Numbers) -> Numbers {
    match scale {
        Scale::Unlisted { first } if existing.is_empty() => {
            BTreeMap::from([(first.clone(), BTreeSet::from([1]))])
        }
        Scale::Unlisted { .. } => existing.clone(),
        Scale::Listed(counts) => counts
            .iter()
            .map(|(region, count)| {
                let nothing = BTreeSet::new();
                let there = existing.get(region).unwrap_or(&nothing);
                (region.clone(), fill(there, *count))
            })
            .collect(),
    }
}

fn fill(there: &BTreeSet<u32>, count: u32) -> BTreeSet<u32> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut numbers: BTreeSet<u32> = there.iter().copied().take(count).collect();
    let missing = (1..).filter(|n| !there.contains(n));
    numbers.extend(missing.take(count - numbers.len()));
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keep_the_lowest_and_fill_from_the_lowest_missing() {
        for (there, count, wanted) in [
            (&[][..], 2, &[1, 2][..]),
            (&[1, 2, 3], 2, &[1, 2]),
            (&[1, 3], 2, &[1, 3]),
            (&[1, 3], 3, &[1, 2, 3]),
            (&[2], 0, &[]),
        ] {
            let there = there.iter().copied().collect();
            let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
            assert_eq!(fill(&there, count), wanted, "{there:?} {count}");
        }
    }

    #[test]
    fn a_group_without_a_list_keeps_what_it_has() {
        let ewr = Region::new("ewr").unwrap();
        let scale = Scale::Unlisted { first: ewr.clone() };
        assert_eq!(numbers(&scale, &Numbers::new())[&ewr], BTreeSet::from([1]));
        let there = Numbers::from([(Region::new("ord").unwrap(), BTreeSet::from([2]))]);
        assert_eq!(numbers(&scale, &there), there);
    }
}
