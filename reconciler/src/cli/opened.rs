//! What every command has in hand that asks hosts without planning.

use super::global::Global;
use super::output::Output;
use crate::fleet::{Abilities, Hosts, Records};
use crate::pass::guard_records;
use crate::repository::Repository;
use crate::repository::snapshot::Snapshot;
use crate::repository::tree::KnownTrees;
use crate::settings::Settings;
use std::sync::Arc;

/// A fleet as its repository says it is, with what is remembered of it and its hosts.
pub(super) struct Opened<'r> {
    pub(super) snapshot: Snapshot<'r>,
    pub(super) settings: Settings,
    pub(super) records: Records,
    pub(super) hosts: Hosts,
}

impl<'r> Opened<'r> {
    /// Reads the settings and opens all. Refused where records are gone or of another fleet.
    pub(super) fn of(
        global: &Global,
        repository: &'r Repository,
        output: Output,
    ) -> anyhow::Result<Self> {
        let snapshot = global.snapshot(repository)?;
        let abilities = Abilities::probe()?;
        let settings = global.settings(&snapshot, &abilities, output)?;
        let records = Records::look(&settings)?;
        guard_records(repository, &settings, &records)?;
        let trees = Arc::new(KnownTrees::new(repository));
        let hosts = Hosts::open(&settings, &abilities, &records, &(trees as _))?;
        Ok(Self { snapshot, settings, records, hosts })
    }
}
