//! Broken manifests with their exact messages: `testdata/manifests/invalid/MISTAKE` holds the
//! manifest and the problems as text. `UPDATE_EXPECT=1` writes the problems anew.

use planner::manifest::problem::{Look, render_all};
use planner::manifest::read;
use std::path::Path;

const MISTAKES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/manifests/invalid");

#[test]
fn every_mistake_has_its_exact_message() {
    let mut names: Vec<_> =
        std::fs::read_dir(MISTAKES).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 25, "only {} mistakes", names.len());
    let wrong: Vec<String> = names.iter().filter_map(|path| compare(path)).collect();
    assert!(wrong.is_empty(), "{}\nUPDATE_EXPECT=1 writes them anew", wrong.join("\n"));
}

fn compare(mistake: &Path) -> Option<String> {
    let bytes = std::fs::read(mistake.join("fly.toml")).unwrap();
    let read = read("fly.toml", &bytes);
    assert!(!read.problems.is_empty(), "{} is no mistake", mistake.display());
    let text = render_all(&read.problems, &String::from_utf8_lossy(&bytes), Look::Plain);
    let golden = mistake.join("problems.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    (text != expected)
        .then(|| format!("{}\n--- now\n{text}--- expected\n{expected}", mistake.display()))
}
