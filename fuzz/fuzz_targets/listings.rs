#![no_main]
//! Bytes as `lvs`, `pvs`, `dmsetup status` or `thin_ls` might write them: read in full or refused, never a
//! panic, and what is read is what was written.

use executor::storage::lvm::{report, status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(volumes) = report::parse(bytes) {
        assert!(volumes.iter().all(|(name, volume)| *name == volume.name && !name.is_empty()));
    }
    let _ = report::physical(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = status::devices(text);
    if let Ok(targets) = status::parse(text) {
        for (name, target) in targets {
            assert!(text.contains(&name));
            if let status::Target::Pool(pool) = target {
                assert!(pool.data.0 <= pool.data.1 && pool.metadata.0 <= pool.metadata.1);
            }
        }
    }
});
