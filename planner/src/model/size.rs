//! Bytes of storage or memory. One type, so that nothing is ever counted in anything else.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::iter::Sum;
use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Size(u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size: write a whole number and a unit, such as 512MB, 20GB or 4GiB")]
pub struct SizeError {
    /// The text as given, cut to 80 characters.
    pub text: String,
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// Whether it is no bytes at all.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// From bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// From decimal gigabytes, as `initial_size` counts them.
    #[must_use]
    pub const fn from_gb(gigabytes: u64) -> Self {
        Self(gigabytes.saturating_mul(1_000_000_000))
    }

    /// From binary mebibytes, as `memory` of `[[vm]]` counts them.
    #[must_use]
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Whole mebibytes, rounded down.
    #[must_use]
    pub const fn whole_mib(self) -> u64 {
        self.0 >> 20
    }

    /// The sum, which stops at the largest number there is: too much is never little.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left, or nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The next multiple of `unit`, which must not be zero (a zero unit changes nothing).
    #[must_use]
    pub const fn rounded_up_to(self, unit: Self) -> Self {
        if unit.0 == 0 {
            return self;
        }
        Self(self.0.div_ceil(unit.0).saturating_mul(unit.0))
    }

    /// `self` × a factor of thousandths, rounded down.
    #[must_use]
    pub const fn times_thousandths(self, thousandths: u64) -> Self {
        let product = (self.0 as u128 * thousandths as u128) / 1000;
        if product > u64::MAX as u128 { Self(u64::MAX) } else { Self(product as u64) }
    }

    /// Reads `20GB` (decimal), `4GiB` (binary), `1048576B`; units in any case, one space allowed.
    ///
    /// # Errors
    /// [`SizeError`] for anything else, also for a bare number: its unit would be a guess.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let error = || SizeError { text: text.chars().take(80).collect() };
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let number: u64 = number.parse().map_err(|_| error())?;
        let (_, scale) =
            UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).ok_or_else(error)?;
        number.checked_mul(*scale).map(Self).ok_or_else(error)
    }
}

const GB: u64 = 1_000_000_000;

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().filter(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale));
        let text = match whole.max_by_key(|(_, scale)| *scale) {
            // Any other number, such as 9540MiB, reads better as a fraction of a larger unit. A
            // manifest's 1gb, rounded up to extents, is 956MiB, and reads as the 1GB it was.
            Some((unit, scale))
                if *scale > 1 && self.0 / scale < 1024 && (self.0 < GB || *scale >= GB) =>
            {
                format!("{}{unit}", self.0 / scale)
            }
            _ => approximate(self.0),
        };
        f.pad(&text)
    }
}

fn approximate(bytes: u64) -> String {
    for (unit, scale) in [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000)] {
        if bytes >= scale {
            let tenths = bytes / (scale / 10);
            return match tenths % 10 {
                0 => format!("{}{unit}", tenths / 10),
                rest => format!("{}.{rest}{unit}", tenths / 10),
            };
        }
    }
    if bytes == 0 { "0B".to_string() } else { format!("{bytes}B") }
}

impl Sum for Size {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_both_kinds_of_unit() {
        for (text, bytes) in
            [("20GB", 20_000_000_000), ("4GiB", 4 << 30), ("1 mb", 1_000_000), ("7B", 7)]
        {
            assert_eq!(Size::parse(text).unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "20", "GB", "1.5GB", "-1GB", "20 gigs", "99999999999TB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        for text in ["20GB", "4GiB", "512MiB", "1TB"] {
            assert_eq!(Size::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Size::from_bytes(1_500_000_001).to_string(), "1.5GB");
        assert_eq!(Size::ZERO.to_string(), "0B");
    }

    #[test]
    fn rounding_goes_up() {
        let extent = Size::from_mib(4);
        assert_eq!(Size::from_bytes(1).rounded_up_to(extent), extent);
        assert_eq!(extent.rounded_up_to(extent), extent);
    }
}
