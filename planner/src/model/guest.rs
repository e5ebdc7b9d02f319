//! How big a machine an instance is given: `[[vm]]`.

use super::size::Size;
use serde::{Deserialize, Serialize};

/// Memory and processors that a slot reserves on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Memory.
    pub memory: Size,
    /// Processors.
    pub cpus: u32,
    /// Swap beside the memory: `swap_size_mb`. No slot reserves it.
    #[serde(default, skip_serializing_if = "Size::is_zero")]
    pub swap: Size,
}

impl Guest {
    /// One without swap.
    #[must_use]
    pub const fn new(memory: Size, cpus: u32) -> Self {
        Self { memory, cpus, swap: Size::ZERO }
    }

    /// What reserves nothing.
    pub const NONE: Self = Self::new(Size::ZERO, 0);

    /// Both together, without swap.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self::new(self.memory.plus(other.memory), self.cpus.saturating_add(other.cpus))
    }

    /// Fly's smallest preset, `shared-cpu-1x`: what a group without `[[vm]]` gets.
    pub const DEFAULT: Self = Self::new(Size::from_mib(256), 1);
}
