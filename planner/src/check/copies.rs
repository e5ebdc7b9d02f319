//! Copies of volumes: what they are of, and that only what is a copy goes without a permit.

use super::walk::{Placed, Walk};
use super::{Rule, Violation, World};
use crate::model::id::VolumeId;
use crate::model::volume::{VolumeKind, VolumeSpec};
use crate::plan::step::Act;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A copy says what it is of and is as large; what is made empty is no copy; copies are not
/// grown, marked, retired or taken back; what is removed as a clone is one.
pub(super) fn copies(walk: &Walk<'_>, world: &World<'_>, found: &mut Vec<Violation>) {
    for placed in &walk.steps {
        let why = match &placed.step.act {
            Act::MakeVolume { volume } | Act::AdoptVolume { volume, .. } => {
                let empty = volume.kind.is_own() && volume.origin.is_none();
                (!empty).then(|| "what is no copy is marked as one".into())
            }
            Act::CopyVolume { of, volume } => miscopied(walk, world, placed, of, volume),
            Act::RemoveClone { volume } => {
                let spec = spec_of(walk, world, placed, volume);
                let other = spec.filter(|spec| spec.kind != VolumeKind::Clone);
                other.map(|_| format!("volume {volume} is no clone"))
            }
            Act::RemoveSnapshot { volume } => {
                let spec = spec_of(walk, world, placed, volume);
                let other = spec.filter(|spec| !spec.is_way_back());
                other.map(|_| format!("volume {volume} is no snapshot of a deploy"))
            }
            Act::GrowVolume { volume, .. }
            | Act::MarkVolume { volume, .. }
            | Act::RetireVolume { volume, .. }
            | Act::TakeBackVolume { volume, .. } => {
                let spec = spec_of(walk, world, placed, volume);
                let copy = spec.filter(|spec| !spec.kind.is_own());
                copy.map(|spec| format!("volume {volume} is a {}", spec.kind.as_str()))
            }
            Act::MakePool { .. }
            | Act::FetchImage { .. }
            | Act::DestroyVolume { .. }
            | Act::StartInstance { .. }
            | Act::StopInstance { .. }
            | Act::SuperviseInstance { .. } => None,
        };
        if let Some(why) = why {
            found.push(Violation::new(Rule::Copies, &placed.step.id.0, why));
        }
    }
}

/// What a volume is marked with: on the step's host, or as the plan makes it there.
pub(super) fn spec_of<'a>(
    walk: &Walk<'a>,
    world: &World<'a>,
    at: &Placed<'_>,
    volume: &VolumeId,
) -> Option<&'a VolumeSpec> {
    let view = world.reading(&at.step.host).and_then(|reading| reading.volumes.get(volume));
    view.map(|view| &view.spec).or_else(|| walk.makes(volume).map(|(_, spec)| spec))
}

fn miscopied(
    walk: &Walk<'_>,
    world: &World<'_>,
    placed: &Placed<'_>,
    of: &VolumeId,
    copy: &VolumeSpec,
) -> Option<String> {
    if copy.origin.as_ref() != Some(of) {
        return Some(format!("it is not marked as a copy of {of}"));
    }
    let origin = spec_of(walk, world, placed, of)?;
    if copy.id == origin.id {
        return Some("it would be a copy of itself".into());
    }
    if copy.source != origin.source {
        return Some(format!("it is of {}, and its origin of {}", copy.source, origin.source));
    }
    let grown = walk.on_volume(of).find_map(|other| match &other.step.act {
        Act::GrowVolume { to, .. } if walk.before(other, placed) => Some(*to),
        _ => None,
    });
    let size = grown.unwrap_or(origin.size);
    (copy.size != size).then(|| format!("it has {}, and its origin {size}", copy.size))
}
