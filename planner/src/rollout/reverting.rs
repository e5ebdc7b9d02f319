//! The way back of a slot whose new release does not come up: the release before, complete as it
//! was applied; on the same volumes, or on what they held before the new one was started on them.

use super::instance::{Berth, Crew};
use super::snapshots::{self, Before};
use super::step;
use crate::diff::{Kept, Runs};
use crate::model::claim::ClaimedVolume;
use crate::model::desired::{Group, Revert};
use crate::model::id::VolumeId;
use crate::model::instance::{Bind, InstanceSpec, Role};
use crate::model::name::SourceName;
use crate::model::observed::InstanceView;
use crate::model::release::{Release, ReleaseSpec};
use crate::model::size::Size;
use crate::plan::step::Step;
use crate::plan::{ClaimAct, Restore};
use crate::recover::Ground;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use smol_str::SmolStr;

/// What is done when the new release fails in a slot.
pub(super) struct Back {
    /// Done first, once nothing uses the volumes: what they hold is put away.
    pub(super) first: Vec<Step>,
    /// Stops the new one and starts the one before, on the same volumes.
    pub(super) steps: Vec<Step>,
    /// Goes back to what was put away, if something was.
    pub(super) restore: Option<Restore>,
    /// What is gone back to there.
    pub(super) before: Vec<Before>,
    /// What becomes of release and data, in words.
    pub(super) told: String,
}

/// The way back, if the manifest asks for one and there is one: the release before is known in full,
/// its volumes are there and its host can run it.
pub(super) fn plan(crew: &Crew<'_, '_>, ground: &Ground<'_>, kept: &Kept<'_>) -> Option<Back> {
    let revert = crew.group.deploy.revert;
    if revert == Revert::Off {
        return None;
    }
    let claim = &kept.claim;
    let (release, spec) = (claim.applied.as_ref()?, claim.applied_spec.as_deref()?);
    let can = kept.host.reading.runs.contains(&spec.artifact.kind());
    if !can || *release == crew.runs.release || spec.release() != *release {
        return None;
    }
    let way = Way { crew, kept, release, spec };
    let bound = way.bound()?;
    match revert {
        Revert::Snapshot if !bound.is_empty() => way.to_data(ground, &bound),
        Revert::Off | Revert::Release | Revert::Snapshot => Some(way.to_release(&bound)),
    }
}

/// A volume that the release before has, with the cap that it has by then.
type Bound = (Bind, Size);

struct Way<'w, 'a, 's> {
    crew: &'w Crew<'a, 's>,
    kept: &'w Kept<'a>,
    release: &'w Release,
    spec: &'w ReleaseSpec,
}

impl Way<'_, '_, '_> {
    /// The volumes of the release before; nothing if one is not there.
    fn bound(&self) -> Option<Vec<Bound>> {
        let one = |(source, destination): (&SourceName, &SmolStr)| {
            let volume = self.kept.volumes.iter().find(|volume| volume.source == *source)?;
            let size = match volume.mount {
                Some(_) => volume.size(),
                None => volume.view?.spec.size,
            };
            let destination = destination.clone();
            Some((
                Bind { volume: volume.id.clone(), source: volume.source.clone(), destination },
                size,
            ))
        };
        self.spec.mounts.iter().map(one).collect()
    }

    /// On the same volumes.
    fn to_release(&self, bound: &[Bound]) -> Back {
        let steps = vec![self.stop(), self.start(bound)];
        let told = self.told(!bound.is_empty());
        Back { first: Vec::new(), steps, restore: None, before: Vec::new(), told }
    }

    /// On copies of what snapshots hold that were taken before the new release was started.
    fn to_data(&self, ground: &Ground<'_>, bound: &[Bound]) -> Option<Back> {
        let host = &self.kept.claim.host;
        let before = snapshots::of(self.crew, ground, self.kept)?;
        if before.is_empty() {
            return Some(self.to_release(bound));
        }
        let first = before.iter().filter_map(|it| it.take(self.crew, self.kept));
        let first: Vec<Step> = first.collect();
        let mut steps = vec![self.stop()];
        steps.extend(before.iter().flat_map(|it| it.put_back(self.crew, self.kept)));
        let start = vec![self.start(&replaced(bound, &before))];
        let restore = Restore { steps, claims: self.claims(&before), start };
        // Snapshots of an earlier try stay: the new release has had the volumes since.
        let early = match first.is_empty() {
            true => Vec::new(),
            // A snapshot that is not gone would be taken for one of what is written from now on.
            false => {
                let gone = before.iter().map(|it| step::remove_snapshot(host, &it.snapshot.id));
                core::iter::once(self.stop()).chain(gone).chain([self.start(bound)]).collect()
            }
        };
        let told = self.told_data();
        Some(Back { first, steps: early, restore: Some(restore), before, told })
    }

    fn stop(&self) -> Step {
        let slot = &self.kept.claim.slot;
        step::stop(&self.kept.claim.host, &self.crew.instance_id(slot, Role::Main), slot)
    }

    fn start(&self, bound: &[Bound]) -> Step {
        let claim = &self.kept.claim;
        let host = &claim.host;
        let berth = Berth { slot: &claim.slot, role: Role::Main, host, address: claim.address };
        let binds = bound.iter().map(|(bind, _)| bind.clone()).collect();
        let caps: Vec<(VolumeId, Size)> =
            bound.iter().map(|(bind, size)| (bind.volume.clone(), *size)).collect();
        step::start_instance(host, self.instance(self.kept.main, berth, binds), &caps, None)
    }

    /// The instance of the release before, kept running as it was.
    fn instance(
        &self,
        main: Option<&InstanceView>,
        berth: Berth<'_>,
        binds: Vec<Bind>,
    ) -> InstanceSpec {
        let Self { crew, release, spec, .. } = *self;
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

    /// What is remembered once the slot has its data back. The failure is remembered behind that,
    /// so that no pass tries again by itself.
    fn claims(&self, before: &[Before]) -> Vec<ClaimAct> {
        let mut claim = self.kept.claim.clone();
        let mut losses = Vec::new();
        for Before { copy, to, .. } in before {
            let (id, incarnation) = (copy.id.clone(), copy.incarnation);
            let claimed = ClaimedVolume { id, incarnation, size: *to, keeping: None };
            claim.volumes.insert(copy.source.clone(), claimed);
            losses.push(ClaimAct::Loss { app: claim.slot.app.clone() });
        }
        let (slot, release) = (claim.slot.clone(), self.crew.runs.release.clone());
        let mut claims = vec![ClaimAct::Write(claim), ClaimAct::Failed { slot, release }];
        claims.append(&mut losses);
        claims
    }

    fn told(&self, on_volumes: bool) -> String {
        let data = match on_volumes {
            true => ", on the same volumes: what the new one wrote to them by then stays",
            false => "",
        };
        format!("if it does not come up, the slot goes back to release {}{data}", self.release)
    }

    fn told_data(&self) -> String {
        format!(
            "if it does not come up, the slot goes back to release {} and its data changes: to copies \
             of snapshots that are taken just before it starts; what is written from then on stays in \
             the volumes that the slot has now, which are retired and kept",
            self.release
        )
    }
}

/// The volumes of the release before, with those that come in the place of others.
fn replaced(bound: &[Bound], before: &[Before]) -> Vec<Bound> {
    let one = |(bind, size): &Bound| match before.iter().find(|it| it.volume == bind.volume) {
        Some(Before { copy, to, .. }) => (Bind { volume: copy.id.clone(), ..bind.clone() }, *to),
        None => (bind.clone(), *size),
    };
    bound.iter().map(one).collect()
}
