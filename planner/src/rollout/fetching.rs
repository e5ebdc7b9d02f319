//! Images are on their hosts before anything is stopped for them: a registry that is slow, or down,
//! takes nothing down.

use super::{push, removal::lane, step};
use crate::model::artifact::Artifact;
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::plan::step::{Act, Step};
use crate::plan::{Lane, Rollout};
use crate::recover::Ground;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// Puts a wave before all others in which each host fetches what the rollout starts there and it
/// does not have.
pub(super) fn first(ground: &Ground<'_>, rollout: &mut Rollout) {
    let steps = rollout.waves.iter().flat_map(|wave| &wave.lanes).flat_map(|lane| &lane.steps);
    let mut fetched: BTreeMap<(HostName, &str), Step> = BTreeMap::new();
    for started in steps {
        let Act::StartInstance { instance } = &started.act else { continue };
        let Artifact::Image { reference, digest } = &instance.artifact else { continue };
        let host = &started.host;
        let is_there = |host| {
            let trusted = ground.trusted.get(host);
            trusted.is_some_and(|trusted| trusted.reading.images.contains(digest.as_str()))
        };
        if !is_there(host) {
            let fetch = || step::fetch_image(host, reference, digest);
            fetched.entry((host.clone(), digest)).or_insert_with(fetch);
        }
    }
    let fetched = fetched.into_values();
    let lanes: Vec<Lane> = fetched
        .map(|fetch| {
            let object = Object::Host { host: fetch.host.clone() };
            lane(object, vec![fetch], Vec::new())
        })
        .collect();
    let mut waves = Vec::new();
    push(&mut waves, "fetch images", lanes);
    waves.append(&mut rollout.waves);
    rollout.waves = waves;
}
