//! The proxy in front, told where instances answer while a plan is carried out: before an instance
//! is stopped that it is to send nothing more, and when one has come up, before anything goes on.

use crate::event::Event;
use async_trait::async_trait;
use planner::model::id::InstanceId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whoever sends requests to instances.
#[async_trait]
pub trait Front: Send + Sync {
    /// Looks where instances answer and tells it, without those that are about to be stopped.
    /// Returns when it knows.
    ///
    /// # Errors
    /// Why it does not know, in words.
    async fn tell(&self, leaving: &BTreeSet<InstanceId>) -> Result<(), String>;
}

/// Who is told during one apply, one telling after another. Whoever asks while one is going on
/// waits for the next, which is for all of those.
pub(super) struct Telling<'a> {
    front: Option<&'a dyn Front>,
    say: &'a (dyn Fn(Event) + Send + Sync),
    leaving: Mutex<BTreeSet<InstanceId>>,
    asked: AtomicU64,
    told: tokio::sync::Mutex<u64>,
}

impl<'a> Telling<'a> {
    pub(super) fn of(front: Option<&'a dyn Front>, say: &'a (dyn Fn(Event) + Send + Sync)) -> Self {
        let (leaving, asked) = (Mutex::default(), AtomicU64::new(0));
        Self { front, say, leaving, asked, told: tokio::sync::Mutex::new(0) }
    }

    /// Nothing more is sent to an instance: it is about to be stopped.
    pub(super) async fn leaves(&self, instance: &InstanceId) {
        self.leaving().insert(instance.clone());
        self.tell().await;
    }

    /// It was stopped, or lives on because that failed.
    pub(super) async fn left(&self, instance: &InstanceId) {
        self.leaving().remove(instance);
        self.tell().await;
    }

    /// Something has come up, or has changed otherwise. A plan goes on also where nobody could be
    /// told.
    pub(super) async fn tell(&self) {
        let Some(front) = self.front else { return };
        let mine = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = self.told.lock().await;
        if *told >= mine {
            return;
        }
        let all = self.asked.load(Ordering::Relaxed);
        let leaving = self.leaving().clone();
        if let Err(why) = front.tell(&leaving).await {
            (self.say)(Event::Untold { why });
        }
        *told = all;
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, BTreeSet<InstanceId>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
