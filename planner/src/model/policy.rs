//! What may be done: `[policy]` of `tiedown.toml`.

use super::observed::Fill;
use alloc::format;
use alloc::string::String;
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

/// How full a pool may become before nothing more is made, copied or grown in it: a pool that is
/// full fails writes of every volume in it, and one that is full of metadata fails all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fullness {
    /// Of the room for data, in thousandths.
    pub data_thousandths: u32,
    /// Of the room for metadata, in thousandths.
    pub metadata_thousandths: u32,
    /// So many thousandths before those it is told.
    pub warned_thousandths: u32,
}

impl Default for Fullness {
    /// Data 85 %, metadata 75 %, told 15 % before.
    fn default() -> Self {
        Self { data_thousandths: 850, metadata_thousandths: 750, warned_thousandths: 150 }
    }
}

impl Fullness {
    /// Why nothing more is put into a pool that is as full, in words that follow its name; nothing
    /// if it may take more.
    #[must_use]
    pub fn excess(&self, fill: Fill) -> Option<String> {
        let (what, now, most) = self.parts(fill).into_iter().find(|(_, now, most)| now >= most)?;
        let (now, most) = (percent(now), percent(most));
        Some(format!("has {now} of its {what} in use, and takes nothing more from {most} on"))
    }

    /// What is to be told of a pool that is nearly as full.
    #[must_use]
    pub fn nearly(&self, fill: Fill) -> Option<String> {
        let near = |(_, now, most): &(&str, u32, u32)| {
            now.saturating_add(self.warned_thousandths) >= *most && now < most
        };
        let (what, now, most) = self.parts(fill).into_iter().find(near)?;
        let (now, most) = (percent(now), percent(most));
        Some(format!("has {now} of its {what} in use; from {most} on it takes nothing more"))
    }

    const fn parts(&self, fill: Fill) -> [(&'static str, u32, u32); 2] {
        [
            ("data", fill.data, self.data_thousandths),
            ("metadata", fill.metadata, self.metadata_thousandths),
        ]
    }
}

fn percent(thousandths: u32) -> String {
    match thousandths % 10 {
        0 => format!("{} %", thousandths / 10),
        tenths => format!("{}.{tenths} %", thousandths / 10),
    }
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
    /// How full pools may become.
    #[serde(default)]
    pub full: Fullness,
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
            full: Fullness::default(),
            auto: Auto::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_told_of_before_it_is_full_and_by_what_it_is() {
        let full = Fullness::default();
        let of = |data, metadata| {
            (full.nearly(Fill { data, metadata }), full.excess(Fill { data, metadata }))
        };
        assert_eq!(of(699, 599), (None, None));
        let (nearly, excess) = of(702, 0);
        assert_eq!(excess, None);
        assert_eq!(
            nearly.unwrap(),
            "has 70.2 % of its data in use; from 85 % on it takes nothing more"
        );
        let (_, excess) = of(0, 750);
        let why = "has 75 % of its metadata in use, and takes nothing more from 75 % on";
        assert_eq!(excess.unwrap(), why);
    }
}
