//! A process that is killed in the middle of whatever it does to a pool: the same act, done
//! again by another process, ends where it should have.

use super::{Place, spec};
use crate::child::Child;
use executor::storage::Storage;
use executor::storage::local::{LocalKind, LocalStorage};
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeState};
use planner::plan::step::Marks;

const NAME: &str = "storage::killed::whatever_a_killed_process_did_can_be_done_again";

/// One life after the other, all of the same volume, until it is killed.
async fn live(storage: &LocalStorage) {
    let (wanted, keeping) = (spec(1), Keeping::DEFAULT);
    let marks = Marks { slot: spec(2).slot, source: spec(2).source, keeping };
    for round in 0.. {
        storage.make(&wanted).await.unwrap();
        let medium = storage.attachment(&wanted.id).await.unwrap().medium;
        if let executor::storage::Medium::Directory(directory) = medium {
            for name in ["a", "b", "c"] {
                std::fs::create_dir_all(directory.join(name).join("deep")).unwrap();
            }
        }
        storage.mark(&wanted.id, &marks).await.unwrap();
        storage.retire(&wanted.id, &keeping, Timestamp(1)).await.unwrap();
        storage.destroy(&wanted.id).await.unwrap();
        println!("ack {round}");
    }
}

#[tokio::test]
async fn whatever_a_killed_process_did_can_be_done_again() {
    if let Some(directory) = Child::state() {
        let (fleet, host) = (super::fleet(), "ewr-1".parse().unwrap());
        return live(&LocalStorage::new(fleet, host, directory, LocalKind::Directory)).await;
    }
    let place = Place::with_pool(LocalKind::Directory).await;
    for acks in 0..12 {
        let mut child = Child::start(NAME, place.dir().path());
        child.wait_for("ack", acks % 4 + 1);
        child.kill();
        // Whatever it was in the middle of, everything can be read and brought to an end.
        let storage = place.reopened();
        let contents = storage.contents().await.unwrap();
        assert!(contents.foreign.is_empty(), "{contents:?}");
        let id = &spec(1).id;
        match contents.volumes.get(id).map(|view| view.state) {
            None => {}
            Some(VolumeState::Making) => drop(storage.make(&spec(1)).await.unwrap()),
            Some(VolumeState::Attached | VolumeState::Retired { .. }) => {
                assert!(contents.volumes[id].formatted);
            }
            Some(VolumeState::Erasing) => drop(storage.destroy(id).await.unwrap()),
        }
        if storage.contents().await.unwrap().volumes.contains_key(id) {
            storage.retire(id, &Keeping::DEFAULT, Timestamp(2)).await.unwrap();
            storage.destroy(id).await.unwrap();
        }
        storage.make(&spec(2)).await.unwrap();
        let left =
            std::fs::read_dir(place.dir().volumes()).unwrap().map(|e| e.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.retain(|name| name.to_str() != Some(spec(2).id.as_str()));
        let remnants = left.iter().all(|name| name.to_string_lossy().contains(id.as_str()));
        assert!(remnants && left.len() <= 1, "{left:?}");
    }
}
