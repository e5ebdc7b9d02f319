//! One run of an instance that is a container, kept as a process tree is: same holds, same
//! restarts, same end.

use super::{Kept, Supervisor};
use crate::runtime::process::Refusal;
use crate::runtime::process::container::Container;
use crate::runtime::process::enter;
use crate::runtime::process::hold::Holds;
use crate::runtime::process::launch::{InEngine, Network};
use crate::runtime::process::record::{Holder, State, now_ms};
use crate::runtime::process::tree::End;

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
            Ok(()) => self.watch(&mut container).await,
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
        if let (Some(init), Network::Alone { .. }) = (&init, &self.launch.network) {
            // It may have ended by now: what it was then is for its gate to see.
            match enter::give_address(init, &self.launch.network) {
                Err(refusal) if init.alive() => return Err(refusal),
                Ok(()) | Err(_) => {}
            }
        }
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
}

impl Kept for Container {
    async fn end(&mut self) -> Result<End, Refusal> {
        Self::end(self).await
    }

    async fn signal(&mut self, signal: i32) {
        Self::signal(self, signal).await;
    }
}
