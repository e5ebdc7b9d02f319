//! A change under review: what it touches once it is merged, by what it is judged, and that
//! planning it leaves no trace.

use super::repo::{APP, Repo, Said};
use serde_json::Value;
use std::fs;

/// Two apps on `main`, and a branch `change` that begins there.
fn repo() -> Repo {
    let repo = Repo::new();
    repo.write("store/fly.toml", &APP.replace("web", "store"));
    repo.write("store/main.sh", "one\n");
    repo.commit();
    repo.git(&["checkout", "-q", "-b", "change"]);
    repo
}

fn plan(repo: &Repo, more: &[&str]) -> Said {
    repo.run_untouched(&[&["plan", "--base", "main", "--head", "change"], more].concat())
}

/// The apps that the change touches, and the objects that would be made.
fn touched(repo: &Repo) -> (Vec<String>, Vec<String>) {
    let said = plan(repo, &["--format", "json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said}"));
    let texts = |value: &Value, key: &str| {
        let of = |value: &Value| value.pointer(key).and_then(Value::as_str).map(str::to_owned);
        value.as_array().unwrap().iter().filter_map(of).collect::<Vec<_>>()
    };
    let apps = texts(&json["tiedown"]["change"]["apps"], "");
    let changes = texts(&json["resource_changes"], "/address");
    (apps, changes.into_iter().filter(|address| address.starts_with("slot.")).collect())
}

#[test]
fn a_change_is_planned_as_merged_for_the_apps_that_it_touches() {
    let repo = repo();
    assert_eq!(touched(&repo), (vec![], vec![]), "nothing is changed yet");
    repo.write("README.md", "nothing\n");
    repo.commit();
    assert_eq!(touched(&repo), (vec![], vec![]), "nothing that an app is made of");
    repo.write("store/main.sh", "two\n");
    let head = repo.commit();
    // The base moves on, with another app.
    repo.git(&["checkout", "-q", "main"]);
    repo.write("cart/fly.toml", &APP.replace("web", "cart"));
    let base = repo.commit();
    let (apps, slots) = touched(&repo);
    assert_eq!((apps, slots), (vec!["store".into()], vec!["slot.store/app/ewr/1".into()]));
    let said = plan(&repo, &[]);
    let told = format!("{} onto {} touches store; plan ", &head[..12], &base[..12]);
    assert!(said.code == 0 && said.out.starts_with(&told), "{said}");
    let said = plan(&repo, &["--format", "markdown"]);
    let told = format!("\n\n`{}` onto `{}` touches `store`; plan `", &head[..12], &base[..12]);
    assert!(said.out.contains(&told), "{said}");
    // A plan that is saved would be judged by the commit's own settings when it is applied.
    let said = repo.run(&["plan", "--base", "main", "--head", "change", "-o", "plan.json"]);
    assert!(said.code == 1 && said.err.contains("cannot be used with"), "{said}");
    let said = repo.run(&["apply", "--auto-approve", "--base", "main", "--head", "change"]);
    assert!(said.code == 4 && said.err.contains("not up to date with its base"), "{said}");
    // A new app, one that is gone, and one whose manifest moved.
    repo.git(&["checkout", "-q", "change"]);
    repo.git(&["mv", "web", "site"]);
    repo.git(&["rm", "-q", "-r", "store"]);
    repo.write("new/fly.toml", &APP.replace("web", "new"));
    repo.commit();
    let (apps, slots) = touched(&repo);
    assert_eq!(apps, ["new", "store", "web"]);
    assert_eq!(slots, ["slot.new/app/ewr/1", "slot.web/app/ewr/1"]);
}

#[test]
fn an_app_is_touched_by_whatever_it_is_made_of() {
    let repo = repo();
    let apps = |repo: &Repo| touched(repo).0.join(" ");
    let tiedown = "[tiedown]\nsource = \"../shared\"\n";
    repo.write("api/fly.toml", &format!("{}{tiedown}", APP.replace("web", "api")));
    let file = "[[files]]\nguest_path = \"/motd\"\nlocal_path = \"../etc/motd\"\n";
    repo.write("job/fly.toml", &format!("{}{file}", APP.replace("web", "job")));
    repo.write("shared/main.sh", "one\n");
    repo.write("shared-too/main.sh", "one\n");
    repo.write("etc/motd", "one\n");
    repo.commit();
    repo.git(&["branch", "-q", "-f", "main"]);
    for (path, touches) in [
        ("shared/main.sh", "api"),
        ("shared-too/main.sh", ""),
        ("etc/motd", "job"),
        ("api/README.md", ""),
        ("store/deep/er/x", "store"),
    ] {
        repo.write(path, "two\n");
        repo.commit();
        assert_eq!(apps(&repo), touches, "{path}");
        repo.git(&["branch", "-q", "-f", "main"]);
    }
    // A word in a manifest that means nothing else is a change to it all the same.
    repo.write("web/fly.toml", &format!("# why\n{APP}"));
    repo.commit();
    assert_eq!(apps(&repo), "web");
    let said = plan(&repo, &["--exclude-app", "web", "--format", "json"]);
    assert!(said.code == 0 && !said.out.contains("slot.web"), "{said}");
    let said = plan(&repo, &["--app", "wbe"]);
    assert!(said.code == 1 && said.err.contains("did you mean web?"), "{said}");
}

#[test]
fn a_change_does_not_loosen_what_it_is_judged_by() {
    let repo = repo();
    let settings = fs::read_to_string(repo.dir().join("tiedown.toml")).unwrap();
    let other = settings.replace("memory = \"4GB\"", "memory = \"64GB\"");
    repo.write("tiedown.toml", &format!("{other}[policy]\nauto = \"all\"\n"));
    let vm = "[[vm]]\nmemory = \"8gb\"\n";
    repo.write("web/fly.toml", &format!("{APP}{vm}"));
    repo.commit();
    let said = plan(&repo, &[]);
    assert_eq!(said.code, 8, "the base's host has no room for it: {said}");
    assert!(said.out.contains("the change alters [policy], host ewr-1 in tiedown.toml"), "{said}");
    // Whoever judges may say by what.
    let path = repo.dir().join("tiedown.toml");
    let said = repo.run(&[
        "plan",
        "--base",
        "main",
        "--head",
        "change",
        "--settings",
        path.to_str().unwrap(),
    ]);
    assert_eq!(said.code, 0, "{said}");
    // One that nothing could be planned by any more.
    repo.write("tiedown.toml", &settings.replace("region", "regoin"));
    repo.commit();
    let said = plan(&repo, &[]);
    assert_eq!(said.code, 4, "{said}");
    assert!(said.out.contains("the change makes mistakes in tiedown.toml"), "{said}");
    let said = repo.run(&["apply", "--auto-approve", "--base", "main", "--head", "change"]);
    assert!(said.code == 4 && said.err.contains("makes mistakes in tiedown.toml"), "{said}");
    // A mistake in a manifest ends it; one in a manifest that is not touched does not.
    repo.write("tiedown.toml", &settings);
    repo.write("web/fly.toml", "app = \"web\"\nprimary_region = 3\n");
    repo.commit();
    let said = plan(&repo, &[]);
    assert!(said.code == 1 && said.err.contains("web/fly.toml"), "{said}");
    repo.git(&["branch", "-q", "-f", "main"]);
    repo.write("store/main.sh", "two\n");
    repo.commit();
    assert_eq!(plan(&repo, &[]).code, 0);
}

#[test]
fn what_cannot_be_merged_is_said() {
    let repo = repo();
    repo.write("store/main.sh", "two\n");
    repo.commit();
    repo.git(&["checkout", "-q", "main"]);
    repo.write("store/main.sh", "three\n");
    repo.commit();
    let said = plan(&repo, &[]);
    assert!(said.code == 1 && said.err.contains("store/main.sh in conflict"), "{said}");
    assert!(said.err.contains("bring the branch up to date"), "{said}");
    repo.git(&["checkout", "-q", "--orphan", "other"]);
    repo.commit();
    let said = repo.run(&["plan", "--base", "main", "--head", "other"]);
    assert!(said.code == 1 && said.err.contains("no commit in common"), "{said}");
    let said = repo.run(&["plan", "--base", "main", "--rev", "change"]);
    assert!(said.code == 1 && said.err.contains("--head"), "{said}");
}
