//! `[tiedown.scale]`: a count is changed, added or taken out, however the table is written.

use super::text::{
    Key, Splice, append, braces, line_above, line_break, line_end, line_saying, line_start, lines,
};
use super::{EditError, Original};
use crate::manifest::place::At;
use crate::manifest::section::tiedown::MOST;
use crate::model::name::Region;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use serde_json::{Map, Value};

type Counts = BTreeMap<String, At<u32>>;
type Groups = BTreeMap<String, At<Counts>>;

const HEADER: &str = "[tiedown.scale]";

/// Says how many slots a group has in regions; nothing takes a region's count out, and the group
/// with its last one. A count is written in plain decimal digits. Undoing a change by its contrary
/// gives the same bytes.
///
/// # Errors
/// [`EditError`], of which `NoSource`, `BadSize` and `Shrinks` do not occur.
pub fn scale(
    path: &str,
    bytes: &[u8],
    group: &str,
    counts: &BTreeMap<Region, Option<u32>>,
) -> Result<Vec<u8>, EditError> {
    let mut original = Original::open(path, bytes)?;
    let manifest = original.manifest()?;
    if !manifest.group_names.names.iter().any(|name| name == group) {
        let known = manifest.group_names.names;
        return Err(EditError::NoGroup { path: path.into(), group: group.into(), known });
    }
    for (region, count) in counts {
        if let Some(count) = count
            && i64::from(*count) > MOST
        {
            return Err(EditError::TooMany { count: *count, most: MOST as u32 });
        }
        one(&mut original, group, region.as_str(), *count)?;
    }
    Ok(original.into_bytes())
}

fn one(
    original: &mut Original<'_>,
    group: &str,
    region: &str,
    count: Option<u32>,
) -> Result<(), EditError> {
    let text = original.text.as_str();
    let groups = original.manifest()?.tiedown.scale;
    let counts = groups.get(group);
    let now = counts.and_then(|counts| counts.value.get(region));
    if now.map(|at| at.value) == count {
        return Ok(());
    }
    let candidates = match (counts, now, count) {
        (_, Some(at), Some(count)) => {
            vec![vec![Splice { range: at.span.start..at.span.end, new: format!("{count}") }]]
        }
        (Some(counts), None, Some(count)) => add_region(text, counts, region, count),
        (None, None, Some(count)) => add_group(text, &groups, group, region, count),
        (Some(counts), Some(at), None) => remove(text, &groups, counts, at),
        (None, Some(_), None) | (_, None, None) => Vec::new(),
    };
    let meant = expected(text, group, region, count);
    original.change(candidates, |text, _| whole(text) == meant)
}

fn add_region(text: &str, counts: &At<Counts>, region: &str, count: u32) -> Vec<Vec<Splice>> {
    let Some(last) = counts.value.values().max_by_key(|at| at.span) else {
        return add_first(text, counts, region, count);
    };
    let Some(key) = Key::of_value(text, last.span.start) else { return Vec::new() };
    let equals = &text[key.end..last.span.start];
    let (at, new) = if key.is_inside(text) {
        (last.span.end, format!(", {}{region}{equals}{count}", key.parents(text)))
    } else {
        let newline = line_break(text, last.span.end);
        let new = format!("{newline}{}{region}{equals}{count}", key.before(text));
        (line_end(text, last.span.end), new)
    };
    vec![vec![Splice::insert(at, new)]]
}

/// A group that is listed without a region: an empty inline table, or a header.
fn add_first(text: &str, counts: &At<Counts>, region: &str, count: u32) -> Vec<Vec<Splice>> {
    let end = line_end(text, counts.span.end);
    let below = format!("{}{region} = {count}", line_break(text, end));
    let mut candidates = Vec::new();
    if let Some(range) = braces(text, counts.span.end) {
        candidates.push(vec![Splice { range, new: format!("{{ {region} = {count} }}") }]);
    }
    candidates.push(vec![Splice::insert(end, below)]);
    candidates
}

fn add_group(
    text: &str,
    groups: &Groups,
    group: &str,
    region: &str,
    count: u32,
) -> Vec<Vec<Splice>> {
    let entry = format!("{group} = {{ {region} = {count} }}");
    let mut candidates = Vec::new();
    let end = |counts: &At<Counts>| {
        let spans = counts.value.values().map(|at| at.span.end);
        spans.fold(counts.span.end, Ord::max)
    };
    if let Some(sibling) = groups.values().max_by_key(|counts| end(counts)) {
        let key = Key::ending_at(text, sibling.span.end);
        let end = end(sibling);
        if !key.is_inside(text) {
            let new = format!("{}{}{entry}", line_break(text, end), key.before(text));
            candidates.push(vec![Splice::insert(line_end(text, end), new)]);
        } else if let Some(close) = text[end..line_end(text, end)].find('}') {
            let new = format!(", {}{entry}", key.parents(text));
            candidates.push(vec![Splice::insert(end + close + 1, new)]);
        }
    }
    if let Some(header) = line_saying(text, HEADER) {
        let new = format!("{}{entry}", line_break(text, header));
        candidates.push(vec![Splice::insert(line_end(text, header), new)]);
    }
    let header = format!("[tiedown.scale.{group}]");
    let of_its_own = append(text, &[&header, &format!("{region} = {count}")]);
    let table = append(text, &[HEADER, &entry]);
    // Where groups have headers, so has this one.
    candidates.extend(if groups.is_empty() { [table, of_its_own] } else { [of_its_own, table] });
    candidates
}

fn remove(text: &str, groups: &Groups, counts: &At<Counts>, count: &At<u32>) -> Vec<Vec<Splice>> {
    let Some(key) = Key::of_value(text, count.span.start) else { return Vec::new() };
    if counts.value.len() > 1 {
        let range = match key.is_inside(text) {
            true => from_inline(text, counts, count, &key),
            false => Some(lines(text, key.line, count.span.end)),
        };
        return range.into_iter().map(|range| vec![Splice::delete(range)]).collect();
    }
    let mut candidates = Vec::new();
    let above = line_above(text, key.line).filter(|line| {
        let said = text[line.clone()].trim();
        said.starts_with("[tiedown.scale.") || said == HEADER && groups.len() == 1
    });
    if let Some(header) = above {
        let empty = line_above(text, header.start).filter(|line| line.is_empty());
        let from = empty.map_or(header.start, |line| line.start);
        candidates.push(vec![Splice::delete(lines(text, from, count.span.end))]);
    }
    candidates.push(vec![Splice::delete(lines(text, key.line, count.span.end))]);
    candidates
}

/// From an inline table: with the comma before it, or that behind it if it is the first.
fn from_inline(
    text: &str,
    counts: &At<Counts>,
    count: &At<u32>,
    key: &Key,
) -> Option<core::ops::Range<usize>> {
    let spans = || counts.value.values().map(|at| at.span);
    if let Some(before) = spans().filter(|span| *span < count.span).max() {
        return Some(before.end..count.span.end);
    }
    let next = spans().filter(|span| *span > count.span).min()?;
    let same_line = line_start(text, next.start) == key.line;
    same_line.then(|| Key::of_value(text, next.start)).flatten().map(|next| key.dotted..next.dotted)
}

/// All that a text says, as JSON.
fn whole(text: &str) -> Option<Value> {
    let mut value: Value = toml_edit::de::from_str(text).ok()?;
    prune(&mut value, &["tiedown", "scale"]);
    Some(value)
}

/// What the text should say in the end.
fn expected(text: &str, group: &str, region: &str, count: Option<u32>) -> Option<Value> {
    let mut value: Value = toml_edit::de::from_str(text).ok()?;
    let mut counts = &mut value;
    for name in ["tiedown", "scale", group] {
        counts = counts.as_object_mut()?.entry(name).or_insert_with(|| Map::new().into());
    }
    let counts = counts.as_object_mut()?;
    match count {
        Some(count) => counts.insert(region.into(), count.into()),
        None => counts.remove(region),
    };
    prune(&mut value, &["tiedown", "scale", group]);
    Some(value)
}

/// Takes out tables that are empty, from the innermost.
fn prune(value: &mut Value, path: &[&str]) {
    let Some((name, rest)) = path.split_first() else { return };
    let Some(table) = value.as_object_mut() else { return };
    if let Some(inner) = table.get_mut(*name) {
        prune(inner, rest);
        if inner.as_object().is_some_and(Map::is_empty) {
            table.remove(*name);
        }
    }
}
