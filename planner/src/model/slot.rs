//! The slot: one set of volumes and one main instance, on one host, as one thing.

use super::name::{AppName, GroupName, NameError, Region};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::Deref;
use serde::{Deserialize, Serialize};

/// `app/group/region/n`, n from 1. The unit that is placed, deployed, drifts and is reported. A plan
/// names each many times, so that a copy of it is another reference to the same names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlotId(Arc<Parts>);

/// What a [`SlotId`] is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parts {
    /// The app.
    pub app: AppName,
    /// The process group.
    pub group: GroupName,
    /// Where it lives.
    pub region: Region,
    /// Which of the group's slots in the region, from 1.
    pub number: NonZeroU32,
}

/// Why a text is not a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Not four parts, or the last is not a number from 1.
    #[error("{text:?} is not a slot: write APP/GROUP/REGION/N, such as web/app/ewr/1")]
    Shape {
        /// The text as given, cut to 80 characters.
        text: String,
    },
    /// One of the parts is not a name.
    #[error("a part of the slot is not a name")]
    Name(#[from] NameError),
}

impl SlotId {
    /// The slot of that number.
    #[must_use]
    pub fn new(app: AppName, group: GroupName, region: Region, number: NonZeroU32) -> Self {
        Self(Arc::new(Parts { app, group, region, number }))
    }
}

impl Deref for SlotId {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl core::str::FromStr for SlotId {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        let shape = || SlotError::Shape { text: text.chars().take(80).collect() };
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or_else(shape);
        let (app, group, region, number) = (next()?, next()?, next()?, next()?);
        let number = number.parse().map_err(|_| shape())?;
        if parts.next().is_some() {
            return Err(shape());
        }
        Ok(Self::new(app.parse()?, group.parse()?, region.parse()?, number))
    }
}

impl TryFrom<String> for SlotId {
    type Error = SlotError;
    fn try_from(text: String) -> Result<Self, SlotError> {
        text.parse()
    }
}

impl From<SlotId> for String {
    fn from(slot: SlotId) -> Self {
        slot.to_string()
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = alloc::format!("{}/{}/{}/{}", self.app, self.group, self.region, self.number);
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_reads_back_as_written() {
        let slot: SlotId = "web/app/ewr/1".parse().unwrap();
        assert_eq!(slot.to_string(), "web/app/ewr/1");
        for text in ["web/app/ewr", "web/app/ewr/0", "web/app/ewr/1/2", "w b/app/ewr/1", ""] {
            assert!(text.parse::<SlotId>().is_err(), "{text}");
        }
    }
}
