//! Changes in words: what a plan says of each object that it changes.

mod release;

use super::instance::Crew;
use crate::diff::instance::InstanceNeed;
use crate::diff::volume::VolumeDiff;
use crate::diff::{Doomed, Gone, Kept, Wanted};
use crate::model::claim::Claim;
use crate::model::instance::{Restart, Supervision};
use crate::model::name::HostName;
use crate::model::object::Object;
use crate::model::observed::{InstanceView, VolumeView};
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::model::volume::{OnRemove, VolumeSpec};
use crate::placement::Placed;
use crate::plan::change::{Change, Field, Verb};
use crate::plan::step::Marks;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

fn field(name: &str, before: Option<String>, after: Option<String>) -> Option<Field> {
    (before != after).then(|| Field { name: name.to_string(), before, after })
}

fn slot_object(slot: &SlotId) -> Object {
    Object::Slot { slot: slot.clone() }
}

/// A volume, to speak about it.
pub(super) fn volume_object(spec: &VolumeSpec) -> Object {
    Object::Volume { slot: spec.slot.clone(), source: spec.source.clone(), volume: spec.id.clone() }
}

fn sentence(text: impl Into<String>) -> Vec<String> {
    vec![text.into()]
}

/// A pool that is made.
pub(super) fn pool(host: &HostName, id: &str, size: Size) -> Change {
    Change {
        object: Object::Pool { host: host.clone() },
        verb: Verb::Create,
        host: host.clone(),
        fields: [field("id", None, Some(id.into())), field("size", None, Some(size.to_string()))]
            .into_iter()
            .flatten()
            .collect(),
        reasons: sentence("the host has none, and volumes are to be placed on it"),
    }
}

/// A new slot.
pub(super) fn created(crew: &Crew<'_, '_>, wanted: &Wanted<'_>, placed: &Placed) -> Change {
    let mut reasons = sentence(placed.why.clone());
    if let Some(claim) = &wanted.gives_up {
        let ids: Vec<&str> = claim.volumes.values().map(|volume| volume.id.as_str()).collect();
        let what = if ids.is_empty() { "no volume".into() } else { ids.join(", ") };
        reasons.push(format!("{} is lost and given up there, with {what}", claim.host));
    }
    let guest = crew.group.guest;
    Change {
        object: wanted.object(),
        verb: Verb::Create,
        host: placed.host.clone(),
        fields: [
            field("release", None, Some(crew.runs.release.to_string())),
            field("address", None, Some(placed.address.to_string())),
            field("memory", None, Some(guest.memory.to_string())),
            field("cpus", None, Some(guest.cpus.to_string())),
        ]
        .into_iter()
        .flatten()
        .collect(),
        reasons,
    }
}

/// A new volume.
pub(super) fn made(host: &HostName, spec: &VolumeSpec, why: &str) -> Change {
    Change {
        object: volume_object(spec),
        verb: Verb::Create,
        host: host.clone(),
        fields: field("size", None, Some(spec.size.to_string())).into_iter().collect(),
        reasons: sentence(why),
    }
}

/// A volume that is made with the data of another one.
pub(super) fn copied(host: &HostName, spec: &VolumeSpec, why: &str) -> Change {
    let kind = (!spec.kind.is_own()).then(|| spec.kind.as_str().to_string());
    let fields = [
        field("kind", None, kind),
        field("name", None, spec.name.as_ref().map(ToString::to_string)),
        field("of", None, spec.origin.as_ref().map(ToString::to_string)),
        field("size", None, Some(spec.size.to_string())),
    ];
    Change {
        object: volume_object(spec),
        verb: Verb::Create,
        host: host.clone(),
        fields: fields.into_iter().flatten().collect(),
        reasons: sentence(why),
    }
}

/// A copy that goes; what it was of is there in full.
pub(super) fn copy_removed(host: &HostName, view: &VolumeView, why: &str) -> Change {
    let spec = &view.spec;
    let fields = [
        field("kind", Some(spec.kind.as_str().to_string()), None),
        field("of", spec.origin.as_ref().map(ToString::to_string), None),
    ];
    Change {
        object: volume_object(spec),
        verb: Verb::Remove,
        host: host.clone(),
        fields: fields.into_iter().flatten().collect(),
        reasons: sentence(why),
    }
}

/// A retired volume that becomes a slot's; `adopted`: because a person names it.
pub(super) fn taken_back(
    host: &HostName,
    marks: &Marks,
    view: &VolumeView,
    adopted: bool,
    why: String,
) -> Change {
    let spec = &view.spec;
    let slot = field("slot", Some(spec.slot.to_string()), Some(marks.slot.to_string()));
    Change {
        object: Object::Volume {
            slot: marks.slot.clone(),
            source: marks.source.clone(),
            volume: spec.id.clone(),
        },
        verb: if adopted { Verb::Adopt } else { Verb::TakeBack },
        host: host.clone(),
        fields: field("state", Some(view.state.as_str().into()), Some("attached".into()))
            .into_iter()
            .chain(slot)
            .collect(),
        reasons: sentence(why),
    }
}

/// Something that is not ours and becomes a slot's volume.
pub(super) fn adopted(host: &HostName, name: &str, spec: &VolumeSpec, why: &str) -> Change {
    let fields =
        [field("from", None, Some(name.into())), field("size", None, Some(spec.size.to_string()))];
    Change {
        object: volume_object(spec),
        verb: Verb::Adopt,
        host: host.clone(),
        fields: fields.into_iter().flatten().collect(),
        reasons: sentence(why),
    }
}

/// An instance that is started or replaced.
pub(super) fn deployed(crew: &Crew<'_, '_>, kept: &Kept<'_>) -> Change {
    let release = Some(crew.runs.release.to_string());
    let (verb, before, why) = match &kept.instance {
        InstanceNeed::Redeploy { from } => {
            let why = match &kept.claim.applied {
                Some(applied) if applied == from => "what it runs changed",
                Some(_) | None => "it runs a release that is not the one wanted",
            };
            (Verb::Redeploy, Some(from.to_string()), why.to_string())
        }
        InstanceNeed::Restart { why } => (Verb::Restart, release.clone(), why.clone()),
        InstanceNeed::Start => {
            let why = match kept.claim.applied {
                Some(_) => "its instance is gone",
                None => "it was never brought up",
            };
            (Verb::Restart, None, why.into())
        }
        InstanceNeed::Confirm => {
            (Verb::Update, None, "it was started, and nobody has yet seen it come up".into())
        }
        InstanceNeed::Nothing => (Verb::Update, release.clone(), String::new()),
    };
    let known = kept.claim.applied_spec.as_deref().filter(|_| match &kept.instance {
        InstanceNeed::Redeploy { from } => kept.claim.applied.as_ref() == Some(from),
        InstanceNeed::Restart { .. }
        | InstanceNeed::Start
        | InstanceNeed::Confirm
        | InstanceNeed::Nothing => false,
    });
    let differences = known.map(|known| release::differences(known, &crew.runs.spec));
    let differences = differences.unwrap_or_default();
    Change {
        object: slot_object(&kept.claim.slot),
        verb,
        host: kept.claim.host.clone(),
        fields: field("release", before, release).into_iter().chain(differences).collect(),
        reasons: sentence(why),
    }
}

/// A volume that grows.
pub(super) fn grown(claim: &Claim, volume: &VolumeDiff<'_>, from: Size, to: Size) -> Change {
    Change {
        object: claim.volume_object(volume),
        verb: Verb::Update,
        host: claim.host.clone(),
        fields: field("size", Some(from.to_string()), Some(to.to_string())).into_iter().collect(),
        reasons: sentence("it is smaller than initial_size"),
    }
}

/// A volume that is marked anew.
pub(super) fn marked(
    claim: &Claim,
    volume: &VolumeDiff<'_>,
    view: &VolumeView,
    marks: &Marks,
) -> Change {
    let (old, new) = (view.spec.keeping, marks.keeping);
    let on_remove = |on_remove| match on_remove {
        OnRemove::Retain => "retain".to_string(),
        OnRemove::Destroy => "destroy".to_string(),
    };
    let fields = [
        field("slot", Some(view.spec.slot.to_string()), Some(marks.slot.to_string())),
        field("source", Some(view.spec.source.to_string()), Some(marks.source.to_string())),
        field("on_remove", Some(on_remove(old.on_remove)), Some(on_remove(new.on_remove))),
        field("retention", Some(old.retention.to_string()), Some(new.retention.to_string())),
        field("protect", Some(old.protect.to_string()), Some(new.protect.to_string())),
    ];
    Change {
        object: claim.volume_object(volume),
        verb: Verb::Update,
        host: claim.host.clone(),
        fields: fields.into_iter().flatten().collect(),
        reasons: sentence(if view.spec.slot == marks.slot && view.spec.source == marks.source {
            "its marks say something else than the manifest"
        } else {
            "its name has changed; the volume and its data stay"
        }),
    }
}

/// An instance that is kept running otherwise.
pub(super) fn supervised(claim: &Claim, old: &Supervision, new: &Supervision) -> Change {
    let restart = |restart: Restart| match restart {
        Restart::Always => "always".to_string(),
        Restart::OnFailure { retries } => format!("on failure, {retries} times"),
        Restart::Never => "never".to_string(),
    };
    let timeout = |supervision: &Supervision| Some(supervision.kill_timeout.to_string());
    let fields = [
        field("restart", Some(restart(old.restart)), Some(restart(new.restart))),
        field("kill_signal", Some(old.kill_signal.to_string()), Some(new.kill_signal.to_string())),
        field("kill_timeout", timeout(old), timeout(new)),
    ];
    Change {
        object: slot_object(&claim.slot),
        verb: Verb::Update,
        host: claim.host.clone(),
        fields: fields.into_iter().flatten().collect(),
        reasons: sentence("applied live, without a restart"),
    }
}

/// A slot that is removed.
pub(super) fn removed(claim: &Claim, gone: &Gone<'_>) -> Change {
    let kept = gone.volumes.len();
    let why = match kept {
        0 => "the manifests no longer ask for it".to_string(),
        1 => "the manifests no longer ask for it; its volume is kept as retired".to_string(),
        _ => format!("the manifests no longer ask for it; its {kept} volumes are kept as retired"),
    };
    Change {
        object: slot_object(&claim.slot),
        verb: Verb::Remove,
        host: claim.host.clone(),
        fields: Vec::new(),
        reasons: sentence(why),
    }
}

/// A volume that is detached and kept.
pub(super) fn retired(host: &HostName, slot: &SlotId, view: &VolumeView, why: &str) -> Change {
    let spec = &view.spec;
    let keeping = spec.keeping;
    let end = match (keeping.protect, keeping.on_remove) {
        (true, _) => "it is protected and kept".to_string(),
        (false, OnRemove::Retain) => "it is kept until it is destroyed by hand".to_string(),
        (false, OnRemove::Destroy) => {
            format!("it is kept for {}, and may then be destroyed", keeping.retention)
        }
    };
    Change {
        object: Object::Volume {
            slot: slot.clone(),
            source: spec.source.clone(),
            volume: spec.id.clone(),
        },
        verb: Verb::Retire,
        host: host.clone(),
        fields: field("state", Some(view.state.as_str().into()), Some("retired".into()))
            .into_iter()
            .collect(),
        reasons: vec![why.to_string(), end],
    }
}

/// An instance that is in nobody's place.
pub(super) fn cleared(host: &HostName, slot: &SlotId, view: &InstanceView, why: &str) -> Change {
    Change {
        object: Object::Instance { slot: slot.clone(), instance: view.id.clone() },
        verb: Verb::Remove,
        host: host.clone(),
        fields: field("state", Some(view.state.as_str().into()), None).into_iter().collect(),
        reasons: sentence(why),
    }
}

/// A volume whose data goes.
pub(super) fn destroyed(doomed: &Doomed<'_>) -> Change {
    let view = doomed.at.view;
    let why = match (doomed.age, view.spec.keeping.on_remove) {
        (None, _) if view.is_half_made() => {
            "its making was begun and not finished; nobody ever had it".to_string()
        }
        (None, _) => "its destruction was begun before".to_string(),
        (Some(age), OnRemove::Retain) => {
            format!("retired {age} ago; a person destroys it by name")
        }
        (Some(age), OnRemove::Destroy) => format!(
            "retired {age} ago, its retention of {} has passed; on_remove is destroy, and it is \
             allowed",
            view.spec.keeping.retention
        ),
    };
    Change {
        object: volume_object(&view.spec),
        verb: Verb::Destroy,
        host: doomed.at.host.clone(),
        fields: field("size", Some(view.spec.size.to_string()), None).into_iter().collect(),
        reasons: sentence(why),
    }
}
