//! A catalog and journal in memory that can be cut off at any boundary, before or after it has
//! written, as a killed process or a lost machine would cut it off.

use crate::catalog::{Catalog, CatalogError, Holder, Lock, LockName};
use crate::journal::{Journal, RunEnd, RunId, RunRecord, RunStart, StepEnd, StepRecord};
use planner::model::claim::{AppRecord, Claim, Claims, FailedRelease};
use planner::model::time::Timestamp;
use planner::plan::ClaimAct;
use planner::plan::step::Step;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a fleet remembers, in memory.
#[derive(Default)]
pub struct FakeCatalog {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    claims: Claims,
    runs: Vec<RunRecord>,
    locks: BTreeMap<LockName, Holder>,
    /// Writes left before everything fails. Each write has two boundaries: before and after it.
    boundaries: Option<usize>,
    passed: usize,
}

impl FakeCatalog {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails everything from that boundary on; `None`: works again, as after a restart.
    pub fn cut_at(&self, boundary: Option<usize>) {
        let mut inner = self.inner();
        inner.boundaries = boundary;
        inner.passed = 0;
        inner.locks.clear();
    }

    /// Boundaries passed since the last [`FakeCatalog::cut_at`].
    #[must_use]
    pub fn passed(&self) -> usize {
        self.inner().passed
    }

    /// Forgets everything, as a lost disk would.
    pub fn forget(&self) {
        let mut inner = self.inner();
        inner.claims = Claims::default();
        inner.runs.clear();
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> Result<T, CatalogError> {
        let mut inner = self.inner();
        inner.boundary()?;
        let result = change(&mut inner);
        inner.boundary()?;
        Ok(result)
    }
}

impl Inner {
    fn boundary(&mut self) -> Result<(), CatalogError> {
        if self.boundaries.is_some_and(|limit| self.passed >= limit) {
            return Err(CatalogError::Store {
                act: "writing to a catalog that was cut off".to_owned(),
                source: "cut off".into(),
            });
        }
        self.passed += 1;
        Ok(())
    }

    fn run(&mut self, id: &RunId) -> Option<&mut RunRecord> {
        self.runs.iter_mut().find(|run| run.id == *id)
    }
}

fn act(claims: &mut Claims, act: &ClaimAct, at: Timestamp, seen: &str) {
    match act {
        ClaimAct::Write(claim) => {
            for (source, volume) in &claim.volumes {
                let key = (claim.slot.clone(), source.clone());
                let highest = claims.incarnations.entry(key).or_insert(volume.incarnation);
                *highest = (*highest).max(volume.incarnation);
            }
            let held = claims.slots.get(&claim.slot).map_or(claim.held, |known| known.held);
            claims.slots.insert(claim.slot.clone(), Claim { held, ..claim.clone() });
        }
        ClaimAct::Hold { slot, held } => {
            if let Some(claim) = claims.slots.get_mut(slot) {
                claim.held = *held;
            }
        }
        ClaimAct::Remove { slot } => {
            claims.slots.remove(slot);
        }
        ClaimAct::Failed { slot, release } => {
            if let Some(claim) = claims.slots.get_mut(slot) {
                let failed = FailedRelease { release: release.clone(), why: seen.to_owned() };
                claim.failed = Some(failed);
            }
        }
        ClaimAct::Loss { app } => claims.losses.push((app.clone(), at)),
    }
}

impl Catalog for FakeCatalog {
    fn claims(&self) -> Result<Claims, CatalogError> {
        Ok(self.inner().claims.clone())
    }

    fn act(&self, acts: &[ClaimAct], at: Timestamp, seen: &str) -> Result<(), CatalogError> {
        if acts.is_empty() {
            return Ok(());
        }
        self.write(|inner| acts.iter().for_each(|one| act(&mut inner.claims, one, at, seen)))
    }

    fn record(&self, record: &AppRecord) -> Result<(), CatalogError> {
        self.write(|inner| {
            inner.claims.apps.insert(record.app.clone(), record.clone());
        })
    }

    fn complete(&self) -> Result<(), CatalogError> {
        self.write(|inner| inner.claims.complete = true)
    }

    fn lock(
        &self,
        what: &LockName,
        holder: &Holder,
        _wait: Duration,
    ) -> Result<Box<dyn Lock>, CatalogError> {
        let mut inner = self.inner();
        if let Some(other) = inner.locks.get(what) {
            let what = format!("{what:?}");
            return Err(CatalogError::Locked { what, holder: other.clone() });
        }
        inner.locks.insert(what.clone(), holder.clone());
        Ok(Box::new(Held { inner: Arc::clone(&self.inner), what: what.clone() }))
    }

    fn holder(&self, what: &LockName) -> Option<Holder> {
        self.inner().locks.get(what).cloned()
    }
}

struct Held {
    inner: Arc<Mutex<Inner>>,
    what: LockName,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).locks.remove(&self.what);
    }
}

impl Journal for FakeCatalog {
    fn begin(&self, start: &RunStart) -> Result<RunId, CatalogError> {
        self.write(|inner| {
            let id = RunId(format!("run-{:04}", inner.runs.len() + 1));
            let start = start.clone();
            inner.runs.push(RunRecord { id: id.clone(), start, end: None, steps: Vec::new() });
            id
        })
    }

    fn intend(&self, run: &RunId, step: &Step, at: Timestamp) -> Result<(), CatalogError> {
        let record =
            StepRecord { step: step.id.0.clone(), host: step.host.to_string(), at, end: None };
        self.write(|inner| {
            if let Some(run) = inner.run(run) {
                run.steps.push(record);
            }
        })
    }

    fn outcome(&self, run: &RunId, step: &Step, end: &StepEnd) -> Result<(), CatalogError> {
        self.write(|inner| {
            let steps = inner.run(run).into_iter().flat_map(|run| &mut run.steps);
            for record in steps.filter(|record| record.step == step.id.0) {
                record.end = Some(end.clone());
            }
        })
    }

    fn end(&self, run: &RunId, end: RunEnd, at: Timestamp) -> Result<(), CatalogError> {
        self.write(|inner| {
            if let Some(run) = inner.run(run) {
                run.end = Some((end, at));
            }
        })
    }

    fn runs(&self, newest: usize, _steps: bool) -> Result<Vec<RunRecord>, CatalogError> {
        Ok(self.inner().runs.iter().rev().take(newest).cloned().collect())
    }
}
