//! Hosts of each region in the order in which a group that has no slot on them takes them. Kept
//! while slots are placed, for all groups together.

use super::super::Ledger;
use crate::Inputs;
use crate::model::name::{HostName, Region};
use crate::model::policy::Spread;
use crate::recover::Ground;
use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound;

/// Thousandths promised, if that counts, and name.
pub(super) type Place<'a> = (u64, &'a HostName);

/// The order.
pub(super) struct Order<'a> {
    spread: Spread,
    regions: BTreeMap<&'a Region, BTreeSet<Place<'a>>>,
    places: BTreeMap<&'a HostName, (&'a Region, u64)>,
}

impl<'a> Order<'a> {
    /// Of all hosts that can be believed. None with zones: there each group has its own.
    pub(super) fn new(inputs: &Inputs<'a>, ground: &Ground<'a>, ledger: &Ledger<'a>) -> Self {
        let spread = inputs.policy.spread;
        let mut order = Self { spread, regions: BTreeMap::new(), places: BTreeMap::new() };
        match spread {
            Spread::Zone => return order,
            Spread::Host | Spread::None => {}
        }
        for (name, host) in &ground.trusted {
            let promised = order.promised(ledger, name);
            let region = &host.spec.region;
            order.regions.entry(region).or_default().insert((promised, *name));
            order.places.insert(*name, (region, promised));
        }
        order
    }

    fn promised(&self, ledger: &Ledger<'a>, host: &HostName) -> u64 {
        match self.spread {
            Spread::Host => ledger.look(host).map_or(0, |account| account.promised_thousandths()),
            Spread::Zone | Spread::None => 0,
        }
    }

    /// Hosts of a region from a place on. A host only ever moves to a later place.
    pub(super) fn from(
        &self,
        region: &Region,
        place: Option<Place<'a>>,
    ) -> impl Iterator<Item = Place<'a>> {
        let from = place.map_or(Bound::Unbounded, Bound::Included);
        let hosts = self.regions.get(region);
        hosts.into_iter().flat_map(move |hosts| hosts.range((from, Bound::Unbounded)).copied())
    }

    /// Something was placed on a host.
    pub(super) fn moved(&mut self, ledger: &Ledger<'a>, host: &'a HostName) {
        let now = self.promised(ledger, host);
        let Some((region, was)) = self.places.get_mut(host) else { return };
        if let Some(hosts) = self.regions.get_mut(*region)
            && hosts.remove(&(*was, host))
        {
            hosts.insert((now, host));
        }
        *was = now;
    }
}
