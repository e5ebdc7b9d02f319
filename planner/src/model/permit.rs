//! What a human has explicitly allowed. Each permit is a value that only a flag or the daemon's
//! policy mints, so that a dangerous path cannot be entered by accident.

/// Allows one kind of dangerous change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permit {
    /// `--allow-destroy`: volumes whose retention has passed are destroyed.
    Destroy,
    /// `volumes destroy VOLUME`: a volume that was to be retained until a person destroys it is
    /// destroyed, for a person named it. Never more than one in a plan.
    Retained,
    /// `--allow-empty`: a slot may start on an empty volume in place of one with data, and a
    /// fleet whose records are gone may start anew.
    Empty,
    /// `--retry`: a release that failed is tried again.
    Retry,
}

/// The permits of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permits {
    destroy: bool,
    retained: bool,
    empty: bool,
    retry: bool,
}

impl Permits {
    /// Nothing is allowed.
    pub const NONE: Self = Self { destroy: false, retained: false, empty: false, retry: false };

    /// These, and one more. Called where flags are read, and nowhere else.
    #[must_use]
    pub const fn grant(mut self, permit: Permit) -> Self {
        match permit {
            Permit::Destroy => self.destroy = true,
            Permit::Retained => self.retained = true,
            Permit::Empty => self.empty = true,
            Permit::Retry => self.retry = true,
        }
        self
    }

    /// Whether it is allowed.
    #[must_use]
    pub const fn has(self, permit: Permit) -> bool {
        match permit {
            Permit::Destroy => self.destroy,
            Permit::Retained => self.retained,
            Permit::Empty => self.empty,
            Permit::Retry => self.retry,
        }
    }
}
