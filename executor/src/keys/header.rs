//! The header of an encrypted volume, apart from the volume: where the header on the disk is
//! damaged, no key opens the data behind it.

use crate::durable;
use crate::names;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::{io, iter};

/// Bytes of the header, whose geometry is pinned when a volume is encrypted.
pub const BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of a block. Most blocks of a header are in no use, and are left out.
const BLOCK: usize = 64 * 1024;

/// Blocks of a header.
const BLOCKS: u16 = 256;

/// Where the metadata begins, behind a binary part: cryptsetup's LUKS2 on-disk format, section 3.
const METADATA: usize = 4096;

/// What is in use of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header(Vec<(u16, Vec<u8>)>);

impl Header {
    /// Reads it from the beginning of a device, or from a file that [`write`](Self::write) made.
    ///
    /// # Errors
    /// The operating system's; there is less than a header; there is nothing in it.
    pub fn read(from: &Path) -> io::Result<Self> {
        let file = File::open(from)?;
        let mut blocks = Vec::new();
        let mut start = vec![0; BLOCK];
        file.read_exact_at(&mut start, 0)?;
        let used = used(&start);
        for number in 0..BLOCKS {
            let mut block = vec![0; BLOCK];
            let at = u64::from(number) * BLOCK as u64;
            file.read_exact_at(&mut block, at)?;
            let lies_in = |part: &Range<u64>| part.start < at + BLOCK as u64 && at < part.end;
            if used.as_ref().is_some_and(|used| !used.iter().any(lies_in)) {
                continue;
            }
            if block.iter().any(|byte| *byte != 0) {
                blocks.push((number, block));
            }
        }
        match blocks.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, "the header is empty")),
            false => Ok(Self(blocks)),
        }
    }

    /// Puts it in the place of a file, mode 0600, as `cryptsetup luksHeaderRestore` reads it. After
    /// `Ok` it survives a loss of power.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, to: &Path) -> io::Result<()> {
        let beside = names::beside(to);
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.set_len(BYTES)?;
        for (number, block) in &self.0 {
            file.write_all_at(block, u64::from(*number) * BLOCK as u64)?;
        }
        file.sync_all()?;
        fs::rename(&beside, to)?;
        durable::sync_parent(to)
    }

    /// As bytes: of each block its number, low byte first, and its content.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let block = |(number, block): &(u16, Vec<u8>)| [&number.to_le_bytes()[..], block].concat();
        self.0.iter().flat_map(block).collect()
    }

    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut blocks = Vec::new();
        for block in bytes.chunks(2 + BLOCK) {
            let (number, content) = block.split_first_chunk::<2>()?;
            let number = u16::from_le_bytes(*number);
            if content.len() != BLOCK || number >= BLOCKS {
                return None;
            }
            blocks.push((number, content.to_vec()));
        }
        (!blocks.is_empty()).then_some(Self(blocks))
    }
}

/// The JSON of a LUKS2 header, as far as it says where something is.
#[derive(Deserialize)]
struct Metadata {
    keyslots: BTreeMap<String, KeySlot>,
}

#[derive(Deserialize)]
struct KeySlot {
    area: Area,
}

/// In bytes, as decimal numbers in text.
#[derive(Deserialize)]
struct Area {
    offset: String,
    size: String,
}

/// The parts of a LUKS2 header that are in use: its metadata, twice, and key slots. The rest was
/// filled with noise when it was made. Nothing if that cannot be understood: then all is kept.
fn used(start: &[u8]) -> Option<Vec<Range<u64>>> {
    let is_luks2 = start.starts_with(b"LUKS\xba\xbe\x00\x02");
    let size = u64::from_be_bytes(start.get(8..16)?.try_into().ok()?);
    let json = start.get(METADATA..usize::try_from(size).ok()?).filter(|_| is_luks2)?;
    let end = json.iter().position(|byte| *byte == 0)?;
    let Metadata { keyslots } = serde_json::from_slice(&json[..end]).ok()?;
    let slots = keyslots.into_values().map(|KeySlot { area }| {
        let (offset, size): (u64, u64) = (area.offset.parse().ok()?, area.size.parse().ok()?);
        Some(offset..offset.checked_add(size)?)
    });
    iter::once(Some(0..size.checked_mul(2)?)).chain(slots).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_header_is_kept_as_it_was_and_takes_the_room_of_what_is_written() {
        let root = tempfile::tempdir().unwrap();
        let (device, kept) = (root.path().join("device"), root.path().join("kept"));
        let file = File::create(&device).unwrap();
        file.set_len(BYTES + 12345).unwrap();
        assert!(Header::read(&device).is_err(), "nothing is in it");
        file.write_all_at(b"LUKS", 0).unwrap();
        file.write_all_at(b"slot", BYTES - 4).unwrap();
        file.write_all_at(b"data", BYTES).unwrap();
        let header = Header::read(&device).unwrap();
        header.write(&kept).unwrap();
        header.write(&kept).unwrap();
        assert_eq!(fs::read(&kept).unwrap(), fs::read(&device).unwrap()[..16 << 20]);
        assert!(fs::metadata(&kept).unwrap().blocks() * 512 <= 4 * BLOCK as u64);
        assert_eq!(Header::read(&kept).unwrap(), header);
        let bytes = header.bytes();
        assert_eq!(Header::of(&bytes), Some(header));
        assert_eq!(Header::of(&bytes[1..]), None);
        assert_eq!(Header::of(&[]), None);
        file.set_len(BYTES - 1).unwrap();
        assert!(Header::read(&device).is_err(), "it was cut");
    }

    /// What cryptsetup 2.6.1 wrote as the metadata of a volume, and of one that was erased.
    #[test]
    fn metadata_that_cryptsetup_wrote_is_understood_and_what_is_cut_is_not() {
        let whole = include_str!("../../../testdata/host-output/luks2.json");
        let erased = include_str!("../../../testdata/host-output/luks2-erased.json");
        let start = |json: &str| {
            let mut start = vec![0; BLOCK];
            start[..16].copy_from_slice(b"LUKS\xba\xbe\x00\x02\0\0\0\0\0\0\x40\0");
            start[METADATA..METADATA + json.len()].copy_from_slice(json.as_bytes());
            start
        };
        let parts = [0..32768, 32768..290_816];
        assert_eq!(used(&start(whole)).as_deref(), Some(&parts[..]));
        assert_eq!(used(&start(erased)).as_deref(), Some(&parts[..1]));
        for (end, _) in whole.char_indices() {
            assert_eq!(used(&start(&whole[..end])), None, "cut at {end}");
        }
        for (from, to) in [
            ("\"32768\"", "32768"),
            ("\"258048\"", "\"-1\""),
            ("\"258048\"", "\"18446744073709551615\""),
            ("\"area\"", "\"other\""),
        ] {
            assert_eq!(used(&start(&whole.replace(from, to))), None, "{to}");
        }
        assert_eq!(used(&start(whole)[..METADATA + 100]), None);
    }

    #[test]
    fn of_a_header_full_of_noise_what_is_in_use_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("device");
        fs::write(&device, vec![0xa5; 16 << 20]).unwrap();
        let file = File::options().write(true).open(&device).unwrap();
        let all = Header::read(&device).unwrap();
        assert_eq!(all.0.len(), usize::from(BLOCKS), "what is not understood is kept");
        let write = |json: &str| {
            file.write_all_at(b"LUKS\xba\xbe\x00\x02\x00\x00\x00\x00\x00\x00\x40\x00", 0).unwrap();
            file.write_all_at(json.as_bytes(), METADATA as u64).unwrap();
            file.write_all_at(&[0], (METADATA + json.len()) as u64).unwrap();
            let Header(blocks) = Header::read(&device).unwrap();
            blocks.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
        };
        let slot = |offset: u64, size: u64| {
            format!(
                r#"{{"type":"luks2","area":{{"type":"raw","offset":"{offset}","size":"{size}"}}}}"#
            )
        };
        let json = format!(r#"{{"keyslots":{{"0":{}}},"tokens":{{}}}}"#, slot(32768, 258_048));
        assert_eq!(write(&json), [0, 1, 2, 3, 4]);
        let json = format!(r#"{{"keyslots":{{"1":{}}}}}"#, slot(10 * BLOCK as u64, 1));
        assert_eq!(write(&json), [0, 10]);
        for odd in [r#"{"keyslots":{"0":{}}}"#, "{", &slot(1, 2)] {
            assert_eq!(write(odd).len(), usize::from(BLOCKS), "{odd}");
        }
    }
}
