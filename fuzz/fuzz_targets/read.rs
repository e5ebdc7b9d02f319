#![no_main]
//! Bytes to problems: reading never panics, every problem has a place within the text and a
//! picture, and what is read can be written as JSON.

use libfuzzer_sys::fuzz_target;
use planner::manifest::problem::{Look, render_all};
use planner::manifest::read;

fuzz_target!(|bytes: &[u8]| {
    let read = read("fly.toml", bytes);
    if let Some(manifest) = &read.manifest {
        assert!(manifest.config_json().is_object());
        assert!(!manifest.groups.is_empty());
    }
    let text = String::from_utf8_lossy(bytes);
    for problem in &read.problems {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= bytes.len());
    }
    let first: Vec<_> = read.problems.iter().take(5).cloned().collect();
    assert_eq!(render_all(&first, &text, Look::Plain).is_empty(), first.is_empty());
});
