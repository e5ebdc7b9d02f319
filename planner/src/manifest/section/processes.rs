//! `[processes]`: commands by process group, and which groups there are.

use crate::manifest::argv;
use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Texts, show};
use crate::manifest::go;
use crate::manifest::keys;
use crate::manifest::name;
use crate::manifest::node::{Entry, Shape, entries};
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Commands by group.
pub type Processes = At<BTreeMap<String, At<String>>>;

/// The most process groups that an app may have.
pub const MOST_GROUPS: usize = 256;

/// The group of an app that names none.
pub const APP: &str = "app";

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Option<Processes> {
    let entry = root.entry("processes")?;
    let patched = root.exact("processes").is_some();
    let Shape::Array(elements) = entry.node.shape else {
        let groups = entry.node.table().into_iter().flat_map(|t| entries(t, entry.node.span));
        groups.for_each(|group| group_name(problems, &group));
        return root.text_map(problems, "processes");
    };
    if !patched {
        return root.text_map(problems, "processes");
    }
    let mut map = BTreeMap::new();
    for element in elements.iter(entry.node.span) {
        if element.table().is_none() {
            let message = format!("an entry of `processes` is {} and is ignored", element.kind());
            problems.add(Code::IgnoredValue, element.span, message);
            continue;
        }
        let Some(fields) = Fields::of(problems, element, "processes", &keys::PROCESS) else {
            continue;
        };
        let Some(name) = fields.exact("name") else {
            let message = "an entry of `processes` without a `name` is ignored";
            problems.add(Code::IgnoredValue, element.span, message);
            continue;
        };
        let command = match fields.exact("command") {
            Some(command) => At::new(go::text(command.node), command.node.span),
            None => At::new(String::new(), name.node.span),
        };
        let group = go::text(name.node);
        bad_group_name(problems, &group, name.node.span);
        map.insert(group, command);
    }
    (!map.is_empty()).then(|| At::new(map, entry.node.span))
}

fn group_name(problems: &mut Problems, group: &Entry<'_>) {
    // The place is looked up for mistakes alone.
    if !name::is_group(group.key) {
        bad_group_name(problems, group.key, group.key_span());
    }
}

fn bad_group_name(problems: &mut Problems, group: &str, span: Span) {
    if !name::is_group(group) {
        let message = format!("\"{}\" cannot be the name of a process group", show(group));
        problems.add(Code::BadGroupName, span, message).hint(name::GROUP);
    }
}

/// The process groups of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupNames {
    /// All of them, sorted; never empty.
    pub names: Vec<String>,
    /// The one that sections without `processes` are for.
    pub default: String,
    /// Whether `[processes]` names them; else there is only `app`.
    pub declared: bool,
}

impl GroupNames {
    /// `app` alone without `[processes]`; else its keys, of which `app` or the first is the default.
    #[must_use]
    pub fn of(processes: Option<&Processes>) -> Self {
        let names: Vec<String> =
            processes.map(|at| at.value.keys().cloned().collect()).unwrap_or_default();
        let default = match names.first() {
            Some(first) if !names.iter().any(|name| name == APP) => first.clone(),
            _ => APP.to_string(),
        };
        if names.is_empty() {
            return Self { names: alloc::vec![default.clone()], default, declared: false };
        }
        Self { names, default, declared: true }
    }

    /// Whether a section with these `processes` is for a group. None listed means the default
    /// group, and so does an empty name in the list.
    #[must_use]
    pub fn matches(&self, group: &str, listed: &[At<String>]) -> bool {
        let default = group == self.default;
        if listed.is_empty() {
            return default;
        }
        listed.iter().any(|name| name.value == group || (name.value.is_empty() && default))
    }

    /// Whether there is a group of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// The groups that are looked at one by one; more than that is an error of its own.
    #[must_use]
    pub fn first(&self) -> &[String] {
        &self.names[..self.names.len().min(MOST_GROUPS)]
    }

    /// The listed names that are no groups.
    pub(crate) fn unknown<'a>(
        &'a self,
        listed: &'a [At<String>],
    ) -> impl Iterator<Item = &'a At<String>> {
        listed.iter().filter(|name| !name.value.is_empty() && !self.has(&name.value))
    }

    /// What to say about a name that is no group.
    pub(crate) fn hint(&self, name: &str) -> String {
        let near = super::super::nearest::nearest(name, self.first().iter().map(String::as_str));
        match near {
            Some(near) => format!("did you mean \"{}\"?", show(near)),
            None if self.declared => {
                let names: Vec<String> = self.names.iter().take(8).map(|n| show(n)).collect();
                format!("the groups are {}", names.join(", "))
            }
            None => "there is no [processes], so the only group is \"app\"".to_string(),
        }
    }

    /// Warns of entries that would be for a group and are not, because another one counts for it.
    /// `counts` gives the one for a group, by index.
    pub(crate) fn warn_unused(
        &self,
        problems: &mut Problems,
        section: &str,
        entries: &[(Span, &[At<String>])],
        counts: impl Fn(&str) -> Option<usize>,
    ) {
        if entries.len() < 2 {
            return;
        }
        let used: BTreeSet<usize> = self.first().iter().filter_map(|name| counts(name)).collect();
        for (index, (span, listed)) in entries.iter().enumerate() {
            // Names that are no groups are told of where they stand.
            if used.contains(&index) || self.unknown(listed).next().is_some() {
                continue;
            }
            let message = format!("this entry of `{section}` counts for no group: others do");
            problems
                .lacks(Code::UnusedEntry, *span, message)
                .label("not used")
                .hint("take it out, or say with `processes` which groups each entry is for");
        }
    }

    /// Warns of names that are no groups, in a section where flyctl does not look.
    pub(crate) fn warn_unknown(
        &self,
        problems: &mut Problems,
        section: &str,
        listed: Option<&At<Texts>>,
        effect: &str,
    ) {
        for name in self.unknown(crate::manifest::written::texts(listed)) {
            let message = format!(
                "`{section}` names the process group \"{}\", which does not exist",
                show(&name.value)
            );
            problems
                .lacks(Code::UnknownGroup, name.span, message)
                .label(effect.to_string())
                .hint(self.hint(&name.value));
        }
    }
}

/// The rules of `[processes]`.
pub(crate) fn check(problems: &mut Problems, processes: &Processes) {
    if processes.value.len() > MOST_GROUPS {
        let message = format!("{} process groups; at most {MOST_GROUPS}", processes.value.len());
        problems.add(Code::TooManyGroups, processes.span, message);
    }
    for (group, command) in &processes.value {
        if let Err(error) = argv::split(&command.value) {
            let message =
                format!("the command of `processes.{}` cannot be split: {error}", show(group));
            problems.add(Code::BadCommand, command.span, message);
        }
    }
}
