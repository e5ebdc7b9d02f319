//! The file that says where instances answer, for a proxy in front: written anew, whole, whenever
//! that has changed while a plan is carried out, and at its end.

use crate::cli::output::Output;
use crate::cli::status;
use crate::fleet::{Hosts, Records};
use crate::settings::Settings;
use crate::status::Status;
use executor::event::Event;
use executor::observe::Checks;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use tokio::sync::Notify;

/// What publishing needs.
pub(super) struct Published<'a> {
    pub(super) settings: &'a Settings,
    pub(super) hosts: &'a Hosts,
    pub(super) records: &'a Records,
    pub(super) checks: &'a Checks,
    pub(super) output: Output,
}

/// Whether an event may mean that something answers elsewhere now, or no more.
pub(super) const fn changes(event: &Event) -> bool {
    match event {
        Event::StepDone { .. } | Event::GatePassed { .. } | Event::GateFailed { .. } => true,
        Event::RolloutBegan { .. }
        | Event::WaveBegan { .. }
        | Event::StepBegan { .. }
        | Event::StepFailed { .. }
        | Event::GateWaits { .. }
        | Event::Output { .. }
        | Event::RolloutEnded { .. } => false,
    }
}

impl Published<'_> {
    /// Publishes each time that it is notified; never ends.
    pub(super) async fn keep(&self, changed: &Notify) -> Infallible {
        loop {
            changed.notified().await;
            self.look_and_publish().await;
        }
    }

    /// Looks at all hosts and publishes, if there is a file to publish in.
    pub(super) async fn look_and_publish(&self) {
        if self.settings.endpoints.is_none() {
            return;
        }
        let looked = status::look(self.settings, self.hosts, self.records, self.checks).await;
        match looked {
            Ok(status) => self.publish(&status),
            Err(error) => self.output.warn(&format!("endpoints are not published: {error:#}")),
        }
    }

    /// Writes the file, if it says something else. A plan goes on without.
    pub(super) fn publish(&self, status: &Status) {
        let Some(file) = &self.settings.endpoints else { return };
        if let Err(error) = write(file, status) {
            let file = file.display();
            self.output.warn(&format!("endpoints are not published in {file}: {error}"));
        }
    }
}

fn write(file: &Path, status: &Status) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(&status.endpoints)?;
    json.push(b'\n');
    if std::fs::read(file).is_ok_and(|there| there == json) {
        return Ok(());
    }
    let beside = file.with_extension("new");
    std::fs::write(&beside, json)?;
    std::fs::rename(beside, file)
}
