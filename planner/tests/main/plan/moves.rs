//! Names that change while volumes stay.

use super::world::{World, changes, group, report};
use planner::model::desired::Move;
use planner::model::name::{GroupName, SourceName};

fn deployed() -> World {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    world
}

fn volumes(world: &mut World) -> Vec<String> {
    world.reading("ewr-1").volumes.keys().map(ToString::to_string).collect()
}

#[test]
fn an_app_is_renamed_on_its_volumes() {
    let mut world = deployed();
    let before = volumes(&mut world);
    world.remove("web");
    world.mounted("site", &[("ewr", 1)]);
    let moved = vec![Move::App { from: "web".parse().unwrap() }];
    world.desired.apps.values_mut().for_each(|app| app.moved.clone_from(&moved));
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        ["redeploy slot site/app/ewr/1 on ewr-1", "update volume data of site/app/ewr/1 on ewr-1",]
    );
    let told = planner::render::json::plan(&planned.plan, &planned.report);
    let told = &told["resource_changes"][0];
    assert_eq!(told["address"], "slot.site/app/ewr/1");
    assert_eq!(told["previous_address"], "slot.web/app/ewr/1");
    assert_eq!(volumes(&mut world), before);
    assert_eq!(world.volume("site/app/ewr/1").spec.id.to_string(), before[0]);
    assert_eq!(world.claims.slots.len(), 1);
    assert_eq!(report(&world.plan()), [""; 0], "the line may stay");
}

#[test]
fn groups_and_volumes_are_renamed_too() {
    let mut world = deployed();
    let before = volumes(&mut world);
    let app = world.desired.apps.values_mut().next().unwrap();
    let old: GroupName = "app".parse().unwrap();
    let mut new = app.groups.remove(&old).unwrap();
    new.name = "server".parse().unwrap();
    let mut mount = new.mounts.remove(&"data".parse::<SourceName>().unwrap()).unwrap();
    mount.source = "store".parse().unwrap();
    new.mounts.insert(mount.source.clone(), mount);
    app.moved = vec![
        Move::Group { from: old, to: new.name.clone() },
        Move::Source { from: "data".parse().unwrap(), to: "store".parse().unwrap() },
    ];
    app.groups.insert(new.name.clone(), new);
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        [
            "redeploy slot web/server/ewr/1 on ewr-1",
            "update volume store of web/server/ewr/1 on ewr-1",
        ]
    );
    assert_eq!(volumes(&mut world), before);
    assert_eq!(world.volume("web/server/ewr/1").spec.source.as_str(), "store");
}

#[test]
fn a_move_that_is_cut_short_anywhere_is_finished_by_the_next() {
    let mut world = deployed();
    world.remove("web");
    world.mounted("site", &[("ewr", 1)]);
    let moved = vec![Move::App { from: "web".parse().unwrap() }];
    world.desired.apps.values_mut().for_each(|app| app.moved.clone_from(&moved));
    let planned = world.plan();
    for moments in 0..=planner::simulate::moments(&planned.plan) {
        let mut cut = world.clone();
        (cut.observed, cut.claims) = planner::simulate::simulate_until(
            &cut.observed,
            &cut.claims,
            &planned.plan,
            cut.now,
            moments,
        );
        cut.apply();
        assert_eq!(cut.claims.slots.len(), 1, "cut after {moments}");
        assert_eq!(cut.volume("site/app/ewr/1").spec.incarnation.0, 1, "cut after {moments}");
    }
}

#[test]
fn a_name_that_is_still_used_cannot_have_moved() {
    let mut world = deployed();
    let app = world.desired.apps.values_mut().next().unwrap();
    app.groups.insert("server".parse().unwrap(), group("server", &[("ewr", 1)]));
    app.moved = vec![Move::Group { from: "app".parse().unwrap(), to: "server".parse().unwrap() }];
    let planned = world.plan();
    assert_eq!(
        report(&planned),
        [
            "refused app web: `moved` names group app, which is still in use under that name, or moved twice"
        ]
    );
    assert!(planned.plan.records.is_empty());
}
