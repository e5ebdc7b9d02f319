//! Steps with their predicates: what must be so before an act, and what is so after it.

use crate::model::guest::Guest;
use crate::model::host::HostSpec;
use crate::model::id::{InstanceId, PoolId, VolumeId};
use crate::model::instance::{InstanceSpec, Role, Supervision};
use crate::model::name::HostName;
use crate::model::observed::{InstanceView, VolumeView};
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::time::Timestamp;
use crate::model::volume::{VolumeSpec, VolumeState};
use crate::plan::predicate::Predicate;
use crate::plan::step::{Act, Marks, Step};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

fn step(host: &HostName, act: Act, before: Vec<Predicate>, after: Vec<Predicate>) -> Step {
    Step { id: act.id(host), host: host.clone(), before, after, act }
}

/// Makes a pool where there is none.
pub(super) fn make_pool(host: &HostName, pool: PoolId, size: Size) -> Step {
    let after = vec![Predicate::PoolIs { pool: pool.clone() }];
    step(host, Act::MakePool { pool, size }, vec![Predicate::PoolAbsent], after)
}

/// Makes a volume. `room` is what it costs the pool; nothing if its making was begun before, for
/// then it is counted already.
pub(super) fn make_volume(
    host: &HostName,
    pool: PoolId,
    spec: VolumeSpec,
    room: Option<Size>,
    overcommit_thousandths: u32,
) -> Step {
    let volume = spec.id.clone();
    let before = [Predicate::PoolIs { pool }, Predicate::VolumeUnmade { volume: volume.clone() }];
    let room = room.map(|size| Predicate::Room { size, overcommit_thousandths });
    let before = before.into_iter().chain(room).collect();
    let marks =
        Marks { slot: spec.slot.clone(), source: spec.source.clone(), keeping: spec.keeping };
    let after = vec![
        Predicate::VolumeAttached { volume: volume.clone(), size: spec.size },
        Predicate::VolumeMarked { volume, marks },
    ];
    step(host, Act::MakeVolume { volume: spec }, before, after)
}

/// Makes a volume with the data of another one. `room` is as for [`make_volume`].
pub(super) fn copy_volume(
    host: &HostName,
    pool: PoolId,
    of: &VolumeView,
    spec: VolumeSpec,
    room: Option<Size>,
    overcommit_thousandths: u32,
) -> Step {
    let (volume, origin) = (spec.id.clone(), of.spec.id.clone());
    let mut before = vec![
        Predicate::PoolIs { pool },
        Predicate::VolumeUnmade { volume: volume.clone() },
        Predicate::VolumeWhole { volume: origin.clone(), size: of.spec.size },
    ];
    before.extend(room.map(|size| Predicate::Room { size, overcommit_thousandths }));
    let copied = Predicate::VolumeCopied { volume, of: origin.clone(), kind: spec.kind };
    step(host, Act::CopyVolume { of: origin, volume: spec }, before, vec![copied])
}

/// Removes a clone that no instance holds.
pub(super) fn remove_clone(host: &HostName, clone: &VolumeId) -> Step {
    let volume = || clone.clone();
    let before = vec![
        Predicate::VolumeIsClone { volume: volume() },
        Predicate::VolumeIdle { volume: volume() },
    ];
    let after = vec![Predicate::VolumeAbsent { volume: volume() }];
    step(host, Act::RemoveClone { volume: volume() }, before, after)
}

/// Removes a snapshot that a deploy took to go back to.
pub(super) fn remove_snapshot(host: &HostName, snapshot: &VolumeId) -> Step {
    let volume = || snapshot.clone();
    let before = vec![Predicate::VolumeIsWayBack { volume: volume() }];
    let after = vec![Predicate::VolumeAbsent { volume: volume() }];
    step(host, Act::RemoveSnapshot { volume: volume() }, before, after)
}

/// Grows an attached volume.
pub(super) fn grow_volume(
    host: &HostName,
    id: &VolumeId,
    from: Size,
    to: Size,
    overcommit_thousandths: u32,
) -> Step {
    let at = |size| Predicate::VolumeAttached { volume: id.clone(), size };
    let room = Predicate::Room { size: to.minus(from), overcommit_thousandths };
    let act = Act::GrowVolume { volume: id.clone(), to };
    step(host, act, vec![at(from), room], vec![at(to)])
}

/// Marks a volume anew.
pub(super) fn mark_volume(host: &HostName, view: &VolumeView, marks: Marks) -> Step {
    let volume = &view.spec.id;
    let marked = |marks| Predicate::VolumeMarked { volume: volume.clone(), marks };
    let old = marks_of(view);
    let act = Act::MarkVolume { volume: volume.clone(), marks: marks.clone() };
    step(host, act, vec![marked(old)], vec![marked(marks)])
}

/// Retires a volume that no instance holds.
pub(super) fn retire_volume(host: &HostName, view: &VolumeView) -> Step {
    let volume = &view.spec.id;
    let idle = Predicate::VolumeIdle { volume: volume.clone() };
    let size = view.spec.size;
    let before = match view.state {
        VolumeState::Attached if view.formatted => {
            vec![Predicate::VolumeAttached { volume: volume.clone(), size }, idle]
        }
        VolumeState::Attached
        | VolumeState::Making
        | VolumeState::Retired { .. }
        | VolumeState::Erasing => vec![idle],
    };
    let after = vec![Predicate::VolumeRetired { volume: volume.clone(), since: None }];
    let act = Act::RetireVolume { volume: volume.clone(), keeping: view.spec.keeping };
    step(host, act, before, after)
}

/// Attaches a retired volume again.
pub(super) fn take_back_volume(
    host: &HostName,
    view: &VolumeView,
    since: Timestamp,
    marks: Marks,
) -> Step {
    let volume = &view.spec.id;
    let before = Predicate::VolumeRetired { volume: volume.clone(), since: Some(since) };
    let after = vec![
        Predicate::VolumeTaken { volume: volume.clone() },
        Predicate::VolumeMarked { volume: volume.clone(), marks: marks.clone() },
    ];
    let act = Act::TakeBackVolume { volume: volume.clone(), marks };
    step(host, act, vec![before], after)
}

/// Makes something that is not ours a volume.
pub(super) fn adopt_volume(host: &HostName, pool: PoolId, name: &str, spec: VolumeSpec) -> Step {
    let volume = spec.id.clone();
    let before = vec![
        Predicate::PoolIs { pool },
        Predicate::VolumeAbsent { volume: volume.clone() },
        Predicate::Adoptable { name: name.into(), size: spec.size },
    ];
    let marks =
        Marks { slot: spec.slot.clone(), source: spec.source.clone(), keeping: spec.keeping };
    let after = vec![
        Predicate::VolumeTaken { volume: volume.clone() },
        Predicate::VolumeMarked { volume, marks },
    ];
    step(host, Act::AdoptVolume { name: name.into(), volume: spec }, before, after)
}

/// Destroys a retired volume and its data.
pub(super) fn destroy_volume(host: &HostName, view: &VolumeView, retired: Timestamp) -> Step {
    let volume = &view.spec.id;
    let before = Predicate::VolumeErasable { volume: volume.clone(), retired };
    let after = Predicate::VolumeAbsent { volume: volume.clone() };
    let act = Act::DestroyVolume { volume: volume.clone(), retired };
    step(host, act, vec![before], vec![after])
}

/// Has an image on a host.
pub(super) fn fetch_image(host: &HostName, reference: &str, digest: &str) -> Step {
    let before = Predicate::ImageAbsent { digest: digest.into() };
    let after = Predicate::ImageHere { digest: digest.into() };
    let act = Act::FetchImage { reference: reference.into(), digest: digest.into() };
    step(host, act, vec![before], vec![after])
}

/// Starts an instance. `volumes` are its volumes with the caps they have by then; `new` is its
/// host, where no instance of the slot gives way to it.
pub(super) fn start_instance(
    host: &HostName,
    instance: InstanceSpec,
    volumes: &[(VolumeId, Size)],
    new: Option<&HostSpec>,
) -> Step {
    let idle = match instance.role {
        Role::Main => Predicate::SlotIdle { slot: instance.slot.clone() },
        Role::Canary | Role::Green | Role::Release | Role::Run => {
            Predicate::InstanceAbsent { instance: instance.id.clone() }
        }
    };
    let attached = volumes
        .iter()
        .map(|(volume, size)| Predicate::VolumeAttached { volume: volume.clone(), size: *size });
    let free = Predicate::AddressFree { address: instance.address, instance: instance.id.clone() };
    let fits = new.map(|host| Predicate::GuestFits {
        guest: instance.guest,
        of: Guest::new(host.memory, host.cpus),
    });
    let before = core::iter::once(idle).chain(attached).chain([free]).chain(fits).collect();
    let after = vec![Predicate::InstanceRuns {
        instance: instance.id.clone(),
        release: instance.release.clone(),
    }];
    step(host, Act::StartInstance { instance: Box::new(instance) }, before, after)
}

/// Stops an instance, whatever its state, and removes its record.
pub(super) fn stop_instance(host: &HostName, view: &InstanceView) -> Step {
    stop(host, &view.id, &view.slot)
}

/// Stops an instance that the plan itself starts.
pub(super) fn stop(host: &HostName, instance: &InstanceId, slot: &SlotId) -> Step {
    let before = vec![Predicate::InstancePresent { instance: instance.clone() }];
    let after = vec![Predicate::InstanceAbsent { instance: instance.clone() }];
    let act = Act::StopInstance { instance: instance.clone(), slot: slot.clone() };
    step(host, act, before, after)
}

/// Changes how an instance is kept running.
pub(super) fn supervise(host: &HostName, id: &InstanceId, supervision: &Supervision) -> Step {
    let (instance, supervision) = (id.clone(), supervision.clone());
    let before = vec![Predicate::InstancePresent { instance: instance.clone() }];
    let after = vec![Predicate::InstanceSupervised {
        instance: instance.clone(),
        supervision: supervision.clone(),
    }];
    step(host, Act::SuperviseInstance { instance, supervision }, before, after)
}

/// The marks that a volume carries.
pub(super) fn marks_of(view: &VolumeView) -> Marks {
    let spec = &view.spec;
    Marks { slot: spec.slot.clone(), source: spec.source.clone(), keeping: spec.keeping }
}
