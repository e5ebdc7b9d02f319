//! All that a host needs to start an instance of a group: its environment, volumes and address;
//! and the gate that says whether it came up.

use crate::Inputs;
use crate::diff::Runs;
use crate::model::artifact::{Artifact, ArtifactKind};
use crate::model::desired::{App, Group};
use crate::model::id::InstanceId;
use crate::model::instance::{Bind, InstanceSpec, Role};
use crate::model::name::HostName;
use crate::model::release::Env;
use crate::model::slot::SlotId;
use crate::model::time::Millis;
use crate::plan::Gate;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use smol_str::{SmolStr, ToSmolStr, format_smolstr};

/// How long an instance without checks must stay up.
const STAYS_UP: Millis = Millis::from_secs(10);

/// Where programs are looked for, unless the manifest says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A group and what it runs.
#[derive(Clone, Copy)]
pub(super) struct Crew<'a, 's> {
    /// All that the plan is made from.
    pub(super) inputs: &'s Inputs<'a>,
    /// The app.
    pub(super) app: &'a App,
    /// The group.
    pub(super) group: &'a Group,
    /// What it runs.
    pub(super) runs: &'s Runs<'a>,
}

/// Where an instance is started.
#[derive(Clone, Copy)]
pub(super) struct Berth<'b> {
    /// The slot.
    pub(super) slot: &'b SlotId,
    /// In which role.
    pub(super) role: Role,
    /// The host.
    pub(super) host: &'b HostName,
    /// The address.
    pub(super) address: Ipv4Addr,
}

impl Crew<'_, '_> {
    /// The identity of an instance of the release.
    pub(super) fn instance_id(&self, slot: &SlotId, role: Role) -> InstanceId {
        InstanceId::derive(&self.inputs.desired.fleet, slot, role, &self.runs.release)
    }

    /// The instance, complete.
    pub(super) fn instance(&self, berth: Berth<'_>, binds: Vec<Bind>) -> InstanceSpec {
        let Berth { slot, role, host, address } = berth;
        let id = self.instance_id(slot, role);
        let group = self.group;
        InstanceSpec {
            env: self.environment(&id, slot, host, address),
            id,
            slot: slot.clone(),
            role,
            release: self.runs.release.clone(),
            artifact: self.runs.artifact.clone(),
            argv: group.argv.clone(),
            replaces_entrypoint: group.replaces_entrypoint,
            files: group.files.clone(),
            secret_files: group.secret_files.clone(),
            secrets: group.secrets.clone(),
            binds,
            guest: group.guest,
            address,
            ports: group.ports.clone(),
            supervision: group.supervision.clone(),
            ends_within: None,
            alone: false,
        }
    }

    /// The manifest's environment and what Fly's machines find beside it. An image keeps its own
    /// `PATH` and `HOME`.
    fn environment(
        &self,
        id: &InstanceId,
        slot: &SlotId,
        host: &HostName,
        address: Ipv4Addr,
    ) -> Env {
        let memory = self.group.guest.memory.whole_mib();
        let ours = [
            ("FLY_APP_NAME", self.app.name.clone().into()),
            ("FLY_PROCESS_GROUP", self.group.name.clone().into()),
            ("FLY_REGION", slot.region.clone().into()),
            ("FLY_MACHINE_ID", id.clone().into()),
            ("FLY_ALLOC_ID", id.clone().into()),
            ("FLY_PRIVATE_IP", address.to_smolstr()),
            ("FLY_IMAGE_REF", image_ref(self.runs.artifact)),
            ("FLY_VM_MEMORY_MB", memory.to_smolstr()),
            ("TIEDOWN_SLOT", slot.to_smolstr()),
            ("TIEDOWN_HOST", host.clone().into()),
        ];
        let region = self.group.primary_region.clone();
        let region = region.map(|region| ("PRIMARY_REGION", region.into()));
        let defaults = match self.runs.artifact.kind() {
            ArtifactKind::Tree => &[("HOME", "/root"), ("PATH", PATH)][..],
            ArtifactKind::Image => &[],
        };
        let fixed = |(name, value)| (SmolStr::new_static(name), value);
        // What comes later stands.
        let env = defaults.iter().map(|(name, value)| fixed((*name, SmolStr::new_static(value))));
        let env = env.chain(self.group.env.clone());
        env.chain(ours.into_iter().chain(region).map(fixed)).collect()
    }

    /// What must become true of an instance after its start.
    pub(super) fn gate(&self, berth: Berth<'_>) -> Gate {
        let host = berth.host.clone();
        let instance = self.instance_id(berth.slot, berth.role);
        if self.group.checks.is_empty() {
            let ports = self.group.ports.clone();
            return Gate::StaysUp { host, instance, ports, span: STAYS_UP };
        }
        Gate::Healthy {
            host,
            instance,
            address: berth.address,
            checks: self.group.checks.clone(),
            within: self.group.deploy.wait_timeout,
        }
    }
}

/// What runs, as one word.
fn image_ref(artifact: &Artifact) -> SmolStr {
    match artifact {
        Artifact::Image { reference, digest } if !reference.contains('@') => {
            format_smolstr!("{reference}@{digest}")
        }
        Artifact::Image { reference, .. } => reference.clone(),
        Artifact::Tree { digest } => digest.clone(),
    }
}
