//! Exit codes: one value says how a command ended, and one function makes the code of it.

use serde::Serialize;
use std::process::ExitCode;

/// All that an exit code is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Ending {
    /// It did not work, or was asked for in a way that makes no sense.
    pub(super) errored: bool,
    /// Somebody else holds the lock.
    pub(super) locked: bool,
    /// A guard forbids it, or a permit is wanting.
    pub(super) refused: bool,
    /// The world moved since the plan was made, and nothing was done.
    pub(super) stale: bool,
    /// Some of it was done and some was not.
    pub(super) partly: bool,
    /// A host that matters here could not be read.
    pub(super) incomplete: bool,
    /// Not all that is wanted can be done now.
    pub(super) wanting: bool,
    /// There are changes or there is drift, and that was asked.
    pub(super) changes: bool,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// Done, or nothing to do, and nothing is left wanting.
    Done,
    /// It did not work.
    Error,
    /// There are changes, or drift.
    Changes,
    /// The world moved, nothing was done.
    Stale,
    /// Refused by a guard or for want of a permit.
    Refused,
    /// Somebody else holds the lock.
    Locked,
    /// Partly applied.
    Partly,
    /// A host that matters could not be read.
    Incomplete,
    /// Not all that is wanted can be done now.
    Wanting,
    /// As the program ended that it ran.
    Program(u8),
    /// Ended by ^C.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Ending {
    /// The first that fits.
    #[must_use]
    pub(super) const fn exit(self) -> Exit {
        if self.errored {
            Exit::Error
        } else if self.locked {
            Exit::Locked
        } else if self.refused {
            Exit::Refused
        } else if self.stale {
            Exit::Stale
        } else if self.partly {
            Exit::Partly
        } else if self.incomplete {
            Exit::Incomplete
        } else if self.wanting {
            Exit::Wanting
        } else if self.changes {
            Exit::Changes
        } else {
            Exit::Done
        }
    }
}

impl Exit {
    /// The number.
    #[must_use]
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Stale => 3,
            Self::Refused => 4,
            Self::Locked => 5,
            Self::Partly => 6,
            Self::Incomplete => 7,
            Self::Wanting => 8,
            Self::Program(status) => status,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What the help of all ends with.
pub(super) const TABLE: &str = "\
Exit codes:
  0    done, or nothing to do, and nothing is left wanting
  1    error, also of usage
  2    there are changes (plan --detailed-exitcode), there is drift (drift)
  3    stale: the world moved since the plan was made, nothing done
  4    refused by a guard or for want of a permit
  5    someone else holds the lock
  6    partly applied
  7    incomplete: a host that matters here could not be read
  8    not all that is wanted can be done now; the report says why
  130  interrupted; 143 terminated";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits_in_the_order_of_weight() {
        let mut ending = Ending {
            errored: true,
            locked: true,
            refused: true,
            stale: true,
            partly: true,
            incomplete: true,
            wanting: true,
            changes: true,
        };
        let mut codes = vec![ending.exit().code()];
        let lighten: [fn(&mut Ending); 8] = [
            |e| e.errored = false,
            |e| e.locked = false,
            |e| e.refused = false,
            |e| e.stale = false,
            |e| e.partly = false,
            |e| e.incomplete = false,
            |e| e.wanting = false,
            |e| e.changes = false,
        ];
        for step in lighten {
            step(&mut ending);
            codes.push(ending.exit().code());
        }
        assert_eq!(codes, [1, 5, 4, 3, 6, 7, 8, 2, 0]);
    }
}
