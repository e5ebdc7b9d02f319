//! Typed facts about a step's own object, judged on the host just before acting. Never about
//! usage, pids or health: those change by themselves.

use super::step::{Marks, Step};
use crate::model::guest::Guest;
use crate::model::id::{InstanceId, PoolId, VolumeId};
use crate::model::instance::{Role, Supervision};
use crate::model::observed::{InstanceState, InstanceView, PoolView, Reading, VolumeView};
use crate::model::release::Release;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::time::Timestamp;
use crate::model::volume::{VolumeKind, VolumeSpec, VolumeState};
use alloc::string::String;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// One fact that a host can judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fact")]
pub enum Predicate {
    /// The host has no pool.
    PoolAbsent,
    /// The host's pool is this one.
    PoolIs {
        /// Which.
        pool: PoolId,
    },
    /// So much can still be promised at this overcommit.
    Room {
        /// Bytes, extents and headers included.
        size: Size,
        /// Promised bytes per byte of pool, in thousandths.
        overcommit_thousandths: u32,
    },
    /// There is no such volume.
    VolumeAbsent {
        /// Which.
        volume: VolumeId,
    },
    /// There is no such volume, or one whose making was cut short.
    VolumeUnmade {
        /// Which.
        volume: VolumeId,
    },
    /// The volume is attached, formatted, and has this size.
    VolumeAttached {
        /// Which.
        volume: VolumeId,
        /// Its cap.
        size: Size,
    },
    /// The volume is attached and formatted, whatever its cap: a later step may have grown it.
    VolumeTaken {
        /// Which.
        volume: VolumeId,
    },
    /// The volume carries these marks.
    VolumeMarked {
        /// Which.
        volume: VolumeId,
        /// What it says.
        marks: Marks,
    },
    /// The volume is retired, since then if given.
    VolumeRetired {
        /// Which.
        volume: VolumeId,
        /// When it was.
        since: Option<Timestamp>,
    },
    /// The volume is there in full, attached or retired, and has this size.
    VolumeWhole {
        /// Which.
        volume: VolumeId,
        /// Its cap.
        size: Size,
    },
    /// The volume is there in full, of this kind, and was made with the data of that one.
    VolumeCopied {
        /// Which.
        volume: VolumeId,
        /// Of which.
        of: VolumeId,
        /// What for.
        kind: VolumeKind,
    },
    /// The volume is a clone, in whatever state.
    VolumeIsClone {
        /// Which.
        volume: VolumeId,
    },
    /// The volume is a snapshot that a deploy took to go back to, in whatever state.
    VolumeIsWayBack {
        /// Which.
        volume: VolumeId,
    },
    /// The volume is retired since then, or its erasing was cut short; it is not protected, and
    /// there is no snapshot or clone of it.
    VolumeErasable {
        /// Which.
        volume: VolumeId,
        /// When it was retired.
        retired: Timestamp,
    },
    /// Something that is not ours is there, and can become a volume.
    Adoptable {
        /// How the host calls it.
        name: String,
        /// Its size.
        size: Size,
    },
    /// No instance that is not over holds the volume.
    VolumeIdle {
        /// Which.
        volume: VolumeId,
    },
    /// The image is not there.
    ImageAbsent {
        /// Which.
        digest: String,
    },
    /// The image is there.
    ImageHere {
        /// Which.
        digest: String,
    },
    /// There is no such instance.
    InstanceAbsent {
        /// Which.
        instance: InstanceId,
    },
    /// There is such an instance, in whatever state.
    InstancePresent {
        /// Which.
        instance: InstanceId,
    },
    /// The instance runs this release, or finished it.
    InstanceRuns {
        /// Which.
        instance: InstanceId,
        /// What.
        release: Release,
    },
    /// The slot has no main instance, in whatever state.
    SlotIdle {
        /// Which.
        slot: SlotId,
    },
    /// No other instance of the host has the address.
    AddressFree {
        /// Which address.
        address: Ipv4Addr,
        /// For whom.
        instance: InstanceId,
    },
    /// The host can reserve so much memory and so many cpus more.
    GuestFits {
        /// How much.
        guest: Guest,
        /// How much the host has in all.
        of: Guest,
    },
    /// The instance is kept running like this.
    InstanceSupervised {
        /// Which.
        instance: InstanceId,
        /// How.
        supervision: Supervision,
    },
}

/// What a host's state means for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// As the plan saw it: act.
    Before,
    /// As the plan wants it: nothing to do.
    After,
    /// Neither: the step is stale.
    Stale {
        /// The first fact that does not hold, in words.
        found: String,
    },
}

/// Judges a step by a full reading of its host. "Already so" wins over "act".
#[must_use]
pub fn judge(step: &Step, reading: &Reading) -> Judgement {
    if step.after.iter().all(|fact| fact.failure(reading).is_none()) {
        return Judgement::After;
    }
    match step.before.iter().find_map(|fact| fact.failure(reading)) {
        None => Judgement::Before,
        Some(found) => Judgement::Stale { found },
    }
}

/// A volume as it was found instead.
fn found(reading: &Reading, id: &VolumeId) -> String {
    match reading.volumes.get(id) {
        None => alloc::format!("volume {id}: there is no such volume"),
        Some(VolumeView { spec, state, .. }) => {
            alloc::format!("volume {id}: it is {}, {}", state.as_str(), spec.size)
        }
    }
}

impl Predicate {
    /// Nothing if the fact holds; else what was found instead, in words.
    #[must_use]
    pub fn failure(&self, reading: &Reading) -> Option<String> {
        match self {
            Self::PoolAbsent => match &reading.pool {
                PoolView::Absent => None,
                PoolView::Present(pool) => Some(alloc::format!("there is a pool, {}", pool.id)),
            },
            Self::PoolIs { pool } => match &reading.pool {
                PoolView::Present(found) if found.id == *pool => None,
                PoolView::Present(found) => Some(alloc::format!("the pool is {}", found.id)),
                PoolView::Absent => Some("there is no pool".into()),
            },
            Self::Room { size, overcommit_thousandths } => {
                let room = reading.room(*overcommit_thousandths);
                (room < *size).then(|| alloc::format!("there is room for {room}, not for {size}"))
            }
            Self::VolumeAbsent { .. }
            | Self::VolumeUnmade { .. }
            | Self::VolumeAttached { .. }
            | Self::VolumeTaken { .. }
            | Self::VolumeMarked { .. }
            | Self::VolumeRetired { .. }
            | Self::VolumeIdle { .. } => self.volume_failure(reading),
            Self::Adoptable { name, size } => {
                match reading.foreign.iter().find(|foreign| foreign.name == *name) {
                    None => Some(alloc::format!("there is no {name}")),
                    Some(foreign) if foreign.size != *size => {
                        Some(alloc::format!("{name} has {}, not {size}", foreign.size))
                    }
                    Some(foreign) => foreign.cannot.clone(),
                }
            }
            Self::VolumeWhole { .. }
            | Self::VolumeCopied { .. }
            | Self::VolumeIsClone { .. }
            | Self::VolumeIsWayBack { .. }
            | Self::VolumeErasable { .. } => self.copy_failure(reading),
            Self::InstanceAbsent { .. }
            | Self::InstancePresent { .. }
            | Self::InstanceRuns { .. }
            | Self::SlotIdle { .. }
            | Self::AddressFree { .. }
            | Self::InstanceSupervised { .. } => self.instance_failure(reading),
            Self::GuestFits { guest, of } => reading.lack(*guest, *of),
            Self::ImageAbsent { digest } => {
                let here = reading.images.contains(digest);
                here.then(|| alloc::format!("the image {digest} is there"))
            }
            Self::ImageHere { digest } => {
                let here = reading.images.contains(digest);
                (!here).then(|| alloc::format!("the image {digest} is not there"))
            }
        }
    }

    fn volume_failure(&self, reading: &Reading) -> Option<String> {
        let view = |id: &VolumeId| reading.volumes.get(id);
        let (id, holds) = match self {
            Self::VolumeAbsent { volume } => (volume, view(volume).is_none()),
            Self::VolumeUnmade { volume } => {
                (volume, view(volume).is_none_or(|v| v.state == VolumeState::Making))
            }
            Self::VolumeAttached { volume, size } => (
                volume,
                view(volume).is_some_and(|v| {
                    v.state == VolumeState::Attached && v.formatted && v.spec.size == *size
                }),
            ),
            Self::VolumeTaken { volume } => (
                volume,
                view(volume).is_some_and(|v| v.state == VolumeState::Attached && v.formatted),
            ),
            Self::VolumeMarked { volume, marks } => (
                volume,
                view(volume).is_some_and(|v| {
                    v.spec.slot == marks.slot
                        && v.spec.source == marks.source
                        && v.spec.keeping == marks.keeping
                }),
            ),
            Self::VolumeRetired { volume, since } => (
                volume,
                view(volume).is_some_and(|v| match v.state {
                    VolumeState::Retired { since: at } => since.is_none_or(|since| since == at),
                    VolumeState::Making | VolumeState::Attached | VolumeState::Erasing => false,
                }),
            ),
            Self::VolumeIdle { volume } => {
                let mut alive = reading.instances.values().filter(|i| !i.state.is_over());
                let holder = alive.find(|i| i.volumes.contains(volume));
                return holder.map(|i| alloc::format!("instance {} holds it", i.id));
            }
            Self::VolumeWhole { .. }
            | Self::VolumeCopied { .. }
            | Self::VolumeIsClone { .. }
            | Self::VolumeIsWayBack { .. }
            | Self::VolumeErasable { .. }
            | Self::PoolAbsent
            | Self::PoolIs { .. }
            | Self::Room { .. }
            | Self::Adoptable { .. }
            | Self::InstanceAbsent { .. }
            | Self::InstancePresent { .. }
            | Self::InstanceRuns { .. }
            | Self::SlotIdle { .. }
            | Self::AddressFree { .. }
            | Self::GuestFits { .. }
            | Self::ImageAbsent { .. }
            | Self::ImageHere { .. }
            | Self::InstanceSupervised { .. } => return None,
        };
        (!holds).then(|| found(reading, id))
    }

    /// Of volumes with what was copied from them, and of copies.
    fn copy_failure(&self, reading: &Reading) -> Option<String> {
        let is = |id: &VolumeId, test: &dyn Fn(&VolumeView) -> bool| {
            let holds = reading.volumes.get(id).is_some_and(test);
            (!holds).then(|| found(reading, id))
        };
        match self {
            Self::VolumeWhole { volume, size } => {
                is(volume, &|view| view.is_whole() && view.spec.size == *size)
            }
            Self::VolumeCopied { volume, of, kind } => is(volume, &|view| {
                let VolumeSpec { kind: found, origin, .. } = &view.spec;
                view.is_whole() && found == kind && origin.as_ref() == Some(of)
            }),
            Self::VolumeIsClone { volume } => {
                is(volume, &|view| view.spec.kind == VolumeKind::Clone)
            }
            Self::VolumeIsWayBack { volume } => is(volume, &|view| view.spec.is_way_back()),
            Self::VolumeErasable { volume, retired } => match reading.copy_of(volume) {
                Some(copy) => {
                    let VolumeSpec { id, kind, .. } = &copy.spec;
                    Some(alloc::format!("volume {volume}: it has a {}, {id}", kind.as_str()))
                }
                None => is(volume, &|view| {
                    let erasable = match view.state {
                        VolumeState::Retired { since } => since == *retired,
                        VolumeState::Erasing => true,
                        VolumeState::Making | VolumeState::Attached => false,
                    };
                    view.is_half_made() || (erasable && !view.spec.keeping.protect)
                }),
            },
            Self::PoolAbsent
            | Self::PoolIs { .. }
            | Self::Room { .. }
            | Self::Adoptable { .. }
            | Self::VolumeAbsent { .. }
            | Self::VolumeUnmade { .. }
            | Self::VolumeAttached { .. }
            | Self::VolumeTaken { .. }
            | Self::VolumeMarked { .. }
            | Self::VolumeRetired { .. }
            | Self::VolumeIdle { .. }
            | Self::InstanceAbsent { .. }
            | Self::InstancePresent { .. }
            | Self::InstanceRuns { .. }
            | Self::SlotIdle { .. }
            | Self::AddressFree { .. }
            | Self::GuestFits { .. }
            | Self::ImageAbsent { .. }
            | Self::ImageHere { .. }
            | Self::InstanceSupervised { .. } => None,
        }
    }

    fn instance_failure(&self, reading: &Reading) -> Option<String> {
        let found = |id: &InstanceId| reading.instances.get(id);
        match self {
            Self::InstanceAbsent { instance } => found(instance)
                .map(|view| alloc::format!("instance {instance} is {}", view.state.as_str())),
            Self::InstancePresent { instance } => match found(instance) {
                Some(_) => None,
                None => Some(alloc::format!("there is no instance {instance}")),
            },
            Self::InstanceRuns { instance, release } => match found(instance) {
                None => Some(alloc::format!("there is no instance {instance}")),
                Some(view) if view.release != *release => {
                    Some(alloc::format!("instance {instance} runs {}", view.release))
                }
                Some(view) => match &view.state {
                    InstanceState::Running
                    | InstanceState::Restarting
                    | InstanceState::Finished => None,
                    InstanceState::Failed { .. }
                    | InstanceState::Died { .. }
                    | InstanceState::Stopped => {
                        Some(alloc::format!("instance {instance} is {}", view.state.as_str()))
                    }
                },
            },
            Self::SlotIdle { slot } => reading
                .instances
                .values()
                .find(|view| view.slot == *slot && view.role == Role::Main)
                .map(|view| {
                    alloc::format!("{slot} has instance {}, {}", view.id, view.state.as_str())
                }),
            Self::AddressFree { address, instance } => reading
                .instances
                .values()
                .find(|view| view.address == *address && view.id != *instance)
                .map(|view| alloc::format!("{address} is the address of instance {}", view.id)),
            Self::InstanceSupervised { instance, supervision } => match found(instance) {
                Some(view) if view.supervision == *supervision => None,
                Some(_) => Some(alloc::format!("instance {instance} is supervised otherwise")),
                None => Some(alloc::format!("there is no instance {instance}")),
            },
            Self::PoolAbsent
            | Self::PoolIs { .. }
            | Self::Room { .. }
            | Self::Adoptable { .. }
            | Self::VolumeAbsent { .. }
            | Self::VolumeUnmade { .. }
            | Self::VolumeAttached { .. }
            | Self::VolumeTaken { .. }
            | Self::VolumeMarked { .. }
            | Self::VolumeRetired { .. }
            | Self::VolumeWhole { .. }
            | Self::VolumeCopied { .. }
            | Self::VolumeIsClone { .. }
            | Self::VolumeIsWayBack { .. }
            | Self::VolumeErasable { .. }
            | Self::VolumeIdle { .. }
            | Self::ImageAbsent { .. }
            | Self::ImageHere { .. }
            | Self::GuestFits { .. } => None,
        }
    }
}

impl Reading {
    /// The sum of what the pool promised: every volume in whatever state, rounded to extents,
    /// with its header; and what is not ours.
    #[must_use]
    pub fn promised(&self) -> Size {
        let PoolView::Present(pool) = &self.pool else { return Size::ZERO };
        let ours = self.volumes.values();
        let ours: Size =
            ours.map(|v| v.spec.size.rounded_up_to(pool.extent).plus(pool.header)).sum();
        ours.plus(self.foreign.iter().map(|foreign| foreign.size).sum())
    }

    /// A snapshot or clone of the volume, if there is one: the first by id.
    #[must_use]
    pub fn copy_of(&self, volume: &VolumeId) -> Option<&VolumeView> {
        self.volumes.values().find(|view| view.spec.copies(volume))
    }

    /// What is missing for a guest beside those that are there, in words.
    fn lack(&self, guest: Guest, of: Guest) -> Option<String> {
        // The record of what ran once is kept for its exit status, and takes no room.
        let once = |view: &&InstanceView| match view.role {
            Role::Release | Role::Run => view.state.is_over(),
            Role::Main | Role::Canary | Role::Green => false,
        };
        let reserving = || self.instances.values().filter(|view| !once(view));
        let memory: Size = reserving().map(|view| view.memory).sum();
        let cpus = reserving().fold(0u32, |sum, view| sum.saturating_add(view.cpus));
        if memory.plus(guest.memory) > of.memory {
            return Some(alloc::format!("{memory} of {} memory are reserved", of.memory));
        }
        (cpus.saturating_add(guest.cpus) > of.cpus)
            .then(|| alloc::format!("{cpus} of {} cpus are reserved", of.cpus))
    }

    /// How much can still be promised at this overcommit.
    #[must_use]
    pub fn room(&self, overcommit_thousandths: u32) -> Size {
        let PoolView::Present(pool) = &self.pool else { return Size::ZERO };
        pool.size.times_thousandths(u64::from(overcommit_thousandths)).minus(self.promised())
    }
}
