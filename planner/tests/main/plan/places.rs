//! Where new slots go, and why not.

use super::world::{World, changes, mount, report};
use planner::model::host::HostState;
use planner::model::observed::PoolView;
use planner::model::policy::Spread;
use planner::plan::step::Act;

#[test]
fn zones_are_spread_before_hosts() {
    let mut world = World::new(4);
    for (host, zone) in [("ewr-1", "a"), ("ewr-2", "a"), ("ewr-3", "b"), ("ewr-4", "b")] {
        world.spec(host).zone = Some(zone.into());
    }
    world.policy.spread = Spread::Zone;
    world.mounted("web", &[("ewr", 3)]);
    let planned = world.apply();
    assert_eq!(
        changes(&planned)[..3],
        [
            "create slot web/app/ewr/1 on ewr-1",
            "create slot web/app/ewr/2 on ewr-3",
            "create slot web/app/ewr/3 on ewr-2",
        ]
    );
}

#[test]
fn without_spread_hosts_are_filled_one_after_another() {
    let mut world = World::new(2);
    world.policy.spread = Spread::None;
    world.mounted("web", &[("ewr", 3)]);
    mount(world.group("web"), "data").size = super::sizes::size("45GB");
    let planned = world.apply();
    assert_eq!(
        changes(&planned)[..3],
        [
            "create slot web/app/ewr/1 on ewr-1",
            "create slot web/app/ewr/2 on ewr-1",
            "create slot web/app/ewr/3 on ewr-2",
        ]
    );
}

#[test]
fn the_least_promised_host_is_taken_among_equals() {
    let mut world = World::new(2);
    world.mounted("big", &[("ewr", 1)]);
    world.apply();
    world.mounted("web", &[("ewr", 1)]);
    assert_eq!(changes(&world.apply())[0], "create slot web/app/ewr/1 on ewr-2");
}

#[test]
fn a_refusal_says_for_each_host_why() {
    let mut world = World::new(3);
    world.spec("ewr-2").state = HostState::Cordoned;
    world.spec("ewr-3").memory = super::sizes::size("1MiB");
    world.mounted("web", &[("ewr", 1)]);
    mount(world.group("web"), "data").size = super::sizes::size("120GB");
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    let line = &report(&planned)[0];
    assert!(line.starts_with("blocked slot web/app/ewr/1: no host in ewr has room: "), "{line}");
    assert!(line.contains("ewr-1 needs 120GB, has 100GB; ewr-2 is cordoned; "), "{line}");
    world.scale("web", &[("ord", 1)]);
    assert!(report(&world.plan())[0].ends_with("there is no host in ord"));
}

#[test]
fn nothing_is_promised_twice_within_a_plan() {
    let mut world = World::new(1);
    world.mounted("a", &[("ewr", 6)]);
    world.mounted("b", &[("ewr", 6)]);
    let planned = world.apply();
    assert_eq!(planned.plan.summary().add, 18, "nine slots of 10GB fit in 100GB");
    let blocked = report(&planned);
    assert_eq!(blocked.len(), 3, "{blocked:?}");
    assert!(blocked[0].contains("ewr-1 needs"), "{blocked:?}");
}

#[test]
fn memory_and_cpus_are_reserved() {
    let mut world = World::new(1);
    world.spec("ewr-1").memory = super::sizes::size("512MiB");
    world.app("web", &[("ewr", 3)]);
    let planned = world.apply();
    assert_eq!(planned.plan.summary().add, 2);
    assert!(report(&planned)[0].contains("needs 256MiB of memory, has 0B"));
    world.scale("web", &[("ewr", 2)]);
    world.group("web").guest.memory = super::sizes::size("512MiB");
    assert!(report(&world.plan())[0].contains("cannot hold the bigger guest"));
}

#[test]
fn removed_slots_make_way_for_new_ones_in_the_same_plan() {
    let mut world = World::new(1);
    world.spec("ewr-1").memory = super::sizes::size("256MiB");
    world.app("old", &[("ewr", 1)]);
    world.apply();
    world.app("web", &[("ewr", 1)]);
    world.scale("old", &[("ewr", 0)]);
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        ["remove slot old/app/ewr/1 on ewr-1", "create slot web/app/ewr/1 on ewr-1"]
    );
    let web = planned.plan.rollouts.iter().find(|r| r.id.0 == "web/app").unwrap();
    assert_eq!(web.after[0].0, "old/app/remove");
}

#[test]
fn a_pool_is_made_only_where_it_is_needed_and_first() {
    let mut world = World::new(2);
    for host in ["ewr-1", "ewr-2"] {
        world.reading(host).pool = PoolView::Absent;
        world.spec(host).pool_size = Some(super::sizes::size("50GB"));
    }
    world.mounted("web", &[("ewr", 1)]);
    let planned = world.plan();
    assert_eq!(
        changes(&planned),
        [
            "create pool of ewr-1 on ewr-1",
            "create slot web/app/ewr/1 on ewr-1",
            "create volume data of web/app/ewr/1 on ewr-1",
        ]
    );
    assert_eq!(planned.plan.rollouts[1].after[0].0, "host/ewr-1");
    assert!(matches!(
        planned.plan.rollouts[0].waves[0].lanes[0].steps[0].act,
        Act::MakePool { .. }
    ));
    world.apply();
}

#[test]
fn a_host_without_a_pool_runs_what_needs_none() {
    let mut world = World::new(1);
    world.reading("ewr-1").pool = PoolView::Absent;
    world.app("web", &[("ewr", 1)]);
    assert_eq!(changes(&world.apply()), ["create slot web/app/ewr/1 on ewr-1"]);
    world.mounted("db", &[("ewr", 1)]);
    assert!(report(&world.plan())[0].ends_with("ewr-1 has no pool"));
}

#[test]
fn addresses_are_the_lowest_free_and_stay() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 3)]);
    world.apply();
    world.scale("web", &[("ewr", 2)]);
    world.apply();
    world.app("api", &[("ewr", 1)]);
    world.apply();
    assert_eq!(world.instance("web/app/ewr/1").address.to_string(), "10.77.1.2");
    assert_eq!(world.instance("api/app/ewr/1").address.to_string(), "10.77.1.4");
}

#[test]
fn many_hosts_and_slots_are_placed_in_time() {
    let mut world = World::new(200);
    for app in 0..20 {
        world.app(&format!("app-{app}"), &[("ewr", 100)]).guest.cpus = 0;
    }
    let planned = world.plan();
    assert_eq!(planned.plan.summary().add, 2000);
    let mut on: std::collections::BTreeMap<_, usize> = std::collections::BTreeMap::new();
    for change in &planned.plan.changes {
        *on.entry(change.host.clone()).or_default() += 1;
    }
    assert!(on.values().all(|slots| *slots <= 20), "{on:?}");
}
