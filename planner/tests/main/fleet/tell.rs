//! A fleet in a few lines: what each host has, slot by slot.

use super::Fleet;
use planner::model::instance::Role;
use planner::model::observed::{PoolView, Reading};
use planner::model::slot::SlotId;
use planner::model::volume::{VolumeKind, VolumeState};
use std::collections::BTreeSet;
use std::fmt::Write;

impl Fleet {
    /// What machines have, and what the catalog remembers differently.
    pub(crate) fn told(&self) -> String {
        let mut text = String::new();
        for (name, reading) in &self.machines {
            let config = self.config.hosts.get(name);
            let state = config.map_or("not in the fleet", |host| host.state.as_str());
            let unread = config.and_then(|host| host.unread.as_ref());
            let unread = if unread.is_some() { ", unread" } else { "" };
            let pool = match &reading.pool {
                PoolView::Absent => "no pool".to_string(),
                PoolView::Present(pool) => {
                    format!("{} of {} promised", reading.promised(), pool.size)
                }
            };
            writeln!(text, "{name} ({state}{unread}): {pool}").unwrap();
            self.slots(&mut text, reading);
        }
        for claim in self.claims.slots.values() {
            let seen = self.machines.get(&claim.host).is_some_and(|reading| {
                let ids: BTreeSet<_> = claim.volumes.values().map(|volume| &volume.id).collect();
                ids.iter().all(|id| reading.volumes.contains_key(*id))
            });
            if !seen {
                writeln!(text, "claimed on {}: {}", claim.host, claim.slot).unwrap();
            }
            if let Some(failed) = &claim.failed {
                writeln!(text, "failed: {}, {}", claim.slot, failed.why).unwrap();
            }
        }
        text
    }

    fn slots(&self, text: &mut String, reading: &Reading) {
        let slots: BTreeSet<&SlotId> = reading
            .instances
            .values()
            .map(|view| &view.slot)
            .chain(reading.volumes.values().map(|view| &view.spec.slot))
            .collect();
        for slot in slots {
            let mut parts = Vec::new();
            for view in reading.instances.values().filter(|view| view.slot == *slot) {
                let role = if view.role == Role::Main { "" } else { view.role.as_str() };
                let line =
                    format!("{role} {} {} at {}", view.state.as_str(), view.release, view.address);
                parts.push(line.trim().to_string());
            }
            for view in reading.volumes.values().filter(|view| view.spec.slot == *slot) {
                let spec = &view.spec;
                let state = match view.state {
                    VolumeState::Attached => String::new(),
                    state => format!(" {}", state.as_str()),
                };
                let life = match spec.incarnation.0 {
                    1 => String::new(),
                    life => format!(" life {life}"),
                };
                let state = match spec.kind {
                    VolumeKind::Own => state,
                    kind => format!(" {}", kind.as_str()),
                };
                parts.push(format!("{} {}{life}{state}", spec.source, spec.size));
            }
            let claimed = if self.claims.slots.contains_key(slot) { "" } else { " (no claim)" };
            writeln!(text, "  {slot}{claimed}: {}", parts.join(", ")).unwrap();
        }
    }
}
