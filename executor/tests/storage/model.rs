//! Random acts on a pool against a model in memory: the same answers, the same contents.

use super::{Place, spec};
use executor::ensure::Ensured::{self, AlreadySo, Changed, Made};
use executor::storage::local::LocalKind;
use executor::storage::{Storage, StorageError};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeSpec, VolumeState};
use planner::plan::step::Marks;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Act {
    Make(u32, u64),
    Grow(u32, u64),
    Mark(u32, u32, bool),
    Retire(u32, bool, u64),
    TakeBack(u32, u32, bool),
    Destroy(u32),
}

fn act() -> impl Strategy<Value = Act> {
    let (volume, mib) = (1..4u32, 1..5u64);
    prop_oneof![
        (volume.clone(), mib.clone()).prop_map(|(v, m)| Act::Make(v, m)),
        (volume.clone(), mib).prop_map(|(v, m)| Act::Grow(v, m)),
        (volume.clone(), 1..3u32, any::<bool>()).prop_map(|(v, s, p)| Act::Mark(v, s, p)),
        (volume.clone(), any::<bool>(), 1..9u64).prop_map(|(v, p, t)| Act::Retire(v, p, t)),
        (volume.clone(), 1..3u32, any::<bool>()).prop_map(|(v, s, p)| Act::TakeBack(v, s, p)),
        volume.prop_map(Act::Destroy),
    ]
}

/// What an act should answer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Ensured(Ensured),
    Absent,
    Conflict,
}

fn size(extents: u64) -> Size {
    Size::from_mib(4 * extents)
}

fn keeping(protect: bool) -> Keeping {
    Keeping { protect, ..Keeping::DEFAULT }
}

fn marks(slot: u32, protect: bool) -> Marks {
    Marks { slot: spec(slot).slot, source: spec(slot).source, keeping: keeping(protect) }
}

type Model = BTreeMap<u32, (VolumeSpec, VolumeState)>;

fn put(spec: &mut VolumeSpec, marks: Marks) -> bool {
    let before = spec.clone();
    (spec.slot, spec.source, spec.keeping) = (marks.slot, marks.source, marks.keeping);
    *spec != before
}

/// The rules, without a disk.
fn expected(model: &mut Model, act: &Act) -> Answer {
    use VolumeState::{Attached, Retired};
    let volume = match act {
        Act::Make(v, _) | Act::Grow(v, _) | Act::Destroy(v) => *v,
        Act::Mark(v, ..) | Act::Retire(v, ..) | Act::TakeBack(v, ..) => *v,
    };
    let found = model.get_mut(&volume);
    match (act, found) {
        (Act::Make(_, n), None) => {
            model.insert(volume, (VolumeSpec { size: size(*n), ..spec(volume) }, Attached));
            Answer::Ensured(Made)
        }
        (Act::Make(_, n), Some((found, Attached)))
            if *found == (VolumeSpec { size: size(*n), ..spec(volume) }) =>
        {
            Answer::Ensured(AlreadySo)
        }
        (Act::Destroy(_), None) => Answer::Ensured(AlreadySo),
        (_, None) => Answer::Absent,
        (Act::Grow(_, n), Some((found, Attached))) if found.size <= size(*n) => {
            let ensured = if found.size == size(*n) { AlreadySo } else { Changed };
            found.size = size(*n);
            Answer::Ensured(ensured)
        }
        (Act::Mark(_, s, p), Some((found, Attached))) => {
            Answer::Ensured(if put(found, marks(*s, *p)) { Changed } else { AlreadySo })
        }
        (Act::Retire(_, p, t), Some((found, state))) => {
            let same = found.keeping == keeping(*p);
            found.keeping = keeping(*p);
            match state {
                Retired { .. } => Answer::Ensured(if same { AlreadySo } else { Changed }),
                _ => {
                    *state = Retired { since: Timestamp(*t) };
                    Answer::Ensured(Changed)
                }
            }
        }
        (Act::TakeBack(_, s, p), Some((found, state @ Retired { .. }))) => {
            put(found, marks(*s, *p));
            *state = Attached;
            Answer::Ensured(Changed)
        }
        (Act::TakeBack(_, s, p), Some((found, Attached))) => {
            match put(&mut found.clone(), marks(*s, *p)) {
                true => Answer::Conflict,
                false => Answer::Ensured(AlreadySo),
            }
        }
        (Act::Destroy(_), Some((found, Retired { .. }))) if !found.keeping.protect => {
            model.remove(&volume);
            Answer::Ensured(Made)
        }
        _ => Answer::Conflict,
    }
}

async fn done(storage: &dyn Storage, act: &Act) -> Answer {
    let answer = match act {
        Act::Make(v, n) => storage.make(&VolumeSpec { size: size(*n), ..spec(*v) }).await,
        Act::Grow(v, n) => storage.grow(&spec(*v).id, size(*n)).await,
        Act::Mark(v, s, p) => storage.mark(&spec(*v).id, &marks(*s, *p)).await,
        Act::Retire(v, p, t) => storage.retire(&spec(*v).id, &keeping(*p), Timestamp(*t)).await,
        Act::TakeBack(v, s, p) => storage.take_back(&spec(*v).id, &marks(*s, *p)).await,
        Act::Destroy(v) => storage.destroy(&spec(*v).id).await,
    };
    match answer {
        Ok(ensured) => Answer::Ensured(ensured),
        Err(StorageError::Absent { .. }) => Answer::Absent,
        Err(StorageError::Conflict { .. }) => Answer::Conflict,
        Err(error) => panic!("{act:?}: {error:?}"),
    }
}

async fn agrees(acts: &[Act]) {
    let place = Place::with_pool(LocalKind::Directory).await;
    let mut model = Model::new();
    for act in acts {
        assert_eq!(done(&place.storage, act).await, expected(&mut model, act), "{act:?}");
        let contents = place.reopened().contents().await.unwrap();
        let found: Model = contents
            .volumes
            .into_values()
            .map(|view| (model_number(&view.spec), (view.spec, view.state)))
            .collect();
        assert_eq!(found, model, "after {act:?}");
        assert!(contents.foreign.is_empty());
    }
}

fn model_number(found: &VolumeSpec) -> u32 {
    (1..4).find(|number| spec(*number).id == found.id).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_acts_end_as_the_rules_say(acts in proptest::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agrees(&acts));
    }
}
