//! Looks at all hosts at once, and asks the checks of what runs on them. Changes nothing.

use crate::clock;
use crate::host::{Answer, Host};
use futures::future::join_all;
use planner::model::health::{Check, Said};
use planner::model::instance::Role;
use planner::model::name::{AppName, GroupName, HostName};
use planner::model::observed::{HostView, InstanceState, InstanceView, Observed};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a host may take to answer. A host that takes longer is unread.
const PATIENCE: Duration = Duration::from_secs(30);

/// Checks by app and group, as the manifests have them.
pub type Checks = BTreeMap<(AppName, GroupName), Vec<Check>>;

/// Looks at every host. Instances that serve are asked each of their group's checks once, so that
/// a plan knows which slots are unhealthy; with no checks nothing is said of their health.
pub async fn observe(hosts: &BTreeMap<HostName, Arc<dyn Host>>, checks: &Checks) -> Observed {
    let views = hosts.iter().map(async |(name, host)| {
        let view = tokio::time::timeout(PATIENCE, look(&**host, checks)).await;
        let view = view.unwrap_or_else(|_| HostView::Unread {
            why: format!("it did not answer within {} s", PATIENCE.as_secs()),
            hint: "see whether the machine or its disks are stuck".to_owned(),
        });
        (name.clone(), view)
    });
    join_all(views).await.into_iter().collect()
}

async fn look(host: &dyn Host, checks: &Checks) -> HostView {
    let mut view = host.observe().await;
    match &view {
        HostView::Read(reading) => tracing::debug!(
            host = %host.name(),
            volumes = reading.volumes.len(),
            instances = reading.instances.len(),
            "host read"
        ),
        HostView::Unread { why, .. } => tracing::warn!(host = %host.name(), %why, "host not read"),
    }
    if let HostView::Read(reading) = &mut view {
        reading.asked_at = clock::now();
        join_all(reading.instances.values_mut().map(|instance| ask(host, instance, checks))).await;
    }
    view
}

async fn ask(host: &dyn Host, instance: &mut InstanceView, checks: &Checks) {
    let key = (instance.slot.app.clone(), instance.slot.group.clone());
    let Some(checks) = checks.get(&key).filter(|checks| !checks.is_empty()) else { return };
    let serves = match instance.role {
        Role::Main | Role::Canary | Role::Green => true,
        Role::Release | Role::Run => false,
    };
    if !serves || instance.state != InstanceState::Running {
        return;
    }
    let asked = checks.iter().map(|check| host.ask(&instance.id, instance.address, check));
    let answers = join_all(asked).await;
    let mut early = false;
    for (check, answer) in checks.iter().zip(&answers) {
        let instead = match answer {
            Answer::Passing => None,
            Answer::Failing { seen } => Some(seen.clone()),
        };
        early |= instead.is_some() && in_grace(instance, check);
        instance.said.push(Said { check: check.name.to_string(), instead });
    }
    let passing = answers.iter().all(|answer| *answer == Answer::Passing);
    instance.healthy = (passing || !early).then_some(passing);
}

/// Whether the instance was started so lately that a failure of the check does not count.
fn in_grace(instance: &InstanceView, check: &Check) -> bool {
    instance.up_since.is_some_and(|since| clock::now().since(since) < check.grace_period)
}
