//! `[tiedown]`: what fly.toml has no key for. flyctl ignores all of it.

use crate::manifest::Written;
use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Reader, show};
use crate::manifest::keys::{self, Section};
use crate::manifest::name;
use crate::manifest::nearest::nearest;
use crate::manifest::node::{Node, Shape, entries};
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::section::mounts::Mount;
use crate::manifest::section::processes::GroupNames;
use crate::manifest::written::{given, texts};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Whether a release is tried on a clone first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canary {
    /// No.
    Off,
    /// On a thin clone of one slot's volumes.
    Clone,
}

/// What a slot goes back to whose new release fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revert {
    /// Nothing: it stays as it is.
    Off,
    /// The release before.
    Release,
    /// The release before and a snapshot of the volumes taken before the change.
    Snapshot,
}

/// What becomes of a volume that is no longer wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnRemove {
    /// It is kept.
    Retain,
    /// It is destroyed once its retention has passed and a permit is given.
    Destroy,
}

/// A name that something had before, so that its volumes stay with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Former {
    /// The app was called this.
    App(String),
    /// A process group was called `old`.
    Group {
        /// Its former name.
        old: String,
        /// Its name now.
        new: String,
    },
    /// A volume's source was called `old`.
    Source {
        /// Its former name.
        old: String,
        /// Its name now.
        new: String,
    },
}

/// What can be said for all volumes of an app, or for one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeSettings {
    /// What becomes of a volume that is no longer wanted.
    pub on_remove: Option<At<OnRemove>>,
    /// How long it is kept, in seconds.
    pub retention_seconds: Option<At<u64>>,
    /// Whether it is kept from destruction.
    pub protect: Option<At<bool>>,
    /// Former names.
    pub moved: Vec<At<Former>>,
    /// The retired volume that a slot takes instead of an empty one, by id; of one source only.
    pub adopt: Option<At<String>>,
    /// Whether an empty volume is wanted where one with data was; of one volume only.
    pub fresh: Option<At<bool>>,
}

/// `[tiedown]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tiedown {
    /// Its header, where there is one.
    pub span: Span,
    /// The tree that the app is released from, from the manifest's directory.
    pub source: Option<At<String>>,
    /// Whether a release is tried on a clone first.
    pub canary: Option<At<Canary>>,
    /// What a slot goes back to whose new release fails.
    pub revert: Option<At<Revert>>,
    /// For all volumes of the app.
    pub all: VolumeSettings,
    /// Slots by group and region; a group that is not listed has no number.
    pub scale: BTreeMap<String, At<BTreeMap<String, At<u32>>>>,
    /// For the volumes of one source.
    pub volumes: BTreeMap<String, At<VolumeSettings>>,
}

impl Tiedown {
    /// The settings of a source: its own where it has some, else those of the app.
    #[must_use]
    pub fn of_source(&self, source: &str) -> VolumeSettings {
        let own = self.volumes.get(source).map(|at| at.value.clone()).unwrap_or_default();
        let all = &self.all;
        VolumeSettings {
            on_remove: own.on_remove.or_else(|| all.on_remove.clone()),
            retention_seconds: own.retention_seconds.or_else(|| all.retention_seconds.clone()),
            protect: own.protect.or_else(|| all.protect.clone()),
            moved: own.moved,
            adopt: own.adopt,
            fresh: own.fresh,
        }
    }
}

/// The most slots that a region can be asked for.
pub(crate) const MOST: i64 = 10_000;

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Tiedown {
    let Some(entry) = root.entry("tiedown") else { return Tiedown::default() };
    let section = &keys::TIEDOWN;
    let Some(fields) = ours(problems, entry.node, "tiedown", section) else {
        return Tiedown::default();
    };
    let canary = choice(problems, &fields, "canary", &CANARY);
    let revert = choice(problems, &fields, "revert", &REVERT);
    Tiedown {
        span: fields.span,
        source: source(problems, &fields),
        canary,
        revert,
        all: settings(problems, &fields, &moved_of_app),
        scale: scale(problems, &fields),
        volumes: volumes(problems, &fields),
    }
}

fn ours<'a>(
    problems: &mut Problems,
    node: Node<'a>,
    path: &str,
    section: &'static Section,
) -> Option<Fields<'a>> {
    Fields::read_by(Reader::Tiedown, problems, node, path, section)
}

const CANARY: [(&str, Canary); 2] = [("off", Canary::Off), ("clone", Canary::Clone)];
const REVERT: [(&str, Revert); 3] =
    [("off", Revert::Off), ("release", Revert::Release), ("snapshot", Revert::Snapshot)];
const ON_REMOVE: [(&str, OnRemove); 2] =
    [("retain", OnRemove::Retain), ("destroy", OnRemove::Destroy)];

fn choice<T: Copy>(
    problems: &mut Problems,
    fields: &Fields<'_>,
    name: &str,
    choices: &[(&'static str, T)],
) -> Option<At<T>> {
    let text = fields.text(problems, name)?;
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text.value) {
        return Some(At::new(*choice, text.span));
    }
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let message = format!("`{}` cannot be \"{}\"", fields.path_of(name), show(&text.value));
    let hint = match nearest(&text.value, choices.iter().map(|(name, _)| *name)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => {
            let (last, others) = names.split_last().map_or(("", &[][..]), |(l, o)| (l.as_str(), o));
            format!("write {} or {last}", others.join(", "))
        }
    };
    problems.add(Code::BadSetting, text.span, message).hint(hint);
    None
}

fn source(problems: &mut Problems, fields: &Fields<'_>) -> Option<At<String>> {
    let text = fields.text(problems, "source")?;
    let absolute = text.value.starts_with('/');
    if text.value.is_empty() || absolute || text.value.contains(|c: char| c.is_control()) {
        let message = format!("`tiedown.source` cannot be \"{}\"", show(&text.value));
        problems
            .add(Code::BadSetting, text.span, message)
            .hint("write a path from the manifest's directory, such as \".\" or \"../shared\"");
        return None;
    }
    Some(text)
}

type ReadFormer = dyn Fn(&str) -> Result<Former, &'static str>;

fn settings(problems: &mut Problems, fields: &Fields<'_>, former: &ReadFormer) -> VolumeSettings {
    let on_remove = choice(problems, fields, "on_remove", &ON_REMOVE);
    VolumeSettings {
        on_remove,
        retention_seconds: retention(problems, fields),
        protect: fields.boolean(problems, "protect"),
        moved: moved(problems, fields, former),
        adopt: fields.text(problems, "adopt"),
        fresh: fields.boolean(problems, "fresh"),
    }
}

fn retention(problems: &mut Problems, fields: &Fields<'_>) -> Option<At<u64>> {
    let text = fields.text(problems, "retention")?;
    if let Some(seconds) = seconds(&text.value) {
        return Some(At::new(seconds, text.span));
    }
    let path = fields.path_of("retention");
    let message = format!("`{path}` is \"{}\", which is not a retention", show(&text.value));
    problems
        .add(Code::BadSetting, text.span, message)
        .hint("write whole weeks, days, hours, minutes or seconds, such as \"7d\" or \"1d12h\"");
    None
}

/// Whole numbers with `w`, `d`, `h`, `m` or `s`, the larger units first; at most 100 years.
fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes().get(digits)? {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty() && total <= 100 * 365 * 86_400).then_some(total)
}

fn moved(problems: &mut Problems, fields: &Fields<'_>, former: &ReadFormer) -> Vec<At<Former>> {
    let Some(texts) = fields.texts(problems, "moved") else { return Vec::new() };
    let mut moved = Vec::new();
    for text in texts.value {
        match former(&text.value) {
            Ok(former) => moved.push(At::new(former, text.span)),
            Err(hint) => {
                let path = fields.path_of("moved");
                let message = format!("`{path}` cannot have \"{}\" in it", show(&text.value));
                problems.add(Code::BadSetting, text.span, message).hint(hint);
            }
        }
    }
    moved
}

fn moved_of_app(text: &str) -> Result<Former, &'static str> {
    let pair = |rest: &str, fits: fn(&str) -> bool| {
        let (old, new) = rest.split_once('=')?;
        let good = fits(old) && fits(new) && old != new;
        good.then(|| (old.to_string(), new.to_string()))
    };
    if let Some(rest) = text.strip_prefix("group:") {
        let (old, new) = pair(rest, name::is_group).ok_or("write \"group:old=new\"")?;
        return Ok(Former::Group { old, new });
    }
    if let Some(rest) = text.strip_prefix("source:") {
        let (old, new) = pair(rest, name::is_source).ok_or("write \"source:old=new\"")?;
        return Ok(Former::Source { old, new });
    }
    match name::is_app(text) {
        true => Ok(Former::App(text.to_string())),
        false => Err("write \"old-app\", \"group:old=new\" or \"source:old=new\""),
    }
}

fn scale(
    problems: &mut Problems,
    fields: &Fields<'_>,
) -> BTreeMap<String, At<BTreeMap<String, At<u32>>>> {
    let mut scale = BTreeMap::new();
    let Some(entry) = fields.entry("scale") else { return scale };
    let Some(table) = entry.node.table() else {
        let hint = "write [tiedown.scale] and, below it, app = { ewr = 2 }";
        fields.wrong(problems, "scale", entry.node, "a table").hint(hint);
        return scale;
    };
    for group in entries(table, entry.node.span) {
        let path = format!("scale.{}", show(group.key));
        let Some(regions) = group.node.table() else {
            let hint = match group.node.shape {
                Shape::Integer(count) => {
                    format!("say where: {} = {{ ewr = {count} }}", show(group.key))
                }
                _ => format!("write {} = {{ ewr = 2 }}", show(group.key)),
            };
            fields.wrong(problems, &path, group.node, "a table of regions").hint(hint);
            continue;
        };
        let mut counts = BTreeMap::new();
        for region in entries(regions, group.node.span) {
            if !name::is_region(region.key) {
                let message = format!("\"{}\" cannot be a region", show(region.key));
                problems.add(Code::BadRegion, region.key_span(), message).hint(name::REGION);
            }
            if let Some(count) = count(problems, fields, &path, region.key, region.node) {
                counts.insert(region.key.to_string(), count);
            }
        }
        scale.insert(group.key.to_string(), At::new(counts, group.key_span()));
    }
    scale
}

fn count(
    problems: &mut Problems,
    fields: &Fields<'_>,
    path: &str,
    region: &str,
    node: Node<'_>,
) -> Option<At<u32>> {
    let path = format!("{path}.{}", show(region));
    let Shape::Integer(number) = node.shape else {
        fields.wrong(problems, &path, node, "a whole number");
        return None;
    };
    let count = u32::try_from(number).ok().filter(|_| number <= MOST);
    if count.is_none() {
        let message = format!("`tiedown.{path}` must be 0 to {MOST}");
        problems.add(Code::BadSetting, node.span, message);
    }
    count.map(|count| At::new(count, node.span))
}

fn volumes(problems: &mut Problems, fields: &Fields<'_>) -> BTreeMap<String, At<VolumeSettings>> {
    let mut volumes = BTreeMap::new();
    let Some(entry) = fields.entry("volumes") else { return volumes };
    let Some(table) = entry.node.table() else {
        fields
            .wrong(problems, "volumes", entry.node, "a table")
            .hint("write [tiedown.volumes.SOURCE]");
        return volumes;
    };
    for volume in entries(table, entry.node.span) {
        let path = format!("tiedown.volumes.{}", show(volume.key));
        let Some(inner) = ours(problems, volume.node, &path, &keys::TIEDOWN_VOLUME) else {
            continue;
        };
        let new = volume.key.to_string();
        let former = move |text: &str| match name::is_source(text) && text != new {
            true => Ok(Former::Source { old: text.to_string(), new: new.clone() }),
            false => Err("write the names that the source had before"),
        };
        let settings = settings(problems, &inner, &former);
        if let (Some(adopt), Some(fresh)) = (&settings.adopt, &settings.fresh)
            && !adopt.value.is_empty()
            && fresh.value
        {
            let message =
                format!("`{path}` asks for the volume with its data and for an empty one");
            problems.add(Code::BadSetting, fresh.span, message).hint("take out adopt or fresh");
        }
        volumes.insert(volume.key.to_string(), At::new(settings, volume.key_span()));
    }
    volumes
}

/// The rules of `[tiedown]` that other sections take part in.
pub(crate) fn check(
    problems: &mut Problems,
    tiedown: &Tiedown,
    written: &Written,
    groups: &GroupNames,
) {
    let mounts = &written.mounts;
    let own = tiedown.volumes.values().flat_map(|at| &at.value.moved);
    for former in tiedown.all.moved.iter().chain(own) {
        still_there(problems, former, written, groups);
    }
    for (group, regions) in &tiedown.scale {
        if !groups.has(group) {
            let message = format!(
                "`tiedown.scale` names the process group \"{}\", which does not exist",
                show(group)
            );
            problems.lacks(Code::UnknownScaleGroup, regions.span, message).hint(groups.hint(group));
        }
    }
    let sources = || mounts.iter().filter_map(|mount| given(mount.source.as_ref()));
    for (source, settings) in &tiedown.volumes {
        if sources().any(|at| at.value == *source) {
            continue;
        }
        let message = format!("no mount has the source \"{}\"", show(source));
        let hint = match nearest(source, sources().map(|at| at.value.as_str())) {
            Some(near) => format!("did you mean [tiedown.volumes.{}]?", show(near)),
            None => "take the table out: settings of retired volumes stay with them".to_string(),
        };
        problems.lacks(Code::UnknownSource, settings.span, message).hint(hint);
    }
}

/// A move from what is still there, or to what is not.
fn still_there(
    problems: &mut Problems,
    former: &At<Former>,
    written: &Written,
    groups: &GroupNames,
) {
    let sources = |group: &String| -> Vec<&str> {
        let of_group = |mount: &&Mount| groups.matches(group, texts(mount.processes.as_ref()));
        let all = written.mounts.iter().filter(of_group);
        all.filter_map(|mount| Some(given(mount.source.as_ref())?.value.as_str())).collect()
    };
    let has = |source: &String| groups.first().iter().any(|g| sources(g).contains(&&**source));
    let (what, old, is_old, new) = match &former.value {
        Former::App(old) => {
            ("app", old, written.app.as_ref().is_some_and(|app| app.value == *old), None)
        }
        Former::Group { old, new } => {
            ("process group", old, groups.has(old), (!groups.has(new)).then_some(new))
        }
        Former::Source { old, new } => {
            let both = |names: Vec<&str>| names.contains(&&**old) && names.contains(&&**new);
            let both = groups.first().iter().any(|group| both(sources(group)));
            ("volume", old, both, (!has(new)).then_some(new))
        }
    };
    if is_old {
        let message = format!("`tiedown.moved` names the {what} \"{old}\", which is still there");
        problems
            .add(Code::BadSetting, former.span, message)
            .hint("take the line out of `moved`, or the old name out of the manifest");
    } else if let Some(new) = new {
        let message = format!("`tiedown.moved` names the {what} \"{new}\", which does not exist");
        problems
            .lacks(Code::MovesNothing, former.span, message)
            .label("moves nothing")
            .hint("take the line out once everything has moved");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retentions_are_whole_numbers_with_units() {
        for (text, expected) in [
            ("7d", Some(604_800)),
            ("1d12h", Some(129_600)),
            ("2w", Some(1_209_600)),
            ("0s", Some(0)),
            ("", None),
            ("7", None),
            ("d", None),
            ("1h1d", None),
            ("1.5d", None),
            ("-1d", None),
            ("1y", None),
            ("7é", None),
            ("99999999999999999999d", None),
            ("9999999d", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn former_names_are_read_by_kind() {
        let pair = |old: &str, new: &str| (old.to_string(), new.to_string());
        assert_eq!(moved_of_app("old-app"), Ok(Former::App("old-app".to_string())));
        let (old, new) = pair("a", "b");
        assert_eq!(moved_of_app("group:a=b"), Ok(Former::Group { old, new }));
        let (old, new) = pair("a_1", "b");
        assert_eq!(moved_of_app("source:a_1=b"), Ok(Former::Source { old, new }));
        for text in ["", "group:a", "group:a=a", "group:=b", "source:a-b=c", "volume:a=b", "../x"] {
            assert!(moved_of_app(text).is_err(), "{text}");
        }
    }
}
