//! `[[mounts]]`: which volumes a group has, and where it mounts them. Also written `[mounts]`,
//! `[mount]` and `[[mount]]`.

use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Texts, show};
use crate::manifest::keys;
use crate::manifest::name;
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::quantity::Quantity;
use crate::manifest::section::processes::GroupNames;
use crate::manifest::section::top;
use crate::manifest::written::{empty, given, texts};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// One entry of `[[mounts]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// The volume's name.
    #[serde(skip_serializing_if = "empty")]
    pub source: Option<At<String>>,
    /// The path it is mounted at.
    #[serde(skip_serializing_if = "empty")]
    pub destination: Option<At<String>>,
    /// A size; a bare number is GB.
    #[serde(skip_serializing_if = "empty")]
    pub initial_size: Option<At<String>>,
    /// Days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_retention: Option<At<i64>>,
    /// Whether snapshots are taken daily.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_snapshots: Option<At<bool>>,
    /// Per cent.
    #[serde(skip_serializing_if = "empty")]
    pub auto_extend_size_threshold: Option<At<i64>>,
    /// A size.
    #[serde(skip_serializing_if = "empty")]
    pub auto_extend_size_increment: Option<At<String>>,
    /// A size.
    #[serde(skip_serializing_if = "empty")]
    pub auto_extend_size_limit: Option<At<String>>,
    /// The groups that mount it; the default group when empty.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
}

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Vec<Mount> {
    let rows = top::patched_rows(problems, root, &["mount", "mounts"]);
    rows.into_iter()
        .filter_map(|node| {
            let fields = Fields::of(problems, node, "mounts", &keys::MOUNTS)?;
            Some(Mount {
                span: fields.span,
                source: fields.text(problems, "source"),
                destination: fields.text(problems, "destination"),
                initial_size: fields.any_text(problems, "initial_size"),
                snapshot_retention: fields.integer(problems, "snapshot_retention"),
                scheduled_snapshots: fields.boolean(problems, "scheduled_snapshots"),
                auto_extend_size_threshold: fields.integer(problems, "auto_extend_size_threshold"),
                auto_extend_size_increment: fields.text(problems, "auto_extend_size_increment"),
                auto_extend_size_limit: fields.text(problems, "auto_extend_size_limit"),
                processes: fields.texts(problems, "processes"),
            })
        })
        .collect()
}

/// The rules of `[[mounts]]`.
pub(crate) fn check(problems: &mut Problems, mounts: &[Mount], groups: &GroupNames) {
    for mount in mounts {
        source(problems, mount);
        destination(problems, mount);
        retention(problems, mount);
        let size = size(problems, "initial_size", mount.initial_size.as_ref());
        auto_extend(problems, mount, size);
        groups.warn_unknown(problems, "mounts", mount.processes.as_ref(), "mounted nowhere");
    }
    for group in groups.first() {
        let of_group: Vec<&Mount> =
            mounts.iter().filter(|m| groups.matches(group, texts(m.processes.as_ref()))).collect();
        twice(problems, group, &of_group);
    }
}

fn source(problems: &mut Problems, mount: &Mount) {
    let Some(source) = given(mount.source.as_ref()) else {
        problems
            .lacks(Code::BadSource, mount.span, "a mount without a `source` has no volume")
            .hint("name the volume: source = \"data\"");
        return;
    };
    if !name::is_source(&source.value) {
        let message = format!("\"{}\" cannot be the name of a volume", show(&source.value));
        problems.add(Code::BadSource, source.span, message).hint(name::SOURCE);
    }
}

fn destination(problems: &mut Problems, mount: &Mount) {
    let Some(destination) = given(mount.destination.as_ref()) else {
        problems
            .lacks(Code::BadDestination, mount.span, "a mount without a `destination` is nowhere")
            .hint("say where to mount it: destination = \"/data\"");
        return;
    };
    let path = destination.value.as_str();
    let fault = if !path.starts_with('/') {
        "it does not begin with /"
    } else if path.trim_matches('/').is_empty() {
        "it is the root of the file system"
    } else if path.split('/').any(|part| matches!(part, "." | "..")) {
        "it has . or .. in it"
    } else if path.len() > 1024 || path.contains(|c: char| c.is_control()) {
        "it is too long, or has control characters in it"
    } else {
        return;
    };
    let message = format!("\"{}\" cannot be a mount's destination: {fault}", show(path));
    problems
        .add(Code::BadDestination, destination.span, message)
        .hint("write an absolute path, such as /data");
}

fn retention(problems: &mut Problems, mount: &Mount) {
    if let Some(days) = &mount.snapshot_retention
        && !(1..=60).contains(&days.value)
    {
        let message = "`mounts.snapshot_retention` must be 1 to 60 days";
        problems.add(Code::SnapshotRetention, days.span, message);
    }
}

/// The size in GB, when one is given that can be read and is at least 1 GB.
fn size(problems: &mut Problems, key: &str, text: Option<&At<String>>) -> Option<i64> {
    let text = given(text)?;
    let shown = show(&text.value);
    match Quantity::Volume.parse(&text.value) {
        Ok(size) if size >= 1 => {
            if Quantity::Volume.is_cut(&text.value) {
                let message = format!("`mounts.{key}` is \"{shown}\", which is taken as {size} GB");
                problems
                    .add(Code::SizeCut, text.span, message)
                    .label("cut to whole GB")
                    .hint(format!("write \"{size}GB\" or \"{}GB\"", size.saturating_add(1)));
            }
            return Some(size);
        }
        Ok(_) => {
            let bytes = text.value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let hint = match bytes && text.value.contains('.') {
                true => format!("without a unit a fraction counts bytes: write \"{shown}GB\""),
                false => "volumes have at least 1 GB, and fractions of one are cut off".into(),
            };
            let message = format!("`mounts.{key}` is \"{shown}\", which is less than 1 GB");
            problems.add(Code::BadSize, text.span, message).hint(hint);
        }
        Err(error) => {
            let message = format!("`mounts.{key}` is \"{shown}\", which is not a size: {error}");
            problems
                .add(Code::BadSize, text.span, message)
                .hint("write a number with a unit, such as \"10GB\"");
        }
    }
    None
}

fn auto_extend(problems: &mut Problems, mount: &Mount, initial: Option<i64>) {
    let increment_text = mount.auto_extend_size_increment.as_ref();
    let limit_text = mount.auto_extend_size_limit.as_ref();
    let increment = size(problems, "auto_extend_size_increment", increment_text);
    let limit = size(problems, "auto_extend_size_limit", limit_text);
    let threshold = mount.auto_extend_size_threshold.as_ref().filter(|at| at.value != 0);
    let given_limit = given(limit_text);
    if threshold.is_none() && increment.is_none() && limit.is_none() {
        return;
    }
    let percent = threshold.map_or(0, |at| at.value);
    if !(50..=99).contains(&percent) {
        let message = "`mounts.auto_extend_size_threshold` must be 50 to 99 per cent";
        amiss(problems, mount, threshold.map(|at| at.span), message);
    }
    if !(1..=100).contains(&increment.unwrap_or(0)) {
        let message = "`mounts.auto_extend_size_increment` must be 1GB to 100GB";
        amiss(problems, mount, increment_text.map(|at| at.span), message);
    }
    match (given_limit, limit) {
        (Some(at), Some(limit)) if limit > 500 => {
            let message = "`mounts.auto_extend_size_limit` must be 1GB to 500GB";
            problems.add(Code::AutoExtend, at.span, message);
        }
        (Some(at), Some(limit)) if initial.is_some_and(|initial| limit < initial) => {
            let message = format!(
                "the limit of {limit} GB is below the initial size of {} GB: it never grows",
                initial.unwrap_or(0)
            );
            problems.add(Code::LimitBelowSize, at.span, message);
        }
        (None, _) if threshold.is_some() && increment.is_some() => {
            let span = threshold.map_or(mount.span, |at| at.span);
            problems
                .lacks(Code::AutoExtendUnlimited, span, "auto-extension without a limit")
                .hint("Fly does not extend without one: add auto_extend_size_limit");
        }
        _ => {}
    }
}

/// A part of auto-extension that is out of its range, or that the mount does not give.
fn amiss(problems: &mut Problems, mount: &Mount, at: Option<Span>, message: &str) {
    let draft = match at {
        Some(span) => problems.add(Code::AutoExtend, span, message),
        None => problems.lacks(Code::AutoExtend, mount.span, message),
    };
    draft.hint("give threshold, increment and limit, or none of them");
}

fn twice(problems: &mut Problems, group: &str, mounts: &[&Mount]) {
    let mut sources: BTreeMap<&str, Span> = BTreeMap::new();
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    for mount in mounts {
        if let Some(source) = given(mount.source.as_ref())
            && sources.insert(&source.value, source.span).is_some()
        {
            let message = format!(
                "the group \"{}\" mounts the volume \"{}\" twice",
                show(group),
                show(&source.value)
            );
            problems
                .add(Code::SourceTwice, source.span, message)
                .hint("give the second volume a name of its own");
        }
        let dotted = |path: &str| path.split('/').any(|part| matches!(part, "." | ".."));
        if let Some(at) = given(mount.destination.as_ref()).filter(|at| !dotted(&at.value)) {
            let path = tidy(&at.value);
            if places.contains_key(&path) {
                let message = format!(
                    "the group \"{}\" mounts two volumes at \"{}\"",
                    show(group),
                    show(&path)
                );
                problems
                    .add(Code::DestinationTwice, at.span, message)
                    .hint("mount the second volume somewhere else");
            }
            places.insert(path, at.span);
        }
    }
    inside(problems, &places);
}

/// Sorted paths: one that lies inside of another comes after it.
fn inside(problems: &mut Problems, places: &BTreeMap<String, Span>) {
    for (path, span) in places {
        let ends = path.match_indices('/').map(|(index, _)| index);
        let outer = ends.skip(1).map(|end| &path[..end]).find(|outer| places.contains_key(*outer));
        if let Some(outer) = outer {
            let message =
                format!("\"{}\" lies inside of the mount at \"{}\"", show(path), show(outer));
            problems.add(Code::DestinationInside, *span, message);
        }
    }
}

/// The path without doubled and trailing slashes, so that equal places compare equal.
fn tidy(path: &str) -> String {
    let mut tidy = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        tidy.push('/');
        tidy.push_str(part);
    }
    tidy
}
