//! What an "ensure" did. Every act of every port answers with one of these.

use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ensured {
    /// It was not there and now is, or the other way round.
    Made,
    /// It was there and is different now.
    Changed,
    /// It was so before.
    AlreadySo,
}
