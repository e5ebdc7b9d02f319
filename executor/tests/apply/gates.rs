//! Gates: how often checks are asked while one waits, and what it says meanwhile.

use executor::event::Event;
use executor::fake::host::FakeHost;
use executor::host::Host;
use executor::steps::health::wait;
use planner::model::health::{Check, Probe};
use planner::model::id::{InstanceId, MachineId};
use planner::model::network::Port;
use planner::model::object::Object;
use planner::model::observed::InstanceState;
use planner::model::time::Millis;
use planner::plan::Gate;
use std::net::Ipv4Addr;
use std::sync::Mutex;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

fn host() -> (FakeHost, InstanceId) {
    let machine = MachineId::parse("0123456789abcdef").unwrap();
    let host = FakeHost::new("bed".parse().unwrap(), "ewr-1".parse().unwrap(), machine);
    let id = InstanceId::parse("0123456789abcd").unwrap();
    let view = serde_json::json!({
        "id": id, "slot": "web/app/ewr/1", "role": "main", "release": "a".repeat(64),
        "state": "running", "healthy": null, "address": ADDRESS, "ports": [80], "volumes": [],
        "supervision": {
            "restart": { "policy": "always" }, "kill_signal": "SIGINT", "kill_timeout": 5000
        },
        "memory": 0, "cpus": 0, "restarts": 0
    });
    host.meddle(|reading| {
        reading.instances.insert(id.clone(), serde_json::from_value(view).unwrap());
    });
    (host, id)
}

fn check(name: &str, interval: u64, grace: u64) -> Check {
    Check {
        name: name.into(),
        port: Port(80),
        probe: Probe::Tcp,
        interval: Millis::from_secs(interval),
        timeout: Millis::from_secs(2),
        grace_period: Millis::from_secs(grace),
    }
}

/// Waits for the checks; what came of it and what was said meanwhile.
async fn gate(
    host: &FakeHost,
    id: &InstanceId,
    checks: Vec<Check>,
) -> (Result<(), String>, Vec<String>) {
    let gate = Gate::Healthy {
        host: host.name().clone(),
        instance: id.clone(),
        address: ADDRESS,
        checks,
        within: Millis::from_secs(60),
    };
    let object = Object::Slot { slot: "web/app/ewr/1".parse().unwrap() };
    let said = Mutex::new(Vec::new());
    let hear = |event: Event| {
        if let Event::GateWaits { seen, .. } = event {
            said.lock().unwrap().push(seen);
        }
    };
    let passed = wait(&gate, host, &object, &hear).await;
    (passed, said.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_check_is_asked_often_at_first_and_then_each_interval() {
    let (host, id) = host();
    host.sicken(ADDRESS, true);
    let (passed, said) = gate(&host, &id, vec![check("alive", 10, 5)]).await;
    assert_eq!(passed.unwrap_err(), "not healthy within 1m: check alive: status 500");
    // At 0, 0.2, 0.6, 1.4, 3, 6.2, 12.6 seconds, then every 10, and at the end.
    assert!((10..=13).contains(&host.asks()), "{} asks", host.asks());
    let grace = "check alive: status 500, in its grace period of 5s";
    assert_eq!(said, [grace, "check alive: status 500"]);
}

#[tokio::test(start_paused = true)]
async fn each_check_that_keeps_a_gate_waiting_is_named() {
    let (host, id) = host();
    host.sicken(ADDRESS, true);
    let (_, said) = gate(&host, &id, vec![check("alive", 2, 0), check("ready", 60, 0)]).await;
    assert_eq!(said, ["check alive: status 500; check ready: status 500"]);
    host.sicken(ADDRESS, false);
    let (passed, said) = gate(&host, &id, vec![check("alive", 2, 0)]).await;
    assert_eq!((passed, said.len()), (Ok(()), 0));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_ends_is_not_waited_for() {
    let (host, id) = host();
    host.sicken(ADDRESS, true);
    host.meddle(|reading| {
        let view = reading.instances.get_mut(&id).unwrap();
        view.state = InstanceState::Failed { why: "its program ended with status 3".to_owned() };
    });
    let (passed, _) = gate(&host, &id, vec![check("alive", 2, 0)]).await;
    assert_eq!(passed.unwrap_err(), "its program ended with status 3");
    assert_eq!(host.asks(), 0);
}
