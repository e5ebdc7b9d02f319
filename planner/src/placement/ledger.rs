//! What each host has left, tallied while a plan is made: room of pools, memory, processors and
//! addresses. Nothing is promised twice.

use crate::Inputs;
use crate::diff::{Diff, volume};
use crate::model::claim::Claim;
use crate::model::guest::Guest;
use crate::model::id::PoolId;
use crate::model::name::{FleetName, HostName};
use crate::model::observed::PoolView;
use crate::model::size::Size;
use crate::model::slot::SlotId;
use crate::recover::{Ground, Trusted};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use core::net::Ipv4Addr;

/// What one host has left.
pub(crate) struct Account<'a> {
    host: Trusted<'a>,
    has_pool: bool,
    /// Why its pool takes nothing more, whatever room is promised.
    full: Option<String>,
    capacity: Size,
    room: Size,
    memory: Size,
    cpus: u32,
    used: BTreeSet<Ipv4Addr>,
    next: usize,
    makes_pool: bool,
}

/// What every trusted host has left.
pub(crate) struct Ledger<'a> {
    fleet: &'a FleetName,
    accounts: BTreeMap<&'a HostName, Account<'a>>,
}

impl<'a> Ledger<'a> {
    /// What hosts have before the plan, without what it removes.
    pub(super) fn of(inputs: &Inputs<'a>, ground: &Ground<'a>, diff: &Diff<'a>) -> Self {
        let over = inputs.policy.overcommit_thousandths;
        let account = |host: Trusted<'a>| {
            let sizes = match (&host.reading.pool, host.spec.pool_size) {
                (PoolView::Present(pool), _) => Some((pool.size, host.reading.room(over))),
                (PoolView::Absent, Some(size)) => {
                    let size = size.times_thousandths(u64::from(over));
                    Some((size, size))
                }
                (PoolView::Absent, None) => None,
            };
            let (capacity, room) = sizes.unwrap_or_default();
            Account {
                host,
                full: full(inputs, host),
                has_pool: sizes.is_some(),
                capacity,
                room,
                memory: host.spec.memory,
                cpus: host.spec.cpus,
                used: host.reading.instances.values().map(|view| view.address).collect(),
                next: 0,
                makes_pool: false,
            }
        };
        let trusted = ground.trusted.iter();
        let accounts = trusted.map(|(name, host)| (*name, account(*host))).collect();
        let mut ledger = Self { fleet: &inputs.desired.fleet, accounts };
        let gone: BTreeSet<&SlotId> = diff.gone.iter().map(|gone| &gone.claim.slot).collect();
        for claim in ground.claims.values() {
            let guest = reserved(inputs, ground, claim);
            let Some(account) = ledger.accounts.get_mut(&claim.host) else { continue };
            account.used.insert(claim.address);
            if !gone.contains(&claim.slot) {
                account.memory = account.memory.minus(guest.memory);
                account.cpus = account.cpus.saturating_sub(guest.cpus);
            }
        }
        ledger
    }

    /// One host's account.
    pub(crate) fn account(&mut self, host: &HostName) -> Option<&mut Account<'a>> {
        self.accounts.get_mut(host)
    }

    /// One host's account, to look at.
    pub(super) fn look(&self, host: &HostName) -> Option<&Account<'a>> {
        self.accounts.get(host)
    }

    /// Hosts that get a pool by the plan, with its identity and size.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (Trusted<'a>, PoolId, Size)> {
        self.accounts.values().filter(|account| account.makes_pool).filter_map(|account| {
            let pool = crate::diff::pool_of(self.fleet, account.host);
            Some((account.host, pool, account.host.spec.pool_size?))
        })
    }
}

/// Why a host's pool takes nothing more; nothing if it does.
pub(crate) fn full(inputs: &Inputs<'_>, host: Trusted<'_>) -> Option<String> {
    match &host.reading.pool {
        PoolView::Present(pool) => inputs.policy.full.excess(pool.fill?),
        PoolView::Absent => None,
    }
}

/// What a claimed slot reserves: what its instance has, else what its group asks for.
fn reserved(inputs: &Inputs<'_>, ground: &Ground<'_>, claim: &Claim) -> Guest {
    let mains = ground.seen.mains.get(&claim.slot).into_iter().flatten();
    let mut here = mains.filter(|at| *at.host == claim.host);
    if let Some(at) = here.next() {
        return Guest::new(at.view.memory, at.view.cpus);
    }
    let app = inputs.desired.apps.get(&claim.slot.app);
    let group = app.and_then(|app| app.groups.get(&claim.slot.group));
    group.map_or(Guest::NONE, |group| group.guest)
}

impl<'a> Account<'a> {
    /// The host.
    pub(super) const fn host(&self) -> Trusted<'a> {
        self.host
    }

    /// What a volume costs beside its size.
    pub(super) fn header(&self) -> Size {
        volume::header(self.host)
    }

    /// How full the pool is with promises, in thousandths.
    pub(super) fn promised_thousandths(&self) -> u64 {
        let promised = self.capacity.minus(self.room).bytes();
        match self.capacity.bytes() {
            0 => 0,
            capacity => u64::try_from(u128::from(promised) * 1000 / u128::from(capacity))
                .unwrap_or(u64::MAX),
        }
    }

    /// Why it cannot take a slot of this size, in words; nothing if it can.
    pub(super) fn lacks(&self, volumes: usize, storage: Size, guest: Guest) -> Option<String> {
        if volumes > 0 && !self.has_pool {
            return Some("has no pool".to_string());
        }
        if let (Some(why), true) = (&self.full, volumes > 0) {
            return Some(why.clone());
        }
        if storage > self.room {
            return Some(format!("needs {storage}, has {}", self.room));
        }
        if guest.memory > self.memory {
            return Some(format!("needs {} of memory, has {}", guest.memory, self.memory));
        }
        if guest.cpus > self.cpus {
            return Some(format!("needs {} cpus, has {}", guest.cpus, self.cpus));
        }
        match self.free_address() {
            Some(_) => None,
            None => Some(format!("has no free address in {}", self.host.spec.subnet)),
        }
    }

    /// Reserves room in the pool; says why it cannot. `volume`: a volume is made there.
    pub(crate) fn reserve(&mut self, storage: Size, volume: bool) -> Result<(), String> {
        if volume && !self.has_pool {
            return Err("it has no pool".to_string());
        }
        if let (Some(why), true) = (&self.full, volume || storage > Size::ZERO) {
            return Err(format!("its pool {why}"));
        }
        if storage > self.room {
            return Err(format!("{storage} are needed, {} are left", self.room));
        }
        self.room = self.room.minus(storage);
        self.makes_pool |= volume && self.host.reading.pool == PoolView::Absent;
        Ok(())
    }

    /// Reserves memory and processors; says why it cannot.
    pub(crate) fn take(&mut self, memory: Size, cpus: u32) -> Result<(), String> {
        if memory > self.memory {
            return Err(format!("{memory} more are needed, {} are left", self.memory));
        }
        if cpus > self.cpus {
            return Err(format!("{cpus} more cpus are needed, {} are left", self.cpus));
        }
        self.memory = self.memory.minus(memory);
        self.cpus = self.cpus.saturating_sub(cpus);
        Ok(())
    }

    fn free_address(&self) -> Option<(usize, Ipv4Addr)> {
        let rest = self.host.spec.subnet.addresses().enumerate().skip(self.next);
        let mut free = rest.into_iter().filter(|(_, address)| !self.used.contains(address));
        free.next()
    }

    /// Takes the lowest free address.
    pub(crate) fn take_address(&mut self) -> Option<Ipv4Addr> {
        let (at, address) = self.free_address()?;
        self.used.insert(address);
        self.next = at;
        Some(address)
    }

    /// Reserves all that one more instance of the guest needs, with an address; nothing if there
    /// is no room.
    pub(crate) fn take_extra(&mut self, guest: Guest) -> Option<Ipv4Addr> {
        if self.lacks(0, Size::ZERO, guest).is_some() {
            return None;
        }
        self.memory = self.memory.minus(guest.memory);
        self.cpus = self.cpus.saturating_sub(guest.cpus);
        self.take_address()
    }
}
