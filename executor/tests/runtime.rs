//! The runtime port: one contract, kept by supervised processes and by containers of a real Docker
//! Engine; and what only the engine can do to it.

mod contract;
#[allow(dead_code, reason = "end-to-end tests of the reconciler have it too, and a registry")]
pub(crate) mod engine;
mod killed;

use contract::Bed;
use engine::Engine;
use executor::runtime::docker::DockerRuntime;
use executor::runtime::process::port::ProcessRuntime;
use planner::model::artifact::Artifact;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// Each bed has a subnet of its own.
static NET: AtomicU8 = AtomicU8::new(1);

fn processes(home: &Path) -> ProcessRuntime {
    let capabilities = crate::process::bed::capabilities();
    let subnet = format!("10.214.{}.0/24", NET.fetch_add(1, Ordering::Relaxed));
    ProcessRuntime {
        program: crate::process::bed::internal(),
        directory: home.join("instances"),
        state: home.to_owned(),
        fleet: "contract".parse().unwrap(),
        subnet: subnet.parse().unwrap(),
        runs_instances: capabilities.instances,
        shares_ports: !capabilities.network_namespaces,
    }
}

fn home() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("tiedown-").tempdir().unwrap()
}

/// A bed on an engine that has an image of busybox.
fn contained(engine: &Engine) -> Bed {
    engine.image("box:1", &["ENV FROM_IMAGE=yes"]);
    let (home, socket) = (home(), engine.socket());
    let host = "h1".parse().unwrap();
    let runtime = DockerRuntime { kept: processes(home.path()), host, socket };
    let digest = engine.docker(&["image", "inspect", "-f", "{{.Id}}", "box:1"]).1;
    let artifact = Artifact::Image { reference: "box:1".into(), digest: digest.into() };
    let (subnet, root) = (runtime.kept.subnet, true);
    Bed::new(home, subnet, Box::new(runtime), artifact, None, root)
}

#[tokio::test(flavor = "multi_thread")]
async fn supervised_processes_keep_the_contract() {
    if !crate::process::bed::able() {
        return;
    }
    let home = home();
    let runtime = processes(home.path());
    let tree = home.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let own_network = !runtime.shares_ports;
    let artifact = Artifact::Tree { digest: "a".repeat(64).into() };
    let subnet = runtime.subnet;
    let bed = Bed::new(home, subnet, Box::new(runtime), artifact, Some(tree), own_network);
    contract::holds(&bed).await;
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_keep_the_contract() {
    let engine = match Engine::start() {
        Ok(engine) => engine,
        Err(why) => return crate::process::bed::skip(&why),
    };
    let bed = contained(&engine);
    contract::holds(&bed).await;
    bed.finish().await;
    assert_eq!(engine.containers(), "", "containers left behind");
    let networks = engine.docker(&["network", "ls", "-q", "-f", "label=tiedown.fleet"]);
    assert_eq!(networks.1, "", "networks left behind");
}
