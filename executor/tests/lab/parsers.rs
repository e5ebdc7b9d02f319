//! What LVM and the kernel wrote, read in full or refused.

use executor::storage::lvm::report;
use executor::storage::lvm::status::{self, Mode, Target};
use planner::model::size::Size;

/// What a program wrote in a lab host, byte for byte.
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../../testdata/host-output/", $name))
    };
}

const LVS: &str = recorded!("lvs.json");
const STATUS: &str = recorded!("dmsetup-status");
const FULL: &str = recorded!("dmsetup-status-full");

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
    let listings = [LVS, recorded!("lvs-everything.json"), recorded!("lvs-empty.json")];
    for listing in listings.into_iter().chain([recorded!("pvs.json"), recorded!("pvs-alone.json")])
    {
        for end in 0..listing.trim_end().len() {
            let cut = &listing.as_bytes()[..end];
            assert!(report::parse(cut).is_err() && report::physical(cut).is_err(), "at {end}");
        }
    }
    // One kind of listing is never taken for the other.
    assert!(report::parse(recorded!("pvs.json").as_bytes()).is_err());
    assert!(report::physical(LVS.as_bytes()).is_err());
    for (from, to) in [
        ("\"lv_size\":\"314572800\"", "\"lv_size\":\"300.00m\""),
        ("\"lv_size\":\"314572800\"", "\"lv_size\":\"\""),
        ("\"lv_uuid\"", "\"uuid\""),
        ("\"thin_id\":\"1\"", "\"thin_id\":\"-1\""),
        ("\"lv\": [", "\"pv\": ["),
    ] {
        assert!(report::parse(LVS.replace(from, to).as_bytes()).is_err(), "{to}");
    }
    assert!(report::parse(recorded!("lvs-empty.json").as_bytes()).unwrap().is_empty());
}

#[test]
fn all_kinds_of_volumes_are_told_apart() {
    let volumes = report::parse(recorded!("lvs-everything.json").as_bytes()).unwrap();
    let kinds: Vec<(&str, &str)> = volumes.iter().map(|(name, lv)| (&**name, &*lv.kind)).collect();
    let expected = [
        // Of two segments, and one volume.
        ("linear", "linear"),
        ("other", "linear"),
        ("snap", "thin"),
        ("thin", "thin-pool"),
        ("vol_a", "thin"),
        ("with-dash", "thin"),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(volumes["linear"].size, Size::from_mib(28));
    assert_eq!((&volumes["linear"].pool, volumes["linear"].thin_id), (&None, None));
    assert_eq!(volumes["snap"].origin.as_deref(), Some("vol_a"));
    assert_eq!(volumes["vol_a"].tags, ["tiedown.size=33", "tiedown.slot=web/app/ewr/1"]);
    let bare = report::parse(recorded!("lvs-bare-pool.json").as_bytes()).unwrap();
    assert_eq!(bare["thin"].transaction, Some(0));
    assert_eq!(bare["thin"].size, Size::from_mib(96));
}

#[test]
fn disks_are_read_with_and_without_a_group() {
    let disks = report::physical(recorded!("pvs.json").as_bytes()).unwrap();
    let disk = &disks[0];
    assert_eq!(
        (&*disk.name, &*disk.group, disk.group_free),
        ("/dev/ubdb", "vg0", Size::from_mib(6140))
    );
    let alone = report::physical(recorded!("pvs-alone.json").as_bytes()).unwrap();
    assert_eq!((&*alone[0].group, alone[0].group_free), ("", Size::ZERO));
    for (from, to) in [("\"6438256640\"", "\"6.00g\""), ("pv_name", "name"), ("vg_free", "free")] {
        let odd = recorded!("pvs.json").replace(from, to);
        assert!(report::physical(odd.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn what_is_cut_of_the_kernels_listing_is_refused_or_as_in_the_whole() {
    let whole = status::parse(FULL).unwrap();
    assert_eq!(whole.len(), 4, "{whole:?}");
    let Target::Pool(pool) = &whole["vg0-thin-tpool"] else { panic!("{whole:?}") };
    assert_eq!((pool.mode, pool.data, pool.needs_check), (Mode::OutOfData, (192, 192), false));
    assert!(whole.contains_key("vg0-with--dash"));
    for end in 0..FULL.len() {
        if let Ok(cut) = status::parse(&FULL[..end]) {
            assert!(cut.iter().all(|(name, target)| whole.get(name) == Some(target)), "at {end}");
        }
    }
    // A device that has no table yet is nothing; a line that ends there is cut.
    let begun = format!("vg0-begun: \n{FULL}");
    assert_eq!(status::parse(&begun).unwrap(), whole);
    assert!(status::parse("vg0-begun: ").is_err());
    let bare = status::parse(recorded!("dmsetup-status-bare-pool")).unwrap();
    assert!(matches!(bare["vg0-thin"], Target::Pool(_)), "{bare:?}");
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
    let devices = status::devices(recorded!("thin_ls")).unwrap();
    assert_eq!(devices, [(1, 0), (2, 1), (3, 2)].into());
    assert!(status::devices("").unwrap().is_empty());
    for odd in ["1\n", "1 2 3\n", "DEV TRANSACTION\n", "1 -1\n", "1 0\n2\n", "1 0\n2 1"] {
        assert!(status::devices(odd).is_err(), "{odd}");
    }
}
