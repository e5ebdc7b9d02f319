//! First deploys, new releases, strategies, gates and failures.

use super::world::{World, add_mount, changes, report, tcp, waves};
use planner::model::artifact::{Artifact, ArtifactKind, Resolved};
use planner::model::desired::{MaxUnavailable, Scale, Strategy};
use planner::model::instance::{GuestFile, Role};
use planner::model::observed::InstanceState;
use planner::model::permit::Permit;
use planner::plan::step::Act;
use planner::plan::{ClaimAct, Gate};
use planner::render::{Plain, text};

#[test]
fn a_first_deploy_makes_volumes_and_starts_instances_spread_over_hosts() {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", 2)]);
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        [
            "create slot web/app/ewr/1 on ewr-1",
            "create slot web/app/ewr/2 on ewr-2",
            "create volume data of web/app/ewr/1 on ewr-1",
            "create volume data of web/app/ewr/2 on ewr-2",
        ]
    );
    assert_eq!(planned.plan.summary().to_string(), "Plan: 4 to add, 0 to change, 0 to destroy.");
    assert_eq!(
        waves(&planned, "web/app"),
        ["create slots: make-volume+start-instance, make-volume+start-instance"]
    );
    assert_eq!(report(&planned), [""; 0]);
    assert_eq!(planned.plan.records.len(), 1);
}

#[test]
fn a_new_release_says_by_name_what_is_different() {
    let mut world = World::new(2);
    let group = world.mounted("web", &[("ewr", 2)]);
    group.env.insert("OLD".into(), "1".into());
    group.files = vec![GuestFile { path: "/etc/a.conf".into(), content: b"a\nb\n".to_vec() }];
    world.apply();
    let group = world.group("web");
    group.argv = vec!["serve".into(), "--port".into(), "8 0".into()];
    group.env.remove("OLD");
    group.env.insert("NEW".into(), "2".into());
    group.files[0].content = b"a\nB\n".to_vec();
    group.mounts.values_mut().for_each(|mount| mount.destination = "/srv".into());
    group.guest.cpus = 2;
    group.secrets.insert("KEY".parse().unwrap(), 3);
    let artifact = Resolved::Found(Artifact::Tree { digest: "b".repeat(64).into() });
    world.artifacts.insert("web".parse().unwrap(), artifact);
    let planned = world.apply();
    let told = text::plan(&planned.plan, &planned.report, &Plain);
    let (_, told) = told.split_once("release: ").unwrap();
    let (_, told) = told.split_once('\n').unwrap();
    let (told, _) = told.split_once("        what it runs changed").unwrap();
    let command = told.lines().find(|line| line.contains("command: ")).unwrap();
    assert!(command.ends_with("→ serve --port '8 0'"), "{command}");
    let expected = "        source tree: aaaaaaaaaaaa → bbbbbbbbbbbb
        + env.NEW: 2
        - env.OLD: 1
        files./etc/a.conf:
          - b
          + B
        mounts.data: /data → /srv
        + secrets.KEY: version 3
        cpus: 1 → 2
";
    assert_eq!(told.replace(&format!("{command}\n"), ""), expected);
}

#[test]
fn an_instance_is_told_who_it_is() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 1)]).env.insert("A".into(), "1".into());
    let planned = world.plan();
    let start = planned.plan.steps().find_map(|step| match &step.act {
        Act::StartInstance { instance } => Some(instance),
        _ => None,
    });
    let instance = start.unwrap();
    let env = |name: &str| instance.env.get(name).unwrap().clone();
    assert_eq!(env("A"), "1");
    assert_eq!(env("FLY_APP_NAME"), "web");
    assert_eq!(env("FLY_PROCESS_GROUP"), "app");
    assert_eq!(env("FLY_REGION"), "ewr");
    assert_eq!(env("PRIMARY_REGION"), "ewr");
    assert_eq!(env("FLY_MACHINE_ID"), instance.id.to_string());
    assert_eq!(env("FLY_ALLOC_ID"), instance.id.to_string());
    assert_eq!(env("FLY_PRIVATE_IP"), "10.77.1.2");
    assert_eq!(env("FLY_IMAGE_REF"), "a".repeat(64));
    assert_eq!(env("FLY_VM_MEMORY_MB"), "256");
    assert_eq!(env("TIEDOWN_SLOT"), "web/app/ewr/1");
    assert_eq!(env("TIEDOWN_HOST"), "ewr-1");
    assert_eq!(env("HOME"), "/root");
    assert!(env("PATH").contains("/usr/bin"));
}

#[test]
fn a_mounted_group_rolls_a_third_at_a_time_on_its_own_volumes() {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", 4)]).has_services = true;
    world.apply();
    world.change("web", "2");
    let planned = world.apply();
    assert_eq!(
        waves(&planned, "web/app"),
        [
            "replace instances: stop-instance+start-instance, stop-instance+start-instance",
            "replace instances: stop-instance+start-instance, stop-instance+start-instance",
        ]
    );
    let choice = planned.plan.rollouts[0].strategy.clone().unwrap();
    assert_eq!((choice.strategy, choice.max_unavailable, choice.slots), (Strategy::Rolling, 2, 4));
    assert_eq!(choice.why, "the group has mounts");
    assert_eq!(planned.plan.summary().to_string(), "Plan: 0 to add, 4 to change, 0 to destroy.");
}

#[test]
fn slots_that_do_not_serve_go_first_and_free() {
    let mut world = World::new(2);
    let group = world.mounted("web", &[("ewr", 3)]);
    group.deploy.max_unavailable = MaxUnavailable::Count(1);
    world.apply();
    world.instance("web/app/ewr/3").healthy = Some(false);
    world.instance("web/app/ewr/2").state = InstanceState::Failed { why: "exit 1".into() };
    world.change("web", "2");
    let planned = world.apply();
    assert_eq!(
        waves(&planned, "web/app"),
        [
            "replace instances: stop-instance+start-instance, stop-instance+start-instance",
            "replace instances: stop-instance+start-instance",
        ]
    );
    let first = &planned.plan.rollouts[0].waves[0].lanes;
    let objects: Vec<String> = first.iter().map(|lane| lane.object.to_string()).collect();
    assert_eq!(objects, ["slot web/app/ewr/2", "slot web/app/ewr/3"]);
}

#[test]
fn slots_that_cannot_be_read_spend_the_budget() {
    let mut world = World::new(2);
    let group = world.mounted("web", &[("ewr", 2)]);
    group.deploy.max_unavailable = MaxUnavailable::Count(1);
    world.apply();
    world.unread("ewr-2");
    world.change("web", "2");
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(
        report(&planned),
        [
            "unknown host ewr-2: no answer; 1 slot with 1 volume there are left alone",
            "waiting group web/app: 1 of its slots are down or cannot be read, and \
             max_unavailable allows 1, so those that serve are not touched",
        ]
    );
}

#[test]
fn a_served_group_without_mounts_gets_a_canary_first() {
    let mut world = World::new(1);
    let group = world.app("web", &[("ewr", 2)]);
    group.has_services = true;
    group.checks = vec![tcp()];
    world.apply();
    world.change("web", "2");
    let planned = world.apply();
    assert_eq!(
        waves(&planned, "web/app"),
        [
            "start a canary: start-instance",
            "replace instances: stop-instance+start-instance",
            "replace instances: stop-instance+start-instance",
            "stop the canary: stop-instance",
        ]
    );
    let rollout = &planned.plan.rollouts[0];
    assert_eq!(rollout.on_failure.len(), 1);
    assert_eq!(rollout.claims_on_failure.len(), 2);
    match &rollout.waves[0].lanes[0].gate {
        Gate::Healthy { address, checks, .. } => {
            assert_eq!(address.to_string(), "10.77.1.4", "its own, after the two slots'");
            assert_eq!(checks.len(), 1);
        }
        gate => panic!("{gate:?}"),
    }
}

#[test]
fn a_failed_canary_touches_no_slot_and_is_not_tried_again() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 2)]).has_services = true;
    world.apply();
    let before = world.clone();
    world.change("web", "2");
    world.apply_failing(&|_| true);
    assert_eq!(world.observed, before.observed, "the canary is gone, the slots are as they were");
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert!(report(&planned)[0].starts_with("waiting group web/app: release "), "{planned:?}");
    world.permit(Permit::Retry);
    assert_eq!(waves(&world.apply(), "web/app").len(), 4);
}

#[test]
fn a_canary_that_was_left_behind_is_removed() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 1)]).has_services = true;
    world.apply();
    world.change("web", "2");
    let planned = world.plan();
    let cut = planner::simulate::simulate_until(
        &world.observed,
        &world.claims,
        &planned.plan,
        world.now,
        3,
    );
    (world.observed, world.claims) = cut;
    assert_eq!(world.reading("ewr-1").instances.len(), 2);
    // The same release still: the canary that runs is taken as it is.
    assert_eq!(waves(&world.plan(), "web/app")[0], "start a canary: start-instance");
    world.change("web", "3");
    let planned = world.apply();
    assert_eq!(waves(&planned, "web/app")[0], "change in place: stop-instance");
    assert_eq!(world.reading("ewr-1").instances.len(), 1);
}

#[test]
fn immediate_takes_all_at_once_and_waits_for_none() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 3)]).deploy.strategy = Some(Strategy::Immediate);
    world.apply();
    world.change("web", "2");
    let planned = world.apply();
    assert_eq!(planned.plan.rollouts[0].waves.len(), 1);
    let lanes = &planned.plan.rollouts[0].waves[0].lanes;
    assert!(lanes.len() == 3 && lanes.iter().all(|lane| lane.gate == Gate::Open));
}

#[test]
fn bluegreen_starts_a_second_set_and_then_takes_one_slot_and_all_others() {
    let mut world = World::new(1);
    let group = world.app("web", &[("ewr", 3)]);
    group.deploy.strategy = Some(Strategy::Bluegreen);
    world.apply();
    world.change("web", "2");
    let planned = world.apply();
    let replaced = "stop-instance+start-instance";
    assert_eq!(
        waves(&planned, "web/app"),
        [
            "start a second set: start-instance, start-instance, start-instance".to_string(),
            format!("replace instances: {replaced}"),
            format!("replace instances: {replaced}, {replaced}"),
            "stop the second set: stop-instance, stop-instance, stop-instance".to_string(),
        ]
    );
    let rollout = &planned.plan.rollouts[0];
    assert_eq!((rollout.on_failure.len(), rollout.claims_on_failure.len()), (3, 3));
    let roles = world.reading("ewr-1").instances.values().map(|view| view.role);
    assert_eq!(roles.collect::<Vec<_>>(), [Role::Main; 3]);
    assert!(world.plan().plan.is_empty());
}

#[test]
fn strategies_that_need_a_second_volume_are_refused() {
    for (strategy, line) in [
        (
            Strategy::Canary,
            "refused group web/app: the new release is not brought out: strategy canary needs an \
             extra instance, and there is no extra volume for it",
        ),
        (
            Strategy::Bluegreen,
            "refused group web/app: the new release is not brought out: strategy bluegreen needs \
             an extra instance, and there is no extra volume for it",
        ),
    ] {
        let mut world = World::new(1);
        let group = world.app("web", &[("ewr", 1)]);
        group.deploy.strategy = Some(strategy);
        add_mount(group, "data", "1GB");
        world.apply();
        world.change("web", "2");
        let planned = world.plan();
        assert!(planned.plan.is_empty());
        assert_eq!(report(&planned), [line]);
        assert!(planned.report.lines[0].hint.is_some());
    }
}

#[test]
fn a_release_that_failed_is_remembered_and_stops_the_rest() {
    let mut world = World::new(1);
    let group = world.mounted("web", &[("ewr", 2)]);
    group.deploy.max_unavailable = MaxUnavailable::Count(1);
    world.apply();
    world.change("web", "2");
    world.scale("web", &[("ewr", 3)]);
    let planned = world.apply_failing(&|_| true);
    assert_eq!(
        waves(&planned, "web/app"),
        [
            "replace instances: stop-instance+start-instance",
            "replace instances: stop-instance+start-instance",
            "create slots: make-volume+start-instance",
        ],
        "new slots come after the release has proven itself"
    );
    let next = world.plan();
    assert!(next.plan.is_empty(), "{:#?}", next.plan.changes);
    assert_eq!(world.reading("ewr-1").volumes.len(), 2);
    assert!(report(&next)[0].contains("failed on web/app/ewr/1: its gate was not passed"));
    // What it runs changes: it is tried.
    world.change("web", "3");
    let planned = world.apply();
    assert_eq!(planned.plan.summary().to_string(), "Plan: 2 to add, 2 to change, 0 to destroy.");
}

#[test]
fn scaling_up_an_unchanged_group_comes_first_and_touches_nothing_else() {
    let mut world = World::new(2);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    world.scale("web", &[("ewr", 3)]);
    let planned = world.apply();
    assert_eq!(
        changes(&planned),
        [
            "create slot web/app/ewr/2 on ewr-2",
            "create slot web/app/ewr/3 on ewr-1",
            "create volume data of web/app/ewr/2 on ewr-2",
            "create volume data of web/app/ewr/3 on ewr-1",
        ]
    );
    assert!(planned.plan.rollouts[0].strategy.is_none());
}

#[test]
fn an_unlisted_group_gets_one_slot_and_keeps_what_it_has() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 3)]);
    world.apply();
    world.group("web").scale = Scale::Unlisted { first: "ewr".parse().unwrap() };
    let planned = world.apply();
    assert!(planned.plan.is_empty());
    assert_eq!(
        report(&planned),
        ["note group web/app: [tiedown.scale] does not list it; kept: ewr = 3"]
    );
    let mut world = World::new(1);
    world.app("web", &[]).scale = Scale::Unlisted { first: "ewr".parse().unwrap() };
    assert_eq!(changes(&world.apply()), ["create slot web/app/ewr/1 on ewr-1"]);
}

#[test]
fn an_app_without_its_artifact_is_blocked_and_its_volumes_grow_all_the_same() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    world.apply();
    let missing = Resolved::Missing { why: "no such image".into(), hint: "push it".into() };
    world.artifacts.insert("web".parse().unwrap(), missing);
    world.scale("web", &[("ewr", 2)]);
    super::world::mount(world.group("web"), "data").size = super::sizes::size("20GB");
    let planned = world.apply();
    assert_eq!(changes(&planned), ["update volume data of web/app/ewr/1 on ewr-1"]);
    assert_eq!(
        report(&planned),
        ["blocked app web: nothing is started or redeployed: no such image"]
    );
}

#[test]
fn what_no_host_can_run_is_blocked() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 1)]);
    let image = Artifact::Image { reference: "web:1".into(), digest: "sha256:1".into() };
    world.artifacts.insert("web".parse().unwrap(), Resolved::Found(image));
    let planned = world.plan();
    assert_eq!(
        report(&planned),
        ["blocked slot web/app/ewr/1: no host in ewr has room: ewr-1 cannot run an image"]
    );
    world.reading("ewr-1").runs.insert(ArtifactKind::Image);
    assert_eq!(changes(&world.apply()), ["create slot web/app/ewr/1 on ewr-1"]);
    world.app("tree", &[("ewr", 1)]).argv.clear();
    assert_eq!(
        report(&world.plan()),
        ["blocked group tree/app: a source tree has no command of its own"]
    );
}

#[test]
fn supervision_is_applied_live() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 1)]);
    world.apply();
    world.group("web").supervision.kill_signal = "SIGTERM".into();
    let planned = world.apply();
    assert_eq!(waves(&planned, "web/app"), ["change in place: supervise-instance"]);
}

#[test]
fn a_held_slot_is_left_alone() {
    let mut world = World::new(1);
    world.app("web", &[("ewr", 1)]);
    world.apply();
    world.claims.slots.values_mut().for_each(|claim| claim.held = true);
    world.change("web", "2");
    let planned = world.plan();
    assert!(planned.plan.is_empty());
    assert_eq!(report(&planned), ["waiting slot web/app/ewr/1: it is held, so it is left alone"]);
}

#[test]
fn a_claim_is_written_before_and_completed_after_the_gate() {
    let mut world = World::new(1);
    world.mounted("web", &[("ewr", 1)]);
    let planned = world.plan();
    let lane = &planned.plan.rollouts[0].waves[0].lanes[0];
    let ([ClaimAct::Write(before)], [ClaimAct::Write(after)]) =
        (&lane.claims_before[..], &lane.claims_after[..])
    else {
        panic!("{lane:#?}")
    };
    assert!(before.applied.is_none() && after.applied.is_some());
    assert_eq!(before.volumes.keys().collect::<Vec<_>>(), after.volumes.keys().collect::<Vec<_>>());
    assert!(matches!(&lane.claims_on_failure[..], [ClaimAct::Failed { .. }]));
}

#[test]
fn an_apply_that_is_cut_short_anywhere_is_finished_by_the_next() {
    let mut start = World::new(2);
    start.mounted("web", &[("ewr", 2)]);
    start.app("api", &[("ewr", 1)]).has_services = true;
    let mut worlds = vec![start.clone()];
    start.apply();
    start.change("web", "2");
    start.change("api", "2");
    start.scale("web", &[("ewr", 1)]);
    worlds.push(start);
    for world in worlds {
        let planned = world.clone().plan();
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
            let mut whole = world.clone();
            whole.apply();
            assert_eq!(cut.observed, whole.observed, "cut after {moments}");
            assert_eq!(cut.claims.slots, whole.claims.slots, "cut after {moments}");
        }
    }
}

#[test]
fn an_image_is_on_its_host_before_anything_is_stopped_for_it() {
    let mut world = World::new(2);
    for host in ["ewr-1", "ewr-2"] {
        world.reading(host).runs.insert(ArtifactKind::Image);
    }
    world.mounted("web", &[("ewr", 2)]).checks = vec![tcp()];
    let image = |digest: &str| {
        let (reference, digest) = ("web:1".into(), digest.into());
        Resolved::Found(Artifact::Image { reference, digest })
    };
    world.artifacts.insert("web".parse().unwrap(), image("sha256:1"));
    world.apply();
    world.reading("ewr-2").images.insert("sha256:2".to_owned());
    world.artifacts.insert("web".parse().unwrap(), image("sha256:2"));
    let planned = world.apply();
    let waves = waves(&planned, "web/app");
    assert_eq!(waves[0], "fetch images: fetch-image", "the other host has it already");
    assert_eq!(waves[1], "replace instances: stop-instance+start-instance");
    world.change("web", "two");
    let planned = world.apply();
    let fetches = planned.plan.steps().any(|step| matches!(step.act, Act::FetchImage { .. }));
    assert!(!fetches, "it is there");
}
