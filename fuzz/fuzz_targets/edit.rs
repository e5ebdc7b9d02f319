#![no_main]
//! Edits to bytes: editing never panics; what is written reads as it should; and the contrary of an
//! edit gives the first bytes back.

use libfuzzer_sys::fuzz_target;
use planner::manifest::edit::{Direction, scale, size};
use planner::manifest::read;
use planner::model::name::Region;
use std::collections::BTreeMap;

fuzz_target!(|input: (u16, &[u8])| {
    let (count, bytes) = input;
    let after_mark = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Some(manifest) = read("fly.toml", after_mark).manifest else { return };
    let count = u32::from(count) % 10_001;
    for group in manifest.group_names.names.iter().take(3) {
        let change = |bytes: &[u8], region: &str, count| {
            let region = Region::new(region).expect("it was read as one");
            scale("fly.toml", bytes, group, &BTreeMap::from([(region, count)]))
        };
        let counts = manifest.tiedown.scale.get(group);
        for (region, now) in counts.iter().flat_map(|counts| &counts.value).take(3) {
            if Region::new(region.as_str()).is_err() {
                continue;
            }
            let Ok(there) = change(bytes, region, Some(count)) else { continue };
            let raw = &after_mark[now.span.start..now.span.end];
            if raw == now.value.to_string().as_bytes() {
                assert_eq!(change(&there, region, Some(now.value)).as_deref(), Ok(bytes));
            }
        }
        if counts.is_none_or(|counts| !counts.value.contains_key("zzz")) {
            // A group listed without regions cannot be told from one that is not listed.
            let listed = counts.is_some_and(|counts| counts.value.is_empty());
            if let Ok(there) = change(bytes, "zzz", Some(count))
                && !listed
            {
                let back = change(&there, "zzz", None);
                assert!(back.is_err() || counts.is_none() || back.as_deref() == Ok(bytes));
            }
        }
    }
    for mount in manifest.written.mounts.iter().take(3) {
        let Some(source) = &mount.source else { continue };
        let Ok(there) = size("fly.toml", bytes, &source.value, Some("7000GB"), Direction::Either)
        else {
            continue;
        };
        let after = there.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&there);
        let now = read("fly.toml", after).manifest.expect("an edit can be read");
        let of_source = |m: &&planner::manifest::section::mounts::Mount| {
            m.source.as_ref().is_some_and(|at| at.value == source.value)
        };
        for mount in now.written.mounts.iter().filter(of_source) {
            let size = mount.initial_size.as_ref().map(|at| at.value.as_str());
            assert!(matches!(size, Some("7000GB" | "7000")), "{size:?}");
        }
    }
});
