//! The catalog as files in the state directory: claims, records and journal in one SQLite
//! database, locks as locked files beside it. For processes of one machine.

mod claims;
mod lock;
mod orders;
mod runs;
mod schema;

use super::{Catalog, CatalogError, Holder, Lock, LockName};
use crate::journal::{Journal, RunEnd, RunId, RunRecord, RunStart, StepEnd};
use crate::names::StateDir;
use crate::orders::{Order, OrderName, Orders};
use planner::model::claim::{AppRecord, Claims};
use planner::model::name::FleetName;
use planner::model::time::Timestamp;
use planner::plan::ClaimAct;
use planner::plan::step::Step;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A fleet's catalog in its state directory.
#[derive(Debug)]
pub struct EmbeddedCatalog {
    state: StateDir,
    /// Nothing if there is no catalog and it may not be made.
    store: Mutex<Option<Connection>>,
    id: Option<String>,
    may_write: bool,
}

impl EmbeddedCatalog {
    /// Opens the fleet's catalog, making the state directory and the catalog if need be. A new
    /// one is not complete: it has not seen any host.
    ///
    /// # Errors
    /// [`CatalogError::NotOurs`] if it is of another fleet, of a newer format, or of another
    /// program; [`CatalogError::Store`] if it cannot be read or written.
    pub fn open(state: StateDir, fleet: &FleetName) -> Result<Self, CatalogError> {
        let (connection, id) = schema::open(&state, fleet)?;
        Ok(Self { state, store: Mutex::new(Some(connection)), id: Some(id), may_write: true })
    }

    /// Opens the fleet's catalog to read it. Where there is none, nothing is made, and it reads
    /// as one that remembers nothing and is not complete.
    ///
    /// # Errors
    /// As [`EmbeddedCatalog::open`].
    pub fn open_read_only(state: StateDir, fleet: &FleetName) -> Result<Self, CatalogError> {
        let (connection, id) = schema::open_read_only(&state, fleet)?.unzip();
        Ok(Self { state, store: Mutex::new(connection), id, may_write: false })
    }

    /// The catalog's own identity, given when it was made: another one means that the old one was
    /// lost. Nothing if there is no catalog.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The newest apply, with its steps, if it has no end: it runs, or was killed.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn interrupted(&self) -> Result<Option<RunRecord>, CatalogError> {
        Ok(self.runs(1, true)?.pop().filter(|run| run.end.is_none()))
    }

    /// Reads as of one moment; the default where there is no catalog.
    fn read<T: Default>(
        &self,
        act: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, BoxError>,
    ) -> Result<T, CatalogError> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(connection) = store.as_mut() else { return Ok(T::default()) };
        let done = connection
            .transaction_with_behavior(TransactionBehavior::Deferred)
            .map_err(BoxError::from)
            .and_then(|transaction| work(&transaction));
        done.map_err(|source| CatalogError::Store { act: act.to_owned(), source })
    }

    /// Writes all or nothing. What was committed survives a loss of power.
    fn write<T>(
        &self,
        act: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, BoxError>,
    ) -> Result<T, CatalogError> {
        let failed = |source| CatalogError::Store { act: act.to_owned(), source };
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = store.as_mut().filter(|_| self.may_write);
        let connection = connection.ok_or_else(|| failed("it was opened to be read".into()))?;
        let done = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = work(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        };
        done().map_err(failed)
    }
}

impl Catalog for EmbeddedCatalog {
    fn claims(&self) -> Result<Claims, CatalogError> {
        self.read("reading claims", |transaction| claims::read(transaction))
    }

    fn act(&self, acts: &[ClaimAct], at: Timestamp, seen: &str) -> Result<(), CatalogError> {
        if acts.is_empty() {
            return Ok(());
        }
        self.write("writing claims", |transaction| claims::act(transaction, acts, at, seen))
    }

    fn record(&self, record: &AppRecord) -> Result<(), CatalogError> {
        self.write("recording an app", |transaction| claims::record(transaction, record))
    }

    fn complete(&self) -> Result<(), CatalogError> {
        self.write("completing the catalog", |transaction| claims::complete(transaction))
    }

    fn lock(
        &self,
        what: &LockName,
        holder: &Holder,
        wait: Duration,
    ) -> Result<Box<dyn Lock>, CatalogError> {
        lock::take(&self.state, what, holder, wait)
    }

    fn holder(&self, what: &LockName) -> Option<Holder> {
        lock::holder(&self.state, what)
    }
}

impl Journal for EmbeddedCatalog {
    fn begin(&self, start: &RunStart) -> Result<RunId, CatalogError> {
        self.write("beginning a run", |transaction| runs::begin(transaction, start))
    }

    fn intend(&self, run: &RunId, step: &Step, at: Timestamp) -> Result<(), CatalogError> {
        self.write("writing a step down", |transaction| runs::intend(transaction, run, step, at))
    }

    fn outcome(&self, run: &RunId, step: &Step, end: &StepEnd) -> Result<(), CatalogError> {
        self.write("writing a step's end down", |transaction| {
            runs::outcome(transaction, run, step, end)
        })
    }

    fn end(&self, run: &RunId, end: RunEnd, at: Timestamp) -> Result<(), CatalogError> {
        self.write("ending a run", |transaction| runs::end(transaction, run, end, at))
    }

    fn runs(&self, newest: usize, steps: bool) -> Result<Vec<RunRecord>, CatalogError> {
        self.read("reading the journal", |transaction| runs::newest(transaction, newest, steps))
    }
}

impl Orders for EmbeddedCatalog {
    fn orders(&self) -> Result<Vec<Order>, CatalogError> {
        self.read("reading orders", |transaction| orders::read(transaction))
    }

    fn order(&self, order: &Order) -> Result<(), CatalogError> {
        self.write("writing an order", |transaction| orders::order(transaction, order))
    }

    fn lift(&self, name: &OrderName) -> Result<bool, CatalogError> {
        self.write("lifting an order", |transaction| orders::lift(transaction, name))
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

/// A moment as the database counts: signed. The clock of no machine reaches its end.
fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A moment that the database counted.
fn moment(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or(0))
}
