//! `initial_size` of a source: changed where it stands, in its own quotes, or added below the
//! source's name.

use super::text::{Key, Splice, line_break, line_end, lines};
use super::{EditError, Original};
use crate::manifest::place::Lines;
use crate::manifest::quantity::Quantity;
use crate::manifest::section::mounts::Mount;
use crate::manifest::written::given;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use serde_json::Value;

/// Whether a size may become smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It must not: volumes never shrink.
    Grow,
    /// It may: to take a change back that was not applied yet.
    Either,
}

/// What a volume has at least when its manifest says nothing.
const LEAST_GB: i64 = 1;

/// Says how large the volumes of a source are, in every mount that names it; nothing takes the size
/// out. A number without quotes stays one, in gigabytes. Undoing a change by its contrary gives the
/// same bytes.
///
/// # Errors
/// [`EditError`], of which `NoGroup` and `TooMany` do not occur.
pub fn size(
    path: &str,
    bytes: &[u8],
    source: &str,
    size: Option<&str>,
    direction: Direction,
) -> Result<Vec<u8>, EditError> {
    let gigabytes = size.map(gigabytes).transpose()?;
    let mut original = Original::open(path, bytes)?;
    let manifest = original.manifest()?;
    let name = |mount: &Mount| given(mount.source.as_ref()).map(|at| at.value.clone());
    let mounts: Vec<&Mount> = manifest.written.mounts.iter().collect();
    let named: Vec<&Mount> =
        mounts.iter().copied().filter(|m| name(m).as_deref() == Some(source)).collect();
    if named.is_empty() {
        let mut known: Vec<String> = mounts.iter().filter_map(|mount| name(mount)).collect();
        known.sort();
        known.dedup();
        let source_name = source.to_string();
        return Err(EditError::NoSource { path: path.into(), source_name, known });
    }
    if direction == Direction::Grow {
        refuse_shrinking(&original, &named, source, gigabytes.unwrap_or(LEAST_GB))?;
    }
    let changes = named.iter().map(|mount| of_mount(&original.text, mount, size, gigabytes));
    let Some(splices) = changes.collect::<Option<Vec<_>>>() else {
        return Err(EditError::ByHand { path: path.into() });
    };
    let splices: Vec<Splice> = splices.into_iter().flatten().collect();
    if splices.is_empty() {
        return Ok(bytes.to_vec());
    }
    let (before, tiedown) = (manifest.config_json(), tiedown(&original.text));
    let is_meant = |text: &str, now: &crate::manifest::Manifest| {
        let sizes = now.written.mounts.iter().zip(&manifest.written.mounts).all(|(now, old)| {
            let wanted = if name(old).as_deref() == Some(source) { gigabytes } else { of(old) };
            of(now) == wanted
        });
        sizes
            && without_sizes(now.config_json()) == without_sizes(before.clone())
            && self::tiedown(text) == tiedown
    };
    original.change(vec![splices], is_meant)?;
    Ok(original.into_bytes())
}

/// Whole gigabytes, at least one.
fn gigabytes(size: &str) -> Result<i64, EditError> {
    let bad = |why: String| EditError::BadSize { size: size.into(), why };
    let gigabytes = Quantity::Volume.parse(size).map_err(|error| bad(error.to_string()))?;
    if gigabytes < LEAST_GB {
        return Err(bad("it is less than 1 GB".to_string()));
    }
    if Quantity::Volume.is_cut(size) {
        return Err(bad(format!("it would be cut to {gigabytes} GB")));
    }
    Ok(gigabytes)
}

/// What a mount says, if it is a size.
fn of(mount: &Mount) -> Option<i64> {
    Quantity::Volume.parse(&given(mount.initial_size.as_ref())?.value).ok()
}

fn refuse_shrinking(
    original: &Original<'_>,
    mounts: &[&Mount],
    source: &str,
    gigabytes: i64,
) -> Result<(), EditError> {
    let now = |mount: &&&Mount| of(mount).unwrap_or(LEAST_GB);
    let Some(mount) = mounts.iter().find(|mount| now(mount) > gigabytes) else { return Ok(()) };
    let span = mount.initial_size.as_ref().map_or(mount.span, |at| at.span);
    Err(EditError::Shrinks {
        path: original.path.into(),
        line: Lines::new(&original.text).position(span.start).0,
        source_name: source.into(),
        from_gb: now(&mount),
    })
}

/// The change of one mount; nothing if it is not clear where it goes.
fn of_mount(
    text: &str,
    mount: &Mount,
    size: Option<&str>,
    gigabytes: Option<i64>,
) -> Option<Vec<Splice>> {
    let now = mount.initial_size.as_ref();
    match (now, size.zip(gigabytes)) {
        (None, None) => Some(Vec::new()),
        // The same size in other words is left as it is written.
        (Some(_), Some((_, gigabytes))) if of(mount) == Some(gigabytes) => Some(Vec::new()),
        (Some(now), Some((size, gigabytes))) => {
            let raw = text.get(now.span.start..now.span.end)?;
            let new = rewritten(raw, size, gigabytes);
            Some(vec![Splice { range: now.span.start..now.span.end, new }])
        }
        (None, Some((size, _))) => {
            let source = mount.source.as_ref()?.span;
            let key = Key::of_value(text, source.start)?;
            let equals = &text[key.end..source.start];
            let entry = format!("initial_size{equals}\"{size}\"");
            let (at, new) = if key.is_inside(text) {
                (source.end, format!(", {}{entry}", key.parents(text)))
            } else {
                let newline = line_break(text, source.end);
                (line_end(text, source.end), format!("{newline}{}{entry}", key.before(text)))
            };
            Some(vec![Splice::insert(at, new)])
        }
        (Some(now), None) => {
            let key = Key::of_value(text, now.span.start)?;
            let range = if !key.is_inside(text) {
                lines(text, key.line, now.span.end)
            } else if let Some(before) = text[..key.dotted].trim_end().strip_suffix(',') {
                before.len()..now.span.end
            } else {
                let rest = text[now.span.end..].trim_start().strip_prefix(',')?;
                key.dotted..text.len() - rest.trim_start_matches(' ').len()
            };
            Some(vec![Splice::delete(range)])
        }
    }
}

/// A size in the same quotes as before.
fn rewritten(raw: &str, size: &str, gigabytes: i64) -> String {
    for quotes in ["\"\"\"", "'''", "\"", "'"] {
        if raw.starts_with(quotes) {
            return format!("{quotes}{size}{quotes}");
        }
    }
    let is_whole = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole { gigabytes.to_string() } else { format!("\"{size}\"") }
}

/// A configuration without the sizes of its volumes.
fn without_sizes(mut config: Value) -> Value {
    let mounts = config.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        if let Some(mount) = mount.as_object_mut() {
            mount.remove("initial_size");
        }
    }
    config
}

fn tiedown(text: &str) -> Option<Value> {
    let mut value: Value = toml_edit::de::from_str(text).ok()?;
    value.get_mut("tiedown").map(Value::take)
}
