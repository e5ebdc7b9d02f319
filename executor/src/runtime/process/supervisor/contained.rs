//! One run of an instance that is a container, kept as a process tree is: same holds, same
//! restarts, same end.

use std::time::Duration;

use super::Supervisor;
use crate::runtime::process::container::Container;
use crate::runtime::process::hold::Holds;
use crate::runtime::process::launch::InEngine;
use crate::runtime::process::record::{Holder, State, now_ms};
use crate::runtime::process::tree::End;
use crate::runtime::process::{Refusal, TOOK_TOO_LONG, log};

impl Supervisor<'_> {
    /// One run of the container, from nothing to nothing.
    pub(super) async fn once_in_engine(
        &mut self,
        at: &InEngine,
        holds: &Holds,
        restarts: u32,
    ) -> Result<End, Refusal> {
        let launch = self.launch.clone().opened()?;
        let mut container = tokio::select! {
            prepared = Container::prepare(&launch, at, self.place) => prepared?,
            _ = self.term.recv() => { self.stopping = true; return Ok(End::Killed); }
        };
        drop(launch);
        self.record.limits = container.limits.clone();
        let end = match self.bring_up_container(&mut container, holds, restarts).await {
            Ok(()) => self.watch_container(&mut container).await,
            Err(refusal) => Err(refusal),
        };
        container.destroy().await?;
        end
    }

    async fn bring_up_container(
        &mut self,
        container: &mut Container,
        holds: &Holds,
        restarts: u32,
    ) -> Result<(), Refusal> {
        let init = container.start().await?;
        let pid = init.as_ref().map_or(0, |init| init.pid);
        self.record.init.clone_from(&init);
        holds.sign(&Holder {
            instance: self.record.instance.clone(),
            supervisor: self.record.supervisor.clone(),
            init,
        })?;
        self.write(State::Running { pid, started_at_ms: now_ms(), restarts })?;
        self.report(Ok(()));
        Ok(())
    }

    /// Until the program has ended, by itself or because we were asked.
    async fn watch_container(&mut self, container: &mut Container) -> Result<End, Refusal> {
        let limit = self.launch.ends_within_ms.map(Duration::from_millis);
        let too_long = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = container.end() => return end,
            _ = self.term.recv() => self.stopping = true,
            () = too_long => {
                let millis = self.launch.ends_within_ms.unwrap_or_default();
                let line = format!("the program did not end within {millis} ms and is killed");
                log::say(&self.place.log(), &line);
                return Ok(End::Ended(TOOK_TOO_LONG));
            }
        }
        self.heed();
        container.signal(self.launch.kill_signal).await;
        let patience = Duration::from_millis(self.launch.kill_timeout_ms);
        tokio::time::timeout(patience, container.end()).await.unwrap_or_else(|_| {
            let millis = patience.as_millis();
            let line = format!("the program did not stop within {millis} ms and is killed");
            log::say(&self.place.log(), &line);
            Ok(End::Killed)
        })
    }
}
