//! Saved plans against a world that moves: each object is judged for itself.

use super::fleet::{Fleet, eventually, kill_9, store_manifest};

/// Saves what is planned now, and says where.
fn save(fleet: &Fleet, name: &str, args: &[&str]) -> String {
    let path = fleet.repo().join("..").join(name);
    let path = path.to_str().unwrap().to_owned();
    let said = fleet.run(&[&["plan", "-o", &path], args].concat());
    assert_eq!(said.code, 0, "{said}");
    path
}

fn two_apps(fleet: &Fleet, size: &str) {
    for app in ["other", "store"] {
        fleet.store("one", "{ ewr = 1 }");
        let program = std::fs::read_to_string(fleet.repo().join("store/run.pl")).unwrap();
        fleet.write(&format!("{app}/run.pl"), &program);
        let manifest = store_manifest(app, "one", "{ ewr = 1 }").replace("1gb", size);
        fleet.write(&format!("{app}/fly.toml"), &manifest);
    }
    fleet.commit(size);
}

/// Caps of attached volumes in whole GB, by app.
fn sizes(fleet: &Fleet) -> Vec<(String, u64)> {
    let status = fleet.status();
    let volumes = status["volumes"].as_array().unwrap().iter();
    let mut sizes: Vec<_> = volumes
        .map(|volume| {
            let bytes = volume["size_bytes"].as_u64().unwrap();
            (volume["app"].as_str().unwrap().to_owned(), bytes / 1_000_000_000)
        })
        .collect();
    sizes.sort();
    sizes
}

fn of(sizes: [(&str, u64); 2]) -> Vec<(String, u64)> {
    sizes.map(|(app, size)| (app.to_owned(), size)).to_vec()
}

#[test]
fn a_volume_that_somebody_grew_is_left_alone_and_the_rest_of_the_plan_stands() {
    let fleet = Fleet::new(121);
    two_apps(&fleet, "1gb");
    fleet.apply();
    fleet.post_everywhere("kept");
    two_apps(&fleet, "2gb");
    let saved = save(&fleet, "saved.json", &[]);

    // Somebody grows one of them further meanwhile.
    let further = store_manifest("store", "one", "{ ewr = 1 }").replace("1gb", "3gb");
    fleet.write("store/fly.toml", &further);
    fleet.commit("3gb");
    let said = fleet.run(&["apply", "--auto-approve", "--app", "store"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(sizes(&fleet), of([("other", 1), ("store", 3)]));
    fleet.git(&["revert", "-n", "HEAD"]);
    fleet.commit("2gb again");

    let said = fleet.run(&["apply", &saved]);
    assert_eq!(said.code, 6, "{said}");
    assert!(said.err.contains("stale, so left alone: slot store/app/ewr/1: "), "{said}");
    assert!(said.out.contains("Stale, so left alone\n  slot store/app/ewr/1: "), "{said}");
    assert!(said.out.contains("grow-volume"), "{said}");
    assert_eq!(sizes(&fleet), of([("other", 2), ("store", 3)]), "never 3 to 2");
    fleet.assert_one_to_one();

    let said = fleet.run(&["apply", &saved]);
    assert_eq!(said.code, 3, "all that is left of it is stale: {said}");
    assert!(said.err.contains("nothing was done: slot store/app/ewr/1: "), "{said}");
    assert!(said.err.contains("hint: plan again"), "{said}");
    for (slot, address, _) in fleet.slots() {
        assert_eq!(fleet.lines(&address), format!("kept {slot}\n"));
    }
}

#[test]
fn plans_of_different_apps_never_stale_each_other() {
    let fleet = Fleet::new(122);
    two_apps(&fleet, "1gb");
    fleet.apply();
    two_apps(&fleet, "2gb");
    let first = save(&fleet, "first.json", &["--app", "store"]);
    let second = save(&fleet, "second.json", &["--app", "other"]);
    for saved in [&first, &second] {
        let said = fleet.run(&["apply", saved]);
        assert_eq!(said.code, 0, "{said}");
    }
    assert_eq!(sizes(&fleet), of([("other", 2), ("store", 2)]));
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

#[test]
fn a_plan_half_applied_is_applied_again_and_ends_where_it_would_have() {
    let fleet = Fleet::new(123);
    fleet.store("one", "{ ewr = 2, ord = 1 }");
    fleet.commit("first");
    let saved = save(&fleet, "saved.json", &[]);
    let mut apply = fleet.spawn(&["apply", &saved]);
    eventually("a volume is made", || !sizes(&fleet).is_empty());
    kill_9(apply.id());
    let _ = apply.wait();
    for _ in 0..2 {
        let said = fleet.run(&["apply", &saved]);
        assert_eq!(said.code, 0, "{said}");
        assert_eq!(fleet.slots().len(), 3);
        fleet.assert_one_to_one();
    }
    let said = fleet.run(&["apply", &saved]);
    assert!(said.err.contains("nothing is left to do"), "{said}");
    fleet.assert_fixpoint();
}

#[test]
fn a_plan_that_was_altered_is_not_applied() {
    let fleet = Fleet::new(124);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    let saved = save(&fleet, "saved.json", &[]);
    let text = std::fs::read_to_string(&saved).unwrap();
    let altered = text.replacen("run.pl", "rum.pl", 1);
    assert_ne!(altered, text);
    std::fs::write(&saved, altered).unwrap();
    let said = fleet.run(&["apply", &saved]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("its contents were altered after it was written"), "{said}");
    assert!(!fleet.state().exists(), "nothing was begun");
}
