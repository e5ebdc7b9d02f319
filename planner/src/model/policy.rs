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

/// What is done about something that moved by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// It is neither named nor set right.
    Ignore,
    /// It is named, and left as it is.
    Warn,
    /// It is named, and the plan sets it right.
    Heal,
}

/// `[policy.drift]`: per field, what is done when hosts have something else than was applied and
/// nobody asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DriftPolicy {
    /// Instances that ended or are gone, volumes that are not attached.
    pub state: OnDrift,
    /// Instances of another release.
    pub release: OnDrift,
    /// Caps of volumes.
    pub size: OnDrift,
    /// How instances are kept running.
    pub supervision: OnDrift,
    /// Marks of volumes: slot, name, retention, protection.
    pub marks: OnDrift,
}

impl Default for DriftPolicy {
    /// All is set right that can be.
    fn default() -> Self {
        Self {
            state: OnDrift::Heal,
            release: OnDrift::Heal,
            size: OnDrift::Heal,
            supervision: OnDrift::Heal,
            marks: OnDrift::Heal,
        }
    }
}

/// `auto` of `[policy]`: what may happen without a person who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// Nothing: all that a pass would change waits for an approval.
    None,
    /// What takes nothing away: no volume is put away, destroyed, started empty or less protected,
    /// and no slot removed.
    #[default]
    Safe,
    /// All that a plan may hold without a permit.
    All,
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
    /// What is done about drift.
    #[serde(default)]
    pub drift: DriftPolicy,
    /// What may happen by itself.
    #[serde(default)]
    pub auto: Auto,
}

impl Default for Policy {
    /// No overselling, spread over hosts, at most 3 volumes or a tenth lost a day.
    fn default() -> Self {
        Self {
            overcommit_thousandths: 1000,
            spread: Spread::Host,
            max_loss: MaxLoss { count: 3, share_thousandths: 100 },
            drift: DriftPolicy::default(),
            auto: Auto::default(),
        }
    }
}
