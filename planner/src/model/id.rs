//! Identities that are derived, never drawn: the same things always have the same ids, so a
//! crashed apply and its successor speak of the same objects.

use super::name::{FleetName, SourceName};
use super::release::Release;
use super::slot::SlotId;
use super::time::Timestamp;
use super::volume::VolumeKind;
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use smol_str::{SmolStr, format_smolstr};

/// Lower-case hexadecimal SHA-256 of length-prefixed parts, so that no two lists of parts meet.
#[must_use]
pub fn digest_of(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "SmolStr", into = "SmolStr")]
        pub struct $type(SmolStr);

        impl $type {
            /// Reads an id that was written down before.
            ///
            /// # Errors
            /// [`IdError`] if it cannot be one: wrong prefix, length or characters. What passes
            /// is safe as a file name.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let tail = text.strip_prefix($prefix);
                let fits = |tail: &str| {
                    (8..=64).contains(&tail.len())
                        && tail.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
                };
                match tail {
                    Some(tail) if fits(tail) => Ok(Self(text.into())),
                    _ => Err(IdError { kind: $kind, text: text.chars().take(80).collect() }),
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<SmolStr> for $type {
            type Error = IdError;
            fn try_from(text: SmolStr) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for SmolStr {
            fn from(id: $type) -> Self {
                id.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id!(
    /// One volume for ever: `vol_` and 16 hexadecimal digits.
    VolumeId,
    "volume id",
    "vol_"
);
id!(
    /// One running copy of a group: 14 hexadecimal digits, the shape of Fly's machine ids.
    InstanceId,
    "instance id",
    ""
);
id!(
    /// A pool's identity, given when it was made: a uuid.
    PoolId,
    "pool id",
    ""
);
id!(
    /// A machine's identity, such as systemd's machine-id: hexadecimal.
    MachineId,
    "machine id",
    ""
);

impl VolumeId {
    /// The id of one incarnation of a slot's volume in a pool. A destroyed id never returns,
    /// because incarnations only grow.
    #[must_use]
    pub fn derive(
        fleet: &FleetName,
        slot: &SlotId,
        source: &SourceName,
        pool: &PoolId,
        incarnation: Incarnation,
    ) -> Self {
        let slot = slot.to_string();
        let digest = digest_of(&[
            b"volume",
            fleet.as_str().as_bytes(),
            slot.as_bytes(),
            source.as_str().as_bytes(),
            pool.as_str().as_bytes(),
            &incarnation.0.to_le_bytes(),
        ]);
        Self(format_smolstr!("vol_{}", &digest[..16]))
    }
}

impl VolumeId {
    /// The id of a snapshot or clone of a volume. `name` sets it apart from other copies; `at` is
    /// when the host was seen without it, so that a name can be used again and the id does not
    /// return.
    #[must_use]
    pub fn of_copy(of: &Self, kind: VolumeKind, name: &str, at: Timestamp) -> Self {
        let digest = digest_of(&[
            b"copy",
            of.0.as_bytes(),
            kind.as_str().as_bytes(),
            name.as_bytes(),
            &at.0.to_le_bytes(),
        ]);
        Self(format_smolstr!("vol_{}", &digest[..16]))
    }
}

impl InstanceId {
    /// The id of a slot's instance in a role, of one release.
    #[must_use]
    pub fn derive(
        fleet: &FleetName,
        slot: &SlotId,
        role: super::instance::Role,
        release: &Release,
    ) -> Self {
        let slot = slot.to_string();
        let digest = digest_of(&[
            b"instance",
            fleet.as_str().as_bytes(),
            slot.as_bytes(),
            role.as_str().as_bytes(),
            release.as_str().as_bytes(),
        ]);
        Self(digest[..14].into())
    }
}

impl PoolId {
    /// The identity that a plan gives a pool that it makes: a uuid of version 8 (RFC 9562),
    /// derived from the fleet, the host, its machine and the moment it was seen to have none.
    #[must_use]
    pub fn derive(
        fleet: &FleetName,
        host: &super::name::HostName,
        machine: &MachineId,
        seen_at: Timestamp,
    ) -> Self {
        let hex = digest_of(&[
            b"pool",
            fleet.as_str().as_bytes(),
            host.as_str().as_bytes(),
            machine.as_str().as_bytes(),
            &seen_at.0.to_le_bytes(),
        ]);
        let uuid = format_smolstr!(
            "{}-{}-8{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..15],
            &hex[15..18],
            &hex[18..30]
        );
        Self(uuid)
    }
}

/// Which life of a slot's volume, from 1; only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u32);

impl Incarnation {
    /// The first life.
    pub const FIRST: Self = Self(1);

    /// The life after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_every_part_and_on_their_borders() {
        assert_ne!(digest_of(&[b"ab", b"c"]), digest_of(&[b"a", b"bc"]));
        let fleet = FleetName::new("f").unwrap();
        let slot: SlotId = "web/app/ewr/1".parse().unwrap();
        let source = SourceName::new("data").unwrap();
        let pool = PoolId::parse("01234567-89ab").unwrap();
        let first = VolumeId::derive(&fleet, &slot, &source, &pool, Incarnation::FIRST);
        let second = VolumeId::derive(&fleet, &slot, &source, &pool, Incarnation::FIRST.next());
        assert_ne!(first, second);
        let copy = |kind, name, at| VolumeId::of_copy(&first, kind, name, Timestamp(at));
        let snapshot = copy(VolumeKind::Snapshot, "a", 1);
        assert_ne!(snapshot, copy(VolumeKind::Clone, "a", 1));
        assert_ne!(snapshot, copy(VolumeKind::Snapshot, "b", 1));
        assert_ne!(snapshot, copy(VolumeKind::Snapshot, "a", 2));
        assert_eq!(VolumeId::parse(first.as_str()).unwrap(), first);
        assert!(VolumeId::parse("vol_../../etc").is_err());
    }
}
