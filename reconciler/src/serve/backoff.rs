//! How long to wait before something is tried again: twice as long after each failure in a row,
//! up to a limit, and a fifth more or less.

use std::time::Duration;

/// The wait after so many failures in a row, from 1. `jitter` is from 0 to 1.
#[must_use]
pub fn delay(first: Duration, longest: Duration, failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let plain = first.saturating_mul(1 << doublings).min(longest);
    plain.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

/// A random number from 0 to 1; in the middle where the system gives none.
#[must_use]
pub fn jitter() -> f64 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(4) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Ok(_) | Err(_) => 0.5,
    }
}

/// Failures in a row, and when to try again.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// After nothing failed yet.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// It failed once more: how long to wait.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        delay(self.first, self.longest, self.failures, jitter())
    }

    /// It went well.
    pub const fn went_well(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_begin_anew() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        let plain = |failures| delay(first, longest, failures, 0.5).as_secs();
        let waits: Vec<u64> = [1, 2, 3, 6, 7, 40, u32::MAX].map(plain).into();
        assert_eq!(waits, [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(delay(first, longest, 3, 0.0), Duration::from_millis(3200));
        assert_eq!(delay(first, longest, 3, 1.0), Duration::from_millis(4800));
        let mut backoff = Backoff::new(first, longest);
        let fifth = |about: u64, wait: Duration| {
            let (least, most) = (about as f64 * 0.799, about as f64 * 1.201);
            (least..most).contains(&wait.as_secs_f64())
        };
        assert!(fifth(1, backoff.failed()) && fifth(2, backoff.failed()));
        backoff.went_well();
        assert!(fifth(1, backoff.failed()));
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
