//! Changes, each with its symbol, place, fields and reasons. Slots of a group that change in the
//! same way are told once.

use super::Page;
use crate::model::name::{AppName, GroupName, SourceName};
use crate::model::object::Object;
use crate::model::slot::SlotId;
use crate::plan::Plan;
use crate::plan::change::{Change, Field, Verb};
use crate::plan::step::Act;
use crate::render::Tone;
use crate::render::sensitive::{MASK, is_sensitive, line_shown, shown};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use similar::{ChangeTag, TextDiff};

/// Lines of a longer value that are shown at most.
const DIFF_LINES: usize = 12;

/// Volumes whose data goes or that are put away.
pub(super) fn losses(page: &mut Page<'_>, plan: &Plan) {
    let losses: Vec<&Change> = plan.changes.iter().filter(|change| is_loss(change)).collect();
    if losses.is_empty() {
        return;
    }
    let destroyed = losses.iter().any(|change| change.verb == Verb::Destroy);
    page.heading(if destroyed { "Data will be lost" } else { "Volumes will be put away" });
    page.gap();
    told(page, &losses);
}

/// What happens to volumes.
pub(super) fn told(page: &mut Page<'_>, changes: &[&Change]) {
    told_of(page, changes, &BTreeSet::new());
}

/// All other changes by app; hosts come first.
pub(super) fn by_app(plan: &Plan) -> Vec<(Option<&AppName>, Vec<&Change>)> {
    let mut rest: Vec<&Change> = plan.changes.iter().filter(|change| !is_loss(change)).collect();
    rest.sort_by_key(|change| change.object.app());
    let chunks = rest.chunk_by(|a, b| a.object.app() == b.object.app());
    chunks.map(|of_app| (of_app[0].object.app(), of_app.to_vec())).collect()
}

/// What a verb is called.
pub(super) const fn word(of: Verb) -> &'static str {
    verb(of).1
}

/// Changes one after another, with their reasons.
pub(super) fn listed(page: &mut Page<'_>, changes: &[Change]) {
    for change in changes {
        one(page, &[change], &BTreeSet::new());
    }
}

/// All other changes, app by app; hosts come first.
pub(super) fn rest(page: &mut Page<'_>, plan: &Plan) {
    let mounted = mounted(plan);
    for (app, of_app) in by_app(plan) {
        match app {
            Some(app) => page.heading(&format!("App {app}")),
            None => page.heading("Hosts"),
        }
        page.gap();
        told_of(page, &of_app, &mounted);
    }
}

const fn is_loss(change: &Change) -> bool {
    match change.verb {
        Verb::Destroy | Verb::Retire => true,
        Verb::Remove
        | Verb::Create
        | Verb::TakeBack
        | Verb::Adopt
        | Verb::Redeploy
        | Verb::Restart
        | Verb::Update
        | Verb::Run => false,
    }
}

/// What happens to an app; `mounted` is what [`mounted`] says of the plan.
pub(super) fn told_of(page: &mut Page<'_>, changes: &[&Change], mounted: &BTreeSet<&SlotId>) {
    let mut alike: Vec<Vec<&Change>> = Vec::new();
    let mut places: BTreeMap<Likeness<'_>, usize> = BTreeMap::new();
    for change in changes {
        let place = *places.entry(likeness(change)).or_insert(alike.len());
        match alike.get_mut(place) {
            Some(others) => others.push(change),
            None => alike.push(vec![change]),
        }
    }
    for alike in &alike {
        one(page, alike, mounted);
    }
}

/// Slots whose instances the plan starts on volumes.
pub(super) fn mounted(plan: &Plan) -> BTreeSet<&SlotId> {
    let started = plan.steps().filter_map(|step| match &step.act {
        Act::StartInstance { instance } => Some(instance),
        _ => None,
    });
    started.filter(|spec| !spec.binds.is_empty()).map(|spec| &spec.slot).collect()
}

/// What changes that are told as one have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Likeness<'a> {
    verb: Verb,
    /// The group, and the volume's name if it is one.
    group: Option<(&'a AppName, &'a GroupName, Option<&'a SourceName>)>,
    /// What is told of alone.
    alone: Option<&'a Object>,
    /// Where new slots go, and why there, is told of each one below what they share.
    reasons: Option<&'a [String]>,
    fields: Vec<(&'a str, Option<&'a str>, Option<&'a str>)>,
}

fn likeness(change: &Change) -> Likeness<'_> {
    let group = match &change.object {
        Object::Slot { slot } => Some((&slot.app, &slot.group, None)),
        Object::Volume { slot, source, .. } => Some((&slot.app, &slot.group, Some(source))),
        Object::Fleet
        | Object::Host { .. }
        | Object::Pool { .. }
        | Object::App { .. }
        | Object::Group { .. }
        | Object::Instance { .. }
        | Object::Foreign { .. } => None,
    };
    // Each destroyed volume stands on a line of its own.
    let alone = change.verb == Verb::Destroy || group.is_none();
    Likeness {
        verb: change.verb,
        group,
        alone: alone.then_some(&change.object),
        reasons: (!is_new_slot(change)).then_some(change.reasons.as_slice()),
        fields: shared(change)
            .map(|field| (field.name.as_str(), field.before.as_deref(), field.after.as_deref()))
            .collect(),
    }
}

/// Fields that are told of changes together.
fn shared(change: &Change) -> impl Iterator<Item = &Field> {
    let own = is_new_slot(change);
    change
        .fields
        .iter()
        .filter(move |field| !(is_said(change, field) || own && field.name == ADDRESS))
}

/// Whether the verb says it.
fn is_said(change: &Change, field: &Field) -> bool {
    matches!(change.verb, Verb::Retire | Verb::TakeBack | Verb::Adopt) && field.name == "state"
}

const fn is_new_slot(change: &Change) -> bool {
    matches!((&change.object, change.verb), (Object::Slot { .. }, Verb::Create))
}

/// The field that every new slot has a value of its own of.
const ADDRESS: &str = "address";

fn one(page: &mut Page<'_>, alike: &[&Change], mounted: &BTreeSet<&SlotId>) {
    let Some(first) = alike.first() else { return };
    let (symbol, word, tone) = verb(first.verb);
    let head = match (&first.object, alike) {
        (Object::Host { host } | Object::Pool { host }, [only]) if *host == only.host => {
            format!("{word} {}", first.object)
        }
        (_, [only]) => format!("{word} {} on {}", only.object, only.host),
        (_, many) => format!("{word} {}", counted(many)),
    };
    let keeps = match &first.object {
        Object::Slot { slot } => first.verb == Verb::Redeploy && mounted.contains(slot),
        _ => false,
    };
    let head = match (keeps, alike.len()) {
        (true, 1) => format!("{head}, on the same volumes"),
        (true, _) => format!("{head}, each on the same volumes"),
        (false, _) => head,
    };
    let symbol = page.paint.paint(tone, &format!("{symbol:>3}"));
    page.line(2, &format!("{symbol} {head}"));
    if alike.len() > 1 && !is_new_slot(first) {
        page.line(8, &alike.iter().map(|c| place(c)).collect::<Vec<_>>().join(", "));
    }
    fields(page, first, alike.len() > 1);
    if alike.len() > 1 && is_new_slot(first) {
        for change in alike {
            new_slot(page, change);
        }
        return;
    }
    for reason in &first.reasons {
        page.dim(8, reason);
    }
}

/// One line for one of several new slots: where, why there, and its address.
fn new_slot(page: &mut Page<'_>, change: &Change) {
    let on = format!("on {}, ", change.host);
    let reasons: Vec<&str> = change
        .reasons
        .iter()
        .map(|reason| reason.strip_prefix(on.as_str()).unwrap_or(reason))
        .collect();
    let address = change.fields.iter().find(|field| field.name == ADDRESS);
    let address = address.and_then(|field| field.after.as_deref());
    let address = address.map(|address| format!(" ({address})")).unwrap_or_default();
    page.line(8, &format!("{}{address}, {}", place(change), reasons.join("; ")));
}

/// Fields of an object: short ones of a new one on a line, else one below the other.
fn fields(page: &mut Page<'_>, change: &Change, together: bool) {
    let fields: Vec<&Field> = change.fields.iter().filter(|f| !is_said(change, f)).collect();
    let fields: Vec<&Field> = if together { shared(change).collect() } else { fields };
    let short = |field: &&Field| {
        field.before.is_none() && field.after.as_ref().is_some_and(|value| value.len() < 40)
    };
    if change.verb == Verb::Create && fields.iter().all(short) {
        let told: Vec<String> = fields
            .iter()
            .filter_map(|f| Some(format!("{} {}", f.name, shown(f, f.after.as_ref())?)))
            .collect();
        if !told.is_empty() {
            page.line(8, &told.join(", "));
        }
        return;
    }
    for field in fields {
        self::field(page, field, change.verb);
    }
}

/// `3 slots of web/app`, `2 volumes data of web/app`.
fn counted(many: &[&Change]) -> String {
    let n = many.len();
    match many.first().map(|change| &change.object) {
        Some(Object::Slot { slot }) => format!("{n} slots of {}/{}", slot.app, slot.group),
        Some(Object::Volume { slot, source, .. }) => {
            format!("{n} volumes {source} of {}/{}", slot.app, slot.group)
        }
        Some(object) => object.to_string(),
        None => String::new(),
    }
}

/// `ewr/1 on ewr-1`, with the volume's id where there is one.
fn place(change: &Change) -> String {
    match &change.object {
        Object::Slot { slot } => format!("{}/{} on {}", slot.region, slot.number, change.host),
        Object::Volume { slot, volume, .. } => {
            format!("{}/{} ({volume}) on {}", slot.region, slot.number, change.host)
        }
        object => format!("{object} on {}", change.host),
    }
}

const fn verb(verb: Verb) -> (&'static str, &'static str, Tone) {
    match verb {
        Verb::Destroy => ("!", "destroy", Tone::Destroy),
        Verb::Retire => ("!", "retire", Tone::Destroy),
        Verb::Remove => ("-", "remove", Tone::Destroy),
        Verb::Create => ("+", "create", Tone::Add),
        Verb::TakeBack => ("~", "take back", Tone::Change),
        Verb::Adopt => ("<=", "adopt", Tone::Add),
        Verb::Redeploy => ("-/+", "redeploy", Tone::Change),
        Verb::Restart => ("-/+", "restart", Tone::Change),
        Verb::Update => ("~", "update", Tone::Change),
        Verb::Run => ("+", "run", Tone::Change),
    }
}

fn field(page: &mut Page<'_>, field: &Field, verb: Verb) {
    let name = &field.name;
    match (&field.before, &field.after) {
        (Some(before), Some(after)) if is_sensitive(field) => {
            let same = if before == after { "unchanged" } else { "changed" };
            page.line(8, &format!("{name}: {MASK}, {same}"));
        }
        (Some(before), Some(after)) if before == after => {
            page.line(8, &format!("{name}: {before}"));
        }
        (Some(before), Some(after)) if before.contains('\n') || after.contains('\n') => {
            page.line(8, &format!("{name}:"));
            diff(page, before, after);
        }
        (Some(before), Some(after)) => page.line(8, &format!("{name}: {before} → {after}")),
        (before, after) => {
            let value = shown(field, before.as_ref().or(after.as_ref())).unwrap_or_default();
            let value = match value.lines().count() {
                0 | 1 => value,
                lines => format!("({lines} lines)"),
            };
            let fresh = matches!(verb, Verb::Create | Verb::TakeBack | Verb::Adopt | Verb::Run);
            let gone = matches!(verb, Verb::Destroy | Verb::Retire | Verb::Remove);
            let sign = match (before, after) {
                (Some(_), None) if !gone => "- ",
                (None, Some(_)) if !fresh => "+ ",
                _ => "",
            };
            page.line(8, &format!("{sign}{name}: {value}"));
        }
    }
}

fn diff(page: &mut Page<'_>, before: &str, after: &str) {
    let diff = TextDiff::from_lines(before, after);
    let changed = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal);
    let lines: Vec<String> = changed
        .map(|change| {
            let sign = if change.tag() == ChangeTag::Delete { '-' } else { '+' };
            format!("{sign} {}", line_shown(change.value().trim_end_matches('\n')))
        })
        .collect();
    for line in lines.iter().take(DIFF_LINES) {
        page.line(10, line);
    }
    if lines.len() > DIFF_LINES {
        page.dim(10, &format!("and {} more lines", lines.len() - DIFF_LINES));
    }
}
