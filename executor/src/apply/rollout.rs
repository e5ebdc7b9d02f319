//! One rollout: its waves, one after another, and what is done when one fails.

use super::{ApplyError, Applying, Outcome, Skipped};
use crate::clock;
use crate::event::{Event, RolloutEnd};
use futures::future::try_join_all;
use planner::plan::{Rollout, Wave};

impl Applying<'_> {
    pub(super) async fn rollout(&self, rollout: &Rollout) -> Result<Outcome, ApplyError> {
        let mut outcome = Outcome::default();
        (self.world.say)(Event::RolloutBegan { rollout: rollout.id.clone() });
        let waves = rollout.waves.len();
        let mut left = rollout.waves.iter().enumerate();
        for (index, wave) in left.by_ref() {
            if self.stopping() {
                outcome.stopped = true;
                skip(wave, "it was asked to stop", &mut outcome);
                break;
            }
            (self.world.say)(Event::WaveBegan {
                rollout: rollout.id.clone(),
                wave: index + 1,
                waves,
                title: wave.title.clone(),
            });
            let lanes = wave.lanes.iter().map(|lane| self.lane(lane));
            for part in try_join_all(lanes).await? {
                outcome.merge(part);
            }
            if !outcome.is_complete() {
                break;
            }
        }
        let why = match outcome.stopped {
            true => "it was asked to stop",
            false => "an earlier wave of its rollout failed",
        };
        for (_, wave) in left {
            skip(wave, why, &mut outcome);
        }
        if !outcome.is_complete() {
            self.unwind(rollout, &mut outcome).await?;
        }
        self.tell_end(rollout, &outcome);
        Ok(outcome)
    }

    /// What the plan says for a failed rollout. Its failures are told beside the first.
    async fn unwind(&self, rollout: &Rollout, outcome: &mut Outcome) -> Result<(), ApplyError> {
        let seen = outcome.failures.first().map(|failure| failure.why.clone()).unwrap_or_default();
        let gate_failed = outcome.failures.iter().any(|failure| failure.step.is_none());
        if gate_failed && !rollout.claims_on_failure.is_empty() {
            self.world.catalog.act(&rollout.claims_on_failure, clock::now(), &seen)?;
        }
        for step in &rollout.on_failure {
            let object = planner::model::object::Object::Host { host: step.host.clone() };
            self.step(step, &object, outcome).await?;
        }
        Ok(())
    }

    fn tell_end(&self, rollout: &Rollout, outcome: &Outcome) {
        let end = match outcome.failures.first() {
            Some(failure) => RolloutEnd::Failed {
                why: format!("{}: {}", failure.object, failure.why),
                skipped: outcome.skipped.iter().map(|skipped| skipped.object.clone()).collect(),
            },
            None if outcome.stopped => {
                RolloutEnd::Skipped { why: "it was asked to stop".to_owned() }
            }
            None => RolloutEnd::Done,
        };
        (self.world.say)(Event::RolloutEnded { rollout: rollout.id.clone(), end });
    }
}

fn skip(wave: &Wave, why: &str, outcome: &mut Outcome) {
    for lane in &wave.lanes {
        outcome.skipped.push(Skipped { object: lane.object.clone(), why: why.to_owned() });
    }
}
