//! A volume's life after it was made: grown, marked, retired, taken back, destroyed. Each change
//! is written down, then made in LVM's marks at once, then written down as made.

use super::disk::{self, whole};
use super::listing::{Found, forget};
use super::marks::Label;
use super::pool::bytes;
use super::program::{lvm, run};
use super::record::VolumeRecord;
use super::status::Target;
use super::{HEADER, LvmStorage, Volume, conflict, io};
use crate::ensure::Ensured;
use crate::flock::{self, Sharing, Taken};
use crate::names::{self, VolumeDir};
use crate::storage::local::hold::describe;
use crate::storage::{StorageError, copied};
use planner::model::id::VolumeId;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{Keeping, VolumeSpec, VolumeState};
use planner::plan::step::Marks;
use std::time::Instant;

impl LvmStorage {
    /// Makes a volume's marks what `next` says, and writes it down before and after.
    pub(super) async fn commit(&self, volume: Volume, next: Label) -> Result<(), StorageError> {
        let (mut record, next) = Self::begin_commit(&volume, next)?;
        let [act, args @ ..] = &self.marking(&volume.label, &next)[..] else {
            unreachable!("it has an act")
        };
        run(format!("marking volume {}", next.spec.id), lvm(act)?.args(args)).await?;
        record.settled = true;
        record.write(&volume.dir)
    }

    /// Writes down what the marks are going to be; says how they are then.
    pub(super) fn begin_commit(
        volume: &Volume,
        next: Label,
    ) -> Result<(VolumeRecord, Label), StorageError> {
        let mut record = volume.record.clone();
        let next = Label { generation: volume.label.generation.saturating_add(1), ..next };
        record.spec = next.spec.clone();
        record.state = next.state;
        record.formatted = next.formatted;
        record.ever_attached |= next.state == VolumeState::Attached;
        record.generation = next.generation;
        record.settled = false;
        record.write(&volume.dir)?;
        Ok((record, next))
    }

    /// The command of LVM that changes a volume's marks.
    pub(super) fn marking(&self, old: &Label, new: &Label) -> Vec<String> {
        let (before, after) = (old.tags(), new.tags());
        let each = |option: &'static str, tag: &String| [option.to_owned(), tag.clone()];
        let mut words = vec!["lvchange".to_owned(), "-q".to_owned()];
        words.extend(before.difference(&after).flat_map(|tag| each("--deltag", tag)));
        words.extend(after.difference(&before).flat_map(|tag| each("--addtag", tag)));
        words.push(self.full(new.spec.id.as_str()));
        words
    }

    /// Makes sure that nobody uses the volume, and closes it. While the answer is kept, nobody
    /// can begin to use it.
    pub(super) async fn idle_file(
        &self,
        id: &VolumeId,
        dir: &VolumeDir,
    ) -> Result<Taken, StorageError> {
        let path = dir.hold();
        let taken = flock::take(&path, Sharing::Exclusive, Instant::now());
        let Some(taken) = taken.map_err(io("locking", &path))? else {
            let holder = describe(&path);
            return Err(StorageError::Held { what: format!("volume {id}"), holder });
        };
        disk::tidy(dir)?;
        self.close(id).await?;
        Ok(taken)
    }

    pub(super) async fn idle(&self, id: &VolumeId, dir: &VolumeDir) -> Result<(), StorageError> {
        self.idle_file(id, dir).await.map(drop)
    }

    pub(super) async fn ensure_grown(
        &self,
        id: &VolumeId,
        to: Size,
    ) -> Result<Ensured, StorageError> {
        let (snapshot, volume) = self.get_attached(id).await?;
        whole_extents(id, to, volume.lv.extent)?;
        let has = volume.label.spec.size;
        if has > to {
            return Err(larger(id, has));
        }
        let begun = volume.lv.size.minus(HEADER);
        if has == to && begun == to {
            return Ok(Ensured::AlreadySo);
        }
        self.fit_for_more(&snapshot)?;
        // The marks say the new size only when the file system has it: until then the growth can
        // be repeated. A growth that was begun to more is finished, never cut back.
        let target = to.max(begun);
        if target > begun {
            let command = lvm("lvextend")?
                .args(["-q", "-L"])
                .arg(bytes(whole(target)))
                .arg(self.full(id.as_str()));
            run(format!("growing volume {id}"), command).await?;
        }
        let (_, volume) = self.get_attached(id).await?;
        let open = self.open(&volume).await?;
        disk::grow(id, &volume.dir, &open).await?;
        let mut next = volume.label.clone();
        next.spec.size = target;
        self.commit(volume, next).await?;
        if target > to { Err(larger(id, target)) } else { Ok(Ensured::Changed) }
    }

    pub(super) async fn ensure_marked(
        &self,
        id: &VolumeId,
        marks: &Marks,
    ) -> Result<Ensured, StorageError> {
        let (_, volume) = self.get_attached(id).await?;
        let next = marked(&volume.label, marks);
        if next == volume.label {
            return Ok(Ensured::AlreadySo);
        }
        self.commit(volume, next).await?;
        Ok(Ensured::Changed)
    }

    pub(super) async fn ensure_retired(
        &self,
        id: &VolumeId,
        keeping: &Keeping,
        now: Timestamp,
    ) -> Result<Ensured, StorageError> {
        let (mut snapshot, pool) = self.ready().await?;
        let mut volume = match self.find_finished(&mut snapshot, &pool, id).await? {
            Found::Whole(volume) => *volume,
            // Marks need something to be on.
            Found::Begun(mut record) => {
                self.remove(id).await?;
                let dir = self.dir.volume(id);
                (record.generation, record.settled) = (1, false);
                record.write(&dir)?;
                self.make_empty(record, VolumeState::Making).await?
            }
            Found::Gone(record) => {
                return Err(conflict(id, format!("is {}", record.state.as_str())));
            }
            Found::Nothing => return Err(StorageError::Absent { what: format!("volume {id}") }),
        };
        let since = match volume.label.state {
            VolumeState::Retired { .. } if volume.label.spec.keeping == *keeping => {
                return Ok(Ensured::AlreadySo);
            }
            VolumeState::Retired { since } => since,
            VolumeState::Making | VolumeState::Attached => now,
            VolumeState::Erasing => return Err(not_so(&volume.label)),
        };
        // What it does not use is the pool's, while it is kept; a broken file system is kept too.
        if let Err(error) = self.flush(&volume).await {
            tracing::warn!(error = crate::chain(&error), "volume {id} was not trimmed");
        }
        let _idle = self.idle_file(id, &volume.dir).await?;
        if let Some(Target::Thin { mapped }) =
            snapshot.targets.get(&names::mapped(&self.group, id.as_str()))
        {
            volume.record.allocated_bytes = *mapped;
        }
        let mut next = volume.label.clone();
        next.state = VolumeState::Retired { since };
        next.spec.keeping = *keeping;
        self.commit(volume, next).await?;
        Ok(Ensured::Changed)
    }

    pub(super) async fn ensure_taken_back(
        &self,
        id: &VolumeId,
        marks: &Marks,
    ) -> Result<Ensured, StorageError> {
        let (_, volume) = self.get(id).await?;
        let next = marked(&volume.label, marks);
        match volume.label.state {
            VolumeState::Attached if next == volume.label => return Ok(Ensured::AlreadySo),
            // Only what was once whole can be given to a slot.
            VolumeState::Retired { .. }
                if volume.label.formatted && volume.label.spec.kind.is_own() => {}
            VolumeState::Retired { .. }
            | VolumeState::Attached
            | VolumeState::Making
            | VolumeState::Erasing => return Err(not_so(&volume.label)),
        }
        self.commit(volume, Label { state: VolumeState::Attached, ..next }).await?;
        Ok(Ensured::Changed)
    }

    pub(super) async fn ensure_destroyed(&self, id: &VolumeId) -> Result<Ensured, StorageError> {
        let (snapshot, pool) = self.ready().await?;
        let volume = match self.find_settled(&snapshot, &pool, id)? {
            Found::Whole(volume) => volume,
            Found::Nothing => return self.tidy_going(id).map(|()| Ensured::AlreadySo),
            Found::Begun(_) | Found::Gone(_) => {
                return self.forget_all(id).await.map(|()| Ensured::Made);
            }
        };
        match volume.label.state {
            VolumeState::Retired { .. } if !volume.label.spec.keeping.protect => {}
            VolumeState::Erasing => {}
            // Nobody ever had it.
            VolumeState::Making if !volume.label.formatted => {}
            VolumeState::Retired { .. } | VolumeState::Making | VolumeState::Attached => {
                return Err(not_so(&volume.label));
            }
        }
        // Whatever was copied from it in the pool is encrypted by the same key.
        if let Some(copy) = self.list(&snapshot)?.volumes.values().find(|view| view.spec.copies(id))
        {
            return Err(copied(id, &copy.spec));
        }
        let copy = snapshot.volumes.values().find(|lv| lv.origin.as_deref() == Some(id.as_str()));
        if let Some(copy) = copy {
            return Err(conflict(id, format!("has a snapshot, {}, under the same key", copy.name)));
        }
        self.erase_all(*volume).await
    }

    /// Removes a volume that nobody uses, for good: its keys first. The caller has made sure that
    /// it may go.
    pub(super) async fn erase_all(&self, volume: Volume) -> Result<Ensured, StorageError> {
        let label = volume.label.clone();
        let id = &label.spec.id;
        let _idle = self.idle_file(id, &volume.dir).await?;
        if label.state != VolumeState::Erasing {
            let next = Label { state: VolumeState::Erasing, ..label.clone() };
            self.commit(volume, next).await?;
        }
        let (snapshot, volume) = self.get(id).await?;
        // What was never made in full may only be in LVM's queue; then there is nothing to erase.
        if volume.label.formatted || self.behind(&snapshot)?.is_none() {
            self.erase(&volume).await?;
        }
        self.forget_all(id).await.map(|()| Ensured::Made)
    }

    /// Removes what was cut short last of all.
    pub(super) fn tidy_going(&self, id: &VolumeId) -> Result<(), StorageError> {
        crate::storage::local::listing::remove_remnant(&self.dir.volume_going(id))
    }

    /// Removes all that is left of a volume whose data is nobody's any more.
    pub(super) async fn forget_all(&self, id: &VolumeId) -> Result<(), StorageError> {
        self.remove(id).await?;
        self.keys.destroy(id).map_err(|error| disk::key_error(id, error))?;
        let dir = self.dir.volume(id);
        disk::tidy(&dir)?;
        forget(&self.dir, &dir, id)
    }
}

fn marked(label: &Label, marks: &Marks) -> Label {
    let mut next = label.clone();
    next.spec.slot = marks.slot.clone();
    next.spec.source = marks.source.clone();
    next.spec.keeping = marks.keeping;
    next
}

pub(super) fn whole_extents(id: &VolumeId, size: Size, extent: Size) -> Result<(), StorageError> {
    if size > Size::ZERO && size.rounded_up_to(extent) == size {
        return Ok(());
    }
    Err(conflict(id, format!("cannot have {size}: sizes are multiples of {extent}")))
}

fn larger(id: &VolumeId, size: Size) -> StorageError {
    conflict(id, format!("has {size} already, and volumes never shrink"))
}

/// That a volume is not in the state that an act needs.
pub(super) fn not_so(label: &Label) -> StorageError {
    let protected = if label.spec.keeping.protect { ", protected" } else { "" };
    let unmade = if label.formatted { "" } else { ", never formatted" };
    let VolumeSpec { id, slot, source, size, .. } = &label.spec;
    let state = label.state.as_str();
    conflict(id, format!("is {state}{protected}{unmade}: {source} of {slot}, {size}"))
}
