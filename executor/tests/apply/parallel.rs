//! How many steps run at once.

use super::bed::{Bed, manifests};
use async_trait::async_trait;
use executor::apply::{Options, apply};
use executor::ensure::Ensured;
use executor::fake::host::FakeHost;
use executor::host::{Answer, Host, Resumed, StepError};
use planner::model::health::Check;
use planner::model::id::InstanceId;
use planner::model::name::HostName;
use planner::model::observed::{HostView, InstanceView};
use planner::plan::step::Step;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Steps that run on all hosts, now and at most.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A host whose steps take a second.
struct Slow {
    host: Arc<FakeHost>,
    running: Arc<Running>,
}

#[async_trait]
impl Host for Slow {
    fn name(&self) -> &HostName {
        self.host.name()
    }

    async fn observe(&self) -> HostView {
        self.host.observe().await
    }

    async fn act(&self, step: &Step) -> Result<Ensured, StepError> {
        let now = self.running.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.running.most.fetch_max(now, Ordering::Relaxed);
        // By a clock that stands still until all that can begin has begun.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let done = self.host.act(step).await;
        self.running.now.fetch_sub(1, Ordering::Relaxed);
        done
    }

    async fn instance(&self, id: &InstanceId) -> Result<Option<InstanceView>, StepError> {
        self.host.instance(id).await
    }

    async fn ask(&self, instance: &InstanceId, address: Ipv4Addr, check: &Check) -> Answer {
        self.host.ask(instance, address, check).await
    }

    async fn exec(&self, id: &InstanceId, argv: &[OsString]) -> Result<i32, StepError> {
        self.host.exec(id, argv).await
    }

    async fn resume(&self) -> Result<Vec<Resumed>, StepError> {
        self.host.resume().await
    }

    async fn purge(&self) -> Result<(), StepError> {
        self.host.purge().await
    }

    fn log(&self, id: &InstanceId) -> Option<PathBuf> {
        self.host.log(id)
    }
}

/// The most steps that ran at once while that many were allowed to.
async fn most(parallelism: usize) -> usize {
    let bed = Bed::new();
    let (_, checked) = bed.plan(&manifests("one", 2)).await;
    let running = Arc::new(Running::default());
    let mut world = bed.world();
    for (name, host) in &bed.hosts {
        let slow = Slow { host: Arc::clone(host), running: Arc::clone(&running) };
        world.hosts.insert(name.clone(), Arc::new(slow));
    }
    let options = Options {
        parallelism,
        lock_wait: Duration::ZERO,
        purpose: "test".to_owned(),
        by: "test".to_owned(),
    };
    let outcome = apply(&checked, &world, &options).await.unwrap();
    assert!(outcome.is_complete(), "{outcome:#?}");
    running.most.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn hosts_act_at_once_and_no_more_steps_than_allowed() {
    assert_eq!((most(1).await, most(2).await), (1, 2));
    let all = most(100).await;
    assert!(all >= 3, "three hosts, and {all} steps at once");
}
