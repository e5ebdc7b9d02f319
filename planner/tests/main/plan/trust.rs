//! Hosts that cannot be believed, catalogs that forgot, hosts that are lost, renamed, cordoned.

use super::world::{World, changes, mount, report};
use planner::model::host::HostState;
use planner::model::id::{MachineId, PoolId};
use planner::model::observed::PoolView;
use planner::model::permit::Permit;

/// A fleet of two hosts with an app on each.
fn deployed() -> World {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", 2)]);
    world.apply();
    world
}

#[test]
fn unknown_is_not_absent() {
    type Harm = fn(&mut World);
    let cases: [(Harm, &str); 6] = [
        (|w| w.unread("ewr-2"), "unknown host ewr-2: no answer"),
        (
            |w| {
                w.observed.remove(&"ewr-2".parse::<planner::model::name::HostName>().unwrap());
            },
            "unknown host ewr-2: it was not asked",
        ),
        (
            |w| {
                w.reading("ewr-2").pool = PoolView::Absent;
                w.reading("ewr-2").volumes.clear();
                w.reading("ewr-2").instances.clear();
            },
            "unknown host ewr-2: the pool is gone",
        ),
        (
            |w| w.pool("ewr-2").id = PoolId::parse("ffffffff-0000").unwrap(),
            "unknown host ewr-2: its pool is ffffffff-0000, and ",
        ),
        (
            |w| w.reading("ewr-2").machine = MachineId::parse("ffffffffffff").unwrap(),
            "unknown host ewr-2: its pool was made on machine ",
        ),
        (
            |w| w.pool("ewr-2").fleet = "other".parse().unwrap(),
            "refused host ewr-2: its pool belongs to fleet other",
        ),
    ];
    for (harm, line) in cases {
        let mut world = deployed();
        harm(&mut world);
        let planned = world.plan();
        assert!(planned.plan.is_empty(), "{line}: {:?}", changes(&planned));
        assert!(!planned.plan.completes_catalog);
        let lines = report(&planned);
        assert!(lines[0].starts_with(line), "{lines:?}");
        assert!(lines[0].ends_with("1 slot with 1 volume there are left alone"), "{lines:?}");
    }
}

#[test]
fn a_forgetful_catalog_places_nothing_until_every_host_was_read() {
    let mut world = World::new(2);
    world.claims.complete = false;
    world.mounted("web", &[("ewr", 1)]);
    world.unread("ewr-2");
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert!(report(&planned)[0].starts_with("unknown fleet: the catalog is new"));
    world.permit(Permit::Empty);
    assert_eq!(world.plan().plan.summary().add, 2);
}

#[test]
fn claims_are_rebuilt_from_marks() {
    let mut world = deployed();
    let mut before = world.claims.clone();
    // Marks name the release; what it was made of is not on them.
    before.slots.values_mut().for_each(|claim| claim.applied_spec = None);
    world.claims = planner::model::claim::Claims::default();
    let planned = world.apply();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    assert_eq!(planned.plan.corrections.len(), 2);
    assert!(planned.plan.completes_catalog);
    assert_eq!(world.claims.slots, before.slots);
}

#[test]
fn a_slot_that_two_hosts_hold_is_left_alone() {
    let mut world = deployed();
    let volume = world.volume("web/app/ewr/1").clone();
    world.reading("ewr-2").volumes.insert(volume.spec.id.clone(), volume);
    let slot: planner::model::slot::SlotId = "web/app/ewr/1".parse().unwrap();
    world.claims.slots.remove(&slot);
    world.change("web", "2");
    let planned = world.plan();
    assert_eq!(
        report(&planned)[0],
        "refused slot web/app/ewr/1: ewr-1, ewr-2 all hold it, and no claim says which is right"
    );
    assert!(!changes(&planned).iter().any(|line| line.contains("web/app/ewr/1")));
}

#[test]
fn a_host_that_left_the_file_keeps_what_it_holds() {
    let mut world = deployed();
    world.desired.hosts.remove(&"ewr-2".parse::<planner::model::name::HostName>().unwrap());
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(
        report(&planned),
        ["refused host ewr-2: it is no longer in tiedown.toml while it holds 1 slot with 1 \
          volume; they are left alone"]
    );
}

#[test]
fn a_renamed_host_is_followed_by_its_pool() {
    let mut world = deployed();
    let old: planner::model::name::HostName = "ewr-2".parse().unwrap();
    let new: planner::model::name::HostName = "ewr-9".parse().unwrap();
    let mut spec = world.desired.hosts.remove(&old).unwrap();
    (spec.name, spec.was) = (new.clone(), Some(old.clone()));
    world.desired.hosts.insert(new.clone(), spec);
    let view = world.observed.remove(&old).unwrap();
    world.observed.insert(new.clone(), view);
    let planned = world.apply();
    assert!(planned.plan.is_empty(), "{:?}", changes(&planned));
    assert_eq!(planned.plan.corrections.len(), 1);
    assert!(world.claims.slots.values().any(|claim| claim.host == new));
    world.spec("ewr-9").was = None;
    assert!(report(&world.plan())[0].starts_with("refused host ewr-9: its pool belongs to host"));
}

#[test]
fn a_cordoned_host_is_deployed_to_and_gets_nothing_new() {
    let mut world = deployed();
    world.spec("ewr-2").state = HostState::Cordoned;
    world.change("web", "2");
    world.scale("web", &[("ewr", 4)]);
    let planned = world.apply();
    let lines = changes(&planned);
    assert!(lines.contains(&"redeploy slot web/app/ewr/2 on ewr-2".into()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("create") && line.ends_with("ewr-2")));
}

#[test]
fn a_lost_host_takes_a_permit_and_lists_what_is_given_up() {
    let mut world = deployed();
    let lost = world.volume("web/app/ewr/2").spec.id.clone();
    let gone = world.observed.clone();
    world.unread("ewr-2");
    world.spec("ewr-2").state = HostState::Lost;
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(
        report(&planned),
        [format!(
            "refused slot web/app/ewr/2: ewr-2 is lost; starting elsewhere gives up its \
                  data ({lost})"
        )]
    );
    world.permit(Permit::Empty);
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        ["create slot web/app/ewr/2 on ewr-1", "create volume data of web/app/ewr/2 on ewr-1",]
    );
    assert!(planned.plan.changes[0].reasons[1].contains(lost.as_str()));
    // It comes back: its instance is stopped, its volume retired.
    let host: planner::model::name::HostName = "ewr-2".parse().unwrap();
    world.observed.insert(host.clone(), gone[&host].clone());
    let planned = world.plan();
    assert!(planned.plan.is_empty(), "as long as it is said to be lost nothing is done there");
    world.spec("ewr-2").state = HostState::Active;
    let planned = world.apply();
    let slot = changes(&planned);
    assert_eq!(slot[0], "retire volume data of web/app/ewr/2 on ewr-2");
    assert!(slot[1].starts_with("remove instance "), "{slot:?}");
    assert_eq!(world.reading("ewr-2").instances.len(), 0);
    assert_eq!(world.reading("ewr-1").instances.len(), 2);
}

#[test]
fn a_lost_host_that_answers_is_not_given_up() {
    let mut world = deployed();
    world.spec("ewr-2").state = HostState::Lost;
    world.permit(Permit::Empty);
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(
        report(&planned),
        ["refused slot web/app/ewr/2: ewr-2 is said to be lost, but it answers"]
    );
}

#[test]
fn a_claimed_volume_that_is_gone_is_not_made_anew_without_a_word() {
    let mut world = deployed();
    world.reading("ewr-1").volumes.clear();
    world.reading("ewr-1").instances.clear();
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(
        report(&planned),
        ["refused volume data of web/app/ewr/1: it is claimed on ewr-1 and is not there; it is \
          not made anew"]
    );
    let mut fresh = world.clone();
    mount(fresh.group("web"), "data").fresh = true;
    assert_eq!(changes(&fresh.apply())[1], "create volume data of web/app/ewr/1 on ewr-1");
    world.permit(Permit::Empty);
    world.apply();
    let claim = &world.claims.slots[&"web/app/ewr/1".parse().unwrap()];
    assert_eq!(claim.volumes.values().next().unwrap().incarnation.0, 2, "an id never returns");
}

#[test]
fn a_slot_that_goes_with_its_lost_host_takes_a_permit() {
    let mut world = deployed();
    world.unread("ewr-2");
    world.spec("ewr-2").state = HostState::Lost;
    world.scale("web", &[("ewr", 1)]);
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(
        report(&planned),
        ["refused slot web/app/ewr/2: not removed: ewr-2 is lost, and forgetting it gives up its \
          data"]
    );
    world.permit(Permit::Empty);
    assert_eq!(changes(&world.apply()), ["remove slot web/app/ewr/2 on ewr-2"]);
    assert_eq!(world.claims.slots.len(), 1);
}

#[test]
fn addresses_and_ports_that_may_surprise_are_named() {
    let mut world = World::new(2);
    for app in ["api", "web"] {
        world.app(app, &[("ewr", 1)]).ports = vec![planner::model::network::Port(8080)];
    }
    let machine = world.reading("ewr-1").machine.clone();
    world.pool("ewr-2").machine = machine.clone();
    world.reading("ewr-2").machine = machine;
    for host in ["ewr-1", "ewr-2"] {
        world.reading(host).shared_ports = true;
    }
    let planned = world.apply();
    assert_eq!(
        report(&planned),
        ["note slot api/app/ewr/1: api/app/ewr/1 and web/app/ewr/1 listen on port 8080 of one \
          machine: each must bind its own $FLY_PRIVATE_IP"]
    );
    world.spec("ewr-1").subnet = "10.78.0.0/24".parse().unwrap();
    let planned = world.apply();
    assert!(planned.plan.is_empty());
    assert!(
        report(&planned)[1].starts_with("note slot api/app/ewr/1: it keeps 10.77.1.2, though"),
        "{:?}",
        report(&planned)
    );
}

#[test]
fn a_host_that_returns_while_a_new_release_comes_out_costs_no_budget() {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", 6)]);
    world.policy.max_loss.count = 9;
    world.apply();
    let host: planner::model::name::HostName = "ewr-2".parse().unwrap();
    let gone = world.observed[&host].clone();
    world.unread("ewr-2");
    world.spec("ewr-2").state = HostState::Lost;
    world.permit(Permit::Empty);
    world.apply();
    world.permits = planner::model::permit::Permits::NONE;
    world.observed.insert(host, gone);
    world.spec("ewr-2").state = HostState::Active;
    world.change("web", "2");
    let mut limited = world.clone();
    limited.policy.max_loss.count = 1;
    let planned = limited.plan();
    assert!(report(&planned)[0].starts_with("refused app web: the app would lose 3 volumes"));
    let stopped = changes(&planned).iter().filter(|c| c.starts_with("remove instance")).count();
    assert_eq!(stopped, 3, "copies are stopped all the same");
    let planned = world.apply();
    let web = planned.plan.rollouts.iter().find(|r| r.id.0 == "web/app").unwrap();
    assert_eq!(web.after[0].0, "web/app/remove");
    assert_eq!(world.reading("ewr-2").instances.len(), 0);
}
