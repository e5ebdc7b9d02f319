//! Plans and observations as documents that outlive the program that wrote them: with a version,
//! and with a digest over everything, so that one that was altered is not taken for another.

mod envelope;

use crate::model::claim::Claims;
use crate::model::host::HostSpec;
use crate::model::name::{AppName, FleetName, HostName};
use crate::model::observed::Observed;
use crate::model::policy::Policy;
use crate::model::release::SecretVersions;
use crate::plan::{ClaimAct, Plan};
use crate::report::Report;
use alloc::collections::BTreeMap;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Why a text is not a document that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not JSON, or not of the document's shape.
    #[error("it is not a {kind} document")]
    Shape {
        /// What it should have been.
        kind: &'static str,
        /// Where it is not.
        source: serde_json::Error,
    },
    /// It is a document of another kind.
    #[error("it is not a {kind} document, it says that it is {found:?}")]
    Kind {
        /// What it should have been.
        kind: &'static str,
        /// What it says it is.
        found: String,
    },
    /// Another version of tiedown wrote it in another form.
    #[error("it has version {found} of the {kind} document, this program reads version {known}")]
    Version {
        /// What it is.
        kind: &'static str,
        /// The version it has.
        found: u32,
        /// The version that can be read.
        known: u32,
    },
    /// Its digest is not that of its contents.
    #[error("its contents were altered after it was written")]
    Altered,
}

/// A plan with all that is needed to show it again and to apply it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// The plan.
    pub plan: Plan,
    /// What was not in it.
    pub report: Report,
    /// What the catalog remembered of the plan's slots and apps when it was made.
    pub claims: Claims,
}

/// All that a plan is made from beside manifests, what they refer to, and permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedDocument {
    /// The fleet.
    pub fleet: FleetName,
    /// Its hosts as `tiedown.toml` describes them.
    pub hosts: BTreeMap<HostName, HostSpec>,
    /// What they said.
    pub observed: Observed,
    /// What the catalog remembers.
    pub claims: Claims,
    /// What may be done.
    pub policy: Policy,
    /// Versions of the secrets that are set, by app; never their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<AppName, SecretVersions>,
}

impl SavedPlan {
    const KIND: &'static str = "plan";
    const VERSION: u32 = 1;

    /// A plan, with what it takes of the claims that it was made from.
    #[must_use]
    pub fn new(plan: Plan, report: Report, claims: &Claims) -> Self {
        let lanes = plan.rollouts.iter().flat_map(|rollout| &rollout.waves);
        let lanes = lanes.flat_map(|wave| &wave.lanes);
        let acts = lanes.flat_map(|lane| lane.claims_before.iter().chain(&lane.claims_after));
        let slots = acts.chain(&plan.corrections).filter_map(|act| match act {
            ClaimAct::Write(claim) => Some(&claim.slot),
            ClaimAct::Remove { slot } | ClaimAct::Hold { slot, .. } => Some(slot),
            ClaimAct::Failed { .. } | ClaimAct::Loss { .. } => None,
        });
        let slots = slots.filter_map(|slot| claims.slots.get_key_value(slot));
        let records = plan.records.iter().chain(&plan.first_records);
        let apps = records.filter_map(|record| claims.apps.get_key_value(&record.app));
        let claims = Claims {
            complete: claims.complete,
            slots: slots.map(|(slot, claim)| (slot.clone(), claim.clone())).collect(),
            apps: apps.map(|(app, record)| (app.clone(), record.clone())).collect(),
            ..Claims::default()
        };
        Self { plan, report, claims }
    }

    /// The document's JSON text, with a line break at its end. Equal plans give equal texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        envelope::seal(Self::KIND, Self::VERSION, self)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] if it is no plan, of another version, or was altered.
    pub fn from_json(text: String) -> Result<Self, DocumentError> {
        envelope::open(Self::KIND, Self::VERSION, text)
    }
}

impl ObservedDocument {
    const KIND: &'static str = "observed";
    const VERSION: u32 = 1;

    /// The document's JSON text, with a line break at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        envelope::seal(Self::KIND, Self::VERSION, self)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] if it is no such document, of another version, or was altered.
    pub fn from_json(text: String) -> Result<Self, DocumentError> {
        envelope::open(Self::KIND, Self::VERSION, text)
    }
}
