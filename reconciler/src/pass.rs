//! One pass: read, prepare, observe all hosts at once, plan, judge; and apply what was judged.
//! No loop and no waiting: whoever wants another pass asks for one.

mod by_hand;
pub mod by_itself;
pub mod rules;

use crate::endpoints::Published;
use crate::fleet::{Abilities, FleetError, Hosts, Records};
use crate::prepare::images::look_up;
use crate::prepare::selection::Selection;
use crate::prepare::{PrepareError, Prepared, Secrets, prepare, read_secrets};
use crate::repository::memory::Memory;
use crate::repository::snapshot::Snapshot;
use crate::repository::{Repository, RepositoryError};
use crate::settings::Settings;
use executor::apply::{ApplyError, Failure, Front, Options, Outcome, Skipped, World};
use executor::artifact::Trees;
use executor::catalog::CatalogError;
use executor::event::Event;
use executor::observe::{Checks, observe};
use planner::check::{Checked, Violation, check};
use planner::document::ObservedDocument;
use planner::model::artifact::Artifacts;
use planner::model::claim::Claims;
use planner::model::desired::Desired;
use planner::model::observed::Observed;
use planner::model::permit::{Permit, Permits};
use planner::plan::Plan;
use planner::report::Report;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Why a pass came to no end.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The commit gives nothing to plan.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The fleet could not be got at.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The catalog does not work.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The repository could not be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// This clone applied the fleet before, and its records are not where they were.
    #[error("the records of the fleet are not in {}: {found}", state_dir.display())]
    RecordsGone {
        /// Where they should be.
        state_dir: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// The judge found the plan wrong: a fault of the planner.
    #[error("the plan was judged unsound and is not applied: {}", told(.0))]
    Unsound(Vec<Violation>),
    /// Applying ended early.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

fn told(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What a pass saw and decided.
pub struct Looked {
    /// What the commit asks for.
    pub desired: Desired,
    /// What it refers to.
    pub artifacts: Artifacts,
    /// What preparing wants to be told.
    pub told: Told,
    /// What is remembered.
    pub claims: Claims,
    /// What the hosts said.
    pub observed: Observed,
    /// What is to be done.
    pub plan: Plan,
    /// What is not, and why.
    pub report: Report,
    /// What a saved plan is too late for.
    pub behind: Vec<Failure>,
    /// What is not tried because of that.
    pub not_tried: Vec<Skipped>,
    /// Where source trees come from.
    pub trees: Arc<dyn Trees>,
}

/// What preparing wants to be told.
pub struct Told {
    /// Warnings of manifests, with their texts.
    pub warnings: Vec<(planner::manifest::problem::Problem, String)>,
    /// Sentences.
    pub notes: Vec<String>,
}

/// Checks of the manifests by group, to ask what runs.
#[must_use]
pub fn checks(desired: &Desired) -> Checks {
    let mut checks = Checks::new();
    for app in desired.apps.values() {
        for group in app.groups.values() {
            checks.insert((app.name.clone(), group.name.clone()), group.checks.clone());
        }
    }
    checks
}

/// The same straight from a snapshot; manifests with mistakes have none.
#[must_use]
pub fn checks_of(snapshot: &Snapshot<'_>, settings: &Settings) -> Checks {
    let all = Selection::default();
    let prepared = prepare(snapshot, settings, &all, &Claims::default(), &Secrets::new());
    prepared.map(|prepared| checks(&prepared.desired)).unwrap_or_default()
}

/// What a look is about.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What is read.
    pub snapshot: &'a Snapshot<'a>,
    /// The fleet.
    pub settings: &'a Settings,
    /// What this machine allows.
    pub abilities: &'a Abilities,
    /// What is remembered.
    pub records: &'a Records,
    /// Which apps.
    pub selection: &'a Selection,
    /// What a person has allowed.
    pub permits: Permits,
}

/// Refuses to go on if this clone applied the fleet before and its records are gone: what runs on
/// the hosts would be taken for nothing.
///
/// # Errors
/// [`PassError::RecordsGone`].
pub fn guard_records(
    repository: &Repository,
    settings: &Settings,
    records: &Records,
) -> Result<(), PassError> {
    let Some(memory) = repository.recall(&settings.fleet)? else { return Ok(()) };
    let state_dir = settings.state_dir.clone();
    let found = match &records.id {
        Some(id) if *id == memory.catalog => return Ok(()),
        Some(_) => "the catalog there is another one".to_owned(),
        None if memory.state_dir == state_dir => "there is no catalog".to_owned(),
        None => format!("this clone applied it last with {}", memory.state_dir.display()),
    };
    Err(PassError::RecordsGone { state_dir, found })
}

impl Ask<'_> {
    /// As [`guard_records`], unless starting anew is permitted.
    ///
    /// # Errors
    /// [`PassError::RecordsGone`].
    pub fn guard_records(&self) -> Result<(), PassError> {
        if self.permits.has(Permit::Empty) {
            return Ok(());
        }
        guard_records(self.snapshot.repository(), self.settings, self.records)
    }

    /// Remembers in the git directory where the records are.
    ///
    /// # Errors
    /// It could not be written.
    pub fn remember(&self) -> Result<(), RepositoryError> {
        let Some(catalog) = self.records.id.clone() else { return Ok(()) };
        let memory = Memory { state_dir: self.settings.state_dir.clone(), catalog };
        self.snapshot.repository().remember(&self.settings.fleet, &memory)
    }

    /// Reads, prepares, observes, plans.
    ///
    /// # Errors
    /// [`PassError`]; a host that does not answer is none.
    pub async fn look(&self) -> Result<Looked, PassError> {
        let claims = self.records.catalog.claims()?;
        let secrets = read_secrets(self.settings)?;
        let Prepared { desired, mut artifacts, references, trees, warnings, notes, broken } =
            prepare(self.snapshot, self.settings, self.selection, &claims, &secrets)?;
        look_up(self.settings, references, &mut artifacts).await;
        let trees: Arc<dyn Trees> = Arc::new(trees);
        let hosts = Hosts::open(self.settings, self.abilities, self.records, &trees)?;
        let observed = observe(&hosts.all(), &checks(&desired)).await;
        let policy = &self.settings.policy;
        let planned =
            planner::plan(&desired, &artifacts, &observed, &claims, policy, &self.permits);
        let (plan, mut report) = (planned.plan, planned.report);
        report.lines.extend(broken);
        report.lines.sort();
        let told = Told { warnings, notes };
        Ok(Looked {
            desired,
            artifacts,
            told,
            claims,
            observed,
            plan,
            report,
            behind: Vec::new(),
            not_tried: Vec::new(),
            trees,
        })
    }

    /// Plans from what was observed before instead of looking; hosts and policy are those of then.
    ///
    /// # Errors
    /// [`PassError::Prepare`].
    pub fn look_at(&self, document: ObservedDocument) -> Result<Looked, PassError> {
        let ObservedDocument { hosts, observed, claims, policy, secrets, .. } = document;
        let Prepared { mut desired, artifacts, trees, warnings, notes, broken, .. } =
            prepare(self.snapshot, self.settings, self.selection, &claims, &secrets)?;
        desired.hosts = hosts;
        let planned =
            planner::plan(&desired, &artifacts, &observed, &claims, &policy, &self.permits);
        let (plan, mut report) = (planned.plan, planned.report);
        report.lines.extend(broken);
        report.lines.sort();
        let (told, trees) = (Told { warnings, notes }, Arc::new(trees));
        Ok(Looked {
            desired,
            artifacts,
            told,
            claims,
            observed,
            plan,
            report,
            behind: Vec::new(),
            not_tried: Vec::new(),
            trees,
        })
    }

    /// Has a plan judged.
    ///
    /// # Errors
    /// [`PassError::Unsound`].
    pub fn judge(
        &self,
        plan: &Plan,
        observed: &Observed,
        claims: &Claims,
    ) -> Result<Checked<Plan>, PassError> {
        let specs = self.settings.hosts.iter();
        let hosts = specs.map(|(name, host)| (name.clone(), host.spec.clone())).collect();
        let policy = &self.settings.policy;
        let world = planner::check::World {
            hosts: &hosts,
            observed,
            claims,
            policy,
            permits: self.permits,
        };
        check(plan, &world).map_err(PassError::Unsound)
    }

    /// Applies what was judged.
    ///
    /// # Errors
    /// [`PassError::Apply`]; failures of steps are in the outcome.
    pub async fn apply(
        &self,
        plan: &Checked<Plan>,
        hosts: &Hosts,
        checks: &Checks,
        options: &Options,
        say: Box<dyn Fn(Event) + Send + Sync>,
        stop: Arc<AtomicBool>,
    ) -> Result<Outcome, PassError> {
        let front = Published::of(self.settings.endpoints.as_ref(), hosts.all(), checks.clone());
        let world = World {
            hosts: hosts.all(),
            catalog: Arc::clone(&self.records.catalog),
            journal: Arc::clone(&self.records.journal),
            say,
            front: front.map(|front| Box::new(front) as Box<dyn Front>),
            stop,
        };
        Ok(executor::apply::apply(plan, &world, options).await?)
    }
}
