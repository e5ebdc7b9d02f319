//! Manifests through the real binary: what `config show` prints against what flyctl prints for
//! real files, and what `validate` says as text, JSON and SARIF.

use super::repo::Repo;
use serde_json::Value;
use std::path::PathBuf;

/// Real manifests; they are not part of the repository.
pub(crate) fn corpus() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus");
    let path = std::env::var_os("TIEDOWN_CORPUS").map_or_else(|| default.into(), PathBuf::from);
    match path.join("expected.json").canonicalize() {
        Ok(file) => file.parent().map(PathBuf::from),
        Err(_) => {
            let path = path.display();
            crate::skipped(&format!("no corpus of manifests at {path}; set TIEDOWN_CORPUS"));
            None
        }
    }
}

#[test]
fn config_show_prints_what_flyctl_prints_outside_of_any_repository() {
    let Some(corpus) = corpus() else { return };
    let nowhere = tempfile::TempDir::new().unwrap();
    let repo = Repo::empty();
    let expected = std::fs::read_to_string(corpus.join("expected.json")).unwrap();
    let expected: Vec<Value> = serde_json::from_str(&expected).unwrap();
    let (mut shown, mut refused, mut wrong) = (0, 0, Vec::new());
    for entry in &expected {
        let file = entry["file"].as_str().unwrap();
        let path = corpus.join("manifests").join(file);
        let args = ["config", "show", path.to_str().unwrap(), "--format", "json"];
        let output = repo.command(&args).current_dir(nowhere.path()).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let unreadable = entry.get("load_error").is_some() || entry.get("parse_error").is_some();
        let code = output.status.code();
        if unreadable && code == Some(1) && told["errored"] == true {
            refused += 1;
        } else if !unreadable && code == Some(0) && told == entry["config"] {
            shown += 1;
        } else {
            wrong.push(format!("{file}: exit {code:?}, {told}"));
        }
    }
    println!("config show: {shown} equal, {refused} refused, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn config_show_reads_from_where_the_file_is() {
    let repo = Repo::new();
    repo.write("web/fly.toml", "app = \"on-disk\"\n");
    repo.write("new/fly.toml", "app = \"new\"\n");
    let app = |args: &[&str]| {
        let said = repo.run_untouched(&[&["config", "show"], args].concat());
        let config: Value = serde_json::from_str(&said.out).unwrap();
        (config["app"].as_str().map(str::to_owned), said)
    };
    assert_eq!(app(&["web/fly.toml"]).0.as_deref(), Some("web"));
    assert_eq!(app(&["./web/../web/fly.toml"]).0.as_deref(), Some("web"));
    assert_eq!(app(&["web/fly.toml", "--worktree"]).0.as_deref(), Some("on-disk"));
    let absolute = repo.dir().join("web/fly.toml");
    assert_eq!(app(&[absolute.to_str().unwrap()]).0.as_deref(), Some("on-disk"));
    let (name, said) = app(&["new/fly.toml"]);
    assert_eq!(name.as_deref(), Some("new"));
    assert!(said.err.contains("there is no new/fly.toml in commit"), "{said}");
    let said = repo.run_untouched(&["config", "show", "none/fly.toml"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("there is no none/fly.toml in commit"), "{said}");
}

/// What flyctl reads is shown even where it breaks rules; what it cannot read is refused.
#[test]
fn config_show_refuses_what_flyctl_cannot_read() {
    let repo = Repo::new();
    repo.write("a.toml", "app = \"a\"\n[http_service]\ninternal_port = \"8080\"\n");
    let said = repo.run_untouched(&["config", "show", "--worktree", "a.toml"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said}");
    assert!(said.err.contains("a.toml:3:17"), "{said}");
    repo.write("a.toml", "app = \"a\"\n[deploy]\nstrategy = \"sideways\"\n");
    let said = repo.run_untouched(&["config", "show", "--worktree", "a.toml"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.contains("\"sideways\"") && said.err.contains("a.toml:3:12"), "{said}");
}

fn sarif_schema() -> jsonschema::Validator {
    let text = include_str!("../../../testdata/sarif/sarif-schema-2.1.0.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_sarif(text: &str) -> Value {
    let log: Value = serde_json::from_str(text).unwrap();
    let faults: Vec<String> =
        sarif_schema().iter_errors(&log).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{}\n{text}", faults.join("\n"));
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"], "{result}");
    }
    log
}

#[test]
fn sarif_is_by_its_schema_and_lists_every_rule() {
    let repo = Repo::new();
    repo.write("a b/fly.toml", "app = \"web\"\n[[mounts]]\nsorce = \"dáta\"\n");
    repo.write("b/fly.toml", "app = \"b\"\nprimary_region = \n");
    repo.write("c/fly.toml", "app = \"c\"\nprimary_region = \"nowhere\"\n");
    let said = repo.run_untouched(&["validate", "--worktree", "--format", "sarif"]);
    assert_eq!(said.code, 1, "{said}");
    let log = assert_sarif(&said.out);
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), planner::manifest::code::Code::ALL.len() + 2);
    let told: Vec<String> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            let (uri, region) = (&place["artifactLocation"]["uri"], &place["region"]);
            format!(
                "{} {} {}:{}:{}",
                result["level"].as_str().unwrap(),
                result["ruleId"].as_str().unwrap(),
                uri.as_str().unwrap(),
                region["startLine"],
                region["startColumn"]
            )
        })
        .collect();
    let expected = [
        "error bad-source a%20b/fly.toml:2:1",
        "error bad-destination a%20b/fly.toml:2:1",
        "warning unknown-key a%20b/fly.toml:3:1",
        "error syntax b/fly.toml:2:17",
        "error unknown-region c/fly.toml:2:18",
        "error clash a%20b/fly.toml:1:7",
        "error clash web/fly.toml:1:7",
    ];
    for line in expected {
        assert!(told.iter().any(|told| told == line), "{line} is not among {told:#?}");
    }
}

#[test]
fn sarif_of_nothing_wrong_of_tiedown_toml_and_of_other_commands() {
    let repo = Repo::new();
    let said = repo.run_untouched(&["validate", "--format", "sarif"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(assert_sarif(&said.out)["runs"][0]["results"], Value::Array(Vec::new()));
    repo.write("tiedown.toml", &repo.settings("5GB").replace("region", "regoin"));
    let said = repo.run_untouched(&["validate", "--worktree", "--format", "sarif"]);
    assert_eq!(said.code, 1, "{said}");
    let log = assert_sarif(&said.out);
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "settings", "{said}");
    let said = repo.run_untouched(&["plan", "--format", "sarif"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.err.contains("`tiedown validate` has sarif"), "{said}");
}

#[test]
fn sarif_of_real_files_is_by_its_schema() {
    let Some(corpus) = corpus() else { return };
    let repo = Repo::empty();
    let mut files: Vec<String> = std::fs::read_dir(corpus.join("manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut args = vec!["validate", "--strict", "--format", "sarif"];
    args.extend(files.iter().map(String::as_str));
    let said = repo.run(&args);
    let log = assert_sarif(&said.out);
    assert!(log["runs"][0]["results"].as_array().unwrap().len() > 100);
}

#[test]
fn strict_makes_errors_of_warnings() {
    let repo = Repo::new();
    repo.write("a.toml", "app = \"a\"\n[env]\n[deploy]\nstrategi = \"rolling\"\n");
    let said = repo.run_untouched(&["validate", "a.toml"]);
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out.ends_with("1 manifest: 0 errors, 1 warning.\n"), "{said}");
    assert!(said.out.contains("did you mean `strategy`?"), "{said}");
    let said = repo.run_untouched(&["validate", "--strict", "a.toml"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.out.ends_with("1 manifest: 1 error, 0 warnings.\n"), "{said}");
}

#[test]
fn manifests_are_looked_at_where_tiedown_toml_is_missing_or_wrong() {
    let repo = Repo::empty();
    repo.write("a/fly.toml", "app = \"a\"\n");
    repo.write("b/fly.staging.toml", "app = \"a\"\n[vmm]\n");
    let said = repo.run_untouched(&["validate", "--worktree"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.out.ends_with("2 manifests: 2 errors, 1 warning.\n"), "{said}");
    for part in ["there is no tiedown.toml", "a/fly.toml:1:7", "b/fly.staging.toml:1:7", "[vmm]"] {
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains(part), "{part:?} is not in {said}");
    }
    repo.write("tiedown.toml", "fleet = \"f\"\nhots = 1\n");
    let said = repo.run_untouched(&["validate", "--worktree"]);
    assert_eq!(said.code, 1, "{said}");
    for part in ["did you mean `hosts`?", "a/fly.toml:1:7", "tiedown.toml: "] {
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains(part), "{part:?} is not in {said}");
    }
}
