//! Comments, statuses and requirements, with forges that are as they describe themselves.

mod ci;
mod description;
mod forks;
mod gitbeaker;
mod prism;
mod server;

use super::repo::{APP, Repo, Said};
use crate::skipped;
use description::Description;
use server::{Server, TOKEN};
use std::fs;

/// A forge that is as it describes itself, if its description could be fetched.
fn server(kind: &'static str) -> Option<Server> {
    let Some(description) = Description::of(kind) else {
        skipped(&format!("{kind}: its description is not there; fixtures/prepare.sh fetches it"));
        return None;
    };
    Some(Server::start(kind, description))
}

/// `main` with requirements, and a branch `change` with another release.
fn repo() -> Repo {
    let repo = Repo::new();
    let settings = repo.settings("5GB");
    let require = "[require]\napprovals = 1\nup_to_date = true\nchecks = [\"test\"]\n";
    repo.write("tiedown.toml", &format!("{settings}{require}"));
    repo.commit();
    repo.git(&["checkout", "-q", "-b", "change"]);
    repo.write("web/main.sh", "two\n");
    repo.commit();
    repo
}

fn run(repo: &Repo, server: &Server, args: &[&str]) -> Said {
    run_of(repo, server, "change", args)
}

fn run_of(repo: &Repo, server: &Server, change: &str, args: &[&str]) -> Said {
    let api = server.api();
    let forge = ["--forge", server.kind, "--api", &api, "--repository", "ops/fleet", "--number"];
    let args = [args, &["--base", "main", "--head", change], &forge, &["7"]].concat();
    let output = repo.command(&args).env("TIEDOWN_FORGE_TOKEN", TOKEN).output().unwrap();
    let said = Said::of(&output);
    assert!(!said.to_string().contains(TOKEN), "{said}");
    said
}

fn comment(repo: &Repo, server: &Server) -> Said {
    let said = run(repo, server, &["comment"]);
    let state = server.state();
    assert_eq!(state.wrong, Vec::<String>::new(), "{said}");
    said
}

fn head(repo: &Repo, of: &str) -> String {
    repo.git(&["rev-parse", of]).trim().to_owned()
}

/// The whole of it, on one kind of forge.
fn one_comment_and_one_status_are_kept(kind: &'static str) {
    let Some(mut server) = server(kind) else { return };
    match kind {
        // Its description is of another version of what is spoken.
        "gitlab" => {}
        _ if server.judge() => {}
        _ => skipped(&format!("{kind}: Prism is not there; fixtures/prepare.sh installs it")),
    }
    let repo = repo();
    {
        let mut state = server.state();
        state.head = head(&repo, "change");
        state.base = head(&repo, "main");
        // What others write is theirs, whatever is in it.
        let forged = "<!-- tiedown: tiedown -->\nNo changes.".to_owned();
        state.comments.push((100, "somebody".to_owned(), forged));
        // Another fleet's own, in which a manifest has put the mark of this one.
        let other = "### x\n\n<!-- tiedown: b -->\n\n```\n<!-- tiedown: tiedown -->\n```\n";
        state.comments.push((109, "tiedown-bot".to_owned(), other.to_owned()));
        state.test = Some("pending");
    }
    let said = comment(&repo, &server);
    assert!(said.code == 0 && said.out.starts_with("Comment: made. Wanting: approved, checks."));
    {
        let state = server.state();
        let (id, _, body) = &state.comments[2];
        assert_eq!((state.comments.len(), *id), (3, 102));
        assert!(state.comments[1].2.starts_with("### x\n"));
        assert_eq!(state.comments[0].2, "<!-- tiedown: tiedown -->\nNo changes.");
        assert!(body.starts_with("### Plan: 1 to add, 0 to change, 0 to destroy."), "{body}");
        for line in [
            "touches `web`; plan `",
            "- [ ] approved: nobody has approved this commit\n",
            "- [x] up to date: it descends from its base\n",
            "- [ ] checks: test has not ended\n",
        ] {
            assert!(body.contains(line), "{line} is not in {body}");
        }
        let [commit, name, how, told] = state.statuses.last().unwrap();
        assert_eq!((commit, name.as_str()), (&state.head, "tiedown/plan"));
        assert_eq!(how, "pending", "{told}");
    }
    // Nothing is applied before.
    let said = run(&repo, &server, &["apply", "--auto-approve"]);
    assert!(said.code == 4 && said.err.contains("does not meet [require]: approved"), "{said}");
    assert!(!repo.state().exists());
    // The same again is the same; approved and green, it is another.
    let said = comment(&repo, &server);
    assert!(said.out.starts_with("Comment: already so."), "{said}");
    assert_eq!(server.state().writes, 1);
    server.state().approved.push("reviewer".to_owned());
    server.state().test = Some("success");
    if kind == "gitlab" {
        approved_before_the_push(&repo, &server);
    }
    let said = comment(&repo, &server);
    assert!(said.out.starts_with("Comment: changed. Plan: 1 to add"), "{said}");
    assert_eq!(server.state().statuses.last().unwrap()[2], "success");
    applied_once_it_is_approved(&repo, &server);
    later_commits(&repo, &server);
    let state = server.state();
    assert_eq!(state.comments.len(), 3, "it is one comment all the time");
    assert!(state.comments[2].2.contains("web/fly.toml:2:"), "{}", state.comments[2].2);
    let how = &state.statuses.last().unwrap()[2];
    assert_eq!(how, if kind == "gitlab" { "failed" } else { "error" });
    let is_newer = |asked: &&String| asked.ends_with("/approvals") || asked.ends_with("/versions");
    let undescribed: Vec<String> =
        state.undescribed.iter().filter(|asked| !is_newer(asked)).cloned().collect();
    assert_eq!(undescribed, Vec::<String>::new());
    assert_eq!(state.undescribed.is_empty(), kind != "gitlab");
    drop(state);
    if kind == "gitlab" {
        gitbeaker::asks_the_same(&repo, &server);
    }
}

/// What is approved and green may be applied too: here one that changes nothing, so that nothing is
/// started.
fn applied_once_it_is_approved(repo: &Repo, server: &Server) {
    repo.git(&["checkout", "-q", "-b", "words", "main"]);
    repo.write("README.md", "words\n");
    repo.commit();
    server.state().head = head(repo, "words");
    let said = run_of(repo, server, "words", &["apply", "--auto-approve"]);
    if rustix::process::geteuid().is_root() {
        assert!(said.code == 0 && said.out.contains("No changes."), "{said}");
    }
    repo.git(&["checkout", "-q", "change"]);
    server.state().head = head(repo, "change");
}

/// An approval of whatever was under review then.
fn approved_before_the_push(repo: &Repo, server: &Server) {
    let pushed = server.state().pushed;
    server.state().pushed = "2026-11-02T11:30:00.000Z";
    let said = comment(repo, server);
    assert!(said.out.contains("Comment: changed. Wanting: approved."), "{said}");
    server.state().pushed = pushed;
}

/// One that is not under review yet, then is, and one with a mistake.
fn later_commits(repo: &Repo, server: &Server) {
    // Another commit than the one under review: its own run tells, and this one leaves it alone.
    repo.write("web/main.sh", "three\n");
    repo.commit();
    let said = comment(repo, server);
    assert!(said.out.contains("left alone") && said.out.contains("Wanting: the commit"), "{said}");
    assert_eq!(server.state().statuses.last().unwrap()[0], head(repo, "change"));
    // Two runs at once have made two comments: one of them goes.
    let twice = server.state().comments[2].clone();
    server.state().comments.push((110, twice.1, twice.2));
    server.state().head = head(repo, "change");
    let said = comment(repo, server);
    assert!(said.out.starts_with("Comment: changed."), "{said}");
    // A mistake: there is no plan, and the comment says why.
    repo.write("web/fly.toml", "app = \"web\"\nprimary_region = 3\n");
    server.state().head = repo.commit();
    let said = comment(repo, server);
    assert_eq!(said.code, 1, "{said}");
}

#[test]
fn github_takes_comments_and_statuses() {
    one_comment_and_one_status_are_kept("github");
}

#[test]
fn gitea_takes_comments_and_statuses() {
    one_comment_and_one_status_are_kept("gitea");
}

#[test]
fn gitlab_takes_comments_and_statuses() {
    skipped(
        "gitlab: a description of version 4 of its API, which is spoken: no registry has one. It is \
         compared with that of version 3, and with what another client asks and reads",
    );
    one_comment_and_one_status_are_kept("gitlab");
}

#[test]
fn a_plan_of_ten_thousand_changes_is_one_comment() {
    let Some(server) = server("github") else { return };
    let repo = Repo::new();
    let settings = repo.settings("100TB").replace("\"4GB\"", "\"100TB\"");
    let settings =
        settings.replace("127.99.1.0/24", "127.96.0.0/12").replace("cpus = 8", "cpus = 9999");
    repo.write("tiedown.toml", &settings);
    repo.commit();
    repo.git(&["checkout", "-q", "-b", "change"]);
    let mount = "[[mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n";
    for number in 0..50 {
        let app = APP.replace("web", &format!("app-{number}"));
        let scale = "[tiedown.scale]\napp = { ewr = 100 }\n";
        repo.write(&format!("app-{number}/fly.toml"), &format!("{app}{mount}{scale}"));
    }
    repo.commit();
    {
        let mut state = server.state();
        state.head = repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
        state.is_app = true;
        // Others' comments, by people and by another bot, before its own.
        state.comments.push((100, "somebody".to_owned(), "Why?".to_owned()));
    }
    let said = comment(&repo, &server);
    assert!(said.out.starts_with("Comment: made. Plan: 10000 to add"), "{said}");
    let state = server.state();
    let body = &state.comments[1].2;
    assert!(body.chars().count() <= 65_536, "{}", body.len());
    assert!(
        body.contains("<!-- tiedown: tiedown -->") && body.contains("All of it: `tiedown plan`")
    );
    assert!(body.contains(", 30 more; plan `"), "apps that the change touches are counted");
    assert_eq!(body.matches("<details>").count(), body.matches("</details>").count());
    assert!(state.statuses.iter().all(|status| status[3].chars().count() <= 140));
}

#[test]
fn without_a_token_or_a_place_nothing_is_planned() {
    let repo = repo();
    let said = repo.run(&["comment", "--base", "main"]);
    assert!(said.code == 1 && said.err.contains("what kind of forge it is: --forge"), "{said}");
    let place = ["--forge", "github", "--repository", "ops/fleet", "--number", "7"];
    let said = repo.run(&[&["comment", "--base", "main"], place.as_slice()].concat());
    assert!(said.code == 1 && said.err.contains("set TIEDOWN_FORGE_TOKEN"), "{said}");
    let text = fs::read_to_string(repo.dir().join("tiedown.toml")).unwrap();
    repo.write("tiedown.toml", &text.replace("approvals = 1", "approvals = -1\naproved = true"));
    let said = repo.run(&["plan", "--worktree"]);
    assert!(said.err.contains("`aproved` is not a key of [require]"), "{said}");
    assert!(said.err.contains("`approvals` of [require] must be a whole number"), "{said}");
}
