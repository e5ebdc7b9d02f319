//! A pass for what a person asks for by hand: read, observe, plan just that.

use super::{Ask, Looked, PassError, Told, checks, checks_of};
use crate::fleet::Hosts;
use crate::prepare::{Prepared, prepare, read_secrets};
use crate::repository::tree::KnownTrees;
use executor::artifact::Trees;
use executor::observe::observe;
use planner::by_hand::{Request, plan};
use planner::model::artifact::Artifacts;
use planner::model::claim::Claims;
use planner::model::desired::Desired;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is wanted, and where its trees are.
type Read = (Desired, Artifacts, Arc<dyn Trees>, Told);

impl Ask<'_> {
    /// Reads, observes, and plans what is asked for by hand. Where manifests do not matter, they
    /// may have mistakes.
    ///
    /// # Errors
    /// [`PassError`]; a host that does not answer is none.
    pub async fn look_by_hand(&self, request: &Request) -> Result<Looked, PassError> {
        let claims = self.records.catalog.claims()?;
        let (desired, artifacts, trees, told) = match request.needs_manifests() {
            true => self.read(&claims)?,
            false => self.without_manifests(),
        };
        let hosts = Hosts::open(self.settings, self.abilities, self.records, &trees)?;
        let asked = match request.needs_manifests() {
            true => checks(&desired),
            false => checks_of(self.snapshot, self.settings),
        };
        let observed = observe(&hosts.all(), &asked).await;
        let policy = &self.settings.policy;
        let planned =
            plan(request, &desired, &artifacts, &observed, &claims, policy, &self.permits);
        let (plan, report) = (planned.plan, planned.report);
        Ok(Looked {
            desired,
            artifacts,
            told,
            claims,
            observed,
            plan,
            report,
            trees,
            behind: Vec::new(),
            not_tried: Vec::new(),
        })
    }

    fn read(&self, claims: &Claims) -> Result<Read, PassError> {
        let secrets = read_secrets(self.settings)?;
        let Prepared { desired, artifacts, trees, warnings, notes, .. } =
            prepare(self.snapshot, self.settings, self.selection, claims, &secrets)?;
        Ok((desired, artifacts, Arc::new(trees), Told { warnings, notes }))
    }

    fn without_manifests(&self) -> Read {
        let hosts = self.settings.hosts.iter();
        let desired = Desired {
            fleet: self.settings.fleet.clone(),
            hosts: hosts.map(|(name, host)| (name.clone(), host.spec.clone())).collect(),
            commit: None,
            apps: BTreeMap::new(),
            left_out: BTreeSet::new(),
            lineages: BTreeMap::new(),
        };
        let trees = Arc::new(KnownTrees::new(self.snapshot.repository()));
        (desired, Artifacts::new(), trees, Told { warnings: Vec::new(), notes: Vec::new() })
    }
}
