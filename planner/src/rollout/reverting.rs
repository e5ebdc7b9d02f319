//! The way back of a slot whose new release does not come up: the release before, complete as it
//! was applied, on the same volumes.

use super::instance::{Berth, Crew};
use super::step;
use crate::diff::{Kept, Runs};
use crate::model::desired::{Group, Revert};
use crate::model::id::VolumeId;
use crate::model::instance::{Bind, Role};
use crate::model::observed::InstanceView;
use crate::model::release::{Release, ReleaseSpec};
use crate::model::size::Size;
use crate::plan::step::Step;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// What is done when the new release fails in a slot.
pub(super) struct Back {
    /// Stops the new one and starts the one before.
    pub(super) steps: Vec<Step>,
    /// What becomes of release and data, in words.
    pub(super) told: String,
}

/// The way back, if the manifest asks for one and there is one: the release before is known in full,
/// its volumes are there and its host can run it.
pub(super) fn plan(crew: &Crew<'_, '_>, kept: &Kept<'_>) -> Option<Back> {
    if crew.group.deploy.revert != Revert::Release {
        return None;
    }
    let (claim, host) = (&kept.claim, &kept.claim.host);
    let (release, spec) = (claim.applied.as_ref()?, claim.applied_spec.as_deref()?);
    let can = kept.host.reading.runs.contains(&spec.artifact.kind());
    if !can || *release == crew.runs.release || spec.release() != *release {
        return None;
    }
    let (mut binds, mut caps): (Vec<Bind>, Vec<(VolumeId, Size)>) = (Vec::new(), Vec::new());
    for (source, destination) in &spec.mounts {
        let volume = kept.volumes.iter().find(|volume| volume.source == *source)?;
        let size = match volume.mount {
            Some(_) => volume.size(),
            None => volume.view?.spec.size,
        };
        let (id, source, destination) = (volume.id.clone(), source.clone(), destination.clone());
        caps.push((id.clone(), size));
        binds.push(Bind { volume: id, source, destination });
    }
    let berth = Berth { slot: &claim.slot, role: Role::Main, host, address: claim.address };
    let new = crew.instance_id(&claim.slot, Role::Main);
    let old = instance(crew, kept.main, release, spec, berth, binds);
    let steps =
        vec![step::stop(host, &new, &claim.slot), step::start_instance(host, old, &caps, None)];
    Some(Back { steps, told: told(release, !caps.is_empty()) })
}

/// The instance of the release before, kept running as it was.
fn instance(
    crew: &Crew<'_, '_>,
    main: Option<&InstanceView>,
    release: &Release,
    spec: &ReleaseSpec,
    berth: Berth<'_>,
    binds: Vec<Bind>,
) -> crate::model::instance::InstanceSpec {
    let before = main.filter(|main| main.release == *release);
    let group = Group {
        argv: spec.argv.clone(),
        replaces_entrypoint: spec.replaces_entrypoint,
        env: spec.env.clone(),
        files: spec.files.clone(),
        secret_files: spec.secret_files.clone(),
        secrets: spec.secrets.clone(),
        guest: spec.guest,
        ports: before.map_or_else(|| crew.group.ports.clone(), |main| main.ports.clone()),
        supervision: before
            .map_or_else(|| crew.group.supervision.clone(), |main| main.supervision.clone()),
        ..crew.group.clone()
    };
    let (release, spec_of) = (release.clone(), Arc::new(spec.clone()));
    let runs = Runs { artifact: &spec.artifact, release, spec: spec_of };
    let crew = Crew { inputs: crew.inputs, app: crew.app, group: &group, runs: &runs };
    crew.instance(berth, binds)
}

fn told(release: &Release, on_volumes: bool) -> String {
    let data = match on_volumes {
        true => ", on the same volumes: what the new one wrote to them by then stays",
        false => "",
    };
    format!("if it does not come up, the slot goes back to release {release}{data}")
}
