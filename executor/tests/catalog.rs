//! What a fleet remembers: what every catalog promises, and what the embedded one does with
//! foreign files, killed processes and contended locks.

mod contract;
mod embedded;
mod locks;

use executor::catalog::embedded::EmbeddedCatalog;
use executor::names::StateDir;
use planner::model::claim::{Claim, ClaimedVolume};
use planner::model::id::{Incarnation, PoolId, VolumeId};
use planner::model::name::FleetName;
use planner::model::release::Release;
use planner::model::size::Size;
use std::path::Path;

pub(crate) fn fleet() -> FleetName {
    "prod".parse().unwrap()
}

pub(crate) fn open(state: &Path) -> EmbeddedCatalog {
    EmbeddedCatalog::open(StateDir::at(state), &fleet()).unwrap()
}

fn release(digit: char) -> Release {
    Release::try_from(digit.to_string().repeat(64)).unwrap()
}

/// The claim of slot number so, whose volume has had so many lives.
fn claim(number: u32, lives: u32) -> Claim {
    let volume = ClaimedVolume {
        id: VolumeId::parse(&format!("vol_{number:012x}{lives:04x}")).unwrap(),
        incarnation: Incarnation(lives),
        size: Size::from_gb(1),
        keeping: None,
    };
    Claim {
        slot: format!("web/app/ewr/{number}").parse().unwrap(),
        host: "ewr-1".parse().unwrap(),
        pool: Some(PoolId::parse("01234567-89ab").unwrap()),
        volumes: [("data".parse().unwrap(), volume)].into(),
        address: std::net::Ipv4Addr::new(10, 77, 1, 2),
        applied: Some(release('a')),
        applied_spec: None,
        failed: None,
        supervision: None,
        held: false,
    }
}
