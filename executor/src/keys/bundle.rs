//! Keys of a fleet's volumes and copies of their headers in one file, sealed with a passphrase, to
//! be kept elsewhere. A line each, so that its size is no matter; lines cannot be left out,
//! exchanged or brought into another order unnoticed.

use super::header::Header;
use super::passphrase::{Derivation, Passphrase};
use super::seal::sealed_by;
use super::{KEY_BYTES, Key, KeyError};
use crate::cipher::{Cipher, Envelope};
use data_encoding::BASE64;
use planner::model::id::VolumeId;
use planner::model::name::{FleetName, HostName};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use zeroize::Zeroizing;

/// The format.
const VERSION: u32 = 1;

/// Why a bundle cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It was altered or cut, or is none at all.
    #[error("this is not a whole bundle of keys: {why}")]
    Broken {
        /// What is wrong.
        why: String,
    },
    /// The passphrase is another one, or the first line was altered.
    #[error("the passphrase does not open this bundle")]
    Passphrase,
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The operating system refused.
    #[error("reading or writing the bundle")]
    Io(#[from] io::Error),
}

/// What is kept of one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose pool it is in.
    pub host: HostName,
    /// Which volume.
    pub volume: VolumeId,
    /// Its key.
    pub key: Key,
    /// A copy of its header, if there is one.
    pub header: Option<Header>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    tiedown_keys: u32,
    fleet: FleetName,
    derivation: Derivation,
    /// Nothing, sealed: whether the passphrase is right is known at once.
    sealed: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Entry { host: HostName, volume: VolumeId, sealed: String },
    End { entries: u64, sealed: String },
}

fn bound_to(fleet: &FleetName, what: &str) -> String {
    format!("tiedown key bundle {VERSION}\0{fleet}\0{what}")
}

fn bound_to_entry(fleet: &FleetName, number: u64, host: &HostName, volume: &VolumeId) -> String {
    bound_to(fleet, &format!("entry {number}\0{host}\0{volume}"))
}

fn seal(cipher: &Cipher, bound_to: &str, secret: &[u8]) -> Result<String, KeyError> {
    let Envelope { nonce, sealed } = sealed_by(cipher, bound_to, secret)?;
    Ok(BASE64.encode(&[nonce, sealed].concat()))
}

fn open(cipher: &Cipher, bound_to: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = BASE64.decode(sealed.as_bytes()).ok()?;
    cipher.open(bound_to, &Envelope::of(&bytes)?)
}

/// Writes a bundle, one entry after another as it comes. Says how many there were.
///
/// # Errors
/// Any [`BundleError`] but `Broken`.
pub fn write(
    out: &mut dyn Write,
    fleet: &FleetName,
    passphrase: &Passphrase,
    entries: impl Iterator<Item = Result<Entry, BundleError>>,
) -> Result<u64, BundleError> {
    let derivation = Derivation::draw()?;
    let cipher = Cipher::of(&derivation.key(&passphrase.read()?)?);
    let sealed = seal(&cipher, &bound_to(fleet, "head"), &[])?;
    line(out, &Head { tiedown_keys: VERSION, fleet: fleet.clone(), derivation, sealed })?;
    let mut number = 0;
    for entry in entries {
        let Entry { host, volume, key, header } = entry?;
        let mut secret = key.expose();
        secret.extend(header.iter().flat_map(Header::bytes));
        let sealed = seal(&cipher, &bound_to_entry(fleet, number, &host, &volume), &secret)?;
        line(out, &Line::Entry { host, volume, sealed })?;
        number += 1;
    }
    let sealed = seal(&cipher, &bound_to(fleet, &format!("end {number}")), &[])?;
    line(out, &Line::End { entries: number, sealed })?;
    out.flush()?;
    Ok(number)
}

fn line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// A bundle that is read.
#[derive(Debug)]
pub struct Bundle<R> {
    input: R,
    cipher: Cipher,
    /// Whose volumes they are.
    pub fleet: FleetName,
    /// Entries that were read.
    number: u64,
    ended: bool,
}

impl<R: BufRead> Bundle<R> {
    /// Opens a bundle; its entries come from [`Iterator`].
    ///
    /// # Errors
    /// Any [`BundleError`].
    pub fn open(mut input: R, passphrase: &Passphrase) -> Result<Self, BundleError> {
        let head: Head = parse(&next(&mut input)?)?;
        let Head { tiedown_keys, fleet, derivation, sealed } = head;
        if tiedown_keys != VERSION {
            return Err(broken(format!("it has format {tiedown_keys}, not {VERSION}")));
        }
        let cipher = Cipher::of(&derivation.key(&passphrase.read()?)?);
        match open(&cipher, &bound_to(&fleet, "head"), &sealed) {
            Some(_) => Ok(Self { input, cipher, fleet, number: 0, ended: false }),
            None => Err(BundleError::Passphrase),
        }
    }

    fn entry(&mut self) -> Result<Option<Entry>, BundleError> {
        let altered = || broken(format!("line {} was altered or moved", self.number + 2));
        match parse(&next(&mut self.input)?)? {
            Line::Entry { host, volume, sealed } => {
                let bound_to = bound_to_entry(&self.fleet, self.number, &host, &volume);
                let secret = open(&self.cipher, &bound_to, &sealed).ok_or_else(altered)?;
                let (key, header) = secret.split_at_checked(KEY_BYTES).ok_or_else(altered)?;
                let key = Key::new(key.to_vec().into()).ok_or_else(altered)?;
                let header = match header {
                    [] => None,
                    bytes => Some(Header::of(bytes).ok_or_else(altered)?),
                };
                self.number += 1;
                Ok(Some(Entry { host, volume, key, header }))
            }
            Line::End { entries, sealed } => {
                let bound_to = bound_to(&self.fleet, &format!("end {entries}"));
                open(&self.cipher, &bound_to, &sealed).ok_or_else(altered)?;
                match entries == self.number {
                    true => Ok(None),
                    false => Err(broken(format!("{} entries of {entries} are there", self.number))),
                }
            }
        }
    }
}

impl<R: BufRead> Iterator for Bundle<R> {
    type Item = Result<Entry, BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.entry();
        self.ended = !matches!(entry, Ok(Some(_)));
        entry.transpose()
    }
}

fn next(input: &mut impl BufRead) -> Result<String, BundleError> {
    let mut text = String::new();
    match input.read_line(&mut text) {
        Ok(_) if text.ends_with('\n') => Ok(text),
        Ok(_) => Err(broken("it ends too early".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(broken("it is not text".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

fn parse<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, BundleError> {
    serde_json::from_str(text).map_err(|error| broken(error.to_string()))
}

const fn broken(why: String) -> BundleError {
    BundleError::Broken { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::Given(text.as_bytes().to_vec().into())
    }

    fn entry(number: u8, header: bool) -> Entry {
        let block = [&[0, 0][..], &[number; 64 * 1024]].concat();
        Entry {
            host: "ewr-1".parse().unwrap(),
            volume: VolumeId::parse(&format!("vol_{number:016x}")).unwrap(),
            key: Key::new(vec![number; KEY_BYTES].into()).unwrap(),
            header: header.then(|| Header::of(&block).unwrap()),
        }
    }

    fn written() -> (Vec<Entry>, String) {
        let entries = vec![entry(1, true), entry(2, false), entry(3, true)];
        let mut bytes = Vec::new();
        let fleet = "prod".parse().unwrap();
        let each = entries.iter().cloned().map(Ok);
        let count = write(&mut bytes, &fleet, &passphrase("sesame"), each).unwrap();
        assert_eq!(count, 3);
        (entries, String::from_utf8(bytes).unwrap())
    }

    fn read(text: &str) -> Result<Vec<Entry>, BundleError> {
        Bundle::open(text.as_bytes(), &passphrase("sesame"))?.collect()
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written_with_its_passphrase_alone() {
        let (entries, text) = written();
        assert_eq!(read(&text).unwrap(), entries);
        let other = Bundle::open(text.as_bytes(), &passphrase("sesam"));
        assert!(matches!(other, Err(BundleError::Passphrase)));
        assert!(!text.contains(&BASE64.encode(&[1; 48])), "a key is readable");
    }

    #[test]
    fn a_bundle_that_was_altered_is_refused() {
        let (_, text) = written();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let order = |order: &[usize]| order.iter().map(|at| lines[*at]).collect::<String>();
        for kept in [&[0, 1, 2, 3][..], &[0, 1, 2, 4], &[0, 2, 1, 3, 4], &[0, 1, 1, 2, 3, 4], &[]] {
            assert!(read(&order(kept)).is_err(), "{kept:?}");
        }
        for (from, to) in [
            ("ewr-1", "ewr-2"),
            ("vol_0000000000000002", "vol_0000000000000004"),
            ("\"entries\":3", "\"entries\":2"),
            ("prod", "dev"),
            ("\"passes\":3", "\"passes\":2"),
            ("\"memory_kib\":65536", "\"memory_kib\":4294967295"),
        ] {
            assert_ne!(text.replacen(from, to, 1), text, "{from}");
            assert!(read(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(read(&text[..text.len() - 1]).is_err(), "cut");
    }
}
