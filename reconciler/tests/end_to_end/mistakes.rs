//! A person errs: an old job, a rewritten history, a narrowed pattern, an emptied repository, a
//! second clone, a wrong disk, a name used twice. Each time nothing is lost, nothing is doubled,
//! and what is said names the mistake.

use super::fleet::{Fleet, Said, store_manifest};
use std::fs;
use std::path::Path;
use std::process::Stdio;

const APPLY: [&str; 2] = ["apply", "--auto-approve"];

/// Two slots of the store with a line each.
fn deployed(network: u8) -> Fleet {
    let fleet = Fleet::new(network);
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("first");
    fleet.apply();
    fleet.post_everywhere("kept");
    fleet
}

/// Every slot there was is there, with its line; nothing was retired or doubled.
fn untouched(fleet: &Fleet, before: &[(String, String, String)]) {
    assert_eq!(fleet.slots(), before);
    for (slot, address, _) in before {
        assert_eq!(fleet.lines(address), format!("kept {slot}\n"));
    }
    fleet.assert_one_to_one();
}

fn refused(said: &Said, code: i32, words: &str) {
    assert_eq!(said.code, code, "{said}");
    assert!(said.out.contains(words) || said.err.contains(words), "not said: {words}\n{said}");
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn an_old_job_run_again_in_its_own_clone_changes_nothing() {
    let fleet = deployed(131);
    let old = fleet.clone_as("old");
    fleet.store("two", "{ ewr = 3 }");
    fleet.commit("second");
    fleet.apply();
    let now = fleet.slots();
    assert_eq!(now.len(), 3);
    // The job's clone does not even know the commit that was applied last.
    let said = fleet.run_in(&old, &APPLY);
    refused(&said, 4, "not removed");
    assert_eq!(fleet.slots().len(), 3, "{said}");
    fleet.assert_one_to_one();
    // One that knows it does nothing at all.
    fleet.apply();
    let now = fleet.slots();
    fleet.git(&["-C", old.to_str().unwrap(), "fetch", "-q"]);
    refused(&fleet.run_in(&old, &APPLY), 4, "is older than");
    assert_eq!(fleet.slots(), now);
    fleet.assert_fixpoint();
}

#[test]
fn a_rewritten_history_removes_nothing() {
    let fleet = deployed(132);
    let before = fleet.slots();
    fleet.store("one", "{ ewr = 1 }");
    fleet.git(&["add", "-A"]);
    fleet.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    refused(&fleet.run(&APPLY), 4, "not removed");
    untouched(&fleet, &before);
    // Nor when the commit that was applied is gone for good.
    fleet.git(&["reflog", "expire", "--expire=now", "--all"]);
    fleet.git(&["gc", "-q", "--prune=now"]);
    refused(&fleet.run(&APPLY), 4, "is not in this repository");
    untouched(&fleet, &before);
    // The way out: what there is, applied; and then less.
    fleet.store("one", "{ ewr = 2 }");
    fleet.commit("as it is");
    fleet.apply();
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one less");
    fleet.apply();
    assert_eq!(fleet.slots().len(), 1);
    fleet.assert_fixpoint();
}

#[test]
fn a_narrowed_pattern_a_moved_directory_and_an_emptied_repository_remove_nothing() {
    let fleet = deployed(133);
    let before = fleet.slots();
    let settings = fleet.repo().join("tiedown.toml");
    let written = fs::read_to_string(&settings).unwrap();
    let web = store_manifest("web", "one", "{ ord = 1 }").replace("perl run.pl", "sleep 1000");
    let web = web.split("[http_service]").next().unwrap().to_owned();
    fleet.write("web/fly.toml", &web);
    fs::write(&settings, format!("{written}[apps]\ninclude = [\"web/fly.toml\"]\n")).unwrap();
    fleet.commit("only web");
    refused(&fleet.run(&["plan"]), 4, "store/fly.toml is still there");
    untouched(&fleet, &before);

    // Pointed at a directory with its own settings of the same fleet.
    fs::write(&settings, &written).unwrap();
    fs::write(fleet.repo().join("web/tiedown.toml"), &written).unwrap();
    fleet.commit("settings below");
    refused(&fleet.run_in(&fleet.repo().join("web"), &["plan"]), 4, "store/fly.toml is still");
    untouched(&fleet, &before);

    // Everything is deleted but the settings.
    fleet.git(&["rm", "-rq", "store", "web"]);
    fleet.commit("empty");
    refused(&fleet.run(&APPLY), 4, "the source is empty");
    untouched(&fleet, &before);
    fleet.git(&["reset", "-q", "--hard", "HEAD~3"]);
    fleet.assert_fixpoint();
}

#[test]
fn a_second_clone_with_another_fleet_or_another_state_directory_touches_nothing() {
    let fleet = deployed(134);
    let before = fleet.slots();
    let clone = fleet.clone_as("second");
    let settings = clone.join("tiedown.toml");
    let written = fs::read_to_string(&settings).unwrap();
    let run = |args: &[&str]| fleet.run_in(&clone, &[args, &["--worktree"]].concat());

    // Another fleet on the same state.
    edit(&settings, "fleet = \"t134\"", "fleet = \"other\"");
    for command in [&["plan"][..], &APPLY, &["status"], &["down", "--purge", "--auto-approve"]] {
        let said = run(command);
        refused(&said, 4, "fleet t134");
        untouched(&fleet, &before);
    }
    // Another fleet with a state of its own, which takes the same addresses.
    let own_networks = fleet.first() == 10;
    let taken = if own_networks { "has some of them: another fleet" } else { "is taken by perl" };
    let state = fleet.state();
    let other = state.with_file_name("other");
    edit(&settings, state.to_str().unwrap(), other.to_str().unwrap());
    refused(&run(&APPLY), 6, taken);
    untouched(&fleet, &before);
    let said = run(&["down", "--purge", "--auto-approve"]);
    assert_eq!(said.code, 0, "{said}");
    untouched(&fleet, &before);

    // The same fleet with another state.
    fs::write(&settings, &written).unwrap();
    edit(&settings, state.to_str().unwrap(), other.to_str().unwrap());
    refused(&run(&APPLY), 6, taken);
    untouched(&fleet, &before);
    let said = run(&["down", "--purge", "--auto-approve"]);
    assert_eq!(said.code, 0, "{said}");
    untouched(&fleet, &before);
    fleet.assert_fixpoint();
}

#[test]
fn a_wrong_machine_a_swapped_pool_and_a_foreign_one_are_left_alone() {
    let fleet = deployed(135);
    let before = fleet.slots();
    fleet.store("two", "{ ewr = 3 }");
    fleet.commit("wants more");
    let pool = |host: &str| fleet.state().join("hosts").join(host).join("pool.json");
    let one = fs::read_to_string(pool("ewr-1")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&one).unwrap();
    let field = |name: &str| value[name].as_str().unwrap().to_owned();
    let otherwise = |text: &str| {
        let digit = |c: char| if c == '0' { '1' } else { '0' };
        let first = text.chars().next().unwrap();
        format!("{}{}", digit(first), &text[1..])
    };
    for (name, words) in [("machine", "was made on machine"), ("id", "is remembered")] {
        let old = field(name);
        edit(&pool("ewr-1"), &old, &otherwise(&old));
        let said = fleet.run(&["plan"]);
        refused(&said, 7, words);
        let held = before.iter().filter(|slot| said.out.contains(&slot.0)).count();
        assert!(held <= 2, "{said}");
        fs::write(pool("ewr-1"), &one).unwrap();
        untouched(&fleet, &before);
    }
    // Of another fleet, or of another host: two disks put into each other.
    edit(&pool("ewr-1"), "\"t135\"", "\"elsewhere\"");
    refused(&fleet.run(&["plan"]), 7, "is of fleet elsewhere");
    fs::write(pool("ewr-1"), &one).unwrap();
    let two = fs::read_to_string(pool("ewr-2")).unwrap();
    fs::write(pool("ewr-1"), &two).unwrap();
    fs::write(pool("ewr-2"), &one).unwrap();
    let said = fleet.run(&APPLY);
    refused(&said, 4, "belongs to host");
    fs::write(pool("ewr-1"), &one).unwrap();
    fs::write(pool("ewr-2"), &two).unwrap();
    untouched(&fleet, &before);
    fleet.apply();
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn a_moved_line_whose_old_name_is_used_again_is_refused() {
    let fleet = deployed(136);
    let shop = store_manifest("shop", "one", "{ ewr = 2 }")
        .replace("[tiedown.scale]", "[tiedown]\nmoved = [\"store\"]\n[tiedown.scale]");
    fleet.write("store/fly.toml", &shop);
    fleet.commit("another name");
    fleet.apply();
    let before = fleet.slots();
    assert!(before.iter().all(|slot| slot.0.starts_with("shop/")), "{before:?}");
    for (_, address, _) in &before {
        assert!(fleet.lines(address).starts_with("kept store/"), "its volume came with it");
    }
    fleet.assert_fixpoint();

    fleet.write("again/run.pl", &fs::read_to_string(fleet.repo().join("store/run.pl")).unwrap());
    fleet.write("again/fly.toml", &store_manifest("store", "one", "{ ord = 1 }"));
    fleet.commit("the old name again");
    refused(&fleet.run(&APPLY), 4, "`moved` names app store");
    let now = fleet.slots();
    assert_eq!(now[..2], before, "the volumes stay with who has them");
    for (slot, address, _) in &now[2..] {
        assert_eq!(fleet.lines(address), "", "{slot} has a volume of its own");
    }
    fleet.assert_one_to_one();
    edit(&fleet.repo().join("store/fly.toml"), "moved = [\"store\"]", "moved = []");
    fleet.commit("the line is gone");
    fleet.apply();
    fleet.assert_fixpoint();
}

#[test]
fn the_same_commit_applied_from_two_clones_at_once_makes_everything_once() {
    let fleet = Fleet::new(137);
    fleet.store("one", "{ ewr = 2, ord = 1 }");
    fleet.commit("first");
    let clone = fleet.clone_as("second");
    let spawn = |repo: &Path, more: &[&str]| {
        let mut command = fleet.command_in(repo, &[&APPLY, more].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for round in ["one", "two"] {
        fleet.store(round, "{ ewr = 2, ord = 1 }");
        fleet.commit(round);
        fleet.git(&["-C", clone.to_str().unwrap(), "pull", "-q"]);
        let mut applies = [
            spawn(&fleet.repo(), &[]),
            spawn(&clone, &["--lock-timeout", "60"]),
            spawn(&clone, &[]),
        ];
        let codes = applies.each_mut().map(|apply| apply.wait().unwrap().code().unwrap());
        // Whoever comes second finds the lock, or everything done; never half of it.
        assert!(codes.iter().all(|code| [0, 3, 5, 6].contains(code)), "{codes:?}");
        assert!(codes.contains(&0), "{codes:?}");
        fleet.apply();
        fleet.assert_one_to_one();
        assert_eq!(fleet.status()["volumes"].as_array().unwrap().len(), 3);
        fleet.assert_fixpoint();
    }
}
