//! Which hosts can be believed. A host that did not answer, or whose pool is not the one that is
//! remembered, is unknown: never empty.

use super::{Trusted, counted};
use crate::Inputs;
use crate::model::claim::Claim;
use crate::model::host::{HostSpec, HostState};
use crate::model::id::PoolId;
use crate::model::name::{FleetName, HostName};
use crate::model::object::Object;
use crate::model::observed::{HostView, Pool, PoolView, Reading};
use crate::model::slot::SlotId;
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};

/// What the claims say of one host.
#[derive(Default)]
struct Held<'a> {
    slots: usize,
    volumes: usize,
    pools: BTreeSet<&'a PoolId>,
}

/// Why a host cannot be believed.
struct Doubt {
    kind: Kind,
    why: String,
    hint: String,
}

/// The hosts that can be believed; the others are reported.
pub(super) fn judge<'a>(
    inputs: &Inputs<'a>,
    claims: &BTreeMap<SlotId, Claim>,
    report: &mut Report,
) -> BTreeMap<&'a HostName, Trusted<'a>> {
    let mut held: BTreeMap<&HostName, Held<'_>> = BTreeMap::new();
    for claim in claims.values() {
        let held = held.entry(&claim.host).or_default();
        held.slots += 1;
        held.volumes += claim.volumes.len();
        held.pools.extend(&claim.pool);
    }
    let mut trusted = BTreeMap::new();
    for (name, spec) in &inputs.desired.hosts {
        let nothing = Held::default();
        let held = held.get(name).unwrap_or(&nothing);
        let doubt = match inputs.observed.get(name) {
            Some(HostView::Read(reading)) => match doubt(inputs, spec, reading, held) {
                None => {
                    trusted.insert(name, Trusted { spec, reading });
                    continue;
                }
                Some(doubt) => doubt,
            },
            Some(HostView::Unread { why, hint }) => {
                Doubt { kind: Kind::Unknown, why: why.clone(), hint: hint.clone() }
            }
            None => Doubt {
                kind: Kind::Unknown,
                why: "it was not asked".to_string(),
                hint: String::new(),
            },
        };
        if spec.state == HostState::Lost {
            continue;
        }
        let why = match held.slots {
            0 => doubt.why,
            slots => {
                format!("{}; {} there are left alone", doubt.why, counted(slots, held.volumes))
            }
        };
        report.say(doubt.kind, Object::Host { host: name.clone() }, why, &doubt.hint);
    }
    trusted
}

fn doubt(
    inputs: &Inputs<'_>,
    spec: &HostSpec,
    reading: &Reading,
    held: &Held<'_>,
) -> Option<Doubt> {
    let unknown =
        |why: String, hint: &str| Some(Doubt { kind: Kind::Unknown, why, hint: hint.to_string() });
    match (&reading.pool, held.pools.first()) {
        (PoolView::Absent, None) => None,
        (PoolView::Absent, Some(pool)) => unknown(
            format!("the pool is gone: {pool} is remembered, and the host has none"),
            "bring the pool back (is its disk there, its volume group active?); if it is lost \
             for good, set state = \"lost\"",
        ),
        (PoolView::Present(pool), remembered) => {
            if let Some(doubt) = foreign(&inputs.desired.fleet, spec, pool, remembered.copied()) {
                return Some(doubt);
            }
            if let Some(other) = held.pools.iter().find(|id| ***id != pool.id) {
                return unknown(
                    format!("its pool is {}, and {other} is remembered", pool.id),
                    "attach the disk that the host had, or set state = \"lost\"",
                );
            }
            if pool.machine != reading.machine {
                return unknown(
                    format!(
                        "its pool was made on machine {}, and machine {} answers",
                        pool.machine, reading.machine
                    ),
                    "a copied disk? If the disk moved on purpose, mark the pool anew with \
                     `tiedown host init`",
                );
            }
            None
        }
    }
}

fn foreign(
    fleet: &FleetName,
    spec: &HostSpec,
    pool: &Pool,
    remembered: Option<&PoolId>,
) -> Option<Doubt> {
    if pool.fleet != *fleet {
        return Some(Doubt {
            kind: Kind::Refused,
            why: format!("its pool belongs to fleet {}", pool.fleet),
            hint: "name another pool for it in tiedown.toml".to_string(),
        });
    }
    let renamed = spec.was.as_ref() == Some(&pool.host)
        && remembered.is_none_or(|remembered| *remembered == pool.id);
    if pool.host != spec.name && !renamed {
        return Some(Doubt {
            kind: Kind::Refused,
            why: format!("its pool belongs to host {}", pool.host),
            hint: format!("if {} was renamed, say was = \"{}\"", spec.name, pool.host),
        });
    }
    None
}
