//! Edits of manifests: what changes and, above all, what does not. An edit and its contrary give
//! the same bytes, whatever the file's layout, line ends, byte order mark and last line.

use super::corpus::corpus;
use planner::manifest::edit::{Direction, EditError, scale, size};
use planner::manifest::read;
use planner::model::name::Region;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn scaled(text: &str, group: &str, counts: &[(&str, Option<u32>)]) -> Result<String, EditError> {
    let counts: BTreeMap<Region, Option<u32>> =
        counts.iter().map(|(region, count)| (Region::new(*region).unwrap(), *count)).collect();
    scale("fly.toml", text.as_bytes(), group, &counts)
        .map(|bytes| String::from_utf8(bytes).unwrap())
}

fn sized(text: &str, source: &str, to: Option<&str>) -> Result<String, EditError> {
    let bytes = size("fly.toml", text.as_bytes(), source, to, Direction::Either)?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Scales and back again, in the layouts that a text can have around its lines.
fn assert_scales(before: &str, group: &str, region: &str, to: u32, after: &str) {
    let now = read("fly.toml", before.as_bytes()).manifest.unwrap().tiedown.scale;
    let now = now.get(group).and_then(|counts| counts.value.get(region)).map(|at| at.value);
    for layout in LAYOUTS {
        let (before, after) = (layout(before), layout(after));
        let there = scaled(&before, group, &[(region, Some(to))]).unwrap();
        assert_eq!(there, after, "{before:?}");
        let back = scaled(&there, group, &[(region, now)]).unwrap();
        assert_eq!(back, before, "back from {after:?}");
    }
}

fn assert_sizes(before: &str, source: &str, to: &str, after: &str) {
    let mounts = read("fly.toml", before.as_bytes()).manifest.unwrap().written.mounts;
    let mount = mounts.iter().find(|mount| mount.source.as_ref().unwrap().value == source);
    let now = mount.unwrap().initial_size.as_ref().map(|at| at.value.as_str());
    for layout in LAYOUTS {
        let (before, after) = (layout(before), layout(after));
        let there = sized(&before, source, Some(to)).unwrap();
        assert_eq!(there, after, "{before:?}");
        assert_eq!(sized(&there, source, now).unwrap(), before, "back from {after:?}");
    }
}

const LAYOUTS: [fn(&str) -> String; 5] = [
    str::to_owned,
    |text| text.replace('\n', "\r\n"),
    |text| text.trim_end().to_owned(),
    |text| text.replace('\n', "\r\n").trim_end().to_owned(),
    |text| format!("\u{feff}# begins with a byte order mark\n{text}"),
];

#[test]
fn a_count_changes_where_it_stands() {
    let text =
        |n| format!("app = 'a' # one\n\n[tiedown.scale]\n  app = {{ewr={n}}}  # two\n# end\n");
    assert_scales(&text(2), "app", "ewr", 3, &text(3));
    let text = |n| format!("app = 'a'\n[tiedown]\nscale.app.ewr = {n} # x\nprotect = true\n");
    assert_scales(&text(2), "app", "ewr", 30, &text(30));
    let text = |n| format!("app = 'a'\ntiedown = {{ scale = {{ app = {{ \"ewr\" = {n} }} }} }}\n");
    assert_scales(&text(2), "app", "ewr", 0, &text(0));
    let text = |n| format!("app = 'a'\n[tiedown.scale.app]\nord = 1\newr = {n}\n[env]\nA = '1'\n");
    assert_scales(&text(2), "app", "ewr", 9, &text(9));
}

#[test]
fn a_region_is_added_in_the_manner_of_the_others() {
    for (before, after) in [
        (
            "app = 'a'\n[tiedown.scale]\napp = { ewr = 2 } # why\n",
            "app = 'a'\n[tiedown.scale]\napp = { ewr = 2, ord = 1 } # why\n",
        ),
        (
            "app = 'a'\n[tiedown.scale]\napp = {ewr=2}\n[env]\n",
            "app = 'a'\n[tiedown.scale]\napp = {ewr=2, ord=1}\n[env]\n",
        ),
        (
            "app = 'a'\n[tiedown.scale.app]\n\tewr = 2 # why\n\n[env]\n",
            "app = 'a'\n[tiedown.scale.app]\n\tewr = 2 # why\n\tord = 1\n\n[env]\n",
        ),
        (
            "app = 'a'\n[tiedown.scale]\napp.ewr = 2\n",
            "app = 'a'\n[tiedown.scale]\napp.ewr = 2\napp.ord = 1\n",
        ),
        (
            "app = 'a'\n[tiedown]\nscale = { app.ewr = 2 }\n",
            "app = 'a'\n[tiedown]\nscale = { app.ewr = 2, app.ord = 1 }\n",
        ),
    ] {
        assert_scales(before, "app", "ord", 1, after);
    }
}

#[test]
fn a_group_is_added_where_groups_are() {
    let head = "app = 'a'\n[processes]\napp = ''\nworker = 'w'\n";
    for (before, after) in [
        ("", "\n[tiedown.scale]\nworker = { ord = 1 }\n"),
        ("# end\n\n", "# end\n\n\n[tiedown.scale]\nworker = { ord = 1 }\n"),
        (
            "[tiedown]\nprotect = true\n",
            "[tiedown]\nprotect = true\n\n[tiedown.scale]\nworker = { ord = 1 }\n",
        ),
        (
            "[tiedown.scale]\napp = { ewr = 2 } # why\n[env]\n",
            "[tiedown.scale]\napp = { ewr = 2 } # why\nworker = { ord = 1 }\n[env]\n",
        ),
        (
            "[tiedown.scale.app]\newr = 2\n[env]\n",
            "[tiedown.scale.app]\newr = 2\n[env]\n\n[tiedown.scale.worker]\nord = 1\n",
        ),
    ] {
        let (before, after) = (format!("{head}{before}"), format!("{head}{after}"));
        // Without a last line end there is one line end more to write.
        let there = scaled(&before, "worker", &[("ord", Some(1))]).unwrap();
        assert_eq!(there, after);
        for layout in LAYOUTS {
            let before = layout(&before);
            let there = scaled(&before, "worker", &[("ord", Some(1))]).unwrap();
            let scale = read("", there.trim_start_matches('\u{feff}').as_bytes());
            assert_eq!(scale.manifest.unwrap().tiedown.scale["worker"].value["ord"].value, 1);
            assert_eq!(there.ends_with('\n'), before.ends_with('\n'), "{there:?}");
            assert_eq!(there.contains("\r\n"), before.contains("\r\n"), "{there:?}");
            assert_eq!(scaled(&there, "worker", &[("ord", None)]).unwrap(), before, "{there:?}");
        }
    }
    // A group that is listed without regions, and a table without groups.
    let text = scaled("app = 'a'\n[tiedown.scale]\napp = {}\n", "app", &[("ewr", Some(1))]);
    assert_eq!(text.unwrap(), "app = 'a'\n[tiedown.scale]\napp = { ewr = 1 }\n");
    let text = scaled("app = 'a'\n[tiedown.scale]\n# none\n", "app", &[("ewr", Some(1))]);
    assert_eq!(text.unwrap(), "app = 'a'\n[tiedown.scale]\napp = { ewr = 1 }\n# none\n");
    let text = scaled("app = 'a'\n[tiedown.scale.app]\n", "app", &[("ewr", Some(1))]);
    assert_eq!(text.unwrap(), "app = 'a'\n[tiedown.scale.app]\newr = 1\n");
}

#[test]
fn a_region_is_taken_out_with_its_comma() {
    let text = |counts: &str| format!("app = 'a'\n[tiedown.scale]\napp = {{ {counts} }} # why\n");
    for (region, left) in
        [("a1", "b2 = 2, c3 = 3"), ("b2", "a1 = 1, c3 = 3"), ("c3", "a1 = 1, b2 = 2")]
    {
        let now = scaled(&text("a1 = 1, b2 = 2, c3 = 3"), "app", &[(region, None)]).unwrap();
        assert_eq!(now, text(left));
    }
}

#[test]
fn several_regions_change_at_once_and_none_changes_nothing() {
    let text = "app = 'a'\n[tiedown.scale]\napp = { ewr = 2, ord = 1 }\n";
    let counts = [("ewr", Some(4)), ("ord", None), ("lhr", Some(1))];
    let now = scaled(text, "app", &counts).unwrap();
    assert_eq!(now, "app = 'a'\n[tiedown.scale]\napp = { ewr = 4, lhr = 1 }\n");
    assert_eq!(scaled(text, "app", &[("ewr", Some(2)), ("ams", None)]).unwrap(), text);
    let hex = "app = 'a'\n[tiedown.scale]\napp = { ewr = 0x2 }\n";
    assert_eq!(scaled(hex, "app", &[("ewr", Some(2))]).unwrap(), hex);
}

#[test]
fn a_size_changes_in_its_own_quotes_or_is_added_below_the_source() {
    for (before, after) in [
        (
            "app = 'a'\n[[mounts]]\nsource = 'data' # x\ninitial_size = '10gb' # y\n",
            "app = 'a'\n[[mounts]]\nsource = 'data' # x\ninitial_size = '20GB' # y\n",
        ),
        (
            "app = 'a'\n[mounts]\ninitial_size=\"\"\"10gb\"\"\"\nsource = \"data\"\n[env]\n",
            "app = 'a'\n[mounts]\ninitial_size=\"\"\"20GB\"\"\"\nsource = \"data\"\n[env]\n",
        ),
        (
            "app = 'a'\n[[mount]]\nsource = 'data'\ninitial_size = 10\n",
            "app = 'a'\n[[mount]]\nsource = 'data'\ninitial_size = 20\n",
        ),
        (
            "app = 'a'\nmounts = [{ source = 'other' }, { source = 'data', initial_size = '3' }]\n",
            "app = 'a'\nmounts = [{ source = 'other' }, { source = 'data', initial_size = '20GB' }]\n",
        ),
        (
            "app = 'a'\n[[mounts]]\n  source = 'data' # x\n  destination = '/d'\n",
            "app = 'a'\n[[mounts]]\n  source = 'data' # x\n  initial_size = \"20GB\"\n  destination = '/d'\n",
        ),
        (
            "app = 'a'\nmounts = { source = 'data', destination = '/d' }\n",
            "app = 'a'\nmounts = { source = 'data', initial_size = \"20GB\", destination = '/d' }\n",
        ),
        (
            "app = 'a'\nmounts.source = 'data'\n",
            "app = 'a'\nmounts.source = 'data'\nmounts.initial_size = \"20GB\"\n",
        ),
        (
            "app = 'a'\n[[mounts]]\nsource = 'data'\nprocesses = ['a']\n[[mounts]]\nsource = 'data'\n",
            "app = 'a'\n[[mounts]]\nsource = 'data'\ninitial_size = \"20GB\"\nprocesses = ['a']\n\
             [[mounts]]\nsource = 'data'\ninitial_size = \"20GB\"\n",
        ),
    ] {
        assert_sizes(before, "data", "20GB", after);
    }
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    let mounts = "app = 'a'\n[[mounts]]\nsource = 'data'\ninitial_size = '10gb'\n";
    let grow = |text: &str, source: &str, to: &str| {
        size("fly.toml", text.as_bytes(), source, Some(to), Direction::Grow)
    };
    let said = |error: Result<Vec<u8>, EditError>| error.unwrap_err().to_string();
    assert_eq!(
        said(grow(mounts, "data", "9GB")),
        "fly.toml:4: the size of \"data\" is 10 GB; volumes never shrink"
    );
    assert_eq!(grow(mounts, "data", "10000MB").unwrap(), mounts.as_bytes());
    assert!(grow(mounts, "data", "11").is_ok());
    assert_eq!(said(grow(mounts, "date", "11")), "no mount in fly.toml has the source \"date\"");
    for (to, why) in [
        ("1500MB", "it would be cut to 1 GB"),
        ("0", "it is less than 1 GB"),
        ("-3", "it is less than 1 GB"),
        ("big", "it does not begin with a number"),
        ("'1'\n", "it does not begin with a number"),
    ] {
        assert!(said(grow(mounts, "data", to)).ends_with(why), "{to}");
    }
    let scale_said = |text: &str, group: &str, count| {
        scaled(text, group, &[("ewr", Some(count))]).unwrap_err().to_string()
    };
    assert_eq!(scale_said(mounts, "web", 1), "there is no process group \"web\" in fly.toml");
    assert!(scale_said(mounts, "app", 10_001).contains("at most 10000"));
    assert_eq!(scale_said("app = ", "app", 1), "fly.toml cannot be read");
    let inline = "app = 'a'\ntiedown = { protect = true }\n";
    assert!(scale_said(inline, "app", 1).contains("only a person can change"));
    assert!(scale("f", b"app = '\xff'", "app", &BTreeMap::new()).is_err());
}

/// Real files: every group and every source, there and back.
#[test]
fn every_real_file_can_be_edited_and_back() {
    let Some(corpus) = corpus() else { return };
    let (mut scales, mut sizes) = (0, 0);
    for entry in std::fs::read_dir(corpus.join("manifests")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let Some(manifest) = read("fly.toml", &bytes).manifest else { continue };
        let name = path.display();
        for group in &manifest.group_names.names {
            let to = |bytes: &[u8], count| {
                let counts = BTreeMap::from([(Region::new("ewr").unwrap(), count)]);
                scale("fly.toml", bytes, group, &counts).unwrap_or_else(|e| panic!("{name}: {e}"))
            };
            let there = to(&bytes, Some(7));
            assert_ne!(there, bytes, "{name}");
            assert_eq!(to(&there, None), bytes, "{name}");
            scales += 1;
        }
        for mount in &manifest.written.mounts {
            let Some(source) = &mount.source else { continue };
            let now = mount.initial_size.as_ref().map(|at| at.value.as_str());
            let to = |bytes: &[u8], to| {
                size("fly.toml", bytes, &source.value, to, Direction::Either)
                    .unwrap_or_else(|e| panic!("{name}: {e}"))
            };
            if now.is_some_and(|now| {
                size("", &bytes, &source.value, Some(now), Direction::Either).is_err()
            }) {
                continue;
            }
            let there = to(&bytes, Some("7000GB"));
            assert_ne!(there, bytes, "{name}");
            assert_eq!(to(&there, now), bytes, "{name}");
            sizes += 1;
        }
    }
    println!("scaled and back: {scales}; sized and back: {sizes}");
    assert!(scales > 300 && sizes > 50);
}

fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "# a comment",
        "",
        "  ",
        "[env]",
        "A = 'b'",
        "[[mounts]]",
        "source = 'data' # why",
        "destination = '/data'",
        "initial_size = \"10GB\"",
        "initial_size = 10",
        "[tiedown]",
        "[tiedown.scale]",
        "app = { ewr = 2 }",
        "app={ewr=2,ord=1} # tight",
        "[tiedown.scale.app]",
        "ewr = 2",
        "ord = 1",
        "app.ewr = 3",
        "scale.app = { ewr = 1 }",
        "protect = true",
        "app = 'x'",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the layout: what is edited in place and back is what it was.
    #[test]
    fn an_edit_and_its_contrary_give_the_same_bytes(
        lines in prop::collection::vec(line(), 0..12),
        layout in 0..LAYOUTS.len(),
        count in 0..50u32,
    ) {
        let text = LAYOUTS[layout](&(lines.join("\n") + "\n"));
        let read = read("", text.trim_start_matches('\u{feff}').as_bytes());
        let Some(manifest) = read.manifest else { return Ok(()) };
        for (group, counts) in &manifest.tiedown.scale {
            for (region, now) in &counts.value {
                if manifest.group_names.names.contains(group) && Region::new(region).is_ok() {
                    let there = scaled(&text, group, &[(region, Some(count))]).unwrap();
                    let back = scaled(&there, group, &[(region, Some(now.value))]).unwrap();
                    prop_assert_eq!(&back, &text);
                }
            }
            if manifest.group_names.names.contains(group) && !counts.value.is_empty() {
                let there = scaled(&text, group, &[("lhr", Some(count))]).unwrap();
                prop_assert_eq!(&scaled(&there, group, &[("lhr", None)]).unwrap(), &text);
            }
        }
        for mount in &manifest.written.mounts {
            let Some(source) = mount.source.as_ref() else { continue };
            let now = mount.initial_size.as_ref().map(|at| at.value.as_str());
            let there = sized(&text, &source.value, Some("70GB")).unwrap();
            let alike = manifest.written.mounts.iter().all(|other| {
                other.initial_size.as_ref().map(|at| at.value.as_str()) == now
            });
            if alike {
                prop_assert_eq!(&sized(&there, &source.value, now).unwrap(), &text);
            }
        }
    }
}
