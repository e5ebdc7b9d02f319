//! Moments and spans. The planner has no clock: the only moments it knows were observed.

use alloc::format;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01 UTC, by the clock of whoever observed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The span from `earlier` to this moment; nothing if the clock went backwards.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0).saturating_mul(1000))
    }
}

/// A span of time in milliseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// From whole days.
    #[must_use]
    pub const fn from_days(days: u64) -> Self {
        Self::from_secs(days.saturating_mul(86_400))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut rest = self.0;
        for (unit, scale) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
            if rest >= scale {
                text += &format!("{}{unit}", rest / scale);
                rest %= scale;
            }
        }
        if rest > 0 || text.is_empty() {
            text += &format!("{rest}ms");
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn spans_read_as_people_write_them() {
        assert_eq!(Millis::from_days(7).to_string(), "7d");
        assert_eq!(Millis(90_500).to_string(), "1m30s500ms");
        assert_eq!(Millis(0).to_string(), "0ms");
        assert_eq!(Timestamp(5).since(Timestamp(9)), Millis(0));
    }
}
