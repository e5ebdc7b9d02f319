//! The orders port: what people said about passes that nobody watches, and what such passes
//! remember from one to the next. Beside claims, which say what is meant to be.

use crate::catalog::CatalogError;
use planner::model::name::AppName;
use planner::model::release::CommitId;
use planner::model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing that stands until it is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order")]
pub enum Order {
    /// A person approved what has this digest.
    Approval {
        /// Of what was approved, all digits.
        digest: String,
        /// What it was, in words.
        what: String,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A person paused an app: passes leave it alone.
    Pause {
        /// Which.
        app: AppName,
        /// Why, in their words; may be empty.
        why: String,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// An app failed, and is tried again later.
    Setback {
        /// Which.
        app: AppName,
        /// The commit it failed with; another one is tried at once.
        commit: Option<CommitId>,
        /// How often in a row.
        failures: u32,
        /// Not before.
        until: Timestamp,
        /// What was seen last.
        why: String,
    },
    /// The rules that are in force: those of the newest commit that may change them.
    Rules {
        /// As JSON.
        rules: String,
    },
    /// How the last pass ended.
    Passed {
        /// Of which commit.
        commit: Option<CommitId>,
        /// When it ended.
        at: Timestamp,
        /// In words.
        how: String,
    },
}

/// What an order is known by. There is one order of a name; a new one takes its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderName {
    /// The approval of a digest.
    Approval(String),
    /// The pause of an app.
    Pause(AppName),
    /// The setback of an app.
    Setback(AppName),
    /// The rules.
    Rules,
    /// The last pass.
    Passed,
}

impl Order {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> OrderName {
        match self {
            Self::Approval { digest, .. } => OrderName::Approval(digest.clone()),
            Self::Pause { app, .. } => OrderName::Pause(app.clone()),
            Self::Setback { app, .. } => OrderName::Setback(app.clone()),
            Self::Rules { .. } => OrderName::Rules,
            Self::Passed { .. } => OrderName::Passed,
        }
    }
}

impl OrderName {
    /// Its kind, and what distinguishes it among its kind.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Approval(digest) => ("approval", digest),
            Self::Pause(app) => ("pause", app.as_str()),
            Self::Setback(app) => ("setback", app.as_str()),
            Self::Rules => ("rules", ""),
            Self::Passed => ("passed", ""),
        }
    }
}

/// What was said and not lifted. What was answered `Ok` survives a loss of power.
pub trait Orders: Send + Sync {
    /// All orders, by kind and name.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn orders(&self) -> Result<Vec<Order>, CatalogError>;

    /// Gives an order, in place of the one of its name.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn order(&self, order: &Order) -> Result<(), CatalogError>;

    /// Lifts an order. Says whether there was one.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn lift(&self, name: &OrderName) -> Result<bool, CatalogError>;
}
