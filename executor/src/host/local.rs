//! A host on this machine: its storage and its runtime, one act at a time under its lock.

mod makes;

use super::{Answer, Host, Resumed, StepError, probe};
use crate::artifact::Trees;
use crate::catalog::{Catalog, Holder, LockName};
use crate::clock;
use crate::ensure::Ensured;
use crate::names::HostDir;
use crate::runtime::{Runtime, Start};
use crate::storage::{PoolMarks, Storage};
use async_trait::async_trait;
use planner::model::artifact::Artifact;
use planner::model::health::Check;
use planner::model::id::{InstanceId, MachineId};
use planner::model::instance::InstanceSpec;
use planner::model::name::{FleetName, HostName};
use planner::model::observed::{HostView, InstanceState, InstanceView, Reading};
use planner::model::time::Timestamp;
use planner::model::volume::VolumeState;
use planner::plan::predicate::{Judgement, judge};
use planner::plan::step::{Act, Step};
use std::error::Error;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a step waits for another process that reserves room on the same host.
const LOCK_WAIT: Duration = Duration::from_secs(120);

type BoxError = Box<dyn Error + Send + Sync>;

/// What a local host is made of.
pub struct LocalHost {
    /// The fleet.
    pub fleet: FleetName,
    /// Its name.
    pub name: HostName,
    /// This machine.
    pub machine: MachineId,
    /// Its pool and volumes.
    pub storage: Box<dyn Storage>,
    /// Its instances.
    pub runtime: Box<dyn Runtime>,
    /// Where source trees come from.
    pub trees: Arc<dyn Trees>,
    /// Everything of the host on this machine; exported source trees among it.
    pub directory: HostDir,
    /// Whose locks keep other processes off this host.
    pub catalog: Arc<dyn Catalog>,
    /// Keeps this process's own tasks apart.
    pub turn: Turn,
}

/// Whose turn it is.
#[derive(Default)]
pub struct Turn {
    mutex: tokio::sync::Mutex<()>,
    waiting: makes::Waiting,
}

#[async_trait]
impl Host for LocalHost {
    fn name(&self) -> &HostName {
        &self.name
    }

    async fn observe(&self) -> HostView {
        match self.reading().await {
            Ok(reading) => HostView::Read(reading),
            Err(error) => HostView::Unread {
                why: crate::chain(&*error),
                hint: "run `tiedown doctor`".to_owned(),
            },
        }
    }

    async fn act(&self, step: &Step) -> Result<Ensured, StepError> {
        if matches!(step.act, Act::MakeVolume { .. }) {
            return self.make_in_turn(step).await;
        }
        if let Act::FetchImage { reference, digest } = &step.act {
            return self.fetch(step, reference, digest).await;
        }
        let _turn = self.turn.mutex.lock().await;
        let failed = |source| failed(&step.id.0, source);
        let _lock = self.lock(step).await.map_err(failed)?;
        let reading = self.reading().await.map_err(failed)?;
        match judge(step, &reading) {
            Judgement::After => return Ok(Ensured::AlreadySo),
            Judgement::Stale { found } => return Err(StepError::Stale { found }),
            Judgement::Before => {}
        }
        let ensured = self.perform(&step.act, &reading).await.map_err(failed)?;
        self.verify(step).await.map_err(failed)?;
        if matches!(step.act, Act::StopInstance { .. }) {
            self.sweep_trees().await.map_err(failed)?;
        }
        Ok(ensured)
    }

    async fn instance(&self, id: &InstanceId) -> Result<Option<InstanceView>, StepError> {
        let mut instances = self.runtime.instances().await.map_err(|error| StepError::Failed {
            what: format!("looking at instance {id}"),
            retryable: true,
            source: error.into(),
        })?;
        Ok(instances.remove(id))
    }

    async fn ask(&self, instance: &InstanceId, address: Ipv4Addr, check: &Check) -> Answer {
        let place = SocketAddrV4::new(address, check.port.0);
        let connecting = self.runtime.connect(instance, place);
        match probe::ask(connecting, place, check).await {
            Answer::Passing => match self.runtime.listens(instance, address, check.port).await {
                Ok(()) => Answer::Passing,
                Err(seen) => Answer::Failing { seen },
            },
            failing @ Answer::Failing { .. } => failing,
        }
    }

    async fn resume(&self) -> Result<Vec<Resumed>, StepError> {
        let _turn = self.turn.mutex.lock().await;
        let what = format!("resuming {}", self.name);
        let reading = self.reading().await.map_err(|source| failed(&what, source))?;
        let mut resumed = Vec::new();
        for instance in reading.instances.values() {
            if !matches!(instance.state, InstanceState::Died { .. }) {
                continue;
            }
            let result = self.resume_one(instance, &reading).await;
            let result =
                result.map_err(|source| failed(&format!("resuming {}", instance.id), source));
            resumed.push(Resumed { instance: instance.clone(), result });
        }
        Ok(resumed)
    }

    async fn purge(&self) -> Result<(), StepError> {
        let _turn = self.turn.mutex.lock().await;
        let what = format!("purging {}", self.name);
        self.remove_everything().await.map_err(|source| failed(&what, source))
    }

    async fn exec(&self, instance: &InstanceId, argv: &[OsString]) -> Result<i32, StepError> {
        let what = format!("running a program in instance {instance}");
        let status = self.runtime.exec(instance, argv).await;
        status.map_err(|error| failed(&what, error.into()))
    }

    fn log(&self, id: &InstanceId) -> Option<PathBuf> {
        Some(self.runtime.log(id))
    }
}

fn failed(what: &str, source: BoxError) -> StepError {
    StepError::Failed { what: what.to_owned(), retryable: true, source }
}

impl LocalHost {
    /// After a reboot the instance's own record is all there is: each of its volumes must be the
    /// one it had, attached and formatted, before anything is started on it.
    async fn resume_one(
        &self,
        instance: &InstanceView,
        reading: &Reading,
    ) -> Result<Ensured, BoxError> {
        for id in &instance.volumes {
            let found = reading.volumes.get(id);
            let whole = found.is_some_and(|volume| {
                volume.state == VolumeState::Attached
                    && volume.formatted
                    && volume.spec.slot == instance.slot
            });
            if !whole {
                return Err(format!("volume {id} is not there as it was").into());
            }
            self.storage.attachment(id).await?;
        }
        Ok(self.runtime.resume(&instance.id).await?)
    }

    async fn remove_everything(&self) -> Result<(), BoxError> {
        let reading = self.reading().await?;
        if let Some(instance) = reading.instances.values().next() {
            return Err(format!("instance {} is still here", instance.id).into());
        }
        // What is foreign beside the pool is in nobody's way.
        let (_, contents) = self.storage.look().await?;
        if let Some(foreign) = contents.foreign.first() {
            return Err(
                format!("{} in the pool is not ours: {}", foreign.name, foreign.whose).into()
            );
        }
        if self.storage.outlives_purge()
            && let Some(id) = reading.volumes.keys().next()
        {
            let name = &self.name;
            return Err(format!(
                "volume {id} of {name} is on a disk of its own and its key is here: destroy it first"
            )
            .into());
        }
        self.runtime.clear().await?;
        let directory = self.directory.path();
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("removing {}: {error}", directory.display()).into())
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Everything, or why not.
    async fn reading(&self) -> Result<Reading, BoxError> {
        let (pool, contents) = self.storage.look().await?;
        let mut foreign = contents.foreign;
        foreign.extend(self.runtime.foreign().await?);
        Ok(Reading {
            at: clock::now(),
            asked_at: Timestamp::default(),
            machine: self.machine.clone(),
            runs: self.runtime.runs(),
            shared_ports: self.runtime.shares_ports(),
            isolates: self.runtime.isolates(),
            pool,
            volumes: contents.volumes,
            instances: self.runtime.instances().await?,
            images: self.runtime.images().await?,
            foreign,
        })
    }

    async fn lock(&self, step: &Step) -> Result<Box<dyn crate::catalog::Lock>, BoxError> {
        let catalog = Arc::clone(&self.catalog);
        let name = LockName::Host(self.name.clone());
        let holder =
            Holder { purpose: step.id.0.clone(), pid: std::process::id(), since: clock::now() };
        let locked = tokio::task::spawn_blocking(move || catalog.lock(&name, &holder, LOCK_WAIT));
        Ok(locked.await??)
    }

    async fn perform(&self, act: &Act, reading: &Reading) -> Result<Ensured, BoxError> {
        let ensured = match act {
            Act::MakePool { pool, size } => {
                let marks = PoolMarks {
                    id: pool.clone(),
                    fleet: self.fleet.clone(),
                    host: self.name.clone(),
                    machine: self.machine.clone(),
                };
                self.storage.make_pool(&marks, *size).await?
            }
            Act::MakeVolume { volume } => self.storage.make(volume).await?,
            Act::CopyVolume { of, volume } => self.storage.copy(of, volume, reading.at).await?,
            Act::RemoveClone { volume } => self.storage.remove_clone(volume).await?,
            Act::RemoveSnapshot { volume } => self.storage.destroy(volume).await?,
            Act::GrowVolume { volume, to } => self.storage.grow(volume, *to).await?,
            Act::MarkVolume { volume, marks } => self.storage.mark(volume, marks).await?,
            Act::RetireVolume { volume, keeping } => {
                self.storage.retire(volume, keeping, reading.at).await?
            }
            Act::TakeBackVolume { volume, marks } => self.storage.take_back(volume, marks).await?,
            Act::AdoptVolume { name, volume } => self.storage.adopt(name, volume).await?,
            Act::DestroyVolume { volume, .. } => self.storage.destroy(volume).await?,
            Act::FetchImage { reference, digest } => self.runtime.fetch(reference, digest).await?,
            Act::StartInstance { instance } => self.start(instance).await?,
            Act::StopInstance { instance, .. } => self.runtime.stop(instance).await?,
            Act::SuperviseInstance { instance, supervision } => {
                self.runtime.supervise(instance, supervision).await?
            }
        };
        Ok(ensured)
    }

    /// Takes nobody's turn and no lock: a pull may be long, and two of one image are one.
    async fn fetch(
        &self,
        step: &Step,
        reference: &str,
        digest: &str,
    ) -> Result<Ensured, StepError> {
        let failed = |source| failed(&step.id.0, source);
        let reading = self.reading().await.map_err(failed)?;
        match judge(step, &reading) {
            Judgement::After => return Ok(Ensured::AlreadySo),
            Judgement::Stale { found } => return Err(StepError::Stale { found }),
            Judgement::Before => {}
        }
        let fetched = self.runtime.fetch(reference, digest).await;
        let ensured = fetched.map_err(|error| failed(error.into()))?;
        self.verify(step).await.map_err(failed)?;
        Ok(ensured)
    }

    async fn start(&self, instance: &InstanceSpec) -> Result<Ensured, BoxError> {
        let mut volumes = Vec::new();
        for bind in &instance.binds {
            volumes.push((bind.clone(), self.storage.attachment(&bind.volume).await?));
        }
        let tree = match &instance.artifact {
            Artifact::Tree { digest } => Some(self.tree(digest).await?),
            Artifact::Image { .. } => None,
        };
        let start = Start { instance, volumes, tree: tree.as_deref() };
        Ok(self.runtime.start(start).await?)
    }

    /// The exported tree: written beside its place and moved there whole, so that a directory
    /// with the digest's name is always complete.
    async fn tree(&self, digest: &str) -> Result<PathBuf, BoxError> {
        let place = self.directory.trees().join(digest);
        if place.is_dir() {
            return Ok(place);
        }
        let (trees, digest) = (Arc::clone(&self.trees), digest.to_owned());
        let (dir, target) = (self.directory.trees(), place.clone());
        tokio::task::spawn_blocking(move || export(&*trees, &digest, &dir, &target)).await??;
        Ok(place)
    }

    /// Removes trees that no instance runs any more and no slot may go back to. One that a crash left half written has no
    /// digest's name, and goes too.
    async fn sweep_trees(&self) -> Result<(), BoxError> {
        let mut used = self.runtime.trees().await?;
        used.extend(self.applied_trees()?);
        let Ok(entries) = std::fs::read_dir(self.directory.trees()) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| used.contains(name)) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Trees of releases that were applied last, for as long as a newer one has not come up: a slot
    /// may go back to its own.
    fn applied_trees(&self) -> Result<Vec<String>, BoxError> {
        let claims = self.catalog.claims()?;
        let here = claims.slots.into_values().filter(|claim| claim.host == self.name);
        let applied = here.filter_map(|claim| match &claim.applied_spec?.artifact {
            Artifact::Tree { digest } => Some(digest.to_string()),
            Artifact::Image { .. } => None,
        });
        Ok(applied.collect())
    }

    /// What should be so after the step is so; rc 0 alone proves nothing.
    async fn verify(&self, step: &Step) -> Result<(), BoxError> {
        let reading = self.reading().await?;
        if let Act::StartInstance { instance } = &step.act {
            // Whether it comes up is for the gate to say: it may have ended already.
            return match reading.instances.contains_key(&instance.id) {
                true => Ok(()),
                false => Err(format!("instance {} did not appear", instance.id).into()),
            };
        }
        Self::not_so(step, &reading).map_or(Ok(()), |found| Err(found.into()))
    }

    /// What is not as it should be after the step.
    fn not_so(step: &Step, reading: &Reading) -> Option<String> {
        let found = step.after.iter().find_map(|fact| fact.failure(reading))?;
        Some(format!("it was done, and yet: {found}"))
    }
}

fn export(trees: &dyn Trees, digest: &str, dir: &Path, target: &Path) -> Result<(), BoxError> {
    let io = |act: &str, path: &Path| format!("{act} {}", path.display());
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", io("creating", dir)))?;
    let beside = dir.join(format!(".{}-{}", &digest[..digest.len().min(16)], std::process::id()));
    if beside.exists() {
        std::fs::remove_dir_all(&beside)
            .map_err(|e| format!("{}: {e}", io("removing", &beside)))?;
    }
    std::fs::create_dir(&beside).map_err(|e| format!("{}: {e}", io("creating", &beside)))?;
    trees.export(digest, &beside)?;
    std::fs::rename(&beside, target).map_err(|e| format!("{}: {e}", io("placing", target)))?;
    Ok(())
}
