//! What a crash, a copy, a person or another fleet can leave in a pool. Whatever is found: what
//! is ours is finished or named, what is not ours is shown and never touched.

use super::contract::{assert_refused, got, put};
use super::{POOL_SIZE, Place, marks, spec};
use executor::ensure::Ensured::{AlreadySo, Changed, Made};
use executor::storage::local::{LocalKind, LocalStorage};
use executor::storage::{Storage, StorageError};
use planner::model::observed::PoolView;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeKind, VolumeSpec, VolumeState};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A pool with one attached volume that has data.
async fn with_volume() -> Place {
    let place = Place::with_pool(LocalKind::Directory).await;
    place.storage.make(&spec(1)).await.unwrap();
    put(&place.storage.attachment(&spec(1).id).await.unwrap(), "precious").await;
    place
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Every file with its content.
fn snapshot(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(snapshot(&path)),
            false => {
                found.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    found
}

/// Every act on the volume is refused as unreadable and changes nothing.
async fn assert_untouchable(place: &Place) {
    let (storage, id) = (&place.storage, &spec(1).id);
    let before = snapshot(place.dir().path());
    assert_refused!(storage.contents().await, Unreadable);
    assert_refused!(storage.make(&spec(1)).await, Unreadable);
    assert_refused!(storage.retire(id, &Keeping::DEFAULT, Timestamp(1)).await, Unreadable);
    assert_refused!(storage.destroy(id).await, Unreadable);
    assert_refused!(storage.attachment(id).await, Unreadable);
    assert_eq!(snapshot(place.dir().path()), before);
}

#[tokio::test]
async fn a_damaged_record_of_a_volume_is_unknown_not_absent() {
    for damage in ["", "{", "{\"version\":1}", "null", "{\"version\":2}"] {
        let place = with_volume().await;
        fs::write(place.volume(&spec(1).id).record(), damage).unwrap();
        assert_untouchable(&place).await;
    }
    let place = with_volume().await;
    fs::remove_file(place.volume(&spec(1).id).record()).unwrap();
    assert_untouchable(&place).await;
}

#[tokio::test]
async fn links_in_place_of_what_is_ours_are_not_followed() {
    let place = with_volume().await;
    let (dir, away) = (place.volume(&spec(1).id), place.dir().path().join("away"));
    fs::rename(dir.path(), &away).unwrap();
    symlink(&away, dir.path()).unwrap();
    assert_untouchable(&place).await;

    let place = with_volume().await;
    let (record, away) = (place.volume(&spec(1).id).record(), place.dir().path().join("away.json"));
    fs::rename(&record, &away).unwrap();
    symlink(&away, &record).unwrap();
    assert_untouchable(&place).await;

    let place = with_volume().await;
    let (volumes, away) = (place.dir().volumes(), place.dir().path().join("away"));
    fs::rename(&volumes, &away).unwrap();
    symlink(&away, &volumes).unwrap();
    assert_refused!(place.storage.pool().await, Unreadable);
    assert_refused!(place.storage.contents().await, Unreadable);
}

#[tokio::test]
async fn data_that_is_gone_is_an_error() {
    let place = with_volume().await;
    fs::remove_dir_all(place.volume(&spec(1).id).data()).unwrap();
    assert_refused!(place.storage.contents().await, Unreadable);
    assert_refused!(place.storage.make(&spec(1)).await, Unreadable);
    assert_refused!(place.storage.attachment(&spec(1).id).await, Unreadable);
}

#[tokio::test]
async fn a_pool_without_marks_is_absent_only_if_it_is_empty() {
    let place = Place::with_pool(LocalKind::Directory).await;
    fs::remove_file(place.dir().pool()).unwrap();
    assert_eq!(place.storage.pool().await.unwrap(), PoolView::Absent);
    let place = with_volume().await;
    fs::remove_file(place.dir().pool()).unwrap();
    assert_refused!(place.storage.pool().await, Unreadable);
    assert_refused!(place.storage.make_pool(&marks(2), POOL_SIZE).await, Unreadable);
    for damage in ["", "{\"version\":9}", "[]"] {
        fs::write(place.dir().pool(), damage).unwrap();
        assert_refused!(place.storage.pool().await, Unreadable);
        assert_refused!(place.storage.make_pool(&marks(1), POOL_SIZE).await, Unreadable);
    }
}

#[tokio::test]
async fn a_pool_of_another_kind_or_user_is_not_used() {
    let place = with_volume().await;
    edit(&place.dir().pool(), "\"directory\"", "\"image\"");
    assert_refused!(place.storage.pool().await, Unreadable);
    let place = with_volume().await;
    let me = rustix::process::geteuid().as_raw();
    edit(&place.dir().pool(), &format!("\"owner_uid\": {me}"), "\"owner_uid\": 4242");
    assert_refused!(place.storage.pool().await, Unreadable);
    assert_refused!(place.storage.make(&spec(2)).await, Unreadable);
}

#[tokio::test]
async fn another_pools_marks_make_its_volumes_foreign() {
    let place = with_volume().await;
    let (ours, other) = (marks(1).id, marks(2).id);
    edit(&place.dir().pool(), ours.as_str(), other.as_str());
    let PoolView::Present(pool) = place.storage.pool().await.unwrap() else { panic!("no pool") };
    assert_eq!(pool.id, other);
    let contents = place.storage.contents().await.unwrap();
    assert!(contents.volumes.is_empty());
    assert_eq!(contents.foreign.len(), 1);
    assert_eq!(contents.foreign[0].size, spec(1).size);
    assert!(contents.foreign[0].whose.contains(ours.as_str()), "{:?}", contents.foreign);
    let before = snapshot(place.dir().path());
    assert_refused!(place.storage.make(&spec(1)).await, Conflict);
    assert_refused!(place.storage.destroy(&spec(1).id).await, Conflict);
    assert_eq!(snapshot(place.dir().path()), before);
}

#[tokio::test]
async fn a_pool_of_another_fleet_is_shown_and_not_used() {
    let place = with_volume().await;
    let (fleet, host) = ("other".parse().unwrap(), "ewr-1".parse().unwrap());
    let other = LocalStorage::new(fleet, host, place.dir().path(), LocalKind::Directory);
    let PoolView::Present(pool) = other.pool().await.unwrap() else { panic!("no pool") };
    assert_eq!(pool.fleet, super::fleet());
    assert_refused!(other.contents().await, Conflict);
    assert_refused!(other.make(&spec(2)).await, Conflict);
    assert_refused!(other.destroy(&spec(1).id).await, Conflict);
}

#[tokio::test]
async fn what_is_not_ours_is_shown_and_never_touched() {
    let place = with_volume().await;
    let volumes = place.dir().volumes();
    let (theirs, copy) = (place.volume(&spec(2).id), volumes.join("vol_1.bak"));
    copy_dir(place.volume(&spec(1).id).path(), theirs.path());
    edit(&theirs.record(), spec(1).id.as_str(), spec(2).id.as_str());
    edit(&theirs.record(), "\"prod\"", "\"staging\"");
    copy_dir(place.volume(&spec(1).id).path(), &copy);
    fs::write(volumes.join("notes.txt"), "x".repeat(10_000)).unwrap();
    symlink("/", volumes.join("link")).unwrap();
    let remnant = place.dir().volume_coming(&spec(3).id);
    fs::create_dir(remnant.path()).unwrap();
    fs::write(remnant.path().join("surprise"), "").unwrap();
    let contents = place.storage.contents().await.unwrap();
    assert_eq!(contents.volumes.len(), 1);
    let foreign: Vec<_> =
        contents.foreign.iter().map(|f| (f.name.as_str(), f.whose.as_str())).collect();
    let expected = "fleet staging, slot web/app/ewr/1, pool 00000001-aaaa";
    assert!(foreign.contains(&(spec(2).id.as_str(), expected)), "{foreign:?}");
    assert!(foreign.iter().any(|(n, w)| *n == "vol_1.bak" && w.starts_with("a copy of vol_")));
    for name in ["notes.txt", "link"] {
        assert!(foreign.contains(&(name, "nobody that is known")), "{foreign:?}");
    }
    assert_eq!(foreign.len(), 5, "{foreign:?}");
    let before = snapshot(&volumes);
    assert_refused!(place.storage.make(&spec(2)).await, Conflict);
    assert_refused!(place.storage.make(&spec(3)).await, Conflict);
    assert_refused!(place.storage.destroy(&spec(2).id).await, Conflict);
    assert_eq!(snapshot(&volumes), before);
}

#[tokio::test]
async fn a_volume_with_the_record_of_another_is_an_error() {
    let place = with_volume().await;
    let copied = place.volume(&spec(2).id);
    copy_dir(place.volume(&spec(1).id).path(), copied.path());
    assert_refused!(place.storage.contents().await, Unreadable);
    assert_refused!(place.storage.make(&spec(2)).await, Unreadable);
}

#[tokio::test]
async fn an_interrupted_making_is_done_again_until_the_volume_was_attached() {
    let place = with_volume().await;
    let dir = place.volume(&spec(1).id);
    edit(&dir.record(), "\"attached\"", "\"making\"");
    assert_refused!(place.storage.make(&spec(1)).await, Conflict);
    edit(&dir.record(), "\"ever_attached\": true", "\"ever_attached\": false");
    assert_refused!(place.storage.make(&spec(1)).await, Conflict);
    assert_eq!(fs::read_to_string(dir.data().join("file")).unwrap(), "precious");
    edit(&dir.record(), "\"formatted\": true", "\"formatted\": false");
    let contents = place.storage.contents().await.unwrap();
    assert_eq!(contents.volumes[&spec(1).id].state, VolumeState::Making);
    assert_refused!(place.storage.attachment(&spec(1).id).await, Conflict);
    let mut other = spec(1);
    other.size = planner::model::size::Size::from_mib(32);
    assert_eq!(place.storage.make(&other).await.unwrap(), Made);
    assert_eq!(fs::read_dir(dir.data()).unwrap().count(), 0);
    assert_eq!(place.storage.contents().await.unwrap().volumes[&spec(1).id].spec, other);
}

#[tokio::test]
async fn what_a_crash_left_before_the_name_or_after_it_is_swept() {
    let place = with_volume().await;
    for dir in [place.dir().volume_coming(&spec(2).id), place.dir().volume_going(&spec(2).id)] {
        fs::create_dir(dir.path()).unwrap();
        fs::write(dir.path().join(".volume.json.new"), "{\"vers").unwrap();
        fs::write(dir.hold(), "").unwrap();
    }
    let contents = place.storage.contents().await.unwrap();
    assert_eq!((contents.volumes.len(), contents.foreign.len()), (1, 0));
    assert_eq!(place.storage.make(&spec(2)).await.unwrap(), Made);
    assert_eq!(fs::read_dir(place.dir().volumes()).unwrap().count(), 2);
    place.storage.retire(&spec(2).id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    fs::create_dir(place.dir().volume_going(&spec(2).id).path()).unwrap();
    assert_eq!(place.storage.destroy(&spec(2).id).await.unwrap(), Made);
    fs::create_dir(place.dir().volume_going(&spec(2).id).path()).unwrap();
    assert_eq!(place.storage.destroy(&spec(2).id).await.unwrap(), AlreadySo);
    assert_eq!(fs::read_dir(place.dir().volumes()).unwrap().count(), 1);
}

#[tokio::test]
async fn an_interrupted_destruction_is_finished_and_nothing_else_is_done_to_it() {
    let place = with_volume().await;
    let dir = place.volume(&spec(1).id);
    place.storage.retire(&spec(1).id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    let record = fs::read_to_string(dir.record()).unwrap();
    let since = record.lines().find(|line| line.contains("\"since\"")).unwrap();
    fs::write(dir.record(), record.replace("\"retired\"", "\"erasing\"").replace(since, ""))
        .unwrap();
    fs::remove_dir_all(dir.data()).unwrap();
    let contents = place.storage.contents().await.unwrap();
    assert_eq!(contents.volumes[&spec(1).id].state, VolumeState::Erasing);
    let (storage, id) = (&place.storage, &spec(1).id);
    let marks = planner::plan::step::Marks {
        slot: spec(1).slot,
        source: spec(1).source,
        keeping: Keeping::DEFAULT,
    };
    assert_refused!(storage.make(&spec(1)).await, Conflict);
    assert_refused!(storage.take_back(id, &marks).await, Conflict);
    assert_refused!(storage.retire(id, &Keeping::DEFAULT, Timestamp(2)).await, Conflict);
    assert_eq!(storage.destroy(id).await.unwrap(), Made);
    assert!(!dir.path().exists());
}

#[tokio::test]
async fn data_whose_owner_locked_itself_out_is_destroyed_all_the_same() {
    let place = with_volume().await;
    let locked = place.volume(&spec(1).id).data().join("cache");
    fs::create_dir(&locked).unwrap();
    fs::write(locked.join("file"), "").unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    place.storage.retire(&spec(1).id, &Keeping::DEFAULT, Timestamp(1)).await.unwrap();
    assert_eq!(place.storage.destroy(&spec(1).id).await.unwrap(), Made);
}

#[tokio::test]
async fn a_volume_that_was_never_whole_is_not_taken_back() {
    let place = Place::with_pool(LocalKind::Directory).await;
    place.storage.make(&spec(1)).await.unwrap();
    let record = place.volume(&spec(1).id).record();
    edit(&record, "\"attached\"", "\"making\"");
    edit(&record, "\"ever_attached\": true", "\"ever_attached\": false");
    edit(&record, "\"formatted\": true", "\"formatted\": false");
    let (id, keeping) = (spec(1).id, Keeping::DEFAULT);
    assert_eq!(place.storage.retire(&id, &keeping, Timestamp(1)).await.unwrap(), Changed);
    let marks = planner::plan::step::Marks { slot: spec(1).slot, source: spec(1).source, keeping };
    assert_refused!(place.storage.take_back(&id, &marks).await, Conflict);
    assert_eq!(place.storage.destroy(&id).await.unwrap(), Made);
}

#[tokio::test]
async fn everything_is_there_for_the_next_process() {
    let place = with_volume().await;
    let before = place.storage.contents().await.unwrap();
    let again = place.reopened();
    assert_eq!(again.contents().await.unwrap(), before);
    assert_eq!(got(&again.attachment(&spec(1).id).await.unwrap()).await, "precious");
}

#[tokio::test]
async fn a_directory_in_use_is_not_copied() {
    let place = Place::with_pool(LocalKind::Directory).await;
    place.storage.make(&spec(1)).await.unwrap();
    let hold = place.storage.attachment(&spec(1).id).await.unwrap().hold;
    let hold = fs::File::open(hold).unwrap();
    rustix::fs::flock(&hold, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let kind = VolumeKind::Snapshot;
    let copy = VolumeSpec { id: spec(2).id, kind, origin: Some(spec(1).id), ..spec(1) };
    assert_refused!(place.storage.copy(&spec(1).id, &copy, Timestamp(1)).await, Held);
    rustix::fs::flock(&hold, rustix::fs::FlockOperation::Unlock).unwrap();
    // What was begun is finished now.
    assert_eq!(place.storage.copy(&spec(1).id, &copy, Timestamp(2)).await.unwrap(), Made);
}
