//! Failures: the first stops its rollout, others go on, and the outcome says what was not tried.

use super::bed::{Bed, manifests};
use executor::catalog::{Catalog, Holder, LockName};
use executor::host::Host;
use planner::model::instance::Role;
use planner::model::object::Object;
use planner::model::observed::InstanceState;
use planner::model::permit::{Permit, Permits};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::plan::ClaimAct;
use planner::report::Kind;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_sick_slot_stops_its_rollout_and_is_remembered() {
    let bed = Bed::new();
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    for host in bed.hosts.values() {
        for instance in host.reading().instances.values().filter(|i| i.slot.app.as_str() == "store")
        {
            host.sicken(instance.address, true);
        }
    }
    // All slots of the store are sick now: unhealthy ones are free, and go at once.
    let outcome = bed.apply(&manifests("two", 2)).await.unwrap();
    assert!(!outcome.is_complete());
    assert!(outcome.failures.iter().all(|failure| failure.step.is_none()), "{outcome:#?}");
    let web = outcome.rollouts_done.iter().any(|rollout| rollout.0.starts_with("web"));
    assert!(web, "the web group does not wait for the store: {outcome:#?}");

    let (planned, _) = bed.plan(&manifests("two", 2)).await;
    assert!(planned.plan.is_empty(), "{:#?}", planned.plan.changes);
    assert!(planned.report.has(Kind::Waiting), "{:#?}", planned.report);

    for host in bed.hosts.values() {
        let addresses: Vec<_> = host.reading().instances.values().map(|i| i.address).collect();
        addresses.into_iter().for_each(|address| host.sicken(address, false));
    }
    let mut bed = bed;
    bed.permits = Permits::NONE.grant(Permit::Retry);
    assert!(bed.apply(&manifests("two", 2)).await.unwrap().is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_once_is_done_by_the_next_apply() {
    let bed = Bed::new();
    let ewr: planner::model::name::HostName = "ewr-1".parse().unwrap();
    bed.hosts[&ewr].fail("make-volume", 1, "the disk said no");
    let outcome = bed.apply(&manifests("one", 2)).await.unwrap();
    assert_eq!(outcome.failures.len(), 1, "{outcome:#?}");
    assert!(outcome.failures[0].why.contains("the disk said no"));
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    let (planned, _) = bed.plan(&manifests("one", 2)).await;
    assert!(planned.plan.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_object_was_changed_meanwhile_is_stale_and_the_rest_goes_on() {
    let bed = Bed::new();
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    let bigger: Vec<String> = manifests("one", 2)
        .into_iter()
        .map(|text| {
            text.replace(
                "destination = \"/data\"",
                "destination = \"/data\"\ninitial_size = \"20gb\"",
            )
        })
        .collect();
    let (_, checked) = bed.plan(&bigger).await;
    let ewr: planner::model::name::HostName = "ewr-1".parse().unwrap();
    bed.hosts[&ewr].meddle(|reading| {
        for volume in reading.volumes.values_mut() {
            volume.spec.size = Size::from_gb(40);
        }
    });
    let options = executor::apply::Options {
        parallelism: 2,
        lock_wait: Duration::ZERO,
        purpose: "test".to_owned(),
        by: "test".to_owned(),
    };
    let outcome = executor::apply::apply(&checked, &bed.world(), &options).await.unwrap();
    assert!(outcome.failures.iter().any(|failure| failure.stale), "{outcome:#?}");
    assert!(!outcome.done.is_empty(), "other volumes grew: {outcome:#?}");
    let kept = bed.hosts[&ewr].reading();
    assert!(kept.volumes.values().all(|volume| volume.spec.size == Size::from_gb(40)));
}

#[tokio::test(start_paused = true)]
async fn a_sick_canary_is_removed_and_the_group_is_not_touched() {
    let bed = Bed::new();
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    let mains = |bed: &Bed| -> Vec<_> {
        let readings = bed.hosts.values().map(|host| host.reading());
        let instances = readings.flat_map(|reading| reading.instances.into_values());
        let web = instances.filter(|i| i.slot.app.as_str() == "web");
        web.map(|i| (i.id, i.role)).collect()
    };
    let before = mains(&bed);
    for host in bed.hosts.values() {
        let used: Vec<_> = host.reading().instances.values().map(|i| i.address).collect();
        for last in 2..40 {
            let octets = used.first().map_or([10, 9, 0, 0], |address| address.octets());
            let address = std::net::Ipv4Addr::new(octets[0], octets[1], octets[2], last);
            host.sicken(address, !used.contains(&address));
        }
    }
    let outcome = bed.apply(&manifests("two", 2)).await.unwrap();
    assert!(!outcome.is_complete());
    assert_eq!(mains(&bed), before, "{outcome:#?}");
    assert!(before.iter().all(|(_, role)| *role == Role::Main));
}

#[tokio::test(start_paused = true)]
async fn a_dead_instance_is_started_again_on_its_volume() {
    let bed = Bed::new();
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    let before = bed.picture(&manifests("one", 2)).await;
    for host in bed.hosts.values() {
        host.meddle(|reading| {
            for instance in reading.instances.values_mut() {
                instance.state = InstanceState::Died { why: "kill -9".to_owned() };
            }
        });
    }
    let (planned, _) = bed.plan(&manifests("one", 2)).await;
    assert_eq!(planned.report.drift.len(), 5, "{:#?}", planned.report.drift);
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    assert_eq!(bed.picture(&manifests("one", 2)).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_cannot_be_read_is_left_alone_and_the_others_go_on() {
    let bed = Bed::new();
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    let ewr: planner::model::name::HostName = "ewr-1".parse().unwrap();
    bed.hosts[&ewr].unread(Some("it does not answer"));
    let (planned, _) = bed.plan(&manifests("two", 3)).await;
    assert!(planned.report.has(Kind::Unknown), "{:#?}", planned.report);
    assert!(planned.plan.steps().all(|step| step.host != ewr));
    assert!(matches!(
        bed.hosts[&ewr].observe().await,
        planner::model::observed::HostView::Unread { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_locked_app_is_not_touched_and_the_holder_is_named() {
    let bed = Bed::new();
    let holder = Holder { purpose: "apply of 12345678".to_owned(), pid: 42, since: Timestamp(1) };
    let app = LockName::App("store".parse().unwrap());
    let _lock = bed.catalog.lock(&app, &holder, Duration::ZERO).unwrap();
    let error = bed.apply(&manifests("one", 2)).await.unwrap_err();
    assert!(error.to_string().contains("apply of 12345678"), "{error}");
    assert!(bed.hosts.values().all(|host| host.acts().is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_another_apply_put_elsewhere_is_left_alone() {
    let bed = Bed::new();
    assert!(bed.apply(&manifests("one", 1)).await.unwrap().is_complete());
    let (_, elsewhere) = bed.plan(&manifests("one", 2)).await;
    let second: planner::model::name::HostName = "ewr-2".parse().unwrap();
    let made = |step: &planner::plan::step::Step| {
        step.host == second && step.id.0.starts_with("make-volume")
    };
    assert!(elsewhere.plan().steps().any(made), "the second slot goes to the other host");

    bed.hosts[&second].unread(Some("it does not answer"));
    let _ = bed.apply(&manifests("one", 2)).await.unwrap();
    bed.hosts[&second].unread(None);
    let before = bed.hosts[&second].reading().volumes.len();

    let options = executor::apply::Options {
        parallelism: 2,
        lock_wait: Duration::ZERO,
        purpose: "test".to_owned(),
        by: "test".to_owned(),
    };
    let outcome = executor::apply::apply(&elsewhere, &bed.world(), &options).await.unwrap();
    assert!(outcome.failures.iter().any(|failure| failure.stale), "{outcome:#?}");
    assert_eq!(bed.hosts[&second].reading().volumes.len(), before, "no second volume");
    let (planned, _) = bed.plan(&manifests("one", 2)).await;
    assert!(planned.plan.is_empty(), "{:#?}", planned.plan.changes);
}

#[tokio::test(start_paused = true)]
async fn two_apps_that_were_planned_at_once_do_not_get_one_address() {
    let bed = Bed::new();
    let all = manifests("one", 1);
    let (store, web) = (vec![all[0].clone()], vec![all[1].clone()]);
    let (_, for_web) = bed.plan(&web).await;
    assert!(bed.apply(&store).await.unwrap().is_complete());
    let options = executor::apply::Options {
        parallelism: 2,
        lock_wait: Duration::ZERO,
        purpose: "test".to_owned(),
        by: "test".to_owned(),
    };
    let outcome = executor::apply::apply(&for_web, &bed.world(), &options).await.unwrap();
    let stale = outcome.failures.iter().find(|failure| failure.stale);
    assert!(stale.is_some_and(|failure| failure.why.contains("is the address of")), "{outcome:#?}");
    assert!(bed.apply(&all).await.unwrap().is_complete());
    let mut addresses: Vec<_> = Vec::new();
    for host in bed.hosts.values() {
        addresses.extend(host.reading().instances.into_values().map(|view| view.address));
    }
    let count = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), count);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_held_after_the_plan_was_made_is_left_alone() {
    let bed = Bed::new();
    assert!(bed.apply(&manifests("one", 2)).await.unwrap().is_complete());
    let (planned, checked) = bed.plan(&manifests("two", 2)).await;
    let redeployed = |change: &&planner::plan::change::Change| match &change.object {
        Object::Slot { slot } => slot.app.as_str() == "store",
        _ => false,
    };
    let change = planned.plan.changes.iter().find(redeployed).unwrap();
    let Object::Slot { slot } = &change.object else { unreachable!("it was looked for") };
    let hold = ClaimAct::Hold { slot: slot.clone(), held: true };
    bed.catalog.act(&[hold], Timestamp(1), "").unwrap();
    let before = bed.claims().slots[slot].clone();
    let options = executor::apply::Options {
        parallelism: 2,
        lock_wait: Duration::ZERO,
        purpose: "test".to_owned(),
        by: "test".to_owned(),
    };
    let outcome = executor::apply::apply(&checked, &bed.world(), &options).await.unwrap();
    let [failure] = &outcome.failures[..] else { panic!("{outcome:#?}") };
    assert!(failure.stale && failure.why.contains("held"), "{outcome:#?}");
    assert_eq!(failure.object, change.object);
    assert_eq!(bed.claims().slots[slot], before);
    assert!(!outcome.done.is_empty(), "other rollouts go on");
}
