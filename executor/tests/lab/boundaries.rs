//! Every act cut short at every program that changes something: before it runs, after it ran, in
//! the middle where it is a list of commands, and before each single change where LVM makes them.
//! Then the host is as after a reboot, and the same act is asked for again, or what would be asked
//! for instead.

use super::bed::{self, run};
use super::between::{CUT, put_programs_between, reboot};
use super::cuts::thin_ids;
use crate::storage::contract::{got, put};
use crate::storage::spec;
use executor::ensure::Ensured;
use executor::storage::{Storage, StorageError};
use planner::model::observed::VolumeView;
use planner::model::size::Size;
use planner::model::time::{Millis, Timestamp};
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec, VolumeState};
use planner::plan::step::Marks;

const ACTS: &[Act] = &[
    Act::Make,
    Act::MakeAll,
    Act::Grow,
    Act::Mark,
    Act::Retire,
    Act::TakeBack,
    Act::Snapshot,
    Act::Restore,
    Act::Clone,
    Act::RemoveClone,
    Act::Destroy,
];

/// What an ordinary run does.
const USUAL: &str = "Make/after/Same";

/// Each act and way in a host of its own. `BOUNDARIES=all` does everything, `Grow` or `Grow/cut` what
/// begins so.
#[tokio::test]
async fn what_was_cut_short_goes_on_or_is_taken_back() {
    let asked = std::env::var("BOUNDARIES").unwrap_or_else(|_| USUAL.to_owned());
    for act in ACTS {
        for (how, then) in ways(*act) {
            let name = format!("{act:?}/{how}/{then:?}");
            if asked != "all" && !name.starts_with(&asked) {
                continue;
            }
            let test = "lab::boundaries::what_was_cut_short_goes_on_or_is_taken_back";
            if bed::inside_with(test, &[("BOUNDARIES", name)]) {
                return cut_everywhere(*act, how, *then).await;
            }
        }
    }
}

async fn cut_everywhere(act: Act, how: &'static str, then: Then) {
    let storage = bed::with_pool().await;
    storage.make(&spec(1)).await.unwrap();
    put(&storage.attachment(&spec(1).id).await.unwrap(), "precious").await;
    perform(Act::Snapshot, 2).await.unwrap();
    put_programs_between().await;
    let (mut next, mut at) = (3, 1);
    while cut_short(act, next, Cut { at, how }, then).await {
        (at, next) = (at + 1, next + 2);
    }
    println!("{act:?}: cut {how}, then {then:?}: {} places", at - 1);
    assert!(at > 1, "{act:?} changes nothing");
    thin_ids().await;
    assert_eq!(got(&bed::open().attachment(&spec(1).id).await.unwrap()).await, "precious");
    assert_eq!(volumes().await, [1, 2].map(|number| spec(number).id.to_string()));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Make,
    MakeAll,
    Grow,
    Mark,
    Retire,
    TakeBack,
    Snapshot,
    Restore,
    Clone,
    RemoveClone,
    Destroy,
}

/// What is asked for when the host is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The same act.
    Same,
    /// What is asked for when nobody wants the volume any more.
    Away,
}

/// Before, after or in the middle of the program with that number, or before the change of LVM.
#[derive(Clone, Copy)]
struct Cut {
    at: u32,
    how: &'static str,
}

fn ways(act: Act) -> &'static [(&'static str, Then)] {
    match act {
        // The way of each volume is that of one alone; what is together is LVM's part.
        Act::MakeAll => &[("half", Then::Same), ("after", Then::Same), ("half", Then::Away)],
        // Inside of LVM too, where it makes and removes thin devices.
        Act::Make | Act::Grow | Act::Snapshot | Act::Destroy => &[
            ("after", Then::Same),
            ("before", Then::Same),
            ("after", Then::Away),
            ("cut", Then::Same),
            ("cut", Then::Away),
        ],
        _ => &[("after", Then::Same), ("before", Then::Same), ("after", Then::Away)],
    }
}

/// The act on volumes of that number and the next, cut short; false if it was done before that.
/// In the end they are gone.
async fn cut_short(act: Act, number: u32, cut: Cut, then: Then) -> bool {
    prepare(act, number).await;
    std::fs::write(CUT, format!("{} {}\n", cut.at, cut.how)).unwrap();
    let answer = perform(act, number).await;
    std::fs::remove_file(CUT).unwrap();
    let what = format!("{act:?} cut {} {}, then {then:?}", cut.how, cut.at);
    if answer.is_err() {
        // Where LVM alone was killed, what it left in the kernel may still be there.
        if cut.how != "cut" || cut.at.is_multiple_of(2) {
            reboot().await;
        }
        bed::open().look().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        if then == Then::Same {
            perform(act, number).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        }
    }
    if then == Then::Same || answer.is_ok() {
        let again = perform(act, number).await;
        assert!(matches!(again, Ok(Ensured::AlreadySo)), "{what}, once more: {again:?}");
        for number in number..=number + u32::from(act == Act::MakeAll) {
            done(act, number).await.unwrap_or_else(|view| panic!("{what}: {view}"));
        }
    }
    for number in [number, number + 1] {
        away(number).await.unwrap_or_else(|error| panic!("{what}, away: {error:?}"));
        assert!(!bed::dir().key(&spec(number).id).exists(), "{what}: its key is left");
    }
    let mut left = volumes().await;
    left.retain(|id| [1, 2].iter().all(|number| *id != spec(*number).id.as_str()));
    assert!(left.is_empty(), "{what}: {left:?} is left");
    answer.is_err()
}

/// What must be there before.
async fn prepare(act: Act, number: u32) {
    let (storage, id) = (bed::open(), spec(number).id);
    match act {
        Act::Make | Act::MakeAll | Act::Snapshot | Act::Restore | Act::Clone => return,
        Act::RemoveClone => {
            perform(Act::Clone, number).await.unwrap();
            return;
        }
        Act::Grow | Act::Mark | Act::Retire | Act::TakeBack | Act::Destroy => {}
    }
    storage.make(&spec(number)).await.unwrap();
    put(&storage.attachment(&id).await.unwrap(), "its own").await;
    if matches!(act, Act::TakeBack | Act::Destroy) {
        storage.retire(&id, &Keeping::DEFAULT, Timestamp(2)).await.unwrap();
    }
}

fn larger(number: u32) -> Size {
    spec(number).size.plus(Size::from_mib(32))
}

/// Marks that it does not have from the beginning.
fn kept(number: u32) -> Marks {
    let VolumeSpec { slot, source, keeping, .. } = spec(number);
    Marks { slot, source, keeping: Keeping { retention: Millis::from_days(1), ..keeping } }
}

/// Asks for it as a process does that was just started.
async fn perform(act: Act, number: u32) -> Result<Ensured, StorageError> {
    let (storage, id) = (bed::open(), spec(number).id);
    let copy = async |of: u32, kind| {
        // What it is made of is known to whoever plans it.
        let size = spec(of).size;
        let copy = VolumeSpec { size, kind, origin: Some(spec(of).id), ..spec(number) };
        bed::open().copy(&spec(of).id, &copy, Timestamp(3)).await
    };
    match act {
        Act::Make => storage.make(&spec(number)).await,
        Act::MakeAll => {
            let specs = [spec(number), spec(number + 1)];
            let answers = storage.make_all(&specs).await;
            let answers: Result<Vec<_>, _> = answers.into_iter().collect();
            answers.map(|all| all[0])
        }
        Act::Grow => storage.grow(&id, larger(number)).await,
        Act::Mark => storage.mark(&id, &kept(number)).await,
        Act::Retire => storage.retire(&id, &Keeping::DEFAULT, Timestamp(4)).await,
        Act::TakeBack => storage.take_back(&id, &kept(number)).await,
        Act::Snapshot => copy(1, VolumeKind::Snapshot).await,
        Act::Restore => copy(2, VolumeKind::Own).await,
        Act::Clone => copy(1, VolumeKind::Clone).await,
        Act::RemoveClone => storage.remove_clone(&id).await,
        Act::Destroy => storage.destroy(&id).await,
    }
}

/// Whether all is there that the act makes; what is there instead.
async fn done(act: Act, number: u32) -> Result<(), String> {
    let (storage, id) = (bed::open(), spec(number).id);
    let view = storage.contents().await.unwrap().volumes.remove(&id);
    let retired = |view: &VolumeView| matches!(view.state, VolumeState::Retired { .. });
    let attached = |view: &VolumeView| view.state == VolumeState::Attached;
    let (holds, text) = match (act, &view) {
        (Act::RemoveClone | Act::Destroy, view) => {
            return view.as_ref().map_or(Ok(()), |view| Err(format!("{view:?}")));
        }
        (_, None) => (false, None),
        (Act::Make | Act::MakeAll, Some(view)) => (attached(view), None),
        (Act::Grow, Some(view)) => (view.spec.size == larger(number), Some("its own")),
        (Act::Mark | Act::TakeBack, Some(view)) => {
            (view.spec.keeping == kept(number).keeping && attached(view), Some("its own"))
        }
        (Act::Retire | Act::Snapshot, Some(view)) => (retired(view), None),
        (Act::Restore | Act::Clone, Some(view)) => (attached(view), Some("precious")),
    };
    if !holds || !view.as_ref().is_some_and(|view| view.formatted) {
        return Err(format!("{view:?}"));
    }
    if let Some(text) = text {
        let attachment = storage.attachment(&id).await.unwrap();
        assert_eq!(got(&attachment).await, text, "{act:?}");
        let executor::storage::Medium::Device(device) = attachment.medium else { panic!("none") };
        run(&format!("e2fsck -fn {}", device.display())).await;
    }
    Ok(())
}

/// Does away with the volume in whatever state it is, as a planner would that nobody asks for it.
async fn away(number: u32) -> Result<(), StorageError> {
    let (storage, id) = (bed::open(), spec(number).id);
    let Some(view) = storage.contents().await?.volumes.remove(&id) else { return Ok(()) };
    match (view.spec.kind, view.state) {
        (VolumeKind::Clone, _) => return storage.remove_clone(&id).await.map(drop),
        (VolumeKind::Own, VolumeState::Attached) => {
            storage.attachment(&id).await?;
            storage.retire(&id, &Keeping::DEFAULT, Timestamp(5)).await?;
        }
        // Retired by a slot that goes, or destroyed as it is: one of both.
        (VolumeKind::Own, VolumeState::Making) if number.is_multiple_of(4) => {
            storage.retire(&id, &Keeping::DEFAULT, Timestamp(5)).await?;
        }
        (VolumeKind::Own | VolumeKind::Snapshot, _) => {}
    }
    storage.destroy(&id).await.map(drop)
}

async fn volumes() -> Vec<String> {
    let contents = bed::open().contents().await.unwrap();
    assert!(contents.foreign.is_empty(), "{:?}", contents.foreign);
    contents.volumes.keys().map(ToString::to_string).collect()
}
