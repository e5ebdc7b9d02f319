//! What becomes of containers when the engine, or all that keeps them, is killed.

use super::contract::{Bed, kill, volume};
use super::engine::Engine;
use crate::process::bed;
use executor::runtime::RuntimeError;
use planner::model::instance::Restart;
use planner::model::observed::InstanceState;

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_never_under_two_containers() {
    let mut engine = match Engine::start() {
        Ok(engine) => engine,
        Err(why) => return bed::skip(&why),
    };
    let bed = super::contained(&engine);
    by_supervisor_and_guard(&bed).await;
    by_engine(&bed, &mut engine).await;
    foreign_is_shown_and_left_alone(&bed, &engine).await;
}

/// With supervisor and guard both killed the container lives on, and nothing else gets its volume.
async fn by_supervisor_and_guard(bed: &Bed) {
    let spec = bed.mounted(1, &volume(1), "echo up; exec sleep 1000");
    bed.up(&spec).await;
    let (supervisor, init) = bed.chain(&spec.id);
    for guard in children(supervisor.pid) {
        kill(guard);
    }
    kill(supervisor.pid);
    bed.until(&spec.id, "its death", |state| matches!(state, InstanceState::Died { .. })).await;
    assert!(init.alive(), "nobody was left to take it along");
    let other = bed.mounted(2, &volume(1), "exec sleep 1000");
    let refused = bed.start(&other).await;
    assert!(matches!(refused, Err(RuntimeError::Held { .. })), "{refused:?}");
    bed.stop(&other.id).await;
    bed.stop(&spec.id).await;
    assert!(!init.alive());
    bed.up(&other).await;
    bed.stop(&other.id).await;
}

/// A killed engine leaves containers running; the next one ends them, and the supervisor starts its
/// own again.
async fn by_engine(bed: &Bed, engine: &mut Engine) {
    let mut spec =
        bed.mounted(3, &volume(3), "echo run >> /data/runs; cat /data/runs; exec sleep 1000");
    spec.supervision.restart = Restart::Always;
    bed.up(&spec).await;
    bed.says(&spec.id, "run");
    let (_, init) = bed.chain(&spec.id);
    engine.kill();
    assert!(bed.start(&bed.script(4, "exit 0")).await.is_err(), "no engine answers");
    engine.up().unwrap();
    bed::wait("the former container to be gone", || !init.alive());
    bed::wait("the next run", || bed.log(&spec.id).lines().filter(|l| *l == "run").count() >= 3);
    let other = bed.mounted(5, &volume(3), "exec sleep 1000");
    let refused = bed.start(&other).await;
    assert!(matches!(refused, Err(RuntimeError::Held { .. })), "{refused:?}");
    bed.stop(&other.id).await;
    bed.stop(&spec.id).await;
}

async fn foreign_is_shown_and_left_alone(bed: &Bed, engine: &Engine) {
    let (made, said) = engine.docker(&["create", "--name", "somebody", "box:1", "/bin/sh"]);
    assert!(made, "{said}");
    let foreign = bed.foreign().await;
    assert_eq!(foreign, [("container somebody".to_owned(), "not tiedown's".to_owned())]);
    bed.finish().await;
    assert!(engine.docker(&["inspect", "somebody"]).0);
}

fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    listed.split_whitespace().map(|child| child.parse().unwrap()).collect()
}
