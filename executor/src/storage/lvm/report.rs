//! What `lvs` says of a volume group, read from its JSON in full or not at all.

use planner::model::size::Size;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The fields asked for: none of them costs a question to the kernel.
pub const FIELDS: &str = "lv_uuid,lv_name,lv_size,lv_tags,pool_lv,thin_id,transaction_id,segtype,\
                          origin,chunk_size,vg_uuid,vg_extent_size,vg_free";

/// A logical volume as LVM's metadata has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalVolume {
    /// LVM's identity of it, with dashes.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Its virtual size.
    pub size: Size,
    /// Its tags.
    pub tags: Vec<String>,
    /// The thin pool it is in.
    pub pool: Option<String>,
    /// The pool's number for it.
    pub thin_id: Option<u64>,
    /// Of a thin pool: how many changes LVM has made to it.
    pub transaction: Option<u64>,
    /// Its first segment's type, such as `thin` or `thin-pool`.
    pub kind: String,
    /// The volume it is a snapshot of.
    pub origin: Option<String>,
    /// Of a thin pool: the size of a block.
    pub chunk: Size,
    /// The group's identity, with dashes.
    pub group_uuid: String,
    /// The group's extent.
    pub extent: Size,
    /// What is free in the group, outside all pools.
    pub group_free: Size,
}

/// The fields asked for of disks.
pub const PHYSICAL_FIELDS: &str = "pv_name,vg_name,vg_free";

/// A disk that LVM uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// Its path, as LVM calls it.
    pub name: String,
    /// The group it is of; empty if it is of none.
    pub group: String,
    /// What is free in the group.
    pub group_free: Size,
}

#[derive(Deserialize)]
struct Document {
    report: Vec<BTreeMap<String, Vec<Row>>>,
}

type Row = BTreeMap<String, String>;

/// The rows of the one section of that kind.
fn rows(json: &[u8], kind: &str) -> Result<Vec<Row>, String> {
    let document: Document = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let [section] = &document.report[..] else {
        return Err(format!("it has {} reports, not one", document.report.len()));
    };
    section.get(kind).cloned().ok_or_else(|| format!("it has no report of {kind}"))
}

/// Reads the JSON of `pvs`, asked as that of `lvs`.
///
/// # Errors
/// What is missing or cannot be understood, in words.
pub fn physical(json: &[u8]) -> Result<Vec<PhysicalVolume>, String> {
    let text = |row: &Row, key: &str| {
        row.get(key).cloned().ok_or_else(|| format!("it does not say {key}"))
    };
    let read = |row: &Row| {
        let free = text(row, "vg_free")?;
        let bytes: u64 = match free.as_str() {
            "" => 0,
            free => free.parse().map_err(|_| format!("it says vg_free is {free:?}"))?,
        };
        Ok(PhysicalVolume {
            name: text(row, "pv_name")?,
            group: text(row, "vg_name")?,
            group_free: Size::from_bytes(bytes),
        })
    };
    rows(json, "pv")?.iter().map(read).collect()
}

/// Reads the JSON (`--reportformat json --units b --nosuffix`), by name.
///
/// # Errors
/// What is missing or cannot be understood, in words.
pub fn parse(json: &[u8]) -> Result<BTreeMap<String, LogicalVolume>, String> {
    let mut volumes = BTreeMap::new();
    for row in rows(json, "lv")? {
        let volume = volume(&row)?;
        // One row for each segment: the first describes the volume.
        volumes.entry(volume.name.clone()).or_insert(volume);
    }
    Ok(volumes)
}

fn volume(row: &Row) -> Result<LogicalVolume, String> {
    let text = |key: &str| match row.get(key) {
        Some(text) => Ok(text.clone()),
        None => Err(format!("it does not say {key}")),
    };
    let some = |key: &str| text(key).map(|text| (!text.is_empty()).then_some(text));
    let number = |key: &str| match some(key)? {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("it says {key} is {text:?}")),
        },
    };
    let size = |key: &str| match number(key)? {
        Some(bytes) => Ok(Size::from_bytes(bytes)),
        None => Err(format!("it does not say {key}")),
    };
    Ok(LogicalVolume {
        uuid: some("lv_uuid")?.ok_or("it does not say lv_uuid")?,
        name: some("lv_name")?.ok_or("it does not say lv_name")?,
        size: size("lv_size")?,
        tags: text("lv_tags")?
            .split(',')
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        pool: some("pool_lv")?,
        thin_id: number("thin_id")?,
        transaction: number("transaction_id")?,
        kind: text("segtype")?,
        origin: some("origin")?,
        chunk: size("chunk_size")?,
        group_uuid: some("vg_uuid")?.ok_or("it does not say vg_uuid")?,
        extent: size("vg_extent_size")?,
        group_free: size("vg_free")?,
    })
}
