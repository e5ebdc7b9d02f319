//! Why something is not in the plan, and what moved by itself. Never a summary of the plan.

use crate::model::object::Object;
use crate::model::slot::SlotId;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a plan does not do and why; and what is not as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[must_use = "an unread report is not actionable"]
pub struct Report {
    /// Sorted by kind, then object.
    pub lines: Vec<Line>,
    /// What differs from what was applied last, though nobody asked for it. Sorted by object.
    pub drift: Vec<Drift>,
    /// Slots of which it is not remembered what was applied last, so that nobody can say whether
    /// they drifted. Sorted.
    #[serde(default)]
    pub history_unknown: Vec<SlotId>,
}

impl Report {
    /// Whether something that is wanted is not done by the plan.
    #[must_use]
    pub fn leaves_wanting(&self) -> bool {
        self.lines.iter().any(|line| line.kind.is_wanting())
    }

    /// Adds a line; an empty hint is none.
    pub(crate) fn say(&mut self, kind: Kind, object: Object, why: impl Into<String>, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.into());
        self.lines.push(Line { kind, object, why: why.into(), hint });
    }

    /// Whether there is a line of the kind.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.lines.iter().any(|line| line.kind == kind)
    }
}

/// Why a thing is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A guard forbids it; a permit or a line in a manifest would change that.
    Refused,
    /// A host or pool could not be read, so nothing may be concluded.
    Unknown,
    /// It cannot be done now: no room, no artifact, no host.
    Blocked,
    /// It will be done later: after a retry, a retention, a person's hold.
    Waiting,
    /// Not ours; shown, never touched.
    Foreign,
    /// Nothing is wanting: something kept as it is, that a reader might wonder about.
    Note,
}

impl Kind {
    /// Whether something that is wanted is not done.
    #[must_use]
    pub const fn is_wanting(self) -> bool {
        match self {
            Self::Refused | Self::Unknown | Self::Blocked | Self::Waiting => true,
            Self::Foreign | Self::Note => false,
        }
    }

    /// The kind's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::Foreign => "foreign",
            Self::Note => "note",
        }
    }
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// What kind of reason.
    pub kind: Kind,
    /// What it is about.
    pub object: Object,
    /// The reason, as a sentence without a full stop.
    pub why: String,
    /// The way out, if there is one.
    pub hint: Option<String>,
}

/// Something that differs from what was applied last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Drift {
    /// What.
    pub object: Object,
    /// What of it, such as `size` or `state`.
    pub field: String,
    /// As it was applied.
    pub before: String,
    /// As it is.
    pub after: String,
    /// Whether the plan sets it right.
    pub healed: bool,
}
