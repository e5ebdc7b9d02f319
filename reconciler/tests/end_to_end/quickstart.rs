//! The README's first command, on the fixture that it names: it does what the README says, word for
//! word.

use super::fleet::{Fleet, Said};
use std::fs;
use std::path::{Path, PathBuf};

/// The fixture with a state directory and addresses of the test's own.
fn quickstart(fleet: &Fleet, net: u8) {
    let fixture = root().join("fixtures/quickstart");
    for app in ["store", "web", "worker"] {
        fs::create_dir_all(fleet.repo().join(app)).unwrap();
        for file in fs::read_dir(fixture.join(app)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), fleet.repo().join(app).join(file.file_name())).unwrap();
        }
    }
    let settings = fs::read_to_string(fixture.join("tiedown.toml")).unwrap();
    let (mut text, mut host) = (String::new(), 0);
    for line in settings.lines() {
        text += &format!("{line}\n");
        if line.starts_with("fleet") {
            text += &format!("state_dir = {:?}\n", fleet.state());
        }
        if line.starts_with("name") {
            host += 1;
            text += &format!("subnet = \"{}.{net}.{host}.0/24\"\n", fleet.first());
        }
    }
    fleet.write("tiedown.toml", &text);
    fleet.commit("quickstart");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The lines in one order, with one name for each identity that is another on every machine.
fn lines(text: &str, addresses: &str) -> Vec<String> {
    let plain = |word: &str| {
        let id = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_id = id.starts_with("vol_") || id.len() == 36 && id.matches('-').count() == 4;
        if is_id { word.replace(id, "ID") } else { word.replace(addresses, "10.77.") }
    };
    let mut lines: Vec<String> = text
        .lines()
        // What is waited for meanwhile depends on the moment.
        .filter(|line| !line.trim().is_empty() && !line.contains(": waiting for "))
        .map(|line| line.split(' ').map(plain).collect::<Vec<_>>().join(" "))
        // Longer addresses make wider columns.
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    lines
}

#[test]
fn the_quickstart_does_what_the_readme_says() {
    let fleet = Fleet::new(145);
    quickstart(&fleet, 145);
    let said = fleet.apply();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let told = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    if fleet.run(&["doctor"]).out.contains("less    network namespaces") {
        crate::skipped("the words of the README: instances share this machine's network");
    } else {
        let Said { out, err, .. } = &said;
        assert_eq!(lines(&format!("{out}\n{err}"), "10.145."), lines(told, "10.145."), "{said}");
    }
    fleet.assert_fixpoint();
    fleet.assert_one_to_one();
    let store = format!("{}.145.1.2", fleet.first());
    assert_eq!(fleet.http(&store, "POST", "/notes", "remember the milk").unwrap(), "kept\n");
    assert_eq!(fleet.http(&store, "GET", "/notes", "").unwrap(), "remember the milk\n");
    let said = fleet.run(&["logs", "worker"]);
    assert!(said.out.contains("worker: job 1 in ord done"), "{said}");
}
