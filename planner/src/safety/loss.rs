//! The limit on loss: how many volumes an apply may retire or destroy within 24 hours, per app and
//! over the fleet.

use crate::Inputs;
use crate::diff::Diff;
use crate::diff::instance::InstanceNeed;
use crate::diff::volume::VolumeNeed;
use crate::model::name::AppName;
use crate::model::object::Object;
use crate::model::time::{Millis, Timestamp};
use crate::recover::Ground;
use crate::report::{Kind, Report};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

/// The span over which losses are counted.
const DAY: Millis = Millis::from_days(1);

/// Drops the removals of apps that would lose more than the policy allows.
pub(super) fn guard(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    diff: &mut Diff<'_>,
    report: &mut Report,
) {
    let mut counted = Losses::of(inputs, ground);
    for (app, losses) in losses(diff) {
        let Some(why) = counted.excess(inputs, &app, losses) else { continue };
        let why = format!("{why}; nothing of the app is removed");
        let hint = "remove it in parts over some days, or raise max_loss in tiedown.toml";
        report.say(Kind::Refused, Object::App { app: app.clone() }, why, hint);
        refuse(diff, &app);
    }
}

/// Why so many volumes more of one app must not be lost now; nothing if they may.
pub(crate) fn loss_forbids(
    inputs: &Inputs<'_>,
    ground: &Ground<'_>,
    app: &AppName,
    losses: usize,
) -> Option<String> {
    Losses::of(inputs, ground).excess(inputs, app, losses)
}

/// Volumes that there are, and those that were lost of late or are lost by this plan.
pub(crate) struct Losses {
    now: Timestamp,
    volumes: BTreeMap<AppName, usize>,
    /// By this plan.
    planned: BTreeMap<AppName, usize>,
    /// Of the fleet, those of this plan too.
    lost: usize,
}

impl Losses {
    fn of(inputs: &Inputs<'_>, ground: &Ground<'_>) -> Self {
        let now = ground.trusted.values().map(|host| host.reading.asked_at).max();
        let now = now.unwrap_or_default();
        let mut volumes: BTreeMap<AppName, usize> = BTreeMap::new();
        for claim in ground.claims.values() {
            *volumes.entry(claim.slot.app.clone()).or_default() += claim.volumes.len();
        }
        Self { now, volumes, planned: BTreeMap::new(), lost: recent(inputs, now, None) }
    }

    /// With all that differs and was not forbidden.
    pub(crate) fn with(inputs: &Inputs<'_>, ground: &Ground<'_>, diff: &Diff<'_>) -> Self {
        let mut all = Self::of(inputs, ground);
        all.planned = losses(diff);
        all.lost += all.planned.values().sum::<usize>();
        all
    }

    /// Counts them, or says why they are too many.
    pub(crate) fn excess(
        &mut self,
        inputs: &Inputs<'_>,
        app: &AppName,
        losses: usize,
    ) -> Option<String> {
        let planned = self.planned.get(app).copied().unwrap_or(0);
        let of_app = recent(inputs, self.now, Some(app)) + planned + losses;
        let allowed_app = allowed(inputs, self.volumes.get(app).copied().unwrap_or(0));
        let allowed_fleet = allowed(inputs, self.volumes.values().sum());
        let (what, count, limit) = if of_app > allowed_app {
            ("the app", of_app, allowed_app)
        } else if self.lost + losses > allowed_fleet {
            ("the fleet", self.lost + losses, allowed_fleet)
        } else {
            self.lost += losses;
            self.planned.insert(app.clone(), planned + losses);
            return None;
        };
        Some(format!(
            "{what} would lose {count} volumes within 24 hours, and max_loss allows {limit}"
        ))
    }
}

fn allowed(inputs: &Inputs<'_>, volumes: usize) -> usize {
    let limit = inputs.policy.max_loss;
    let share = volumes * limit.share_thousandths as usize / 1000;
    share.max(limit.count as usize)
}

/// Losses within the last 24 hours.
fn recent(inputs: &Inputs<'_>, now: Timestamp, app: Option<&AppName>) -> usize {
    let losses = inputs.claims.losses.iter();
    let of_app = losses.filter(|(lost, _)| app.is_none_or(|app| lost == app));
    of_app.filter(|(_, at)| now.since(*at) < DAY).count()
}

/// How many volumes each app would lose.
fn losses(diff: &Diff<'_>) -> BTreeMap<AppName, usize> {
    let mut losses: BTreeMap<AppName, usize> = BTreeMap::new();
    let mut add = |app: &AppName, count: usize| {
        if count > 0 {
            *losses.entry(app.clone()).or_default() += count;
        }
    };
    for gone in &diff.gone {
        add(&gone.claim.slot.app, gone.volumes.len());
    }
    for group in &diff.groups {
        let kept = group.kept.iter().flat_map(|kept| &kept.volumes);
        let dropped = kept.filter(|volume| volume.need == VolumeNeed::Retire).count();
        let strays: usize = group.strays.iter().map(|stray| stray.volumes.len()).sum();
        add(&group.app.name, dropped + strays);
    }
    for doomed in &diff.doomed {
        add(&doomed.at.view.spec.slot.app, 1);
    }
    losses
}

fn refuse(diff: &mut Diff<'_>, app: &AppName) {
    diff.pending.insert(app.clone());
    diff.gone.retain(|gone| gone.claim.slot.app != *app || gone.volumes.is_empty());
    diff.doomed.retain(|doomed| doomed.at.view.spec.slot.app != *app);
    for group in diff.groups.iter_mut().filter(|group| group.app.name == *app) {
        // Instances in nobody's place are stopped all the same.
        group.strays.iter_mut().for_each(|stray| stray.volumes.clear());
        group.strays.retain(|stray| !stray.instances.is_empty());
        for kept in &mut group.kept {
            for volume in &mut kept.volumes {
                if volume.need == VolumeNeed::Retire {
                    volume.need = VolumeNeed::Stay;
                    kept.instance = InstanceNeed::Nothing;
                }
            }
        }
    }
}
