//! The steps of a plan with their places, and which of them surely come before which.

use crate::model::id::{InstanceId, PoolId, VolumeId};
use crate::model::instance::InstanceSpec;
use crate::model::name::HostName;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::volume::VolumeSpec;
use crate::plan::step::{Act, Step};
use crate::plan::{ClaimAct, Lane, Plan, Restore, Rollout, RolloutId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// When a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// If all goes well.
    Main,
    /// If its lane fails.
    LaneFailed,
    /// If its lane fails behind its last step, which may have changed data.
    WentBack,
    /// If its rollout fails.
    RolloutFailed,
}

/// A step and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) step: &'a Step,
    pub(super) rollout: usize,
    wave: usize,
    lane: usize,
    index: usize,
    pub(super) path: Path,
}

/// A lane and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlacedLane<'a> {
    pub(super) lane: &'a Lane,
    pub(super) rollout: usize,
    wave: usize,
    number: usize,
}

/// A plan, laid out for judging.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) plan: &'a Plan,
    pub(super) steps: Vec<Placed<'a>>,
    pub(super) lanes: Vec<PlacedLane<'a>>,
    /// Numbers of the steps on each volume and each instance, and of the lanes that write each
    /// slot's claim: what is judged of one is judged without a look at all.
    of_volume: BTreeMap<&'a VolumeId, Vec<usize>>,
    of_instance: BTreeMap<&'a InstanceId, Vec<usize>>,
    of_slot: BTreeMap<&'a SlotId, Vec<usize>>,
    /// For each rollout, those that must have succeeded before it begins.
    earlier: Vec<BTreeSet<usize>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let mut walk = Self {
            plan,
            steps: Vec::new(),
            lanes: Vec::new(),
            of_volume: BTreeMap::new(),
            of_instance: BTreeMap::new(),
            of_slot: BTreeMap::new(),
            earlier: earlier(&plan.rollouts),
        };
        for (number, rollout) in plan.rollouts.iter().enumerate() {
            walk.place(number, rollout);
        }
        walk.index();
        walk
    }

    fn place(&mut self, number: usize, rollout: &'a Rollout) {
        for (wave_number, wave) in rollout.waves.iter().enumerate() {
            for (lane_number, lane) in wave.lanes.iter().enumerate() {
                let placed = |path| {
                    move |(index, step)| Placed {
                        step,
                        rollout: number,
                        wave: wave_number,
                        lane: lane_number,
                        index,
                        path,
                    }
                };
                self.lanes.push(PlacedLane {
                    lane,
                    rollout: number,
                    wave: wave_number,
                    number: lane_number,
                });
                self.steps.extend(lane.steps.iter().enumerate().map(placed(Path::Main)));
                let failed = lane.on_failure.iter().enumerate();
                self.steps.extend(failed.map(placed(Path::LaneFailed)));
                let back = lane.restore.iter().flat_map(Restore::all).enumerate();
                self.steps.extend(back.map(placed(Path::WentBack)));
            }
        }
        let failed = rollout.on_failure.iter().enumerate();
        self.steps.extend(failed.map(|(index, step)| Placed {
            step,
            rollout: number,
            wave: usize::MAX,
            lane: 0,
            index,
            path: Path::RolloutFailed,
        }));
    }

    fn index(&mut self) {
        for (number, placed) in self.steps.iter().enumerate() {
            if let Some(id) = placed.step.act.volume() {
                self.of_volume.entry(id).or_default().push(number);
            }
            match &placed.step.act {
                Act::StartInstance { instance } => {
                    self.of_instance.entry(&instance.id).or_default().push(number);
                }
                Act::StopInstance { instance: id, .. }
                | Act::SuperviseInstance { instance: id, .. } => {
                    self.of_instance.entry(id).or_default().push(number);
                }
                Act::MakePool { .. }
                | Act::FetchImage { .. }
                | Act::MakeVolume { .. }
                | Act::CopyVolume { .. }
                | Act::RemoveClone { .. }
                | Act::RemoveSnapshot { .. }
                | Act::GrowVolume { .. }
                | Act::MarkVolume { .. }
                | Act::RetireVolume { .. }
                | Act::TakeBackVolume { .. }
                | Act::AdoptVolume { .. }
                | Act::DestroyVolume { .. } => {}
            }
        }
        for (number, placed) in self.lanes.iter().enumerate() {
            let acts = placed.lane.claims_before.iter().chain(&placed.lane.claims_after);
            let slots = acts.filter_map(|act| match act {
                ClaimAct::Write(claim) => Some(&claim.slot),
                ClaimAct::Remove { slot } => Some(slot),
                ClaimAct::Hold { .. } | ClaimAct::Failed { .. } | ClaimAct::Loss { .. } => None,
            });
            for slot in slots.collect::<BTreeSet<_>>() {
                self.of_slot.entry(slot).or_default().push(number);
            }
        }
    }

    /// Steps on a volume, in the order of the plan.
    pub(super) fn on_volume(&self, volume: &VolumeId) -> impl Iterator<Item = &Placed<'a>> {
        let numbers = self.of_volume.get(volume).into_iter().flatten();
        numbers.map(|number| &self.steps[*number])
    }

    /// Steps on an instance, in the order of the plan.
    pub(super) fn on_instance(&self, instance: &InstanceId) -> impl Iterator<Item = &Placed<'a>> {
        let numbers = self.of_instance.get(instance).into_iter().flatten();
        numbers.map(|number| &self.steps[*number])
    }

    /// Lanes that write a slot's claim, in the order of the plan.
    pub(super) fn writing(&self, slot: &SlotId) -> impl Iterator<Item = &PlacedLane<'a>> {
        let numbers = self.of_slot.get(slot).into_iter().flatten();
        numbers.map(|number| &self.lanes[*number])
    }

    /// Steps that are done if all goes well.
    pub(super) fn main(&self) -> impl Iterator<Item = &Placed<'a>> {
        self.steps.iter().filter(|placed| placed.path == Path::Main)
    }

    /// Whether `first` has surely ended when `second` begins.
    pub(super) fn before(&self, first: &Placed<'_>, second: &Placed<'_>) -> bool {
        if first.rollout != second.rollout {
            return first.path == Path::Main && self.follows(second.rollout, first.rollout);
        }
        let same_lane = Self::in_one_lane(first, second);
        match (first.path, second.path) {
            (Path::Main, Path::Main) => {
                first.wave < second.wave || same_lane && first.index < second.index
            }
            (Path::Main, Path::LaneFailed | Path::WentBack) => {
                first.wave < second.wave || same_lane
            }
            (Path::Main | Path::LaneFailed | Path::WentBack, Path::RolloutFailed) => true,
            (Path::LaneFailed, Path::LaneFailed) | (Path::WentBack, Path::WentBack) => {
                same_lane && first.index < second.index
            }
            (Path::RolloutFailed, Path::RolloutFailed) => first.index < second.index,
            // Of the two ways back of a lane one is gone at most.
            (Path::LaneFailed, Path::WentBack) | (Path::WentBack, Path::LaneFailed) => false,
            (Path::LaneFailed | Path::WentBack | Path::RolloutFailed, Path::Main)
            | (Path::RolloutFailed, Path::LaneFailed | Path::WentBack) => false,
        }
    }

    /// Steps that are done when a slot goes back, at most: of each rollout those of one wave, for
    /// then no other begins. `cost` says how much each takes of what is counted.
    pub(super) fn going_back<T: Ord + Default + core::iter::Sum>(
        &self,
        cost: impl Fn(&Placed<'a>) -> T,
    ) -> T {
        let mut waves: BTreeMap<(usize, usize), Vec<T>> = BTreeMap::new();
        for placed in self.steps.iter().filter(|placed| placed.path == Path::WentBack) {
            waves.entry((placed.rollout, placed.wave)).or_default().push(cost(placed));
        }
        let mut most: BTreeMap<usize, T> = BTreeMap::new();
        for ((rollout, _), costs) in waves {
            let cost: T = costs.into_iter().sum();
            let most = most.entry(rollout).or_default();
            if cost > *most {
                *most = cost;
            }
        }
        most.into_values().sum()
    }

    /// Whether two steps are of one lane, whatever becomes of it.
    pub(super) const fn in_one_lane(one: &Placed<'_>, other: &Placed<'_>) -> bool {
        one.rollout == other.rollout && one.wave == other.wave && one.lane == other.lane
    }

    /// Whether a lane has surely begun, with its claims written, when the step is done.
    pub(super) fn begun(&self, lane: &PlacedLane<'_>, step: &Placed<'_>) -> bool {
        if lane.rollout != step.rollout {
            return self.follows(step.rollout, lane.rollout);
        }
        lane.wave < step.wave || lane.wave == step.wave && lane.number == step.lane
    }

    /// Whether the step is of the lane.
    pub(super) fn within(&self, lane: &PlacedLane<'_>, step: &Placed<'_>) -> bool {
        lane.rollout == step.rollout && lane.wave == step.wave && lane.number == step.lane
    }

    fn follows(&self, later: usize, earlier: usize) -> bool {
        self.earlier.get(later).is_some_and(|all| all.contains(&earlier))
    }

    /// Whether a rollout waits, by whatever way, for itself.
    pub(super) fn waits_for_itself(&self, rollout: usize) -> bool {
        self.follows(rollout, rollout)
    }

    /// The pool that the plan makes on a host, with its size.
    pub(super) fn made_pool(&self, host: &HostName) -> Option<(&'a PoolId, Size)> {
        self.main().find_map(|placed| match &placed.step.act {
            Act::MakePool { pool, size } if placed.step.host == *host => Some((pool, *size)),
            _ => None,
        })
    }

    /// Volumes that the plan makes empty.
    pub(super) fn made(&self) -> impl Iterator<Item = (&Placed<'a>, &'a VolumeSpec)> {
        self.steps.iter().filter_map(|placed| match &placed.step.act {
            Act::MakeVolume { volume } => Some((placed, volume)),
            _ => None,
        })
    }

    /// The volume with this id that the plan makes, empty or as a copy, or adopts.
    pub(super) fn makes(&self, id: &VolumeId) -> Option<(&Placed<'a>, &'a VolumeSpec)> {
        self.on_volume(id).find_map(|placed| match &placed.step.act {
            Act::MakeVolume { volume }
            | Act::AdoptVolume { volume, .. }
            | Act::CopyVolume { volume, .. } => Some((placed, volume)),
            _ => None,
        })
    }

    /// Volumes that the plan adopts.
    pub(super) fn adopted(&self) -> impl Iterator<Item = (&Placed<'a>, &'a VolumeSpec)> {
        self.steps.iter().filter_map(|placed| match &placed.step.act {
            Act::AdoptVolume { volume, .. } => Some((placed, volume)),
            _ => None,
        })
    }

    /// Copies that the plan makes, with what they are of.
    pub(super) fn copied(
        &self,
    ) -> impl Iterator<Item = (&Placed<'a>, &'a VolumeId, &'a VolumeSpec)> {
        self.steps.iter().filter_map(|placed| match &placed.step.act {
            Act::CopyVolume { of, volume } => Some((placed, of, volume)),
            _ => None,
        })
    }

    /// Instances that the plan starts.
    pub(super) fn started(&self) -> impl Iterator<Item = (&Placed<'a>, &'a InstanceSpec)> {
        self.steps.iter().filter_map(|placed| match &placed.step.act {
            Act::StartInstance { instance } => Some((placed, &**instance)),
            _ => None,
        })
    }

    /// The lane of a step; none of those that are done when a rollout fails.
    pub(super) fn lane(&self, placed: &Placed<'_>) -> Option<&'a Lane> {
        self.rollout(placed).waves.get(placed.wave)?.lanes.get(placed.lane)
    }

    pub(super) fn rollout(&self, placed: &Placed<'_>) -> &'a Rollout {
        &self.plan.rollouts[placed.rollout]
    }
}

fn earlier(rollouts: &[Rollout]) -> Vec<BTreeSet<usize>> {
    let numbers: BTreeMap<&RolloutId, usize> =
        rollouts.iter().enumerate().map(|(number, rollout)| (&rollout.id, number)).collect();
    let direct = |rollout: &Rollout| -> Vec<usize> {
        rollout.after.iter().filter_map(|id| numbers.get(id).copied()).collect()
    };
    let mut all = Vec::new();
    for rollout in rollouts {
        let mut found = BTreeSet::new();
        let mut left = direct(rollout);
        while let Some(number) = left.pop() {
            if found.insert(number) {
                left.extend(direct(&rollouts[number]));
            }
        }
        all.push(found);
    }
    all
}
