//! How well 100,000 volumes are placed on 1,000 hosts: on few of them if nobody asks for a spread,
//! evenly if somebody does.

use super::shape::{Made, Shape};
use planner::model::observed::{HostView, PoolView};
use planner::model::size::Size;
use planner::plan::step::Act;
use std::collections::BTreeMap;
use std::time::Instant;

const APPS: usize = 1_000;
const SLOTS: usize = 100;
const HOSTS: usize = 1_000;

/// What was asked, and whether it holds.
pub(crate) fn all() -> Vec<(String, bool)> {
    vec![few(), even()]
}

/// Sizes that do not divide a pool evenly.
fn sizes(app: usize) -> usize {
    [3, 5, 7, 11, 13, 17, 19][app % 7]
}

fn few() -> (String, bool) {
    let pool = Size::parse("2TB").unwrap();
    let shape =
        Shape { apps: APPS, slots: SLOTS, hosts: HOSTS, pool, spread: "none", gigabytes: sizes };
    let (used, promised, seconds) = placed(&shape, false);
    let room = HOSTS * usize::try_from(pool.bytes() / 1_000_000).unwrap() / HOSTS;
    let bound = promised.div_ceil(room);
    let what = format!(
        "{} volumes on {used} hosts, at least {bound} are needed (within 1%), planned in {seconds:.1} s",
        APPS * SLOTS
    );
    (what, used * 100 <= bound * 101)
}

fn even() -> (String, bool) {
    let pool = Size::parse("10TB").unwrap();
    let shape =
        Shape { apps: APPS, slots: SLOTS, hosts: HOSTS, pool, spread: "host", gigabytes: |_| 10 };
    let (uneven, _, seconds) = placed(&shape, true);
    let what = format!(
        "{} volumes with spread = \"host\": hosts differ by {uneven} slots (≤ 1), planned in {seconds:.1} s",
        APPS * SLOTS
    );
    (what, uneven <= 1)
}

/// Hosts that are used, or by how many slots they differ; and what is promised, in MB.
fn placed(shape: &Shape, differ: bool) -> (usize, usize, f64) {
    let made = Made::new(shape);
    let begun = Instant::now();
    let (said, looked) = made.planned(shape.pool);
    let seconds = begun.elapsed().as_secs_f64();
    assert!(looked.report.lines.iter().all(|line| !line.kind.is_wanting()), "all are placed");
    let mut hosts: BTreeMap<_, usize> = said.hosts.keys().map(|host| (host, 0)).collect();
    let mut promised = Size::ZERO;
    for step in looked.plan.steps() {
        if let Act::MakeVolume { volume } = &step.act {
            *hosts.get_mut(&step.host).unwrap() += 1;
            let Some(HostView::Read(reading)) = said.observed.get(&step.host) else { continue };
            let PoolView::Present(pool) = &reading.pool else { continue };
            promised = promised.plus(volume.size.rounded_up_to(pool.extent).plus(pool.header));
        }
    }
    assert_eq!(hosts.values().sum::<usize>(), shape.apps * shape.slots);
    let most = *hosts.values().max().unwrap();
    let least = *hosts.values().min().unwrap();
    let used = hosts.values().filter(|slots| **slots > 0).count();
    let promised = usize::try_from(promised.bytes() / 1_000_000).unwrap();
    (if differ { most - least } else { used }, promised, seconds)
}
