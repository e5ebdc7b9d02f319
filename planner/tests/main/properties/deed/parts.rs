//! Some commits one after another that come to what single ones seldom do.

use super::{Commit, Deed, How, REVERTS, commit};
use proptest::prelude::{Strategy, any, prop_oneof};

/// A group goes down, something happens, and it goes up again.
pub(super) fn there_and_back() -> impl Strategy<Value = Vec<Commit>> {
    (0..2usize, 0..2u32, commit(), 2..4u32).prop_map(|(app, low, between, high)| {
        let scale = |count| Deed::Scale { app, group: 0, ord: false, count };
        vec![Commit::whole(vec![scale(low)]), between, Commit::whole(vec![scale(high)])]
    })
}

/// A volume that may be destroyed is retired, and some days later its time has come.
pub(super) fn to_the_end() -> impl Strategy<Value = Vec<Commit>> {
    (0..2usize, 0..4u64, commit()).prop_map(|(app, days, last)| {
        let keeping = Deed::Keeping { app, group: 0, destroy: true, protect: false, days };
        let down = Deed::Scale { app, group: 0, ord: false, count: 1 };
        let mut last = Commit { permits: vec!["destroy".to_string()], ..last };
        last.deeds.push(Deed::Days { days: 3 });
        vec![Commit::whole(vec![keeping]), Commit::whole(vec![down]), last]
    })
}

/// Slots that go back, a release that is cut short or fails, and what comes after.
pub(super) fn back() -> impl Strategy<Value = Vec<Commit>> {
    let how = prop_oneof![any::<u8>().prop_map(How::Cut), any::<u8>().prop_map(How::Failing)];
    (0..2usize, 1..REVERTS.len(), how, commit()).prop_map(|(app, to, how, after)| {
        let release = |version| Deed::Release { app, version };
        let first = vec![Deed::Revert { app, group: 0, to }, release(0)];
        let fails = Commit { how, ..Commit::whole(vec![release(1)]) };
        vec![Commit::whole(first), fails, after]
    })
}
