//! `[require]` as written.

use crate::settings::Requirements;
use crate::settings::section::{Reader, Section};

/// Reads the table.
pub(super) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Requirements {
    section.allow(reader, &["approvals", "up_to_date", "checks"]);
    let checks = section.texts(reader, "checks").unwrap_or_default();
    Requirements {
        approvals: section.count(reader, "approvals", 0).unwrap_or_default(),
        up_to_date: section.flag(reader, "up_to_date").unwrap_or_default(),
        checks: checks.into_iter().map(|check| check.value).collect(),
    }
}
