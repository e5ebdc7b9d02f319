//! Sizes as flyctl reads them: a bare number is already in the target unit, suffixes are decimal
//! for volumes and binary for memory, and what is left over is cut off.

/// What a size is of; it decides the factors and the unit counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Counted in gigabytes of 10⁹ bytes; `GiB` means the same as `GB`.
    Volume,
    /// Counted in mebibytes of 2²⁰ bytes; `GB` means the same as `GiB`.
    Memory,
}

/// Why a text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// No number to begin with, or a negative one with a unit.
    #[error("it does not begin with a number")]
    NotANumber,
    /// Letters after the number that are no unit.
    #[error("its unit is none of B, KB, MB, GB, TB, PB (or KiB and so on)")]
    UnknownUnit,
    /// More bytes than can be counted.
    #[error("it is too large")]
    TooLarge,
}

const SUFFIXES: [(u8, i32); 5] = [(b'k', 1), (b'm', 2), (b'g', 3), (b't', 4), (b'p', 5)];

impl Quantity {
    /// Reads a size in the unit of this quantity, rounded down; negative only for a bare number.
    ///
    /// # Errors
    /// [`QuantityError`]: the same texts that flyctl refuses.
    pub fn parse(self, text: &str) -> Result<i64, QuantityError> {
        if let Some(number) = integer(text) {
            return Ok(number);
        }
        let bytes = self.bytes(text)?;
        Ok(match self {
            Self::Volume => bytes / 1_000_000_000,
            Self::Memory => bytes >> 20,
        })
    }

    /// Whether something of the size is lost by rounding down to the unit of this quantity.
    #[must_use]
    pub fn is_cut(self, text: &str) -> bool {
        let unit = match self {
            Self::Volume => 1_000_000_000,
            Self::Memory => 1 << 20,
        };
        integer(text).is_none() && self.bytes(text).is_ok_and(|bytes| bytes % unit != 0)
    }

    fn bytes(self, text: &str) -> Result<i64, QuantityError> {
        let end = text
            .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
            .ok_or(QuantityError::NotANumber)?;
        let suffix = &text[end + 1..];
        let number = if text.as_bytes()[end] == b' ' { &text[..end] } else { &text[..=end] };
        let mut size = float(number).ok_or(QuantityError::NotANumber)?;
        if size < 0.0 {
            return Err(QuantityError::NotANumber);
        }
        size *= self.factor(suffix)?;
        if size >= 9.2e18 {
            return Err(QuantityError::TooLarge);
        }
        // Cut towards zero, as Go does; the range was checked above.
        Ok(size as i64)
    }

    fn factor(self, suffix: &str) -> Result<f64, QuantityError> {
        let suffix = suffix.to_ascii_lowercase();
        let Some((first, rest)) = suffix.as_bytes().split_first() else { return Ok(1.0) };
        if *first == b'b' {
            return if rest.is_empty() { Ok(1.0) } else { Err(QuantityError::UnknownUnit) };
        }
        let found = SUFFIXES.iter().find(|(letter, _)| letter == first);
        let (_, power) = found.ok_or(QuantityError::UnknownUnit)?;
        if !matches!(rest, b"" | b"b" | b"ib") {
            return Err(QuantityError::UnknownUnit);
        }
        let base = match self {
            Self::Volume => 1000.0,
            Self::Memory => 1024.0,
        };
        Ok((0..*power).fold(1.0, |factor, _| factor * base))
    }
}

/// What Go's `strconv.Atoi` reads: a sign and digits, nothing else.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// What Go's `strconv.ParseFloat` reads of decimal numbers: underscores may part digits.
fn float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    for (index, byte) in bytes.iter().enumerate() {
        let fits = match byte {
            b'_' => index > 0 && digit(index - 1) && digit(index + 1),
            b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E' => true,
            _ => false,
        };
        if !fits {
            return None;
        }
    }
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, gigabytes of a volume, mebibytes of memory.
    const GOOD: [(&str, i64, i64); 24] = [
        ("10", 10, 10),
        ("10gb", 10, 10240),
        ("10GB", 10, 10240),
        ("10 GB", 10, 10240),
        ("10g", 10, 10240),
        ("10GiB", 10, 10240),
        ("10gib", 10, 10240),
        ("1.5gb", 1, 1536),
        ("1500mb", 1, 1500),
        ("999mb", 0, 999),
        ("1tb", 1000, 1_048_576),
        ("0.5tb", 500, 524_288),
        ("10b", 0, 0),
        ("-5", -5, -5),
        ("1e3gb", 1000, 1_024_000),
        ("1_000", 0, 0),
        ("+5", 5, 5),
        ("+5gb", 5, 5120),
        ("10kb", 0, 0),
        ("500GB", 500, 512_000),
        ("1.999999999gb", 1, 2047),
        ("1.5", 0, 0),
        ("1pb", 1_000_000, 1 << 30),
        ("10 ", 0, 0),
    ];

    #[test]
    fn reads_what_flyctl_reads() {
        for (text, volume, memory) in GOOD {
            assert_eq!(Quantity::Volume.parse(text), Ok(volume), "volume {text:?}");
            assert_eq!(Quantity::Memory.parse(text), Ok(memory), "memory {text:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_known() {
        for (text, cut) in
            [("10", false), ("10GB", false), ("1500mb", true), ("1.5gb", true), ("2000mb", false)]
        {
            assert_eq!(Quantity::Volume.is_cut(text), cut, "{text}");
        }
        assert!(!Quantity::Memory.is_cut("1.5gb") && Quantity::Memory.is_cut("1500kb"));
    }

    #[test]
    fn refuses_what_flyctl_refuses() {
        use QuantityError::{NotANumber, TooLarge, UnknownUnit};
        for (text, error) in [
            ("", NotANumber),
            ("gb", NotANumber),
            (" 5gb", NotANumber),
            ("5gb ", NotANumber),
            ("-5gb", NotANumber),
            ("0x10", NotANumber),
            ("1__0gb", NotANumber),
            ("5  gb", NotANumber),
            ("inf5", NotANumber),
            ("10gbb", UnknownUnit),
            ("10eb", UnknownUnit),
            ("10bb", UnknownUnit),
            ("10gé", UnknownUnit),
            ("1e30gb", TooLarge),
        ] {
            assert_eq!(Quantity::Volume.parse(text), Err(error), "{text:?}");
        }
    }
}
