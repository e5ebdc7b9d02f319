//! Which host a new slot goes to: those that have room and are spread best first, then the least
//! promised, then the first by name. Hosts without a slot of the group are taken from one order
//! that all groups share, so that a slot costs a look at its first candidates and not at every
//! host; only zones need an order of all hosts for each group.

mod order;

use super::{Ledger, Placed};
use crate::Inputs;
use crate::diff::{Diff, Origin, Runs, Wanted, cost};
use crate::model::desired::Group;
use crate::model::host::{HostSpec, HostState};
use crate::model::name::{HostName, Region};
use crate::model::policy::Spread;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::recover::{Ground, Trusted};
use crate::report::{Kind, Report};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use order::Order;

/// How many hosts a refusal names; the rest are counted.
const NAMED: usize = 6;

/// Places every wanted slot; those that find no place are reported and dropped.
pub(super) fn place<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    ledger: &mut Ledger<'a>,
    diff: &mut Diff<'a>,
    report: &mut Report,
) {
    let mut placed_on: BTreeMap<(&str, &str), Vec<&HostName>> = BTreeMap::new();
    for claim in ground.claims.values() {
        let key = (claim.slot.app.as_str(), claim.slot.group.as_str());
        placed_on.entry(key).or_default().push(&claim.host);
    }
    let mut order = Order::new(inputs, ground, ledger);
    let Diff { groups, pending, .. } = diff;
    for group in groups {
        let Some(runs) = group.runs.clone() else { continue };
        let key = (group.app.name.as_str(), group.group.name.as_str());
        let there = placed_on.get(&key).map_or(&[][..], |hosts| hosts);
        let mut field =
            Field { inputs, ground, group: group.group, runs, regions: BTreeMap::new() };
        group.wanted.retain_mut(|wanted| match field.place(ledger, &mut order, wanted, there) {
            Ok(placed) => {
                wanted.placed = Some(placed);
                true
            }
            Err((why, hint)) => {
                if wanted.pinned.is_some() {
                    pending.insert(wanted.slot.app.clone());
                }
                let hint = format!("{hint}; it is asked for in {}", group.app.manifest);
                report.say(Kind::Blocked, wanted.object(), why, &hint);
                false
            }
        });
    }
}

/// Where a candidate stands: slots of the group in its failure domain, slots of the group on it,
/// thousandths promised, name.
pub(super) type Rank<'a> = (usize, usize, u64, &'a HostName);

/// Candidates of one region for one group: with zones all hosts, else those that have a slot of
/// the group.
#[derive(Default)]
pub(super) struct Candidates<'a> {
    /// Where the look for a host without a slot of the group goes on: those before have one, or
    /// are too full.
    fresh_from: Option<order::Place<'a>>,
    order: BTreeSet<Rank<'a>>,
    /// Where each host stands.
    pub(super) hosts: BTreeMap<&'a HostName, Rank<'a>>,
    domains: BTreeMap<&'a str, usize>,
    full: Option<String>,
}

/// All that decides where the slots of one group go.
pub(super) struct Field<'a, 'f> {
    pub(super) inputs: &'f Inputs<'a>,
    pub(super) ground: &'f Ground<'a>,
    pub(super) group: &'f Group,
    pub(super) runs: Runs<'a>,
    pub(super) regions: BTreeMap<Region, Candidates<'a>>,
}

type No = (String, &'static str);

impl<'a> Field<'a, '_> {
    fn place(
        &mut self,
        ledger: &mut Ledger<'a>,
        order: &mut Order<'a>,
        wanted: &Wanted<'a>,
        there: &[&HostName],
    ) -> Result<Placed, No> {
        let region = &wanted.slot.region;
        if !self.regions.contains_key(region) {
            let candidates = self.first_candidates(ledger, region, there);
            self.regions.insert(region.clone(), candidates);
        }
        if let Some(host) = wanted.pinned {
            let placed = self.place_back(ledger, wanted, host)?;
            order.moved(ledger, host);
            // The slots that come after it keep away from it.
            self.update(ledger, region, host);
            return Ok(placed);
        }
        let (group, runs) = (self.group, &self.runs);
        let Some(candidates) = self.regions.get_mut(region) else { return Err(Default::default()) };
        if let Some(why) = &candidates.full {
            return Err((why.clone(), HINT));
        }
        let fits = |host: &HostName| {
            ledger.look(host).is_some_and(|account| {
                let storage = storage(group, account.host());
                account.lacks(group.mounts.len(), storage, group.guest).is_none()
            })
        };
        // Hosts only get fuller, and every slot of the group needs the same: one that is too full
        // now is never looked at again.
        while candidates.order.first().is_some_and(|(.., host)| !fits(host)) {
            candidates.order.pop_first();
        }
        let touched = candidates.order.first().map(|(.., host)| *host);
        let fresh = order.from(region, candidates.fresh_from).find(|(_, host)| {
            !candidates.hosts.contains_key(host)
                && ledger.look(host).is_some_and(|account| {
                    unfit(account.host().spec, Some(account.host()), runs).is_none()
                })
                && fits(host)
        });
        candidates.fresh_from = fresh.or(candidates.fresh_from);
        let Some(host) = fresh.map(|(_, host)| host).or(touched) else {
            let why = self.refusal(ledger, region);
            if let Some(candidates) = self.regions.get_mut(region) {
                candidates.full = Some(why.clone());
            }
            return Err((why, HINT));
        };
        let why = self.why(region, host);
        let placed =
            self.settle(ledger, &wanted.slot, host, storage_on(ledger, group, host), why)?;
        order.moved(ledger, host);
        self.update(ledger, region, host);
        Ok(placed)
    }

    /// A slot that takes back a volume goes where that is.
    fn place_back(
        &mut self,
        ledger: &mut Ledger<'a>,
        wanted: &Wanted<'a>,
        host: &'a HostName,
    ) -> Result<Placed, No> {
        let hint = "make room on that host; volumes cannot move yet";
        let Some(account) = ledger.look(host) else {
            return Err((format!("its retired volume is on {host}, which cannot be read"), hint));
        };
        let trusted = account.host();
        if let Some(why) = unfit(trusted.spec, Some(trusted), &self.runs) {
            return Err((format!("its retired volume is on {host}, which {why}"), hint));
        }
        let grows = |volume: &crate::diff::WantedVolume<'_>| match volume.origin.there() {
            Some((_, has)) => {
                let size = volume.mount.size.rounded_up_to(crate::diff::volume::extent(trusted));
                size.minus(has)
            }
            None => cost(volume.mount, trusted),
        };
        let storage = wanted.volumes.iter().map(grows).sum();
        if let Some(why) = account.lacks(self.group.mounts.len(), storage, self.group.guest) {
            return Err((format!("its retired volume is on {host}, which {why}"), hint));
        }
        let named = |volume: &crate::diff::WantedVolume<'_>| match volume.origin {
            Origin::Adopted(_) | Origin::Foreign(_) => true,
            Origin::Empty | Origin::Own(_) => false,
        };
        let what = match wanted.volumes.iter().any(named) {
            true => "what it adopts is",
            false => "its retired volume is",
        };
        let why = format!("on {host}, where {what}");
        self.settle(ledger, &wanted.slot, host, storage, why)
    }

    fn settle(
        &self,
        ledger: &mut Ledger<'a>,
        slot: &SlotId,
        host: &HostName,
        storage: Size,
        why: String,
    ) -> Result<Placed, No> {
        let mounted = !self.group.mounts.is_empty();
        let no = |why: String| (format!("{slot} cannot go to {host}: {why}"), HINT);
        let Some(account) = ledger.account(host) else { return Err(no("unread".into())) };
        account.reserve(storage, mounted).map_err(no)?;
        account.take(self.group.guest.memory, self.group.guest.cpus).map_err(no)?;
        let address = account.take_address().ok_or_else(|| no("no address is free".into()))?;
        let pool = crate::diff::pool_of(&self.inputs.desired.fleet, account.host());
        Ok(Placed { host: host.clone(), pool: mounted.then_some(pool), address, why })
    }

    /// All hosts of a region that can run it, ranked. `there` are the hosts of the group's slots.
    pub(super) fn candidates(
        &self,
        ledger: &Ledger<'a>,
        region: &Region,
        there: &[&HostName],
    ) -> Candidates<'a> {
        self.ranked(ledger, region, there, &mut self.ground.trusted.values())
    }

    /// Those of them that the order of all groups does not have in their place.
    fn first_candidates(
        &self,
        ledger: &Ledger<'a>,
        region: &Region,
        there: &[&HostName],
    ) -> Candidates<'a> {
        let there_once: BTreeSet<&HostName> = there.iter().copied().collect();
        let trusted = &self.ground.trusted;
        match self.inputs.policy.spread {
            Spread::Zone => self.candidates(ledger, region, there),
            Spread::Host => {
                let mut own = there_once.iter().filter_map(|name| trusted.get(*name));
                self.ranked(ledger, region, there, &mut own)
            }
            Spread::None => Candidates::default(),
        }
    }

    fn ranked(
        &self,
        ledger: &Ledger<'a>,
        region: &Region,
        there: &[&HostName],
        hosts: &mut dyn Iterator<Item = &Trusted<'a>>,
    ) -> Candidates<'a> {
        let mut candidates = Candidates::default();
        let mut on: BTreeMap<&HostName, usize> = BTreeMap::new();
        for host in there {
            *on.entry(host).or_default() += 1;
            if let Some(spec) = self.inputs.desired.hosts.get(*host) {
                *candidates.domains.entry(spec.failure_domain()).or_default() += 1;
            }
        }
        for host in hosts {
            let name = &host.spec.name;
            let fit = unfit(host.spec, Some(*host), &self.runs).is_none();
            if host.spec.region == *region && fit {
                let count = on.get(name).copied().unwrap_or(0);
                let rank = self.rank(ledger, &candidates, host.spec, count);
                candidates.order.insert(rank);
                candidates.hosts.insert(name, rank);
            }
        }
        candidates
    }

    fn rank(
        &self,
        ledger: &Ledger<'a>,
        candidates: &Candidates<'a>,
        spec: &'a HostSpec,
        on_host: usize,
    ) -> Rank<'a> {
        let promised = ledger.look(&spec.name).map_or(0, |a| a.promised_thousandths());
        let domain = candidates.domains.get(spec.failure_domain()).copied().unwrap_or(0);
        match self.inputs.policy.spread {
            Spread::Host => (0, on_host, promised, &spec.name),
            Spread::Zone => (domain, on_host, promised, &spec.name),
            Spread::None => (0, 0, 0, &spec.name),
        }
    }

    /// Ranks anew what a new slot on `host` changes.
    fn update(&mut self, ledger: &Ledger<'a>, region: &Region, host: &'a HostName) {
        let Some(mut candidates) = self.regions.remove(region) else { return };
        let hosts = &self.inputs.desired.hosts;
        let domain = hosts.get(host).map_or("", HostSpec::failure_domain);
        if let Some(spec) = hosts.get(host) {
            *candidates.domains.entry(spec.failure_domain()).or_default() += 1;
        }
        let affected: Vec<(&'a HostName, Rank<'a>)> = match self.inputs.policy.spread {
            Spread::Zone => candidates
                .hosts
                .iter()
                .filter(|(name, _)| hosts.get(**name).is_some_and(|s| s.failure_domain() == domain))
                .map(|(name, rank)| (*name, *rank))
                .collect(),
            Spread::Host => {
                let none = (0, 0, 0, host);
                alloc::vec![(host, candidates.hosts.get(host).copied().unwrap_or(none))]
            }
            Spread::None => Vec::new(),
        };
        for (name, old) in affected {
            let Some(spec) = hosts.get(name) else { continue };
            candidates.order.remove(&old);
            let rank = self.rank(ledger, &candidates, spec, old.1 + usize::from(name == host));
            candidates.order.insert(rank);
            candidates.hosts.insert(name, rank);
        }
        self.regions.insert(region.clone(), candidates);
    }

    fn why(&self, region: &Region, host: &HostName) -> String {
        let count = self
            .regions
            .get(region)
            .and_then(|candidates| candidates.hosts.get(host))
            .map_or(0, |rank| rank.1);
        match self.inputs.policy.spread {
            Spread::None => format!("on {host}, the first in {region} with room"),
            Spread::Host | Spread::Zone if count == 0 => {
                format!("on {host}, which has no other slot of the group")
            }
            Spread::Host | Spread::Zone => {
                format!("on {host}, which has the fewest slots of the group ({count})")
            }
        }
    }

    /// For each host of the region, why it cannot take the slot.
    fn refusal(&self, ledger: &Ledger<'_>, region: &Region) -> String {
        let mut reasons = Vec::new();
        for spec in self.inputs.desired.hosts.values().filter(|spec| spec.region == *region) {
            let account = ledger.look(&spec.name);
            let trusted = account.map(|account| account.host());
            let why = unfit(spec, trusted, &self.runs).or_else(|| lacks(self.group, account?));
            reasons.push(format!("{} {}", spec.name, why.unwrap_or_else(|| "is full".into())));
        }
        if reasons.is_empty() {
            return format!("there is no host in {region}");
        }
        let more = reasons.len().saturating_sub(NAMED);
        reasons.truncate(NAMED);
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        format!("no host in {region} has room: {}", reasons.join("; "))
    }
}

const HINT: &str = "add a host to the region in tiedown.toml, make room, or ask for less";

/// Why nothing new goes to a host, whatever room it has.
pub(super) fn unfit(
    spec: &HostSpec,
    trusted: Option<Trusted<'_>>,
    runs: &Runs<'_>,
) -> Option<String> {
    match spec.state {
        HostState::Cordoned | HostState::Lost => {
            return Some(format!("is {}", spec.state.as_str()));
        }
        HostState::Active => {}
    }
    let kind = runs.artifact.kind();
    match trusted {
        None => Some("cannot be read".into()),
        Some(host) if !host.reading.runs.contains(&kind) => {
            Some(format!("cannot run {}", kind.one()))
        }
        Some(_) => None,
    }
}

/// Why a host has no room for a slot of the group; nothing if it has.
pub(super) fn lacks(group: &Group, account: &super::Account<'_>) -> Option<String> {
    account.lacks(group.mounts.len(), storage(group, account.host()), group.guest)
}

fn storage(group: &Group, host: Trusted<'_>) -> Size {
    group.mounts.values().map(|mount| cost(mount, host)).sum()
}

fn storage_on(ledger: &Ledger<'_>, group: &Group, host: &HostName) -> Size {
    ledger.look(host).map_or(Size::ZERO, |account| storage(group, account.host()))
}
