//! The only place that asks what time it is.

use planner::model::time::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by this machine's clock. A clock before 1970 reads as 1970.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
