//! Histories of fleets, told in `testdata/scenarios`: each is a few lines of configuration, often
//! on top of where another ended, and the plan text and end state that are expected.
//! `UPDATE_EXPECT=1` writes what came out; read it before you keep it.

use crate::fleet::Fleet;
use crate::fleet::config::{Config, Event};
use planner::model::slot::SlotId;
use planner::model::time::Timestamp;
use planner::render::{Plain, text};
use planner::report::Kind;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item};

/// What a scenario says beside the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    /// What it is about, in one sentence.
    about: String,
    /// The scenario whose end this starts from. Its configuration holds where this says nothing.
    start: Option<String>,
    /// What is taken out of that configuration, such as `apps.web`.
    #[serde(default)]
    drop: Vec<String>,
    /// Days that have passed since then.
    #[serde(default)]
    days: u64,
    /// What happened in the meantime.
    #[serde(default)]
    happens: Vec<Event>,
    /// Slots whose new instances do not come up.
    #[serde(default)]
    fails: BTreeSet<SlotId>,
    /// Apply is cut short after so many moments.
    cut: Option<usize>,
}

/// Keys of a [`Story`] in a scenario's file; all others are configuration.
const STORY: [&str; 7] = ["about", "start", "drop", "days", "happens", "fails", "cut"];

/// Keys of the configuration that hold for one scenario only.
const PASSING: [&str; 3] = ["permits", "left_out", "lineage"];

/// Where a scenario ended.
#[derive(Clone)]
struct End {
    fleet: Fleet,
    config: DocumentMut,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/scenarios")
}

#[test]
fn scenarios_come_out_as_written() {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let (mut ends, mut wrong) = (BTreeMap::new(), Vec::new());
    for name in &names {
        let played =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(name, &mut ends).1));
        let file = directory().join(name).join("expected.txt");
        match played {
            Err(_) => wrong.push(format!("{name}: see above")),
            Ok(told) if update => fs::write(file, told).unwrap(),
            Ok(told) => {
                let expected = fs::read_to_string(file).unwrap_or_default();
                if told != expected {
                    let diff = similar::TextDiff::from_lines(&expected, &told);
                    wrong.push(format!("{name}:\n{}", diff.unified_diff()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} scenarios:\n{}", wrong.len(), wrong.join("\n"));
}

/// Plays a scenario once, after those that it starts from.
fn play(name: &str, ends: &mut BTreeMap<String, (End, String)>) -> (End, String) {
    if let Some(done) = ends.get(name) {
        return done.clone();
    }
    let file = directory().join(name).join("scenario.toml");
    let written = fs::read_to_string(&file).unwrap();
    let (story, own) = read(name, &written);
    let start = story.start.as_ref().map(|start| play(start, ends).0);
    let (fleet, config) = begin(name, &story, own, start);
    let (fleet, told) = tell(name, &story, fleet);
    let done = (End { fleet, config }, told);
    ends.insert(name.to_string(), done.clone());
    done
}

fn read(name: &str, written: &str) -> (Story, DocumentMut) {
    let mut own: DocumentMut = written.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut story = DocumentMut::new();
    for key in STORY {
        if let Some(item) = own.remove(key) {
            story.insert(key, item);
        }
    }
    let story = toml_edit::de::from_document(story);
    (story.unwrap_or_else(|e| panic!("{name}: {e}")), own)
}

fn begin(name: &str, story: &Story, own: DocumentMut, start: Option<End>) -> (Fleet, DocumentMut) {
    let mut config = start.as_ref().map(|end| end.config.clone()).unwrap_or_default();
    for key in PASSING {
        config.remove(key);
    }
    for path in &story.drop {
        let mut item: &mut Item = config.as_item_mut();
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        for key in parents.split('.').filter(|key| !key.is_empty()) {
            item = item.get_mut(key).unwrap_or_else(|| panic!("{name}: there is no {path}"));
        }
        let table = item.as_table_like_mut().unwrap();
        assert!(table.remove(last).is_some(), "{name}: there is no {path}");
    }
    merge(config.as_item_mut(), own.as_item());
    let read: Config = toml_edit::de::from_document(config.clone())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut fleet = match start {
        Some(End { mut fleet, .. }) => {
            fleet.config = read;
            fleet
        }
        None => Fleet::new(read),
    };
    fleet.settle();
    fleet.now = Timestamp(fleet.now.0 + story.days * 86_400);
    for event in &story.happens {
        fleet.happen(event);
    }
    (fleet, config)
}

/// Tables are merged, everything else is replaced.
fn merge(into: &mut Item, from: &Item) {
    let Some(from) = from.as_table_like() else { return };
    for (key, item) in from.iter() {
        let into = into.as_table_like_mut().unwrap();
        match into.get_mut(key) {
            Some(there) if there.is_table_like() && item.is_table_like() => merge(there, item),
            _ => {
                into.insert(key, item.clone());
            }
        }
    }
}

/// Plans, judges, applies, and plans again.
fn tell(name: &str, story: &Story, mut fleet: Fleet) -> (Fleet, String) {
    let planned = fleet.plan();
    assert_eq!(planned, fleet.plan(), "{name}: planned twice");
    fleet.checked(&planned.plan);
    fleet.follow_steps(&planned.plan);
    let mut told = format!("# {}\n\n", story.about);
    told += &text::plan(&planned.plan, &planned.report, &Plain);
    match story.cut {
        Some(moments) => fleet.apply_until(&planned.plan, moments),
        None => fleet.apply(&planned.plan, &story.fails),
    }
    write!(told, "\n--- afterwards\n\n{}", fleet.told()).unwrap();
    let interrupted = story.cut.is_some() || !story.fails.is_empty();
    // What waited for this plan to be carried out may go on now; nothing else may.
    let mut waits = planned.report.has(Kind::Waiting) && !interrupted;
    for _ in 0..4 {
        let again = fleet.plan();
        fleet.checked(&again.plan);
        fleet.follow_steps(&again.plan);
        let shown = text::plan(&again.plan, &again.report, &Plain);
        if again.plan.is_empty() && again.plan.changes.is_empty() && !interrupted {
            let again = text::summary(&again.plan, &again.report, &Plain);
            write!(told, "\n--- planned again\n\n{again}\n").unwrap();
            return (fleet, told);
        }
        write!(told, "\n--- planned again\n\n{shown}").unwrap();
        if interrupted {
            return (fleet, told);
        }
        assert!(waits, "{name}: it does not come to rest:\n{told}");
        waits = again.report.has(Kind::Waiting);
        fleet.apply(&again.plan, &story.fails);
    }
    panic!("{name}: it does not come to rest:\n{told}");
}
