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

#[derive(Deserialize)]
struct Document {
    report: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    lv: Vec<BTreeMap<String, String>>,
}

/// Reads the JSON (`--reportformat json --units b --nosuffix`), by name.
///
/// # Errors
/// What is missing or cannot be understood, in words.
pub fn parse(json: &[u8]) -> Result<BTreeMap<String, LogicalVolume>, String> {
    let document: Document = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let [section] = &document.report[..] else {
        return Err(format!("it has {} reports, not one", document.report.len()));
    };
    let mut volumes = BTreeMap::new();
    for row in &section.lv {
        let volume = volume(row)?;
        // One row for each segment: the first describes the volume.
        volumes.entry(volume.name.clone()).or_insert(volume);
    }
    Ok(volumes)
}

fn volume(row: &BTreeMap<String, String>) -> Result<LogicalVolume, String> {
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
