//! A copy of another fleet's volume that a person put into the pool becomes a volume of ours, with
//! its data; what is anything else stays what it is.

use super::contract::{assert_refused, got, put};
use super::{Place, images_work, spec};
use executor::ensure::Ensured::{AlreadySo, Changed};
use executor::storage::local::LocalKind;
use executor::storage::{Storage, StorageError};
use planner::model::observed::Foreign;
use planner::model::size::Size;
use planner::model::volume::{VolumeSpec, VolumeState};
use std::fs;
use std::path::PathBuf;

/// A pool in which volume 1 of another fleet lies as `old-notes`, with data.
async fn place(kind: LocalKind) -> Place {
    let other = Place::with_pool(kind).await;
    other.storage.make(&spec(1)).await.unwrap();
    put(&other.storage.attachment(&spec(1).id).await.unwrap(), "precious").await;
    let place = Place::with_pool(kind).await;
    let record = other.volume(&spec(1).id).record();
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"prod\"", "\"elsewhere\"")).unwrap();
    fs::rename(other.volume(&spec(1).id).path(), foreign(&place)).unwrap();
    place
}

fn foreign(place: &Place) -> PathBuf {
    place.dir().volumes().join("old-notes")
}

async fn seen(place: &Place) -> Foreign {
    let mut contents = place.reopened().contents().await.unwrap();
    assert_eq!(contents.volumes.len(), 0);
    contents.foreign.remove(0)
}

async fn becomes_ours(kind: LocalKind) {
    let place = place(kind).await;
    let seen = seen(&place).await;
    assert_eq!((seen.name.as_str(), seen.size, seen.cannot), ("old-notes", spec(1).size, None));
    let whose = format!("a copy of {} of fleet elsewhere, slot web/app/ewr/1", spec(1).id);
    assert!(seen.whose.starts_with(&whose), "{}", seen.whose);
    let storage = &place.storage;
    let larger = VolumeSpec { size: Size::from_mib(32), ..spec(2) };
    assert_refused!(storage.adopt("old-notes", &larger).await, Conflict);
    let hold = fs::File::open(foreign(&place).join("hold")).unwrap();
    rustix::fs::flock(&hold, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_refused!(storage.adopt("old-notes", &spec(2)).await, Held);
    drop(hold);
    assert_eq!(storage.adopt("old-notes", &spec(2)).await.unwrap(), Changed);
    assert_eq!(place.reopened().adopt("old-notes", &spec(2)).await.unwrap(), AlreadySo);
    assert!(!foreign(&place).exists());
    let contents = storage.contents().await.unwrap();
    assert_eq!(contents.foreign, []);
    let view = &contents.volumes[&spec(2).id];
    assert_eq!((&view.spec, view.state, view.formatted), (&spec(2), VolumeState::Attached, true));
    assert_eq!(got(&storage.attachment(&spec(2).id).await.unwrap()).await, "precious");
}

#[tokio::test]
async fn a_directory_becomes_ours_with_its_data() {
    becomes_ours(LocalKind::Directory).await;
}

#[tokio::test]
async fn an_image_becomes_ours_with_its_data() {
    if images_work() {
        becomes_ours(LocalKind::Image).await;
    }
}

#[tokio::test]
async fn one_that_was_cut_short_before_it_had_its_name_is_adopted_again() {
    let place = place(LocalKind::Directory).await;
    let done = self::place(LocalKind::Directory).await;
    done.storage.adopt("old-notes", &spec(2)).await.unwrap();
    // Its new marks are written, and it still has the old name.
    fs::copy(done.volume(&spec(2).id).record(), foreign(&place).join("volume.json")).unwrap();
    let seen = seen(&place).await;
    assert_eq!((seen.name.as_str(), seen.size, seen.cannot), ("old-notes", spec(2).size, None));
    assert_eq!(place.reopened().adopt("old-notes", &spec(2)).await.unwrap(), Changed);
    let medium = place.storage.attachment(&spec(2).id).await.unwrap();
    assert_eq!(got(&medium).await, "precious");
}

#[tokio::test]
async fn what_is_no_whole_volume_is_shown_and_not_adopted() {
    type Harm = fn(PathBuf);
    let harms: [(Harm, &str); 5] = [
        (|dir| fs::remove_file(dir.join("volume.json")).unwrap(), "it is no copy of a volume"),
        (|dir| fs::write(dir.join("volume.json"), "{").unwrap(), "cannot be understood"),
        (|dir| fs::remove_dir_all(dir.join("data")).unwrap(), "its data is gone"),
        (
            |dir| {
                let record = dir.join("volume.json");
                let text = fs::read_to_string(&record).unwrap();
                fs::write(&record, text.replace("\"attached\"", "\"erasing\"")).unwrap();
            },
            "it is erasing",
        ),
        (
            |dir| {
                fs::rename(&dir, dir.with_file_name("away")).unwrap();
                std::os::unix::fs::symlink("away", &dir).unwrap();
                fs::rename(dir.with_file_name("away"), dir.join("../../away")).unwrap_or(());
            },
            "symbolic link",
        ),
    ];
    for (harm, why) in harms {
        let place = place(LocalKind::Directory).await;
        harm(foreign(&place));
        let contents = place.storage.contents().await.unwrap();
        let seen = contents.foreign.iter().find(|foreign| foreign.name == "old-notes").unwrap();
        assert!(seen.cannot.as_ref().is_some_and(|said| said.contains(why)), "{why}: {seen:?}");
        assert_refused!(place.storage.adopt("old-notes", &spec(2)).await, Conflict);
        assert!(!place.volume(&spec(2).id).path().exists(), "{why}");
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_or_are_ours_are_not_adopted() {
    let place = place(LocalKind::Directory).await;
    let ours = spec(3);
    place.storage.make(&ours).await.unwrap();
    for name in ["", ".", "..", "../old-notes", "a/b", ours.id.as_str(), "nothing"] {
        assert_refused!(place.storage.adopt(name, &spec(2)).await, Conflict);
    }
    let larger = VolumeSpec { size: Size::from_mib(32), ..ours };
    assert_refused!(place.storage.adopt("old-notes", &larger).await, Conflict);
    assert!(foreign(&place).exists());
}
