//! Durations as Go writes and reads them: `1h2m3.5s`, to the nanosecond.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Serialize, Serializer};

/// A span of time in nanoseconds, as flyctl holds it; negative ones can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(i64);

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("it is empty")]
    Empty,
    /// A number without `ns`, `us`, `ms`, `s`, `m` or `h` after it.
    #[error("a unit is missing")]
    MissingUnit,
    /// Letters that are no unit of Go, such as `d`.
    #[error("it has a unit other than ns, us, ms, s, m and h")]
    UnknownUnit,
    /// Something else than numbers with units.
    #[error("it is not numbers with units")]
    Malformed,
    /// More than about 292 years.
    #[error("it is too long")]
    TooLong,
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, the micro sign
    ("μs", 1_000), // U+03BC, the Greek letter
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Duration {
    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds; more than about 292 years wraps as it does in Go.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.wrapping_mul(1_000_000_000))
    }

    /// From whole milliseconds; more than about 292 years wraps as it does in Go.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.wrapping_mul(1_000_000))
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds, rounded towards zero.
    #[must_use]
    pub const fn whole_millis(self) -> i64 {
        self.0 / 1_000_000
    }

    /// Reads what Go's `time.ParseDuration` reads.
    ///
    /// # Errors
    /// [`DurationError`] for an empty text, a bare number other than `0`, an unknown unit and
    /// anything longer than about 292 years.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(DurationError::Empty);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (part, after) = part(rest)?;
            total = total.checked_add(part).ok_or(DurationError::TooLong)?;
            rest = after;
        }
        if negative {
            // The most negative number has no positive twin.
            return 0i64.checked_sub_unsigned(total).map(Self).ok_or(DurationError::TooLong);
        }
        i64::try_from(total).map(Self).map_err(|_| DurationError::TooLong)
    }
}

/// One number with its unit, and the text after it.
fn part(text: &str) -> Result<(u64, &str), DurationError> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let (number, rest) = text.split_at(whole);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if number.is_empty() && fraction.is_empty() {
        return Err(DurationError::Malformed);
    }
    let letters = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(letters);
    if unit.is_empty() {
        return Err(DurationError::MissingUnit);
    }
    let (_, scale) =
        UNITS.iter().find(|(name, _)| *name == unit).ok_or(DurationError::UnknownUnit)?;
    let number: u64 = match number {
        "" => 0,
        digits => digits.parse().map_err(|_| DurationError::TooLong)?,
    };
    let nanos = number.checked_mul(*scale).ok_or(DurationError::TooLong)?;
    nanos
        .checked_add(fraction_of(fraction, *scale))
        .map(|sum| (sum, after))
        .ok_or(DurationError::TooLong)
}

/// `0.digits` × scale, rounded down; digits beyond the nanosecond count for nothing.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let mut sum: u128 = 0;
    let mut unit: u128 = 1;
    for digit in digits.bytes().take(18) {
        sum = sum * 10 + u128::from(digit - b'0');
        unit *= 10;
    }
    u64::try_from(sum * u128::from(scale) / unit).unwrap_or(u64::MAX)
}

impl fmt::Display for Duration {
    /// As Go's `Duration.String` writes it: `5m0s`, `1.5s`, `300ns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = match nanos {
            0 => "0s".to_string(),
            1..1_000 => format!("{sign}{nanos}ns"),
            1_000..1_000_000 => format!("{sign}{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
                match (minutes / 60, minutes % 60) {
                    (0, 0) => format!("{sign}{seconds}s"),
                    (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                    (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
                }
            }
        };
        f.pad(&text)
    }
}

/// `value / scale` in full, without zeros at the end.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, part) = (value / scale, value % scale);
    if part == 0 {
        return whole.to_string();
    }
    // The scale is a power of ten: its zeros are the digits after the point.
    let width = scale.ilog10() as usize;
    let digits = format!("{part:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_as_go_does() {
        for (text, nanos, written) in [
            ("1h2m3.5s", 3_723_500_000_000, "1h2m3.5s"),
            ("300ms", 300_000_000, "300ms"),
            ("5m", 300_000_000_000, "5m0s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("10us", 10_000, "10µs"),
            ("10µs", 10_000, "10µs"),
            ("10μs", 10_000, "10µs"),
            ("1.5us", 1_500, "1.5µs"),
            ("300ns", 300, "300ns"),
            (".5s", 500_000_000, "500ms"),
            ("1.s", 1_000_000_000, "1s"),
            ("-5s", -5_000_000_000, "-5s"),
            ("+5s", 5_000_000_000, "5s"),
            ("0", 0, "0s"),
            ("-0", 0, "0s"),
            ("0s", 0, "0s"),
            ("100h", 360_000_000_000_000, "100h0m0s"),
            ("0.0000000001s", 0, "0s"),
            ("1h1ns", 3_600_000_000_001, "1h0m0.000000001s"),
        ] {
            let read = Duration::parse(text).unwrap();
            assert_eq!(read.nanos(), nanos, "{text}");
            assert_eq!(read.to_string(), written, "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for (text, error) in [
            ("", DurationError::Empty),
            ("-", DurationError::Empty),
            ("300", DurationError::MissingUnit),
            ("5", DurationError::MissingUnit),
            ("1m30", DurationError::MissingUnit),
            ("1d", DurationError::UnknownUnit),
            ("5 s", DurationError::UnknownUnit),
            ("5S", DurationError::UnknownUnit),
            ("s", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("9999999h", DurationError::TooLong),
            ("99999999999999999999s", DurationError::TooLong),
        ] {
            assert_eq!(Duration::parse(text), Err(error), "{text}");
        }
    }
}
