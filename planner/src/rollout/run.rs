//! A run on demand: one instance that is to end by itself, on the volumes of a slot that nothing
//! uses, or without any; gone when it has ended.

use super::instance::{Berth, Crew};
use super::{Rolled, rollout, step};
use crate::model::id::VolumeId;
use crate::model::instance::{Bind, Role};
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::InstanceView;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::plan::change::{Change, Field, Verb};
use crate::plan::predicate::Predicate;
use crate::plan::step::Step;
use crate::plan::{Gate, Lane, Wave};
use crate::recover::At;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Where a run is done, and on what.
pub(crate) struct Place<'a> {
    /// The slot whose volumes it has, or that it is named after.
    pub(crate) slot: SlotId,
    /// The host.
    pub(crate) host: HostName,
    /// Its own address.
    pub(crate) address: Ipv4Addr,
    /// The slot's volumes with their caps.
    pub(crate) volumes: Vec<(Bind, Size)>,
    /// What an earlier run left.
    pub(crate) left: Option<At<'a, InstanceView>>,
}

/// The rollout of one run.
pub(crate) fn run(
    inputs: &crate::Inputs<'_>,
    app: &crate::model::desired::App,
    group: &crate::model::desired::Group,
    runs: &crate::diff::Runs<'_>,
    place: Place<'_>,
) -> Rolled {
    let crew = Crew { inputs, app, group, runs };
    let Place { slot, host, address, volumes, left } = place;
    let berth = Berth { slot: &slot, role: Role::Run, host: &host, address };
    let binds: Vec<Bind> = volumes.iter().map(|(bind, _)| bind.clone()).collect();
    let instance = crew.instance(berth, binds);
    let id = instance.id.clone();
    let object = Object::Instance { slot: slot.clone(), instance: id.clone() };
    let mut steps: Vec<Step> =
        left.iter().map(|at| step::stop_instance(at.host, at.view)).collect();
    let caps: Vec<(VolumeId, Size)> =
        volumes.iter().map(|(bind, size)| (bind.volume.clone(), *size)).collect();
    let mut start = step::start_instance(&host, instance, &caps, inputs.desired.hosts.get(&host));
    start.before.extend(caps.into_iter().map(|(volume, _)| Predicate::VolumeIdle { volume }));
    steps.push(start);
    let lane = |steps, gate| Lane {
        object: object.clone(),
        claims_before: Vec::new(),
        steps,
        gate,
        claims_after: Vec::new(),
        on_failure: Vec::new(),
        restore: None,
        claims_on_failure: Vec::new(),
    };
    let stop = step::stop(&host, &id, &slot);
    let gate = Gate::Finishes { host: host.clone(), instance: id, what: "the run".to_string() };
    let wave = |title: &str, lane| Wave { title: title.to_string(), lanes: vec![lane] };
    let mut rollout =
        rollout(format!("{}/{}/run", app.name, group.name), Some(&app.name), Some(&group.name));
    rollout.waves = vec![
        wave("run", lane(steps, gate)),
        wave("clear away", lane(vec![stop.clone()], Gate::Open)),
    ];
    rollout.on_failure = vec![stop];
    let sources: Vec<String> = volumes.iter().map(|(bind, _)| bind.source.to_string()).collect();
    let change = told(group, object, &host, &sources);
    Rolled { rollouts: vec![rollout], changes: vec![change] }
}

fn told(
    group: &crate::model::desired::Group,
    object: Object,
    host: &HostName,
    sources: &[String],
) -> Change {
    let field = |name: &str, value: String| Field {
        name: name.to_string(),
        before: None,
        after: Some(value),
    };
    let mut fields = vec![
        field("command", group.argv.join(" ")),
        field("memory", group.guest.memory.to_string()),
    ];
    if !sources.is_empty() {
        fields.push(field("volumes", sources.join(", ")));
    }
    let reasons = vec!["a person asked for it; it is gone when it has ended".to_string()];
    Change { object, verb: Verb::Run, host: host.clone(), fields, reasons }
}
