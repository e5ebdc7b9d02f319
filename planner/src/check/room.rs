//! No pool promises more than it may, at any moment: what a plan frees is not counted, for it is
//! freed some time and not surely before the rest is made.

use super::walk::Walk;
use super::{Rule, Violation, World};
use crate::model::name::HostName;
use crate::model::observed::{PoolView, Reading};
use crate::model::size::Size;
use crate::plan::step::Act;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

/// Judges every host on which volumes are made or grown.
pub(super) fn room(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    let overcommit = u64::from(world.policy.overcommit_thousandths);
    for (host, reading) in world.readings() {
        let (size, extent, header) = match &reading.pool {
            PoolView::Present(pool) => (pool.size, pool.extent, pool.header),
            PoolView::Absent => {
                let size = walk.made_pool(host).map_or(Size::ZERO, |(_, size)| size);
                (size, Size::ZERO, Size::ZERO)
            }
        };
        let promised = reading.promised();
        let more = more(walk, host, reading, extent, header);
        let limit = size.times_thousandths(overcommit);
        if more > Size::ZERO && promised.plus(more) > limit {
            let why = format!("{promised} promised and {more} more, but only {limit} may be");
            found.push(Violation::new(Rule::Room, host, why));
        }
    }
}

/// What the plan adds to what the host promises.
fn more(walk: &Walk<'_>, host: &HostName, reading: &Reading, extent: Size, header: Size) -> Size {
    let mut caps = BTreeMap::new();
    for placed in walk.steps.iter().filter(|placed| placed.step.host == *host) {
        let (volume, size) = match &placed.step.act {
            Act::MakeVolume { volume } | Act::CopyVolume { volume, .. } => {
                (&volume.id, volume.size)
            }
            Act::GrowVolume { volume, to } => (volume, *to),
            Act::MakePool { .. }
            | Act::MarkVolume { .. }
            | Act::RetireVolume { .. }
            | Act::TakeBackVolume { .. }
            | Act::DestroyVolume { .. }
            | Act::RemoveClone { .. }
            | Act::StartInstance { .. }
            | Act::StopInstance { .. }
            | Act::SuperviseInstance { .. } => continue,
        };
        let cap = caps.entry(volume).or_insert(Size::ZERO);
        *cap = size.max(*cap);
    }
    let cost = |size: Size| size.rounded_up_to(extent).plus(header);
    let added = caps.into_iter().map(|(id, cap)| {
        let had = reading.volumes.get(id).map_or(Size::ZERO, |view| cost(view.spec.size));
        cost(cap).minus(had)
    });
    added.sum()
}
