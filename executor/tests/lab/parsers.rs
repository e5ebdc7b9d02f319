//! What LVM and the kernel wrote, read in full or refused.

use executor::storage::lvm::report;
use executor::storage::lvm::status::{self, Mode, Target};
use planner::model::size::Size;

const LVS: &str = include_str!("../../../testdata/host-output/lvs.json");
const STATUS: &str = include_str!("../../../testdata/host-output/dmsetup-status");

#[test]
fn a_listing_of_lvm_is_read_in_full() {
    let volumes = report::parse(LVS.as_bytes()).unwrap();
    assert_eq!(volumes.keys().collect::<Vec<_>>(), ["thin", "vol_a", "vol_b"]);
    let (pool, a) = (&volumes["thin"], &volumes["vol_a"]);
    assert_eq!((&*pool.kind, pool.transaction, pool.thin_id), ("thin-pool", Some(2), None));
    assert_eq!(
        (pool.size, pool.chunk),
        (Size::from_mib(4096), Size::from_mib(1).times_thousandths(500))
    );
    assert_eq!(
        (a.pool.as_deref(), a.thin_id, a.size),
        (Some("thin"), Some(1), Size::from_mib(300))
    );
    assert_eq!(a.tags, ["tiedown.size=33", "tiedown.slot=web/app/ewr/1"]);
    assert!(volumes["vol_b"].tags.is_empty());
}

#[test]
fn a_listing_that_is_cut_or_odd_is_refused() {
    for end in 0..LVS.trim_end().len() {
        assert!(report::parse(&LVS.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    for (from, to) in [
        ("\"lv_size\":\"314572800\"", "\"lv_size\":\"300.00m\""),
        ("\"lv_size\":\"314572800\"", "\"lv_size\":\"\""),
        ("\"lv_uuid\"", "\"uuid\""),
        ("\"thin_id\":\"1\"", "\"thin_id\":\"-1\""),
        ("\"lv\": [", "\"pv\": ["),
    ] {
        assert!(report::parse(LVS.replace(from, to).as_bytes()).is_err(), "{to}");
    }
    let empty = report::parse(br#"{"report": [{"lv": []}]}"#).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn what_the_kernel_says_of_thin_devices_is_read() {
    let targets = status::parse(STATUS).unwrap();
    assert_eq!(targets.len(), 3);
    let Target::Pool(pool) = &targets["vg0-thin-tpool"] else { panic!("{targets:?}") };
    assert_eq!((pool.transaction, pool.metadata, pool.data), (1, (1649, 16384), (36, 8192)));
    assert_eq!((pool.mode, pool.needs_check), (Mode::Writable, false));
    assert_eq!(targets["vg0-vol_a"], Target::Thin { mapped: Size::from_mib(18) });
    assert_eq!(targets["vg0-vol_b"], Target::Thin { mapped: Size::ZERO });
    assert!(status::parse("No devices found\n").unwrap().is_empty());
}

#[test]
fn a_sick_pool_is_told_and_an_odd_line_refused() {
    let line = "p-tpool: 0 8 thin-pool 7 1/2 2/2 - out_of_data_space discard_passdown \
                error_if_no_space needs_check 1024";
    let targets = status::parse(line).unwrap();
    let Target::Pool(pool) = &targets["p-tpool"] else { panic!("{targets:?}") };
    assert_eq!((pool.mode, pool.needs_check), (Mode::OutOfData, true));
    for line in ["v: 0 8 thin Fail", "v: 0 8 thin-pool Fail", "v: 0 8 thin Error"] {
        assert_eq!(status::parse(line).unwrap()["v"], Target::Failed);
    }
    for line in [
        "v",
        "v: 0 8",
        "v: 0 8 thin",
        "v: 0 8 thin x -",
        "v: 0 8 thin-pool 7 1/2",
        "v: 0 8 thin-pool 7 3/2 2/2 - rw a b - 1",
        "v: 0 8 thin-pool 7 1/2 2/2 - odd a b - 1",
        "v: 0 8 thin-pool 7 1/0 2/2 - rw a b - 1",
    ] {
        assert!(status::parse(line).is_err(), "{line}");
    }
}

#[test]
fn what_thin_ls_lists_is_read_in_full() {
    let text = "   1  0\n   2  1\n\n";
    assert_eq!(status::devices(text).unwrap(), [(1, 0), (2, 1)].into());
    assert!(status::devices("").unwrap().is_empty());
    for odd in ["1", "1 2 3", "DEV TRANSACTION", "1 -1", "1 0\n2"] {
        assert!(status::devices(odd).is_err(), "{odd}");
    }
}
