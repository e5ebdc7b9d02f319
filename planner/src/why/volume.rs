//! Why a volume: whose it is, what holds it, what becomes of it.

use super::slot::source_line;
use super::{Explanation, Held, Scene, Wanted};
use crate::diff::age;
use crate::model::id::VolumeId;
use crate::model::object::Object;
use crate::model::volume::{VolumeKind, VolumeState};
use alloc::format;

pub(super) fn why(scene: &Scene<'_, '_>, volume: &VolumeId) -> Explanation {
    let at = scene.ground.seen.volumes.iter().find(|at| at.view.spec.id == *volume).copied();
    let mut claims = scene.ground.claims.values();
    let claim = claims.find(|claim| claim.volumes.values().any(|v| v.id == *volume));
    let about = match at {
        Some(at) => match (&at.view.spec, &at.view.spec.origin) {
            (spec, Some(of)) if !spec.kind.is_own() => {
                format!(
                    "{} of {of}, volume {} of {} ({volume})",
                    spec.kind.as_str(),
                    spec.source,
                    spec.slot
                )
            }
            (spec, _) => format!("volume {} of {} ({volume})", spec.source, spec.slot),
        },
        None => format!("volume {volume}"),
    };
    let mut told = scene.told(about, |object| match object {
        Object::Volume { volume: of, .. } => of == volume,
        Object::Slot { slot } => claim.is_some_and(|claim| claim.slot == *slot),
        Object::Fleet
        | Object::Host { .. }
        | Object::Pool { .. }
        | Object::App { .. }
        | Object::Group { .. }
        | Object::Instance { .. }
        | Object::Foreign { .. } => false,
    });
    told.held.extend(claim.cloned().map(Held::Claim));
    if let Some(at) = at {
        told.held.push(Held::Volume { host: at.host.clone(), volume: at.view.clone() });
        let host = scene.ground.trusted.get(at.host);
        let instances = host.iter().flat_map(|host| host.reading.instances.values());
        for instance in instances.filter(|instance| instance.volumes.contains(volume)) {
            told.held.push(Held::Instance { host: at.host.clone(), instance: instance.clone() });
        }
        told.place = Some(match claim {
            Some(claim) => {
                format!("it is on {}, as all of {}; volumes cannot move yet", at.host, claim.slot)
            }
            None => format!("it is on {}, where it was made; volumes cannot move yet", at.host),
        });
    } else if let Some(claim) = claim {
        told.place = Some(format!("it is claimed on {}, which does not show it", claim.host));
    }
    told.known = at.is_some() || claim.is_some();
    let not = |why| Wanted::Not { why };
    told.wanted = match (claim, at) {
        (Some(claim), _) => {
            let source = claim.volumes.iter().find(|(_, v)| v.id == *volume);
            let source = source.map_or("", |(source, _)| source.as_str());
            source_line(scene, &claim.slot, source)
                .unwrap_or_else(|| not(format!("no manifest has a mount for it in {}", claim.slot)))
        }
        (None, Some(at)) => match at.view.state {
            VolumeState::Retired { .. } if at.view.spec.kind == VolumeKind::Snapshot => {
                let age = age(scene.ground, at).unwrap_or_default();
                not(format!("it was taken {age} ago; `tiedown volumes restore` goes back to it"))
            }
            VolumeState::Retired { .. } => {
                let age = age(scene.ground, at).unwrap_or_default();
                not(format!("it was retired {age} ago and is no slot's"))
            }
            VolumeState::Making | VolumeState::Attached | VolumeState::Erasing => {
                not(format!("it is {}, and no slot's", at.view.state.as_str()))
            }
        },
        (None, None) => not("no host that could be read has it, and no claim names it".into()),
    };
    told
}
