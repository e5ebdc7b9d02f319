//! Gates: waits until an instance is healthy, or says why it will not be. Decides nothing about
//! what follows.

mod checks;
mod output;

use crate::event::Event;
use crate::host::Host;
use checks::Asking;
use output::Output;
use planner::model::id::InstanceId;
use planner::model::object::Object;
use planner::model::observed::{InstanceState, InstanceView};
use planner::model::time::Millis;
use planner::plan::Gate;
use std::time::Duration;
use tokio::time::Instant;

/// How often a gate looks at the instance itself.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// An instance that its supervisor had to start again so often is not coming up. Fly's smoke
/// check gives up on repeated restarts too.
const RESTARTS_MAX: u32 = 3;
/// How long past its span a gate without checks waits for an instance that was restarted.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for the gate. `say` hears what it waits for, each time that changes.
///
/// # Errors
/// What was seen, in words, when the gate is not passed.
pub async fn wait(
    gate: &Gate,
    host: &dyn Host,
    object: &Object,
    say: &(dyn Fn(Event) + Sync),
) -> Result<(), String> {
    let instance = match gate {
        Gate::Open => return Ok(()),
        Gate::Healthy { instance, .. }
        | Gate::StaysUp { instance, .. }
        | Gate::Finishes { instance, .. } => instance,
    };
    let mut watch = Watch { host, instance, object, say, said: String::new(), restarts: None };
    match gate {
        Gate::Open => Ok(()),
        Gate::Healthy { address, checks, within, .. } => {
            watch.healthy(Asking::new(host, instance, *address, checks), *within).await
        }
        Gate::StaysUp { span, .. } => watch.stays_up(*span).await,
        Gate::Finishes { what, .. } => {
            let mut output = Output::of(host, instance);
            let finished = watch.finishes(&mut output).await;
            watch.tell_output(&mut output);
            finished.map_err(|why| format!("{what} failed: {why}"))
        }
    }
}

struct Watch<'a> {
    host: &'a dyn Host,
    instance: &'a InstanceId,
    object: &'a Object,
    say: &'a (dyn Fn(Event) + Sync),
    said: String,
    restarts: Option<u32>,
}

/// What the state of an instance means for a gate.
enum Life {
    Up,
    Ending,
    Finished,
}

impl Watch<'_> {
    async fn healthy(&mut self, mut asking: Asking<'_>, within: Millis) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_millis(within.0);
        loop {
            let before = self.restarts;
            let view = self.view().await?;
            let waits_for = match self.judge(&view)? {
                Life::Finished => return Ok(()),
                Life::Ending => {
                    asking.forget();
                    "the process to be started again".to_owned()
                }
                Life::Up => {
                    if before.is_some_and(|before| before != view.restarts) {
                        asking.forget();
                    }
                    asking.ask(deadline).await;
                    match asking.waits_for() {
                        None => return Ok(()),
                        Some(failing) => failing,
                    }
                }
            };
            if Instant::now() >= deadline {
                return Err(format!("not healthy within {within}: {waits_for}"));
            }
            self.tell(waits_for);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn stays_up(&mut self, span: Millis) -> Result<(), String> {
        let span_time = Duration::from_millis(span.0);
        let deadline = Instant::now() + span_time + PATIENCE;
        let mut up_since = Instant::now();
        let mut restarts = None;
        loop {
            let view = self.view().await?;
            match self.judge(&view)? {
                Life::Finished => return Ok(()),
                Life::Ending => up_since = Instant::now(),
                Life::Up => {}
            }
            if restarts.replace(view.restarts).is_some_and(|before| before != view.restarts) {
                up_since = Instant::now();
            }
            if up_since.elapsed() >= span_time {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!("did not stay up for {span}"));
            }
            self.tell(format!("it to stay up for {span}"));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// As long as it takes: its host ends what takes too long.
    async fn finishes(&mut self, output: &mut Output) -> Result<(), String> {
        loop {
            let view = self.view().await?;
            match self.judge(&view)? {
                Life::Finished => return Ok(()),
                Life::Ending | Life::Up => {}
            }
            self.tell_output(output);
            self.tell("it to end".to_owned());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn tell_output(&self, output: &mut Output) {
        if let Some(text) = output.more() {
            (self.say)(Event::Output { object: self.object.clone(), text });
        }
    }

    async fn view(&self) -> Result<InstanceView, String> {
        match self.host.instance(self.instance).await {
            Ok(Some(view)) => Ok(view),
            Ok(None) => Err("the instance is gone".to_owned()),
            Err(error) => Err(crate::chain(&error)),
        }
    }

    fn judge(&mut self, view: &InstanceView) -> Result<Life, String> {
        let first = *self.restarts.get_or_insert(view.restarts);
        let restarted = view.restarts.saturating_sub(first);
        if restarted >= RESTARTS_MAX {
            return Err(format!("the process ended {restarted} times"));
        }
        match &view.state {
            InstanceState::Running => Ok(Life::Up),
            InstanceState::Restarting => Ok(Life::Ending),
            InstanceState::Finished => Ok(Life::Finished),
            InstanceState::Failed { why } | InstanceState::Died { why } => Err(why.clone()),
            InstanceState::Stopped => Err("the instance was stopped".to_owned()),
        }
    }

    fn tell(&mut self, seen: String) {
        if self.said != seen {
            (self.say)(Event::GateWaits { object: self.object.clone(), seen: seen.clone() });
            self.said = seen;
        }
    }
}
