//! What a claim remembers of what was applied beside releases and sizes: how the instance is kept
//! running, and how volumes are marked. It follows from the steps of a lane, so that it is written
//! exactly where they were done.

use crate::model::claim::Claim;
use crate::model::id::VolumeId;
use crate::model::instance::{Role, Supervision};
use crate::model::slot::SlotId;
use crate::model::volume::Keeping;
use crate::plan::step::{Act, Step};
use crate::plan::{ClaimAct, Rollout};
use alloc::collections::BTreeMap;

#[derive(Clone, Default)]
struct Applied {
    supervision: BTreeMap<SlotId, Supervision>,
    keeping: BTreeMap<VolumeId, Keeping>,
}

/// Writes into the claims of a rollout what its steps have applied by then.
pub(super) fn remember(rollout: &mut Rollout) {
    let mut applied = Applied::default();
    for lane in rollout.waves.iter_mut().flat_map(|wave| &mut wave.lanes) {
        lane.claims_before.iter_mut().for_each(|act| applied.write(act));
        let slot = lane.claims_after.iter().find_map(ClaimAct::written);
        let slot = slot.map(|claim| claim.slot.clone());
        lane.steps.iter().for_each(|step| applied.learn(step, slot.as_ref()));
        lane.claims_after.iter_mut().for_each(|act| applied.write(act));
        if let Some(restore) = &mut lane.restore {
            let mut applied = applied.clone();
            restore.all().for_each(|step| applied.learn(step, None));
            restore.claims.iter_mut().for_each(|act| applied.write(act));
        }
    }
}

impl Applied {
    fn learn(&mut self, step: &Step, slot: Option<&SlotId>) {
        match &step.act {
            Act::MakeVolume { volume }
            | Act::AdoptVolume { volume, .. }
            | Act::CopyVolume { volume, .. } => {
                self.keeping.insert(volume.id.clone(), volume.keeping);
            }
            Act::MarkVolume { volume, marks } | Act::TakeBackVolume { volume, marks } => {
                self.keeping.insert(volume.clone(), marks.keeping);
            }
            Act::StartInstance { instance } if instance.role == Role::Main => {
                self.supervision.insert(instance.slot.clone(), instance.supervision.clone());
            }
            Act::SuperviseInstance { supervision, .. } => {
                self.supervision.extend(slot.map(|slot| (slot.clone(), supervision.clone())));
            }
            Act::StartInstance { .. }
            | Act::MakePool { .. }
            | Act::FetchImage { .. }
            | Act::RemoveClone { .. }
            | Act::RemoveSnapshot { .. }
            | Act::GrowVolume { .. }
            | Act::RetireVolume { .. }
            | Act::DestroyVolume { .. }
            | Act::StopInstance { .. } => {}
        }
    }

    fn write(&self, act: &mut ClaimAct) {
        match act {
            ClaimAct::Write(Claim { slot, supervision, volumes, .. }) => {
                if let Some(known) = self.supervision.get(slot) {
                    *supervision = Some(known.clone());
                }
                for volume in volumes.values_mut() {
                    volume.keeping = self.keeping.get(&volume.id).copied().or(volume.keeping);
                }
            }
            ClaimAct::Remove { .. }
            | ClaimAct::Hold { .. }
            | ClaimAct::Failed { .. }
            | ClaimAct::Loss { .. } => {}
        }
    }
}
