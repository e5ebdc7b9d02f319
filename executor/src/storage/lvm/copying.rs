//! A volume made with the data of another one. A snapshot or clone is a thin snapshot: made at
//! once whatever its size, with a key of its own that opens the same encryption, so that the
//! volume it was made of is not erased while it is there. A slot's own shares nothing with what it
//! was made from: every file is copied into an encryption of its own.

use super::disk::{self, whole};
use super::listing::Found;
use super::marks::Label;
use super::program::{LONG, lvm, program, run, status, to_end};
use super::record::VolumeRecord;
use super::status::Target;
use super::{HEADER, LvmStorage, Volume, conflict, header, kernel, life, unreadable};
use crate::ensure::Ensured;
use crate::names;
use crate::storage::StorageError;
use planner::model::id::VolumeId;
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::{VolumeKind, VolumeSpec, VolumeState};
use std::path::Path;

/// e2fsck(8): the highest status with which a file system is sound, put right if need be.
const SOUND: i32 = 1;

impl LvmStorage {
    pub(super) async fn ensure_copied(
        &self,
        of: &VolumeId,
        spec: &VolumeSpec,
        now: Timestamp,
    ) -> Result<Ensured, StorageError> {
        let (mut snapshot, origin) = self.get(of).await?;
        let pool = self.our_pool(&snapshot)?;
        if self.is_made(&mut snapshot, &pool, spec).await? {
            return Ok(Ensured::AlreadySo);
        }
        can_be_copied(&origin, spec)?;
        self.fit_for_more(&snapshot)?;
        let record = self.begin(spec, &pool)?;
        self.keys.ensure(&spec.id).map_err(|error| disk::key_error(&spec.id, error))?;
        let (mut volume, state) = match spec.kind {
            VolumeKind::Own => {
                let volume = self.make_empty(record, VolumeState::Making).await?;
                self.fill(&origin, &volume).await?;
                (volume, VolumeState::Attached)
            }
            VolumeKind::Snapshot => {
                let state = VolumeState::Retired { since: now };
                (self.snapshot(&origin, record).await?, state)
            }
            VolumeKind::Clone => (self.snapshot(&origin, record).await?, VolumeState::Attached),
        };
        if let Some(Target::Thin { mapped }) =
            snapshot.targets.get(&names::mapped(&self.group, of.as_str()))
        {
            volume.record.allocated_bytes = *mapped;
        }
        let next = Label { state, formatted: true, ..volume.label.clone() };
        self.commit(volume, next).await?;
        Ok(Ensured::Made)
    }

    /// Makes a thin snapshot with its own marks, key and identity, sound in itself. What was
    /// written to the other volume before is in it. Nobody has to wait meanwhile: it is as the
    /// file system would be after a loss of power at that moment.
    async fn snapshot(
        &self,
        origin: &Volume,
        mut record: VolumeRecord,
    ) -> Result<Volume, StorageError> {
        let (id, of) = (record.spec.id.clone(), origin.label.spec.id.clone());
        self.flush(origin).await?;
        let label = self.label_of(&record, VolumeState::Making);
        let tags = label.tags();
        let command = lvm("lvcreate")?
            .args(["-q", "-y", "-s", "-kn", "-n", id.as_str()])
            .args(tags.iter().flat_map(|tag| ["--addtag", tag]))
            .arg(self.full(of.as_str()));
        run(format!("making a snapshot of volume {of}"), command).await?;
        let dir = self.dir.volume(&id);
        record.settled = true;
        record.write(&dir)?;
        self.activate(id.as_str()).await?;
        let lv = self.read().await?.volumes.remove(id.as_str());
        let lv = lv.filter(|lv| lv.origin.as_deref() == Some(of.as_str()));
        let Some(lv) = lv.filter(|lv| lv.size == whole(label.spec.size)) else {
            let why = format!("it was made as a snapshot of {of}, and is none of its size");
            return Err(unreadable(format!("volume {id}"), why));
        };
        let volume = Volume { lv, label, record, dir };
        self.rekey(&of, &volume).await?;
        let open = self.open(&volume).await?;
        check(&id, &open).await?;
        self.close(&id).await?;
        Ok(volume)
    }

    /// Trims a volume that is open, and writes out what was written to it.
    pub(super) async fn flush(&self, volume: &Volume) -> Result<(), StorageError> {
        let id = &volume.label.spec.id;
        let name = names::opened(id);
        let Some(open) = kernel::mapped()?.remove(&name) else { return Ok(()) };
        let pool = self.read().await?.volumes.remove(&self.pool);
        let block = pool.map_or(Size::ZERO, |pool| pool.chunk);
        disk::flush(id, &volume.dir, &kernel::node(&name, &open)?, block).await
    }

    /// Puts the volume's own key and identity in place of those that came with the data.
    async fn rekey(&self, of: &VolumeId, volume: &Volume) -> Result<(), StorageError> {
        let id = &volume.label.spec.id;
        let device = kernel::node(&names::mapped(&self.group, id.as_str()), &self.thin(volume)?)?;
        let bytes = crate::keys::KEY_BYTES.to_string();
        let mut keys = self.key(of)?;
        keys.extend_from_slice(&self.key(id)?);
        // Both keys come by the one pipe: the old one is read first.
        let command = program("cryptsetup")?
            .args(["luksChangeKey", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"])
            .args(["--hash", "sha256", "--key-file", "-", "--keyfile-size", &bytes])
            .args(["--new-keyfile-size", &bytes])
            .arg(&device)
            .arg("/proc/self/fd/0")
            .input(keys);
        run(format!("giving volume {id} a key of its own"), command).await?;
        let command = program("cryptsetup")?
            .args(["luksUUID", "-q", "--uuid"])
            .arg(names::luks_uuid(id))
            .arg(&device);
        run(format!("naming volume {id}"), command).await?;
        disk::sync(&device)?;
        header::keep(&volume.dir, &device)
    }

    /// Encrypts an empty volume and fills it with the file system of another one that nobody uses.
    async fn fill(&self, origin: &Volume, volume: &Volume) -> Result<(), StorageError> {
        let (id, of) = (&volume.label.spec.id, &origin.label.spec.id);
        let _idle = self.idle_file(of, &origin.dir).await?;
        let from = self.open(origin).await?;
        // What is only in the journal is in no block that is copied.
        check(of, &from).await?;
        let to = self.encrypt(volume).await?;
        let command = program("e2image")?.args(["-r", "-a"]).arg(&from).arg(&to);
        let command = to_end(command, LONG);
        run(format!("copying volume {of} to {id}"), command).await?;
        disk::sync(&to)?;
        let command = to_end(program("e2fsck")?.args(["-n", "-f"]).arg(&to), LONG);
        run(format!("checking volume {id}"), command).await?;
        self.close(of).await
    }

    pub(super) async fn ensure_clone_removed(
        &self,
        id: &VolumeId,
    ) -> Result<Ensured, StorageError> {
        let (snapshot, pool) = self.ready().await?;
        let volume = match self.find(&snapshot, &pool, id)? {
            Found::Whole(volume) if volume.label.spec.kind == VolumeKind::Clone => volume,
            Found::Whole(volume) => return Err(life::not_so(&volume.label)),
            Found::Begun(record) if record.spec.kind == VolumeKind::Clone => {
                return self.forget_all(id).await.map(|()| Ensured::Made);
            }
            Found::Begun(record) => {
                return Err(conflict(id, format!("is {}", record.state.as_str())));
            }
            Found::Gone(_) => return self.forget_all(id).await.map(|()| Ensured::Made),
            Found::Nothing => return self.tidy_going(id).map(|()| Ensured::AlreadySo),
        };
        self.erase_all(*volume).await
    }
}

/// Whether the other volume is whole, as large, and not being grown; and, for a slot's own, whether
/// no slot has it.
fn can_be_copied(origin: &Volume, spec: &VolumeSpec) -> Result<(), StorageError> {
    let Label { state, formatted, spec: of, .. } = &origin.label;
    let whole_now = match state {
        VolumeState::Retired { .. } => *formatted,
        VolumeState::Attached => *formatted && (spec.kind != VolumeKind::Own || !of.kind.is_own()),
        VolumeState::Making | VolumeState::Erasing => false,
    };
    if whole_now && of.size == spec.size && origin.lv.size == whole(spec.size) {
        return Ok(());
    }
    if whole_now && origin.lv.size > whole(of.size) {
        let (id, to) = (&of.id, origin.lv.size.minus(HEADER));
        let found = format!("was not grown to the end, from {} to {to}: grow it first", of.size);
        return Err(conflict(id, found));
    }
    Err(life::not_so(&origin.label))
}

/// Brings a file system that nobody uses to where its journal says that it is.
async fn check(id: &VolumeId, open: &Path) -> Result<(), StorageError> {
    let act = format!("checking the file system of volume {id}");
    let command = to_end(program("e2fsck")?.arg("-p").arg(open), LONG);
    match status(act, command).await? {
        ..=SOUND => disk::sync(open),
        found => {
            let found = format!("has a file system that is not sound: e2fsck says {found}");
            Err(conflict(id, found))
        }
    }
}
