//! One lane: what the catalog learns before, the steps, the gate, what the catalog learns after.

use super::{ApplyError, Applying, Failure, Outcome};
use crate::clock;
use crate::event::Event;
use crate::host::StepError;
use crate::journal::StepEnd;
use crate::steps::health;
use planner::model::name::HostName;
use planner::model::object::Object;
use planner::plan::step::{Act, Step};
use planner::plan::{Gate, Lane};
use std::time::Duration;
use tracing::Instrument;

/// How long a request to stop may go unheard.
const STOP_IS_HEARD: Duration = Duration::from_millis(200);

impl Applying<'_> {
    pub(super) async fn lane(&self, lane: &Lane) -> Result<Outcome, ApplyError> {
        let mut outcome = Outcome::default();
        if self.leaves_alone(lane, &mut outcome) {
            return Ok(outcome);
        }
        self.world.catalog.act(&lane.claims_before, clock::now(), "")?;
        for (number, step) in lane.steps.iter().enumerate() {
            if self.stopping() {
                outcome.stopped = true;
                return Ok(outcome);
            }
            self.step(step, &lane.object, &mut outcome).await?;
            if let Some(failure) = outcome.failures.first() {
                // What was found stale was not begun.
                let began_all = number + 1 == lane.steps.len() && !failure.stale;
                self.unwind_lane(lane, began_all, &mut outcome).await?;
                return Ok(outcome);
            }
        }
        let Some(passed) = self.gate(lane).await? else {
            outcome.stopped = true;
            return Ok(outcome);
        };
        if let Err(why) = passed {
            self.world.catalog.act(&lane.claims_on_failure, clock::now(), &why)?;
            outcome.failures.push(Failure {
                object: lane.object.clone(),
                step: None,
                why,
                stale: false,
            });
            self.unwind_lane(lane, true, &mut outcome).await?;
            return Ok(outcome);
        }
        self.world.catalog.act(&lane.claims_after, clock::now(), "")?;
        if lane.gate != Gate::Open {
            self.telling.tell().await;
        }
        Ok(outcome)
    }

    /// A slot that was held, moved or removed after the plan was made is left alone: its lane is
    /// stale.
    fn leaves_alone(&self, lane: &Lane, outcome: &mut Outcome) -> bool {
        let (Object::Slot { slot }, Some(first)) = (&lane.object, lane.steps.first()) else {
            return false;
        };
        let Some(why) = self.alone.get(slot).cloned() else { return false };
        let object = lane.object.clone();
        (self.world.say)(Event::StepFailed {
            step: first.id.clone(),
            object: object.clone(),
            why: why.clone(),
            stale: true,
        });
        outcome.failures.push(Failure { object, step: Some(first.id.clone()), why, stale: true });
        true
    }

    /// One step: intention, act, outcome. A failure is in `outcome`; an error is the journal's.
    pub(super) async fn step(
        &self,
        step: &Step,
        object: &Object,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let host = self.host(&step.host)?;
        let _permit = self.permits.acquire().await;
        (self.world.say)(Event::StepBegan { step: step.id.clone(), object: object.clone() });
        self.world.journal.intend(self.run, step, clock::now())?;
        tracing::debug!(step = %step.id.0, host = %step.host, "step begins");
        let span = tracing::info_span!("step", step = step.id.0, host = %step.host);
        let stops = match &step.act {
            Act::StopInstance { instance, .. } => Some(instance),
            _ => None,
        };
        if let Some(instance) = stops {
            self.telling.leaves(instance).await;
        }
        let result = host.act(step).instrument(span).await;
        if let Some(instance) = stops {
            self.telling.left(instance).await;
        }
        tracing::debug!(step = %step.id.0, host = %step.host, ?result, "step ended");
        let end = match &result {
            Ok(ensured) => StepEnd::Done { ensured: *ensured },
            Err(StepError::Stale { found }) => StepEnd::Stale { found: found.clone() },
            Err(error @ StepError::Failed { .. }) => StepEnd::Failed { why: crate::chain(error) },
        };
        self.world.journal.outcome(self.run, step, &end)?;
        match result {
            Ok(ensured) => {
                outcome.done.push((step.id.clone(), ensured));
                (self.world.say)(Event::StepDone {
                    step: step.id.clone(),
                    object: object.clone(),
                    ensured,
                });
            }
            Err(error) => {
                let stale = matches!(error, StepError::Stale { .. });
                let failure = Failure {
                    object: object.clone(),
                    step: Some(step.id.clone()),
                    why: crate::chain(&error),
                    stale,
                };
                (self.world.say)(Event::StepFailed {
                    step: step.id.clone(),
                    object: object.clone(),
                    why: failure.why.clone(),
                    stale,
                });
                outcome.failures.push(failure);
            }
        }
        Ok(())
    }

    /// Whether the gate was passed; nothing: it was asked to stop while it waited for an end that
    /// may be far off.
    async fn gate(&self, lane: &Lane) -> Result<Option<Result<(), String>>, ApplyError> {
        let (host, endless) = match &lane.gate {
            Gate::Open => return Ok(Some(Ok(()))),
            Gate::Healthy { host, .. } | Gate::StaysUp { host, .. } => (self.host(host)?, false),
            Gate::Finishes { host, .. } => (self.host(host)?, true),
        };
        let say = |event| (self.world.say)(event);
        let waiting = health::wait(&lane.gate, host, &lane.object, &say);
        let passed = tokio::select! {
            passed = waiting => passed,
            () = self.asked_to_stop(), if endless => return Ok(None),
        };
        let object = lane.object.clone();
        (self.world.say)(match &passed {
            Ok(()) => Event::GatePassed { object },
            Err(why) => Event::GateFailed { object, why: why.clone() },
        });
        Ok(Some(passed))
    }

    async fn asked_to_stop(&self) {
        while !self.stopping() {
            tokio::time::sleep(STOP_IS_HEARD).await;
        }
    }

    /// What the plan says for a failed lane. The first step of it that fails ends it, and is told
    /// beside the failure. `began_all`: the last step was begun.
    async fn unwind_lane(
        &self,
        lane: &Lane,
        began_all: bool,
        outcome: &mut Outcome,
    ) -> Result<(), ApplyError> {
        let why = outcome.failures.first().map(|failure| failure.why.clone()).unwrap_or_default();
        let Some(restore) = lane.restore.as_ref().filter(|_| began_all) else {
            self.unwind_steps(&lane.on_failure, lane, outcome).await?;
            return Ok(());
        };
        if self.unwind_steps(&restore.steps, lane, outcome).await? {
            self.world.catalog.act(&restore.claims, clock::now(), &why)?;
            self.unwind_steps(&restore.start, lane, outcome).await?;
        }
        Ok(())
    }

    /// Whether all of them were done.
    async fn unwind_steps(
        &self,
        steps: &[Step],
        lane: &Lane,
        outcome: &mut Outcome,
    ) -> Result<bool, ApplyError> {
        let failed = outcome.failures.len();
        for step in steps {
            self.step(step, &lane.object, outcome).await?;
            if outcome.failures.len() > failed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn host(&self, name: &HostName) -> Result<&dyn crate::host::Host, ApplyError> {
        match self.world.hosts.get(name) {
            Some(host) => Ok(&**host),
            None => Err(ApplyError::NoHost { host: name.clone() }),
        }
    }
}
