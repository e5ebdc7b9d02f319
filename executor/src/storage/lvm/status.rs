//! What `dmsetup status` says of thin pools and thin volumes; other targets are passed over.
//! The lines are those of the kernel's thin-provisioning.rst.

use planner::model::size::Size;
use std::collections::BTreeMap;

/// Bytes of a sector, the kernel's unit everywhere.
const SECTOR: u64 = 512;

/// A thin volume or pool, as the kernel has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A thin volume with so much mapped.
    Thin {
        /// How much of it is written.
        mapped: Size,
    },
    /// A thin pool at work.
    Pool(PoolStatus),
    /// The kernel has given it up.
    Failed,
}

/// How a thin pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// How many changes the kernel has seen LVM make.
    pub transaction: u64,
    /// Blocks of metadata in use, and in all.
    pub metadata: (u64, u64),
    /// Blocks of data in use, and in all.
    pub data: (u64, u64),
    /// Whether it takes writes.
    pub mode: Mode,
    /// Whether its metadata must be checked before it takes writes.
    pub needs_check: bool,
}

/// Whether a pool takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Writable,
    /// It does not.
    ReadOnly,
    /// Only what needs no new block.
    OutOfData,
}

/// Reads all lines, by the device's name. A device without a table, such as a command leaves that
/// was killed between making it and saying what it is, has no target.
///
/// # Errors
/// A line of a thin pool or volume that cannot be understood, or is cut.
pub fn parse(text: &str) -> Result<BTreeMap<String, Target>, String> {
    let mut targets = BTreeMap::new();
    if text.trim() == "No devices found" {
        return Ok(targets);
    }
    for line in text.split_inclusive('\n').filter(|line| !line.trim().is_empty()) {
        let odd = || format!("the line {line:?}");
        let (name, rest) = line.split_once(": ").ok_or_else(odd)?;
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let target = match words[..] {
            [_, _, "thin" | "thin-pool", "Fail" | "Error", ..] => Target::Failed,
            [_, _, "thin", mapped, _highest] => {
                let sectors: u64 = mapped.parse().map_err(|_| odd())?;
                Target::Thin { mapped: Size::from_bytes(sectors.saturating_mul(SECTOR)) }
            }
            [_, _, "thin-pool", ref words @ ..] => Target::Pool(pool(words).ok_or_else(odd)?),
            [] if line.ends_with('\n') => continue,
            [_, _, "thin", ..] | [] | [_] | [_, _] => return Err(odd()),
            [_, _, _, ..] => continue,
        };
        targets.insert(name.to_owned(), target);
    }
    Ok(targets)
}

/// The pool's change at which each thin device was made, by the pool's number for it.
pub type Devices = BTreeMap<u64, u64>;

/// Reads what `thin_ls --no-headers -o DEV,TRANSACTION` says.
///
/// # Errors
/// A line that cannot be understood, or is cut.
pub fn devices(text: &str) -> Result<Devices, String> {
    let device = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [id, transaction] = words[..] else { return None };
        Some((id.parse().ok()?, transaction.parse().ok()?))
    };
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("its last line has no end".to_owned());
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| device(line).ok_or_else(|| format!("the line {line:?}"))).collect()
}

/// `TRANSACTION USED/TOTAL USED/TOTAL ROOT ro|rw|out_of_data_space DISCARD WHEN_FULL needs_check|- …`
fn pool(words: &[&str]) -> Option<PoolStatus> {
    let [transaction, metadata, data, _root, mode, _discard, _full, check, ..] = words else {
        return None;
    };
    Some(PoolStatus {
        transaction: transaction.parse().ok()?,
        metadata: fraction(metadata)?,
        data: fraction(data)?,
        mode: match *mode {
            "rw" => Mode::Writable,
            "ro" => Mode::ReadOnly,
            "out_of_data_space" => Mode::OutOfData,
            _ => return None,
        },
        needs_check: match *check {
            "needs_check" => true,
            "-" => false,
            _ => return None,
        },
    })
}

fn fraction(text: &str) -> Option<(u64, u64)> {
    let (used, total) = text.split_once('/')?;
    let (used, total) = (used.parse().ok()?, total.parse().ok()?);
    (used <= total && total > 0).then_some((used, total))
}
