//! Several volumes made at once, as each would be made alone: LVM is started twice for all of
//! them, and what is there is read three times. Whatever is out of the ordinary is left to the
//! making of one, which tells it.

use super::disk::key_error;
use super::listing::Found;
use super::marks::Label;
use super::program::session;
use super::record::VolumeRecord;
use super::{LvmStorage, Volume, life, unreadable};
use crate::ensure::Ensured;
use crate::storage::StorageError;
use futures::StreamExt;
use planner::model::id::VolumeId;
use planner::model::size::Size;
use planner::model::volume::{VolumeSpec, VolumeState};
use std::collections::BTreeMap;

type Answers = BTreeMap<VolumeId, Result<Ensured, StorageError>>;

/// Volumes that are encrypted and formatted at once: enough to keep a few processors and a disk
/// busy.
const AT_ONCE: usize = 4;

impl LvmStorage {
    pub(super) async fn make_together(
        &self,
        specs: &[VolumeSpec],
    ) -> Vec<Result<Ensured, StorageError>> {
        let mut answers = Answers::new();
        if specs.len() > 1
            && let Ok(begun) = self.begin_together(specs).await
        {
            let made = self.make_empty_together(begun, &mut answers).await;
            let formatted = self.format_together(made, &mut answers).await;
            self.attach_together(formatted, &mut answers).await;
        }
        let mut all = Vec::new();
        for spec in specs {
            all.push(match answers.remove(&spec.id) {
                Some(answer) => answer,
                None => self.ensure_made(spec).await,
            });
        }
        all
    }

    /// Those of which there is nothing yet, written down, with their keys.
    async fn begin_together(
        &self,
        specs: &[VolumeSpec],
    ) -> Result<Vec<VolumeRecord>, StorageError> {
        let (snapshot, pool) = self.ready().await?;
        self.fit_for_more(&snapshot)?;
        let extent = snapshot.volumes.get(&self.pool).map_or(Size::ZERO, |pool| pool.extent);
        let mut begun = Vec::new();
        for spec in specs {
            let plain = life::whole_extents(&spec.id, spec.size, extent).is_ok();
            if plain && matches!(self.find(&snapshot, &pool, &spec.id)?, Found::Nothing) {
                begun.push(self.begin(spec, &pool)?);
                self.keys.ensure(&spec.id).map_err(|error| key_error(&spec.id, error))?;
            }
        }
        Ok(begun)
    }

    /// Their thin devices, each proven empty. What is not there after all has no answer yet.
    async fn make_empty_together(
        &self,
        begun: Vec<VolumeRecord>,
        answers: &mut Answers,
    ) -> Vec<Volume> {
        let label = |record: &VolumeRecord| self.label_of(record, VolumeState::Making);
        let commands = begun.iter().map(|record| self.creation(&label(record))).collect();
        let created = session("making volumes".to_owned(), commands).await;
        let (Ok(()), Ok(snapshot)) = (created, self.read().await) else { return Vec::new() };
        let mut made = Vec::new();
        for record in begun {
            let id = record.spec.id.clone();
            if !snapshot.volumes.contains_key(id.as_str()) {
                continue;
            }
            let label = label(&record);
            match self.proven_empty(&snapshot, record, label).await {
                Ok(volume) => made.push(volume),
                Err(error) => drop(answers.insert(id, Err(error))),
            }
        }
        made
    }

    async fn format_together(&self, made: Vec<Volume>, answers: &mut Answers) -> Vec<Volume> {
        let format = async |volume: Volume| (self.format(&volume).await, volume);
        let results: Vec<_> =
            futures::stream::iter(made).map(format).buffer_unordered(AT_ONCE).collect().await;
        let mut formatted = Vec::new();
        for (result, volume) in results {
            match result {
                Ok(()) => formatted.push(volume),
                Err(error) => drop(answers.insert(volume.label.spec.id, Err(error))),
            }
        }
        formatted
    }

    /// The marks of all, changed and read again: a session has no status for each command.
    async fn attach_together(&self, formatted: Vec<Volume>, answers: &mut Answers) {
        let (mut changes, mut commands) = (Vec::new(), Vec::new());
        for volume in formatted {
            let (state, label) = (VolumeState::Attached, volume.label.clone());
            let next = Label { state, formatted: true, ..label };
            match Self::begin_commit(&volume, next) {
                Ok((record, next)) => {
                    commands.push(self.marking(&volume.label, &next));
                    changes.push((record, next, volume.dir));
                }
                Err(error) => drop(answers.insert(volume.label.spec.id, Err(error))),
            }
        }
        let marked = session("marking volumes".to_owned(), commands).await;
        let (Ok(()), Ok(snapshot)) = (marked, self.read().await) else { return };
        for (mut record, next, dir) in changes {
            let id = next.spec.id.clone();
            let tags = snapshot.volumes.get(id.as_str()).map(|lv| Label::parse(&lv.tags));
            let answer = match tags {
                Some(Ok(label)) if label == next => {
                    record.settled = true;
                    record.write(&dir).map(|()| Ensured::Made)
                }
                Some(_) | None => {
                    let why = "its marks could not be changed".to_owned();
                    Err(unreadable(format!("volume {id}"), why))
                }
            };
            answers.insert(id, answer);
        }
    }
}
