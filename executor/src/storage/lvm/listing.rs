//! What is in the pool, read by two programs and /sys whatever the number of volumes; and what
//! marks and record together say of one volume. Complete, or an error.

use super::kernel::{self, Mapped};
use super::marks::{self, Label};
use super::program::{lvm, program, run};
use super::record::VolumeRecord;
use super::report::{self, LogicalVolume};
use super::status::{self, Target};
use super::{LvmStorage, Volume, io, unreadable};
use crate::command::{CommandError, Output};
use crate::names::{self, VolumeDir, VolumeEntry};
use crate::storage::{Contents, StorageError};
use planner::model::id::{PoolId, VolumeId};
use planner::model::observed::{Foreign, VolumeView};
use planner::model::size::Size;
use planner::model::volume::VolumeState;
use std::collections::BTreeMap;
use std::fs;

/// The volume group and the kernel, at one moment.
pub(super) struct Snapshot {
    /// By name.
    pub(super) volumes: BTreeMap<String, LogicalVolume>,
    /// By the kernel's name.
    pub(super) targets: BTreeMap<String, Target>,
    /// By the kernel's name.
    pub(super) mapped: BTreeMap<String, Mapped>,
}

/// What there is of one volume.
pub(super) enum Found {
    /// No marks and no record.
    Nothing,
    /// Written down as being made; LVM has nothing.
    Begun(VolumeRecord),
    /// LVM has it.
    Whole(Box<Volume>),
    /// Erased but for what is written down.
    Gone(VolumeRecord),
}

/// How often the kernel is asked for devices while some go.
const ASKED: usize = 10;

/// What the kernel says of all devices. One that goes between being named and being asked, because
/// LVM works on another pool, ends the program with status 1: then all are asked again.
async fn devices() -> Result<Output, StorageError> {
    let mut left = ASKED;
    loop {
        // Looking changes nothing: without this every pool would write its metadata first.
        let command = program("dmsetup")?.args(["status", "--noflush"]);
        let asked = run("asking the kernel for devices".to_owned(), command).await;
        left -= 1;
        match asked {
            Err(StorageError::Command {
                source: CommandError::Failed { status: Some(1), .. },
                ..
            }) if left > 0 => {}
            asked => return asked,
        }
    }
}

impl LvmStorage {
    pub(super) async fn read(&self) -> Result<Snapshot, StorageError> {
        let command = lvm("lvs")?
            .args(["--reportformat", "json", "--units", "b", "--nosuffix", "-o", report::FIELDS])
            .arg(&self.group);
        let act = format!("listing volume group {}", self.group);
        let output = run(act.clone(), command).await?;
        let volumes = report::parse(&output.stdout)
            .map_err(|why| unreadable(format!("what lvs says of {}", self.group), why))?;
        let output = devices().await?;
        let targets = status::parse(&String::from_utf8_lossy(&output.stdout))
            .map_err(|why| unreadable("what dmsetup says".to_owned(), why))?;
        Ok(Snapshot { volumes, targets, mapped: kernel::mapped()? })
    }

    pub(super) fn list(&self, snapshot: &Snapshot) -> Result<Contents, StorageError> {
        let pool = self.our_pool(snapshot)?;
        let mut contents = Contents::default();
        let in_pool = snapshot.volumes.values().filter(|lv| lv.pool.as_ref() == Some(&self.pool));
        for lv in in_pool {
            match self.ours(lv, &pool)? {
                Some(label) => {
                    let id = label.spec.id.clone();
                    if let Found::Whole(volume) = self.find(snapshot, &pool, &id)? {
                        contents.volumes.insert(id, self.view(snapshot, &volume)?);
                    }
                }
                None => contents.foreign.push(Foreign {
                    name: lv.name.clone(),
                    size: lv.size,
                    whose: whose(lv),
                    cannot: Some("the key of what is in it is not here".to_owned()),
                }),
            }
        }
        for id in self.recorded()? {
            if contents.volumes.contains_key(&id) {
                continue;
            }
            // Of what is gone something may still have to go: its key.
            if let Found::Begun(record) | Found::Gone(record) = self.find(snapshot, &pool, &id)? {
                let VolumeRecord { spec, state, formatted, .. } = record;
                let view = VolumeView { spec, state, allocated: Size::ZERO, formatted };
                contents.volumes.insert(id, view);
            }
        }
        Ok(contents)
    }

    /// What there is of a volume that something is to be done to: a change of its marks that was
    /// made and not written down as made is.
    pub(super) fn find_settled(
        &self,
        snapshot: &Snapshot,
        pool: &PoolId,
        id: &VolumeId,
    ) -> Result<Found, StorageError> {
        let mut found = self.find(snapshot, pool, id)?;
        if let Found::Whole(volume) = &mut found
            && !volume.record.settled
            && volume.record.generation == volume.label.generation
        {
            volume.record.settled = true;
            volume.record.write(&volume.dir)?;
        }
        Ok(found)
    }

    /// What marks and record say of a volume. An error if they contradict each other.
    pub(super) fn find(
        &self,
        snapshot: &Snapshot,
        pool: &PoolId,
        id: &VolumeId,
    ) -> Result<Found, StorageError> {
        let dir = self.dir.volume(id);
        let what = || format!("volume {id}");
        let record = VolumeRecord::read(&dir)?;
        if let Some(record) = &record
            && (record.spec.id != *id || record.fleet != self.fleet)
        {
            let why = format!("its record is of {} of fleet {}", record.spec.id, record.fleet);
            return Err(unreadable(what(), why));
        }
        let Some(lv) = snapshot.volumes.get(id.as_str()) else {
            return match record {
                None => Ok(Found::Nothing),
                Some(record) => without_volume(record),
            };
        };
        let Some(label) = self.ours(lv, pool)? else {
            return Err(StorageError::Conflict {
                what: what(),
                found: format!("is of {}", whose(lv)),
            });
        };
        let Some(record) = record else {
            let why = format!(
                "there is no record of it in {}: was the host's state lost?",
                dir.path().display()
            );
            return Err(unreadable(what(), why));
        };
        let (marks, known) = (label.generation, record.generation);
        if marks != known && (record.settled || marks.checked_add(1) != Some(known)) {
            let older = if marks < known { "the volume group's metadata" } else { "the record" };
            let why = format!(
                "its marks are of generation {marks} and its record of {known}: {older} came from a backup"
            );
            return Err(unreadable(what(), why));
        }
        Ok(Found::Whole(Box::new(Volume { lv: lv.clone(), label, record, dir })))
    }

    /// The marks of a volume, if they are ours and it is no copy.
    pub(super) fn ours(
        &self,
        lv: &LogicalVolume,
        pool: &PoolId,
    ) -> Result<Option<Label>, StorageError> {
        let is = |key, value: &str| marks::value_of(&lv.tags, key) == Some(value);
        if !is("fleet", self.fleet.as_str())
            || !is("pool", pool.as_str())
            || !is("volume", &lv.name)
        {
            return Ok(None);
        }
        let label = Label::parse(&lv.tags);
        label.map(Some).map_err(|why| unreadable(format!("volume {}", lv.name), why))
    }

    fn view(&self, snapshot: &Snapshot, volume: &Volume) -> Result<VolumeView, StorageError> {
        let Volume { lv, label, record, .. } = volume;
        let allocated = match snapshot.targets.get(&names::mapped(&self.group, &lv.name)) {
            Some(Target::Thin { mapped }) => *mapped,
            // Not active: as it was last seen.
            None => record.allocated_bytes,
            Some(Target::Failed | Target::Pool(_)) => {
                let why = "the kernel has given it up; see its log".to_owned();
                return Err(unreadable(format!("volume {}", lv.name), why));
            }
        };
        let (spec, state, formatted) = (label.spec.clone(), label.state, label.formatted);
        if lv.size < spec.size.plus(super::HEADER) && state != VolumeState::Erasing {
            let why = format!("it was cut: {} of {} and its header", lv.size, spec.size);
            return Err(unreadable(format!("volume {}", lv.name), why));
        }
        Ok(VolumeView { spec, state, allocated, formatted })
    }

    /// Volumes that are written down.
    fn recorded(&self) -> Result<Vec<VolumeId>, StorageError> {
        let volumes = self.dir.volumes();
        let entries = match fs::read_dir(&volumes) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io("listing", &volumes))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(io("listing", &volumes))?.file_name();
            match self.dir.volume_entry(&name) {
                VolumeEntry::Volume(id) => ids.push(id),
                VolumeEntry::Remnant(_) | VolumeEntry::Other => {}
            }
        }
        ids.sort();
        Ok(ids)
    }
}

fn without_volume(record: VolumeRecord) -> Result<Found, StorageError> {
    match record.state {
        VolumeState::Making if !record.ever_attached => Ok(Found::Begun(record)),
        VolumeState::Erasing => Ok(Found::Gone(record)),
        VolumeState::Making | VolumeState::Attached | VolumeState::Retired { .. } => {
            let why = format!("it is {}, and its logical volume is gone", record.state.as_str());
            Err(unreadable(format!("volume {}", record.spec.id), why))
        }
    }
}

/// Whose a volume is that is not ours.
fn whose(lv: &LogicalVolume) -> String {
    let mark = |key| marks::value_of(&lv.tags, key);
    match (mark("volume"), mark("fleet")) {
        (Some(id), Some(fleet)) if id != lv.name => format!("a copy of {id} of fleet {fleet}"),
        (Some(_), Some(fleet)) => format!("fleet {fleet}, another pool or host"),
        (_, Some(fleet)) => format!("data that LVM did not know, kept by fleet {fleet}"),
        (_, None) => "nobody that is known".to_owned(),
    }
}

/// What an act has written down, removed after the last of it.
pub(super) fn forget(
    host: &names::HostDir,
    dir: &VolumeDir,
    id: &VolumeId,
) -> Result<(), StorageError> {
    use crate::storage::local::listing::remove_remnant;
    let going = host.volume_going(id);
    remove_remnant(&going)?;
    fs::rename(dir.path(), going.path()).map_err(io("removing", dir.path()))?;
    crate::durable::sync_parent(going.path()).map_err(io("syncing", going.path()))?;
    remove_remnant(&going)
}
