//! A slot goes to a new volume with the data of one that was put away.

use super::copying::Copying;
use super::instance::Crew;
use super::removal::lane;
use super::{Rolled, applied, lane as lanes, push, rollout, step, wording};
use crate::Inputs;
use crate::diff::GroupDiff;
use crate::diff::instance::InstanceNeed;
use crate::diff::volume::VolumeNeed;
use crate::model::claim::ClaimedVolume;
use crate::model::object::Object;
use crate::model::observed::VolumeView;
use crate::model::size::Size;
use crate::plan::ClaimAct;
use crate::plan::change::Change;
use crate::recover::Ground;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// What is put back, and in whose place.
pub(crate) struct Restoring<'a> {
    /// The new volume.
    pub(crate) copying: Copying<'a>,
    /// The one that the slot has now.
    pub(crate) old: &'a VolumeView,
    /// The cap that the new one gets in the end.
    pub(crate) to: Size,
}

impl Restoring<'_> {
    /// Copies while the slot still runs on what it has; then takes that off, and only then says in
    /// the claim which volume is the slot's. Cut short before, the slot goes on with the old one;
    /// after, with the new one.
    pub(crate) fn roll_out(
        &self,
        inputs: &Inputs<'_>,
        ground: &Ground<'_>,
        group: &mut GroupDiff<'_>,
        place: usize,
    ) -> Rolled {
        let Some(runs) = group.runs.clone() else { return Rolled::default() };
        let (app, name) = (&group.app.name, &group.group.name);
        let mut rollout = rollout(format!("{app}/{name}/restore"), Some(app), Some(name));
        let crew = Crew { inputs, app: group.app, group: group.group, runs: &runs };
        let over = inputs.policy.overcommit_thousandths;
        let Self { copying: Copying { host, of, copy, .. }, old, to } = self;
        let host = &host.spec.name;
        let mut changes: Vec<Change> = Vec::new();

        let mut steps = vec![self.copying.step(over)];
        if *to > copy.size {
            steps.push(step::grow_volume(host, &copy.id, copy.size, *to, over));
        }
        let change =
            wording::copied(host, copy, "a person puts it in place of the one that is there");
        let object = change.object.clone();
        changes.push(change);
        push(&mut rollout.waves, "copy the data", vec![lane(object, steps, Vec::new())]);

        let kept = &mut group.kept[place];
        let slot = kept.claim.slot.clone();
        let mut steps: Vec<_> =
            kept.main.take().into_iter().map(|main| step::stop_instance(host, main)).collect();
        steps.push(step::retire_volume(host, old));
        let why = format!("the data of {} comes in its place", of.spec.id);
        changes.push(wording::retired(host, &slot, old, &why));
        let claimed = ClaimedVolume {
            id: copy.id.clone(),
            incarnation: copy.incarnation,
            size: *to,
            keeping: None,
        };
        kept.claim.volumes.insert(copy.source.clone(), claimed);
        let after =
            vec![ClaimAct::Write(kept.claim.clone()), ClaimAct::Loss { app: slot.app.clone() }];
        let object = Object::Slot { slot };
        push(&mut rollout.waves, "take the volume off", vec![lane(object, steps, after)]);

        for volume in kept.volumes.iter_mut().filter(|volume| volume.source == copy.source) {
            (volume.id, volume.incarnation) = (copy.id.clone(), copy.incarnation);
            (volume.claimed, volume.view) = (*to, None);
        }
        for volume in &mut kept.volumes {
            volume.need = VolumeNeed::Nothing;
        }
        let why = format!("a person puts the data of {} in place", of.spec.id);
        kept.instance = InstanceNeed::Restart { why };
        let start = lanes::deploy(&crew, ground, kept, true, &mut changes);
        push(&mut rollout.waves, "start on the new volume", vec![start]);
        applied::remember(&mut rollout);
        Rolled { rollouts: vec![rollout], changes }
    }
}
