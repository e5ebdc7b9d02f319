//! `[[restart]]`: what happens when an instance's process ends.

use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Texts, show};
use crate::manifest::keys;
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::section::processes::GroupNames;
use crate::manifest::written::{empty, texts};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// One entry of `[[restart]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restart {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// `always`, `never` or `on-failure`.
    #[serde(skip_serializing_if = "empty")]
    pub policy: Option<At<String>>,
    /// How often `on-failure` tries.
    #[serde(skip_serializing_if = "empty")]
    pub retries: Option<At<i64>>,
    /// The groups it is for; the default group when empty.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
}

/// When a process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RestartPolicy {
    /// However it ended.
    Always,
    /// Not at all.
    Never,
    /// After it failed.
    OnFailure,
}

impl RestartPolicy {
    /// The policy of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            "on-failure" => Some(Self::OnFailure),
            _ => None,
        }
    }
}

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Vec<Restart> {
    let rows = root.rows(problems, "restart", false);
    rows.into_iter()
        .filter_map(|node| {
            let fields = Fields::of(problems, node, "restart", &keys::RESTART)?;
            Some(Restart {
                span: fields.span,
                policy: fields.text(problems, "policy"),
                retries: fields.integer(problems, "retries"),
                processes: fields.texts(problems, "processes"),
            })
        })
        .collect()
}

/// The rules of `[[restart]]`.
pub(crate) fn check(problems: &mut Problems, restarts: &[Restart], groups: &GroupNames) {
    for restart in restarts {
        let listed = texts(restart.processes.as_ref());
        for name in listed.iter().filter(|name| !groups.has(&name.value)) {
            let message = format!(
                "`restart` names the process group \"{}\", which does not exist",
                show(&name.value)
            );
            problems.lacks(Code::RestartGroup, name.span, message).hint(groups.hint(&name.value));
        }
        let policy = restart.policy.as_ref().map_or("", |at| at.value.as_str());
        if RestartPolicy::from_name(policy).is_some() {
            continue;
        }
        let draft = match &restart.policy {
            Some(at) if !policy.is_empty() => {
                let message = format!("`restart.policy` cannot be \"{}\"", show(policy));
                problems.add(Code::BadRestart, at.span, message)
            }
            at => {
                let span = at.as_ref().map_or(restart.span, |at| at.span);
                problems.lacks(Code::BadRestart, span, "`restart` has no policy")
            }
        };
        let hint = match policy {
            "no" => "write \"never\"",
            _ => "write \"always\", \"never\" or \"on-failure\"",
        };
        draft.hint(hint);
    }
    let entries: Vec<_> = restarts.iter().map(|r| (r.span, texts(r.processes.as_ref()))).collect();
    groups.warn_unused(problems, "restart", &entries, |group| {
        entries.iter().rposition(|(_, listed)| groups.matches(group, listed))
    });
}
