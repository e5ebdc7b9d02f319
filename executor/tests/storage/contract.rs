//! What every storage promises, asked of each adapter.

use super::{POOL_SIZE, Place, images_work, marks, spec};
use executor::command::Command;
use executor::ensure::Ensured::{AlreadySo, Changed, Made};
use executor::storage::local::LocalKind;
use executor::storage::{Attachment, Medium, Storage, StorageError};
use planner::model::observed::PoolView;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec, VolumeState};
use planner::plan::step::Marks;

#[tokio::test]
async fn directories_keep_the_contract() {
    let place = Place::new(LocalKind::Directory);
    contract(&place.storage).await;
}

#[tokio::test]
async fn images_keep_the_contract() {
    if images_work() {
        let place = Place::new(LocalKind::Image);
        contract(&place.storage).await;
    }
}

macro_rules! assert_refused {
    ($answer:expr, $variant:ident) => {{
        let answer = $answer;
        assert!(matches!(answer, Err(StorageError::$variant { .. })), "{answer:?}");
    }};
}
pub(crate) use assert_refused;

/// Any storage whose pool is absent.
pub(crate) async fn contract(storage: &dyn Storage) {
    the_pool_is_made_once(storage).await;
    a_volume_is_made_once(storage).await;
    a_volume_grows_and_keeps_its_data(storage).await;
    a_held_volume_is_left_alone(storage).await;
    a_retired_volume_comes_back_with_its_data(storage).await;
    a_snapshot_keeps_what_was_there(storage).await;
    a_clone_is_written_to_and_goes(storage).await;
    a_snapshot_becomes_a_volume_and_goes_before_its_origin(storage).await;
    only_a_retired_unprotected_volume_is_destroyed(storage).await;
}

async fn the_pool_is_made_once(storage: &dyn Storage) {
    assert_eq!(storage.pool().await.unwrap(), PoolView::Absent);
    assert_refused!(storage.contents().await, Absent);
    assert_refused!(storage.make(&spec(1)).await, Absent);
    assert_eq!(storage.make_pool(&marks(1), POOL_SIZE).await.unwrap(), Made);
    assert_eq!(storage.make_pool(&marks(1), POOL_SIZE).await.unwrap(), AlreadySo);
    assert_refused!(storage.make_pool(&marks(2), POOL_SIZE).await, Conflict);
    let PoolView::Present(pool) = storage.pool().await.unwrap() else { panic!("no pool") };
    let marks = marks(1);
    assert_eq!((pool.id, pool.fleet, pool.host), (marks.id, marks.fleet, marks.host));
    assert_eq!((pool.machine, pool.size), (marks.machine, POOL_SIZE));
    assert_eq!(storage.contents().await.unwrap(), executor::storage::Contents::default());
}

async fn a_volume_is_made_once(storage: &dyn Storage) {
    let mut wanted = spec(1);
    wanted.size = Size::from_bytes(wanted.size.bytes() + 1);
    assert_refused!(storage.make(&wanted).await, Conflict);
    assert_refused!(storage.attachment(&wanted.id).await, Absent);
    assert_refused!(storage.grow(&wanted.id, spec(1).size).await, Absent);
    assert_eq!(storage.make(&spec(1)).await.unwrap(), Made);
    put(&storage.attachment(&spec(1).id).await.unwrap(), "precious").await;
    assert_eq!(storage.make(&spec(1)).await.unwrap(), AlreadySo);
    wanted.size = Size::from_mib(32);
    assert_refused!(storage.make(&wanted).await, Conflict);
    let contents = storage.contents().await.unwrap();
    let view = &contents.volumes[&spec(1).id];
    assert_eq!((&view.spec, view.state), (&spec(1), VolumeState::Attached));
    assert!(view.formatted && view.allocated > Size::ZERO && contents.foreign.is_empty());
    let PoolView::Present(pool) = storage.pool().await.unwrap() else { panic!("no pool") };
    assert!(pool.used >= view.allocated, "{pool:?}");
    expect(storage, "precious").await;
}

async fn a_volume_grows_and_keeps_its_data(storage: &dyn Storage) {
    let id = spec(1).id;
    let (more, less) = (Size::from_mib(64), Size::from_mib(16));
    assert_eq!(storage.grow(&id, more).await.unwrap(), Changed);
    assert_eq!(storage.grow(&id, more).await.unwrap(), AlreadySo);
    assert_refused!(storage.grow(&id, less).await, Conflict);
    assert_eq!(storage.contents().await.unwrap().volumes[&id].spec.size, more);
    let keeping = Keeping { protect: true, ..Keeping::DEFAULT };
    let marks = Marks { slot: spec(2).slot, source: spec(1).source, keeping };
    assert_eq!(storage.mark(&id, &marks).await.unwrap(), Changed);
    assert_eq!(storage.mark(&id, &marks).await.unwrap(), AlreadySo);
    let view = storage.contents().await.unwrap().volumes[&id].clone();
    assert_eq!((view.spec.slot, view.spec.keeping), (spec(2).slot, keeping));
    expect(storage, "precious").await;
}

async fn a_held_volume_is_left_alone(storage: &dyn Storage) {
    let id = spec(1).id;
    let attachment = storage.attachment(&id).await.unwrap();
    let holder = std::fs::File::open(&attachment.hold).unwrap();
    rustix::fs::flock(&holder, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let answer = storage.retire(&id, &Keeping::DEFAULT, Timestamp(1)).await;
    let Err(StorageError::Held { holder: named, .. }) = &answer else { panic!("{answer:?}") };
    assert!(named.contains(&std::process::id().to_string()), "{named}");
    let state = storage.contents().await.unwrap().volumes[&id].state;
    assert_eq!(state, VolumeState::Attached);
    // Not only closed: tests beside this one start programs, which have all files for a moment.
    rustix::fs::flock(&holder, rustix::fs::FlockOperation::Unlock).unwrap();
}

async fn a_retired_volume_comes_back_with_its_data(storage: &dyn Storage) {
    let id = spec(1).id;
    let keeping = Keeping { protect: true, ..Keeping::DEFAULT };
    assert_eq!(storage.retire(&id, &keeping, Timestamp(10)).await.unwrap(), Changed);
    assert_eq!(storage.retire(&id, &keeping, Timestamp(20)).await.unwrap(), AlreadySo);
    let state = storage.contents().await.unwrap().volumes[&id].state;
    assert_eq!(state, VolumeState::Retired { since: Timestamp(10) });
    assert_refused!(storage.attachment(&id).await, Conflict);
    assert_refused!(storage.make(&spec(1)).await, Conflict);
    assert_refused!(storage.grow(&id, Size::from_mib(128)).await, Conflict);
    assert_refused!(storage.destroy(&id).await, Conflict);
    let marks = Marks { slot: spec(3).slot, source: spec(3).source, keeping: Keeping::DEFAULT };
    assert_refused!(storage.mark(&id, &marks).await, Conflict);
    assert_eq!(storage.take_back(&id, &marks).await.unwrap(), Changed);
    assert_eq!(storage.take_back(&id, &marks).await.unwrap(), AlreadySo);
    let view = storage.contents().await.unwrap().volumes[&id].clone();
    assert_eq!((view.spec.slot, view.state), (spec(3).slot, VolumeState::Attached));
    expect(storage, "precious").await;
}

/// A copy of volume 1 as it is now.
async fn copy(storage: &dyn Storage, number: u32, kind: VolumeKind) -> VolumeSpec {
    let of = storage.contents().await.unwrap().volumes[&spec(1).id].spec.clone();
    VolumeSpec { id: spec(number).id, kind, origin: Some(of.id.clone()), ..of }
}

async fn a_snapshot_keeps_what_was_there(storage: &dyn Storage) {
    let id = spec(1).id;
    let name = Some("before-upgrade".parse().unwrap());
    let snapshot = VolumeSpec { name, ..copy(storage, 8, VolumeKind::Snapshot).await };
    assert_refused!(storage.copy(&spec(9).id, &snapshot, Timestamp(25)).await, Absent);
    let larger = VolumeSpec { size: Size::from_mib(128), ..snapshot.clone() };
    assert_refused!(storage.copy(&id, &larger, Timestamp(25)).await, Conflict);
    assert_eq!(storage.contents().await.unwrap().volumes.len(), 1, "nothing was begun");
    assert_eq!(storage.copy(&id, &snapshot, Timestamp(25)).await.unwrap(), Made);
    put_anew(&storage.attachment(&id).await.unwrap(), "later").await;
    assert_eq!(storage.copy(&id, &snapshot, Timestamp(26)).await.unwrap(), AlreadySo);
    let view = storage.contents().await.unwrap().volumes[&snapshot.id].clone();
    assert_eq!((&view.spec, view.formatted), (&snapshot, true));
    assert_eq!(view.state, VolumeState::Retired { since: Timestamp(25) });
    // Nothing is started on it, and it becomes no slot's own.
    let marks = Marks { slot: spec(1).slot, source: spec(1).source, keeping: Keeping::DEFAULT };
    assert_refused!(storage.attachment(&snapshot.id).await, Conflict);
    assert_refused!(storage.take_back(&snapshot.id, &marks).await, Conflict);
    assert_refused!(storage.remove_clone(&snapshot.id).await, Conflict);
}

async fn a_clone_is_written_to_and_goes(storage: &dyn Storage) {
    let clone = copy(storage, 7, VolumeKind::Clone).await;
    assert_eq!(storage.remove_clone(&clone.id).await.unwrap(), AlreadySo);
    assert_eq!(storage.copy(&spec(1).id, &clone, Timestamp(27)).await.unwrap(), Made);
    assert_eq!(storage.copy(&spec(1).id, &clone, Timestamp(27)).await.unwrap(), AlreadySo);
    let attachment = storage.attachment(&clone.id).await.unwrap();
    assert_eq!(got(&attachment).await, "later");
    put_anew(&attachment, "scribble").await;
    expect(storage, "later").await;
    assert_refused!(storage.remove_clone(&spec(1).id).await, Conflict);
    assert_refused!(storage.destroy(&clone.id).await, Conflict);
    assert_eq!(storage.remove_clone(&clone.id).await.unwrap(), Made);
    assert_eq!(storage.remove_clone(&clone.id).await.unwrap(), AlreadySo);
    assert_refused!(storage.attachment(&clone.id).await, Absent);
    expect(storage, "later").await;
}

async fn a_snapshot_becomes_a_volume_and_goes_before_its_origin(storage: &dyn Storage) {
    let (id, snapshot) = (spec(1).id, spec(8).id);
    let restored =
        VolumeSpec { origin: Some(snapshot.clone()), ..copy(storage, 6, VolumeKind::Own).await };
    assert_eq!(storage.copy(&snapshot, &restored, Timestamp(28)).await.unwrap(), Made);
    assert_eq!(storage.copy(&snapshot, &restored, Timestamp(28)).await.unwrap(), AlreadySo);
    let attachment = storage.attachment(&restored.id).await.unwrap();
    assert_eq!(got(&attachment).await, "precious");
    expect(storage, "later").await;
    storage.retire(&id, &Keeping::DEFAULT, Timestamp(29)).await.unwrap();
    assert_refused!(storage.destroy(&id).await, Conflict);
    assert_eq!(storage.destroy(&snapshot).await.unwrap(), Made);
    // What was made of it stays, whatever becomes of what it was made of.
    put_anew(&attachment, "precious").await;
    assert_eq!(storage.destroy(&id).await.unwrap(), Made);
    assert_eq!(got(&storage.attachment(&restored.id).await.unwrap()).await, "precious");
    storage.retire(&restored.id, &Keeping::DEFAULT, Timestamp(29)).await.unwrap();
    storage.destroy(&restored.id).await.unwrap();
    storage.make(&spec(1)).await.unwrap();
    put(&storage.attachment(&id).await.unwrap(), "precious").await;
}

async fn only_a_retired_unprotected_volume_is_destroyed(storage: &dyn Storage) {
    let id = spec(1).id;
    assert_refused!(storage.destroy(&id).await, Conflict);
    expect(storage, "precious").await;
    storage.retire(&id, &Keeping::DEFAULT, Timestamp(30)).await.unwrap();
    assert_eq!(storage.destroy(&id).await.unwrap(), Made);
    assert_eq!(storage.destroy(&id).await.unwrap(), AlreadySo);
    assert_refused!(storage.attachment(&id).await, Absent);
    assert_eq!(storage.contents().await.unwrap(), executor::storage::Contents::default());
}

/// Writes a file into an attached volume, as an instance would.
pub(crate) async fn put(attachment: &Attachment, text: &str) {
    match &attachment.medium {
        Medium::Directory(directory) => std::fs::write(directory.join("file"), text).unwrap(),
        Medium::Image(image) | Medium::Device(image) => {
            let source = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(source.path(), text).unwrap();
            let request = format!("write {} data/file", source.path().display());
            let command = Command::named("debugfs").unwrap().args(["-w", "-R", &request]);
            command.arg(image).output().await.unwrap();
        }
    }
}

/// Writes the file again.
async fn put_anew(attachment: &Attachment, text: &str) {
    if let Medium::Image(image) | Medium::Device(image) = &attachment.medium {
        let command = Command::named("debugfs").unwrap().args(["-w", "-R", "rm data/file"]);
        command.arg(image).output().await.unwrap();
    }
    put(attachment, text).await;
}

/// What is in the file.
pub(crate) async fn got(attachment: &Attachment) -> String {
    match &attachment.medium {
        Medium::Directory(directory) => std::fs::read_to_string(directory.join("file")).unwrap(),
        Medium::Image(image) | Medium::Device(image) => {
            let command = Command::named("debugfs").unwrap().args(["-R", "cat data/file"]);
            let output = command.arg(image).output().await.unwrap();
            String::from_utf8(output.stdout).unwrap()
        }
    }
}

async fn expect(storage: &dyn Storage, text: &str) {
    assert_eq!(got(&storage.attachment(&spec(1).id).await.unwrap()).await, text);
}
