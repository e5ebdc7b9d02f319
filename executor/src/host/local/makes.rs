//! Volumes that are to be made on one host at one time are made together: while some are being
//! made, others wait, and whoever comes first then makes all that wait.

use super::{BoxError, LocalHost, failed};
use crate::ensure::Ensured;
use crate::host::StepError;
use planner::model::observed::{Reading, VolumeView};
use planner::model::size::Size;
use planner::model::volume::{VolumeSpec, VolumeState};
use planner::plan::predicate::{Judgement, judge};
use planner::plan::step::{Act, Step};
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

type Answer = Result<Ensured, StepError>;

/// Steps that wait to be made together, each with whoever waits for its answer.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<(Step, oneshot::Sender<Answer>)>>);

impl Waiting {
    fn push(&self, step: &Step) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((step.clone(), sender));
        receiver
    }

    fn take(&self) -> Vec<(Step, oneshot::Sender<Answer>)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LocalHost {
    /// Makes a volume, and with it all that wait by the time it is its turn.
    pub(super) async fn make_in_turn(&self, step: &Step) -> Answer {
        let mut answer = self.turn.waiting.push(step);
        let _turn = self.turn.mutex.lock().await;
        if let Ok(answer) = answer.try_recv() {
            return answer;
        }
        let (steps, askers): (Vec<_>, Vec<_>) = self.turn.waiting.take().into_iter().unzip();
        for (answer, asker) in self.make_all(&steps).await.into_iter().zip(askers) {
            // Whoever has gone meanwhile finds the volume there.
            let _ = asker.send(answer);
        }
        answer.await.unwrap_or_else(|gone| Err(failed(&step.id.0, gone.into())))
    }

    async fn make_all(&self, steps: &[Step]) -> Vec<Answer> {
        let Some(first) = steps.first() else { return Vec::new() };
        let ready = async {
            let lock = self.lock(first).await?;
            Ok((lock, self.reading().await?))
        };
        let (_lock, mut reading) = match ready.await {
            Ok(ready) => ready,
            Err(error) => return all_failed(steps, error),
        };
        let mut answers: Vec<Option<Answer>> = Vec::new();
        let mut volumes = Vec::new();
        for step in steps {
            answers.push(match (judge(step, &reading), &step.act) {
                (Judgement::After, _) => Some(Ok(Ensured::AlreadySo)),
                (Judgement::Stale { found }, _) => Some(Err(StepError::Stale { found })),
                (Judgement::Before, Act::MakeVolume { volume }) => {
                    count_in(&mut reading, volume);
                    volumes.push(volume.clone());
                    None
                }
                (Judgement::Before, _) => unreachable!("only volumes to be made wait"),
            });
        }
        if volumes.is_empty() {
            return answers.into_iter().flatten().collect();
        }
        let mut made = self.storage.make_all(&volumes).await.into_iter();
        let after = match self.reading().await {
            Ok(after) => after,
            Err(error) => return all_failed(steps, error),
        };
        let verified = |step: &Step, made: Option<_>| match made {
            Some(Ok(ensured)) => match Self::not_so(step, &after) {
                None => Ok(ensured),
                Some(found) => Err(failed(&step.id.0, found.into())),
            },
            Some(Err(error)) => Err(failed(&step.id.0, Box::new(error) as BoxError)),
            None => Err(failed(&step.id.0, "it was not made".into())),
        };
        let each = steps.iter().zip(answers);
        each.map(|(step, answer)| answer.unwrap_or_else(|| verified(step, made.next()))).collect()
    }
}

/// What concerns all is told of each.
fn all_failed(steps: &[Step], error: BoxError) -> Vec<Answer> {
    let why = crate::chain(&*error);
    steps.iter().map(|step| Err(failed(&step.id.0, why.clone().into()))).collect()
}

/// The next step is judged with the room that this volume takes.
fn count_in(reading: &mut Reading, volume: &VolumeSpec) {
    let view = VolumeView {
        spec: volume.clone(),
        state: VolumeState::Making,
        allocated: Size::ZERO,
        formatted: false,
    };
    reading.volumes.insert(volume.id.clone(), view);
}
