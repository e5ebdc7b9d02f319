//! What a proxy in front is told, and when.

use super::bed::{Bed, manifests};
use async_trait::async_trait;
use executor::apply::{Front, Options, apply};
use executor::event::Event;
use executor::fake::host::FakeHost;
use planner::model::id::InstanceId;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What hosts had each time that it was told, and which of those were about to leave.
type Heard = Arc<Mutex<Vec<(BTreeSet<InstanceId>, BTreeSet<InstanceId>)>>>;

struct Proxy {
    hosts: Vec<Arc<FakeHost>>,
    heard: Heard,
    works: bool,
}

impl Proxy {
    fn there(&self) -> BTreeSet<InstanceId> {
        let readings = self.hosts.iter().map(|host| host.reading());
        readings.flat_map(|reading| reading.instances.into_keys()).collect()
    }
}

#[async_trait]
impl Front for Proxy {
    async fn tell(&self, leaving: &BTreeSet<InstanceId>) -> Result<(), String> {
        self.heard.lock().unwrap().push((self.there(), leaving.clone()));
        if self.works { Ok(()) } else { Err("nobody hears".to_owned()) }
    }
}

/// Applies with a proxy in front; what it heard.
async fn applied(bed: &Bed, version: &str, works: bool) -> Heard {
    let (_, checked) = bed.plan(&manifests(version, 2)).await;
    let (heard, hosts) = (Heard::default(), bed.hosts.values().cloned().collect());
    let mut world = bed.world();
    world.front = Some(Box::new(Proxy { hosts, heard: Arc::clone(&heard), works }));
    let options = Options {
        parallelism: 4,
        lock_wait: Duration::ZERO,
        purpose: "test".to_owned(),
        by: "test".to_owned(),
    };
    assert!(apply(&checked, &world, &options).await.unwrap().is_complete());
    heard
}

#[tokio::test(start_paused = true)]
async fn it_is_told_before_an_instance_is_stopped_and_when_one_has_come_up() {
    let bed = Bed::new();
    let heard = applied(&bed, "one", true).await;
    let first = heard.lock().unwrap().last().cloned().unwrap();
    assert_eq!((first.0.len(), first.1.len()), (5, 0));
    let heard = applied(&bed, "two", true).await;
    let heard = heard.lock().unwrap();
    for old in &first.0 {
        let told =
            heard.iter().any(|(there, leaving)| leaving.contains(old) && there.contains(old));
        assert!(told, "{old} was stopped before the proxy knew: {heard:#?}");
    }
    let (last, leaving) = heard.last().unwrap();
    assert_eq!((last.len(), leaving.len()), (5, 0));
    for new in last {
        assert!(!heard[0].0.contains(new), "it came up later");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_goes_on_where_it_cannot_be_told_and_says_so() {
    let bed = Bed::new();
    applied(&bed, "one", false).await;
    let untold = Event::Untold { why: "nobody hears".to_owned() };
    assert!(bed.events.lock().unwrap().contains(&untold));
}
