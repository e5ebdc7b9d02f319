//! What is: hosts, slots and volumes as one table each, from what hosts said and what is
//! remembered. Decides nothing.

use crate::endpoints::{Endpoint, endpoints};
use crate::settings::Settings;
use planner::model::claim::Claims;
use planner::model::health::Said;
use planner::model::instance::Role;
use planner::model::name::HostName;
use planner::model::observed::{
    HostView, InstanceState, InstanceView, Observed, PoolView, Reading,
};
use planner::model::size::Size;
use planner::model::slot::SlotId;
use planner::model::volume::VolumeState;
use serde::Serialize;
use std::collections::BTreeSet;

/// A fleet as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The fleet.
    pub fleet: String,
    /// Its hosts, in order of names.
    pub hosts: Vec<HostStatus>,
    /// Its slots, in order.
    pub slots: Vec<SlotStatus>,
    /// Where a proxy in front finds what serves: main instances, and those of a second set or a
    /// canary that is no clone, in order of slots and roles.
    pub endpoints: Vec<Endpoint>,
    /// All volumes with the fleet's mark, in order of hosts and ids.
    pub volumes: Vec<VolumeStatus>,
}

/// What a check said when it was asked last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckStatus {
    /// Its name.
    pub check: String,
    /// Whether it passed.
    pub passing: bool,
    /// What was seen instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// What may happen on it.
    pub state: String,
    /// Size of its pool; none where there is no pool or it was not read.
    pub capacity_bytes: Option<u64>,
    /// What the pool has promised.
    pub promised_bytes: Option<u64>,
    /// What is written.
    pub used_bytes: Option<u64>,
    /// Whether it answered in full.
    pub readable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether a volume cannot outgrow its size there.
    pub sizes_enforced: Option<bool>,
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    /// `app/group/region/n`.
    pub slot: String,
    /// Its app.
    pub app: String,
    /// Its group.
    pub group: String,
    /// Where it is.
    pub region: String,
    /// On which host, if that is known.
    pub host: Option<String>,
    /// Whether that host answered in full; if not, what is not shown here is not known.
    pub readable: bool,
    /// Whether it is left alone by every pass while a person repairs it.
    pub held: bool,
    /// Its main instance; none where none was seen.
    pub instance: Option<InstanceStatus>,
    /// Its attached volumes.
    pub volumes: Vec<SlotVolume>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceStatus {
    /// Its identity.
    pub id: String,
    /// `running`, `restarting`, `finished`, `failed`, `died` or `stopped`.
    pub state: String,
    /// What was seen, where it failed or died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether its checks passed; none if it has none or was not asked.
    pub healthy: Option<bool>,
    /// What each of them said.
    pub checks: Vec<CheckStatus>,
    /// What it runs, all digits.
    pub release: String,
    /// Its own address.
    pub address: String,
    /// Ports its services listen on.
    pub ports: Vec<u16>,
    /// Times it was started again.
    pub restarts: u32,
}

/// A volume of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotVolume {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub source: String,
    /// Its cap.
    pub size_bytes: u64,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeStatus {
    /// Its identity.
    pub id: String,
    /// The app it is or was of.
    pub app: String,
    /// Its name.
    pub source: String,
    /// Where it is.
    pub host: String,
    /// Its cap.
    pub size_bytes: u64,
    /// `making`, `attached`, `retired` or `erasing`.
    pub state: String,
    /// The slot it is or was of.
    pub slot: String,
}

impl Status {
    /// From what is known.
    #[must_use]
    pub fn of(settings: &Settings, observed: &Observed, claims: &Claims) -> Self {
        let hosts = settings.hosts.iter().map(|(name, host)| {
            let spec = &host.spec;
            host_status(name, spec.region.as_str(), spec.state.as_str(), observed.get(name))
        });
        let mut volumes = Vec::new();
        for (host, reading) in readings(observed) {
            for (id, volume) in &reading.volumes {
                volumes.push(VolumeStatus {
                    id: id.to_string(),
                    app: volume.spec.slot.app.to_string(),
                    source: volume.spec.source.to_string(),
                    host: host.to_string(),
                    size_bytes: volume.spec.size.bytes(),
                    state: volume.state.as_str().to_owned(),
                    slot: volume.spec.slot.to_string(),
                });
            }
        }
        let slots = slots(observed, claims);
        Self {
            fleet: settings.fleet.to_string(),
            hosts: hosts.collect(),
            endpoints: endpoints(observed),
            slots: slots.iter().map(|slot| slot_status(slot, observed, claims)).collect(),
            volumes,
        }
    }

    /// Whether every host answered in full.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.hosts.iter().all(|host| host.readable)
    }
}

/// The hosts that answered.
pub fn readings(observed: &Observed) -> impl Iterator<Item = (&HostName, &Reading)> {
    observed.iter().filter_map(|(host, view)| match view {
        HostView::Read(reading) => Some((host, reading)),
        HostView::Unread { .. } => None,
    })
}

fn host_status(name: &HostName, region: &str, state: &str, view: Option<&HostView>) -> HostStatus {
    let mut status = HostStatus {
        name: name.to_string(),
        region: region.to_owned(),
        state: state.to_owned(),
        capacity_bytes: None,
        promised_bytes: None,
        used_bytes: None,
        readable: false,
        why: None,
        sizes_enforced: None,
    };
    match view {
        Some(HostView::Read(reading)) => {
            status.readable = true;
            if let PoolView::Present(pool) = &reading.pool {
                let volumes = reading.volumes.values();
                let promised: Size = volumes
                    .map(|volume| volume.spec.size.rounded_up_to(pool.extent).plus(pool.header))
                    .chain(reading.foreign.iter().map(|foreign| foreign.size))
                    .sum();
                status.capacity_bytes = Some(pool.size.bytes());
                status.promised_bytes = Some(promised.bytes());
                status.used_bytes = Some(pool.used.bytes());
                status.sizes_enforced = Some(pool.cap_enforced);
            }
        }
        Some(HostView::Unread { why, .. }) => status.why = Some(why.clone()),
        None => status.why = Some("it was not asked".to_owned()),
    }
    status
}

/// Slots that are claimed, or that something on a host says it belongs to.
fn slots(observed: &Observed, claims: &Claims) -> BTreeSet<SlotId> {
    let mut slots: BTreeSet<SlotId> = claims.slots.keys().cloned().collect();
    for (_, reading) in readings(observed) {
        let main = reading.instances.values().filter(|instance| instance.role == Role::Main);
        slots.extend(main.map(|instance| instance.slot.clone()));
        let attached = reading.volumes.values().filter(|v| v.state == VolumeState::Attached);
        slots.extend(attached.map(|volume| volume.spec.slot.clone()));
    }
    slots
}

fn slot_status(slot: &SlotId, observed: &Observed, claims: &Claims) -> SlotStatus {
    let claim = claims.slots.get(slot);
    let read = |host| matches!(observed.get(host), Some(HostView::Read(_)));
    let mut status = SlotStatus {
        slot: slot.to_string(),
        app: slot.app.to_string(),
        group: slot.group.to_string(),
        region: slot.region.to_string(),
        host: claim.map(|claim| claim.host.to_string()),
        readable: claim.is_none_or(|claim| read(&claim.host)),
        held: claim.is_some_and(|claim| claim.held),
        instance: None,
        volumes: Vec::new(),
    };
    for (host, reading) in readings(observed) {
        let main = reading.instances.values().filter(|i| i.role == Role::Main && i.slot == *slot);
        // One that runs says more than one that is being cleared away.
        if let Some(instance) = main.max_by_key(|i| i.state == InstanceState::Running) {
            status.instance = Some(instance_status(instance));
            status.host = Some(host.to_string());
            status.readable = true;
        }
        for (id, volume) in &reading.volumes {
            if volume.spec.slot == *slot && volume.state == VolumeState::Attached {
                status.host.get_or_insert_with(|| host.to_string());
                status.volumes.push(SlotVolume {
                    id: id.to_string(),
                    source: volume.spec.source.to_string(),
                    size_bytes: volume.spec.size.bytes(),
                });
            }
        }
    }
    status
}

fn check_status(said: &Said) -> CheckStatus {
    let Said { check, instead } = said.clone();
    CheckStatus { check, passing: instead.is_none(), instead }
}

fn instance_status(instance: &InstanceView) -> InstanceStatus {
    let why = match &instance.state {
        InstanceState::Failed { why } | InstanceState::Died { why } => Some(why.clone()),
        InstanceState::Running
        | InstanceState::Restarting
        | InstanceState::Finished
        | InstanceState::Stopped => None,
    };
    InstanceStatus {
        id: instance.id.to_string(),
        state: instance.state.as_str().to_owned(),
        why,
        healthy: instance.healthy,
        checks: instance.said.iter().map(check_status).collect(),
        release: instance.release.as_str().to_owned(),
        address: instance.address.to_string(),
        ports: instance.ports.iter().map(|port| port.0).collect(),
        restarts: instance.restarts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Machine, meant};
    use serde_json::json;

    fn settings() -> Settings {
        let machine = Machine {
            memory: Size::from_mib(1024),
            cpus: 1,
            shares_ports: true,
            root: false,
            state_home: None,
            home: Some("/home/someone".into()),
        };
        let host = |name: &str| {
            format!(
                "[[hosts]]\nname = \"{name}\"\nregion = \"ewr\"\n\
                 storage = {{ driver = \"local\", capacity = \"1GB\" }}\n"
            )
        };
        let text = format!("fleet = \"f\"\n{}{}", host("a"), host("b"));
        meant::read("tiedown.toml", &text, &machine).unwrap()
    }

    fn volume(id: &str, slot: &str, state: &str) -> serde_json::Value {
        json!({
            "spec": {
                "id": id, "slot": slot, "source": "data", "incarnation": 1, "size": 1000,
                "keeping": { "on_remove": "retain", "retention": 0, "protect": false }
            },
            "state": state, "since": 5, "allocated": 10, "formatted": true
        })
    }

    #[test]
    fn what_was_not_read_is_not_told_as_absent() {
        let (kept, own) = ("vol_0000000000000001", "vol_0000000000000002");
        let observed = json!({
            "a": {
                "view": "read", "at": 9, "machine": "0123456789abcdef", "runs": [],
                "shared_ports": true, "foreign": [], "instances": {},
                "pool": {
                    "pool": "present", "id": "01234567-89ab", "fleet": "f", "host": "a",
                    "machine": "0123456789abcdef", "size": 100_000, "used": 20, "extent": 4096,
                    "header": 0, "cap_enforced": false, "grows_online": true
                },
                "volumes": {
                    kept: volume(kept, "web/app/ewr/2", "retired"),
                    own: volume(own, "web/app/ewr/1", "attached"),
                }
            },
            "b": { "view": "unread", "why": "its disk is stuck", "hint": "" }
        });
        let observed: Observed = serde_json::from_value(observed).unwrap();
        let claims = json!({
            "slots": { "web/app/ewr/3": {
                "slot": "web/app/ewr/3", "host": "b", "pool": null, "volumes": {},
                "address": "10.0.0.2", "applied": null, "previous": null, "failed": null,
                "held": false
            } },
            "apps": {}, "incarnations": [], "losses": [], "complete": true
        });
        let claims = serde_json::from_value(claims).unwrap();
        let status = Status::of(&settings(), &observed, &claims);
        let [a, b] = status.hosts.as_slice() else { panic!("{status:?}") };
        assert_eq!((a.capacity_bytes, a.promised_bytes), (Some(100_000), Some(8192)));
        assert_eq!(a.sizes_enforced, Some(false));
        assert_eq!((b.readable, b.capacity_bytes), (false, None));
        assert_eq!(b.why.as_deref(), Some("its disk is stuck"));
        assert!(!status.is_complete());
        let [slot, away] = status.slots.as_slice() else { panic!("{status:?}") };
        assert_eq!((slot.readable, away.readable, away.instance.is_none()), (true, false, true));
        assert_eq!((slot.slot.as_str(), slot.host.as_deref()), ("web/app/ewr/1", Some("a")));
        assert_eq!((slot.volumes.len(), slot.instance.is_none()), (1, true));
        let states: Vec<&str> = status.volumes.iter().map(|v| v.state.as_str()).collect();
        assert_eq!(states, ["retired", "attached"]);
    }
}
