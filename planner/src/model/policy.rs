//! What may be done: `[policy]` of `tiedown.toml`.

use serde::{Deserialize, Serialize};

/// What volumes of one mount avoid sharing, while there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// A host.
    Host,
    /// A zone, then a host.
    Zone,
    /// Nothing: hosts are filled one after another.
    None,
}

/// How much may be retired or destroyed in 24 hours: the larger of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxLoss {
    /// That many volumes.
    pub count: u32,
    /// That share of the volumes there are, in thousandths.
    pub share_thousandths: u32,
}

/// `[policy]`, with defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Promised bytes per byte of pool, in thousandths. 1000 never oversells.
    pub overcommit_thousandths: u32,
    /// Spread of the volumes of a mount.
    pub spread: Spread,
    /// Limit on loss, per app and per fleet.
    pub max_loss: MaxLoss,
}

impl Default for Policy {
    /// No overselling, spread over hosts, at most 3 volumes or a tenth lost a day.
    fn default() -> Self {
        Self {
            overcommit_thousandths: 1000,
            spread: Spread::Host,
            max_loss: MaxLoss { count: 3, share_thousandths: 100 },
        }
    }
}
