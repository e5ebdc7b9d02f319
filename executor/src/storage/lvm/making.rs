//! A volume made: written down, its key sealed, its thin device made and proven empty, encrypted
//! and formatted, and only then attached. Cut short anywhere it is made again from nothing, which
//! is safe exactly as long as it was never attached.

use super::disk::{self, whole};
use super::listing::{Found, Snapshot};
use super::marks::Label;
use super::pool::bytes;
use super::program::{lvm, run};
use super::record::{VERSION, VolumeRecord};
use super::status::Target;
use super::{LvmStorage, Volume, conflict, io, life, unreadable};
use crate::durable;
use crate::ensure::Ensured;
use crate::names::{self, mark};
use crate::storage::StorageError;
use crate::storage::local::listing::remove_remnant;
use planner::model::id::{PoolId, VolumeId};
use planner::model::size::Size;
use planner::model::volume::{VolumeKind, VolumeSpec, VolumeState};
use std::fs;

impl LvmStorage {
    pub(super) async fn ensure_made(&self, spec: &VolumeSpec) -> Result<Ensured, StorageError> {
        let (mut snapshot, pool) = self.ready().await?;
        let extent = snapshot.volumes.get(&self.pool).map_or(Size::ZERO, |pool| pool.extent);
        life::whole_extents(&spec.id, spec.size, extent)?;
        if self.is_made(&mut snapshot, &pool, spec).await? {
            return Ok(Ensured::AlreadySo);
        }
        self.fit_for_more(&snapshot)?;
        let record = self.begin(spec, &pool)?;
        self.keys.ensure(&spec.id).map_err(|error| disk::key_error(&spec.id, error))?;
        let volume = self.make_empty(record, VolumeState::Making).await?;
        self.format(&volume).await?;
        let attached =
            Label { state: VolumeState::Attached, formatted: true, ..volume.label.clone() };
        self.commit(volume, attached).await?;
        Ok(Ensured::Made)
    }

    /// Whether the volume is there already, as it should be. What an interrupted making left is
    /// removed; an error if it is there and otherwise.
    pub(super) async fn is_made(
        &self,
        snapshot: &mut Snapshot,
        pool: &PoolId,
        spec: &VolumeSpec,
    ) -> Result<bool, StorageError> {
        let dir = self.dir.volume(&spec.id);
        match self.find_finished(snapshot, pool, &spec.id).await? {
            Found::Nothing => Ok(false),
            Found::Begun(_) => {
                self.idle(&spec.id, &dir).await?;
                self.remove(&spec.id).await.map(|()| false)
            }
            Found::Whole(volume) => match (volume.label.state, spec.kind) {
                (VolumeState::Attached, VolumeKind::Own | VolumeKind::Clone)
                | (VolumeState::Retired { .. }, VolumeKind::Snapshot)
                    if volume.label.spec == *spec =>
                {
                    Ok(true)
                }
                (VolumeState::Making, _)
                    if !volume.record.ever_attached && !volume.label.formatted =>
                {
                    self.idle(&spec.id, &dir).await?;
                    self.begin(spec, pool)?;
                    self.remove(&spec.id).await?;
                    *snapshot = self.read().await?;
                    Ok(false)
                }
                _ => Err(life::not_so(&volume.label)),
            },
            Found::Gone(record) => Err(conflict(&spec.id, format!("is {}", record.state.as_str()))),
        }
    }

    /// What there is of a volume, which has its marks if only those were missing.
    pub(super) async fn find_finished(
        &self,
        snapshot: &mut Snapshot,
        pool: &PoolId,
        id: &VolumeId,
    ) -> Result<Found, StorageError> {
        match self.find_settled(snapshot, pool, id)? {
            Found::Whole(volume) if volume.lacks_only_marks() => {
                self.finish(&volume).await?;
                *snapshot = self.read().await?;
                self.find(snapshot, pool, id)
            }
            found => Ok(found),
        }
    }

    /// Gives a volume the marks that it was about to get.
    async fn finish(&self, volume: &Volume) -> Result<(), StorageError> {
        let Volume { lv, label, record, dir } = volume;
        let next = Label {
            spec: record.spec.clone(),
            state: record.state,
            formatted: true,
            ..label.clone()
        };
        let (lv, label, record) = (lv.clone(), label.clone(), record.clone());
        self.commit(Volume { lv, label, record, dir: dir.clone() }, next).await
    }

    /// Writes down that a volume is being made, before anything of it is there.
    pub(super) fn begin(
        &self,
        spec: &VolumeSpec,
        pool: &PoolId,
    ) -> Result<VolumeRecord, StorageError> {
        let record = VolumeRecord {
            version: VERSION,
            fleet: self.fleet.clone(),
            pool: pool.clone(),
            spec: spec.clone(),
            state: VolumeState::Making,
            formatted: false,
            ever_attached: false,
            generation: 1,
            settled: false,
            thin_id: None,
            allocated_bytes: Size::ZERO,
        };
        let (coming, dir) = (self.dir.volume_coming(&spec.id), self.dir.volume(&spec.id));
        if dir.path().exists() {
            record.write(&dir)?;
            return Ok(record);
        }
        remove_remnant(&coming)?;
        remove_remnant(&self.dir.volume_going(&spec.id))?;
        durable::make_dir(coming.path()).map_err(io("making", coming.path()))?;
        record.write(&coming)?;
        fs::rename(coming.path(), dir.path()).map_err(io("naming", dir.path()))?;
        durable::sync_parent(dir.path()).map_err(io("syncing", dir.path()))?;
        Ok(record)
    }

    /// Makes the thin device with its marks and proves that nothing is in it.
    pub(super) async fn make_empty(
        &self,
        record: VolumeRecord,
        state: VolumeState,
    ) -> Result<Volume, StorageError> {
        let label = self.label_of(&record, state);
        let [act, args @ ..] = &self.creation(&label)[..] else { unreachable!("it has an act") };
        run(format!("making volume {}", record.spec.id), lvm(act)?.args(args)).await?;
        let snapshot = self.read().await?;
        self.proven_empty(&snapshot, record, label).await
    }

    /// The first marks of a volume.
    pub(super) fn label_of(&self, record: &VolumeRecord, state: VolumeState) -> Label {
        Label {
            fleet: self.fleet.clone(),
            pool: record.pool.clone(),
            spec: record.spec.clone(),
            state,
            formatted: false,
            generation: record.generation,
        }
    }

    /// The command of LVM that makes a thin device with these marks.
    pub(super) fn creation(&self, label: &Label) -> Vec<String> {
        let VolumeSpec { id, size, .. } = &label.spec;
        let mut words = ["lvcreate", "-q", "-y", "-Wn", "-V"].map(str::to_owned).to_vec();
        words.extend([bytes(whole(*size)), "-T".to_owned(), self.full(&self.pool)]);
        words.extend(["-n".to_owned(), id.to_string()]);
        words.extend(label.tags().into_iter().flat_map(|tag| ["--addtag".to_owned(), tag]));
        words
    }

    /// A thin device that was just made, if it is as it should be and nothing is in it.
    pub(super) async fn proven_empty(
        &self,
        snapshot: &Snapshot,
        mut record: VolumeRecord,
        label: Label,
    ) -> Result<Volume, StorageError> {
        let (spec, dir) = (record.spec.clone(), self.dir.volume(&record.spec.id));
        record.settled = true;
        record.write(&dir)?;
        let lv = snapshot.volumes.get(spec.id.as_str()).cloned();
        let lv = lv.ok_or_else(|| {
            unreadable(format!("volume {}", spec.id), "it was made, and is not there".to_owned())
        })?;
        match snapshot.targets.get(&names::mapped(&self.group, spec.id.as_str())) {
            Some(Target::Thin { mapped }) if *mapped == Size::ZERO => {}
            Some(Target::Thin { .. }) => {
                return Err(self.set_aside(&spec.id, lv.thin_id, &label).await?);
            }
            Some(Target::Failed | Target::Pool(_)) | None => {
                let why = "it was made, and the kernel does not have it".to_owned();
                return Err(unreadable(format!("volume {}", spec.id), why));
            }
        }
        if lv.size != whole(spec.size) {
            let why = format!("it was made with {}, not {} and its header", lv.size, spec.size);
            return Err(unreadable(format!("volume {}", spec.id), why));
        }
        Ok(Volume { lv, label, record, dir })
    }

    /// LVM gave a new volume a thin device that was there before and holds somebody's data, which
    /// it does not know of. It is kept, under another name and without our marks, for a person.
    async fn set_aside(
        &self,
        id: &VolumeId,
        thin_id: Option<u64>,
        label: &Label,
    ) -> Result<StorageError, StorageError> {
        let stray = names::stray(thin_id.unwrap_or_default(), id);
        let command = lvm("lvrename")?.args(["-q", &self.group, id.as_str(), &stray]);
        run(format!("setting {stray} aside"), command).await?;
        let tags = label.tags();
        let command = lvm("lvchange")?
            .arg("-q")
            .args(tags.iter().flat_map(|tag| ["--deltag", tag]))
            .args([
                "--addtag",
                &mark("fleet", &self.fleet),
                "--addtag",
                &mark("stray", &id.as_str()),
            ])
            .arg(self.full(&stray));
        run(format!("marking {stray}"), command).await?;
        Ok(StorageError::Conflict {
            what: self.what(),
            found: format!(
                "held data that LVM did not know of; it was kept as {} and given to nobody. \
                 Look whose it is, then apply again",
                self.full(&stray)
            ),
        })
    }
}

impl Volume {
    /// Whether it was made in full, and was cut short when that was written down and not yet
    /// marked. From then on it is never made again, but finished.
    fn lacks_only_marks(&self) -> bool {
        self.label.state == VolumeState::Making
            && self.record.formatted
            && !self.record.settled
            && self.record.generation == self.label.generation.saturating_add(1)
    }
}
