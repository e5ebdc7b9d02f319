//! Why somebody should look: told to logs, and to nobody else. Triggers of one kind are one.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Why to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// It began.
    Start,
    /// A branch of the repository moved.
    Push,
    /// A forge says that somebody pushed.
    Webhook,
    /// It was some time ago.
    Time,
}

/// Triggers that nobody has acted on.
#[derive(Debug, Default)]
pub struct Triggers {
    pending: Mutex<BTreeSet<Trigger>>,
    fired: Notify,
}

impl Triggers {
    /// Somebody should look.
    pub fn fire(&self, trigger: Trigger) {
        self.pending().insert(trigger);
        self.fired.notify_one();
    }

    /// Waits until there is one.
    pub async fn fired(&self) {
        while self.pending().is_empty() {
            self.fired.notified().await;
        }
    }

    /// Takes them all.
    pub fn take(&self) -> BTreeSet<Trigger> {
        std::mem::take(&mut self.pending())
    }

    fn pending(&self) -> MutexGuard<'_, BTreeSet<Trigger>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
