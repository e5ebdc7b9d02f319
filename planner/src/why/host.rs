//! Why a host: what the file says of it, what it holds, what is done on it.

use super::{Explanation, Held, Scene, Wanted, host_of};
use crate::model::name::HostName;
use crate::model::observed::{HostView, PoolView};
use alloc::format;

pub(super) fn why(scene: &Scene<'_, '_>, host: &HostName) -> Explanation {
    let claims = scene.ground.claims.values().filter(|claim| claim.host == *host);
    let held: alloc::vec::Vec<Held> = claims.cloned().map(Held::Claim).collect();
    let mut told = scene.told(format!("host {host}"), |object| host_of(object) == Some(host));
    let changes = scene.planned.plan.changes.iter().filter(|change| change.host == *host);
    told.changes = changes.cloned().collect();
    let spec = scene.inputs.desired.hosts.get(host);
    told.known = spec.is_some() || !held.is_empty();
    told.held = held;
    told.wanted = match spec {
        Some(spec) => Wanted::By {
            file: "tiedown.toml".into(),
            line: format!(
                "[[hosts]] name = \"{host}\", region = \"{}\", state = \"{}\"",
                spec.region,
                spec.state.as_str()
            ),
        },
        None => Wanted::Not { why: "tiedown.toml does not name it".into() },
    };
    told.place = match (scene.ground.trusted.get(host), scene.inputs.observed.get(host)) {
        (Some(trusted), _) => {
            let over = scene.inputs.policy.overcommit_thousandths;
            Some(match &trusted.reading.pool {
                PoolView::Present(pool) => format!(
                    "its pool {} has promised {} of {}, with room for {}",
                    pool.id,
                    trusted.reading.promised(),
                    pool.size,
                    trusted.reading.room(over)
                ),
                PoolView::Absent => "it has no pool; one is made when it is needed".into(),
            })
        }
        (None, Some(HostView::Unread { why, .. })) => {
            Some(format!("it could not be read, so nothing is done there: {why}"))
        }
        (None, Some(HostView::Read(_))) => {
            Some("it answered, and cannot be believed, so nothing is done there".into())
        }
        (None, None) => None,
    };
    told
}
