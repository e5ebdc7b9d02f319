//! Gitbeaker, a client of GitLab's API that others keep: for the same operations it must ask the same,
//! and what is read of answers must be in the types that it gives them.

use super::server::{Server, TOKEN};
use crate::command_line::repo::Repo;
use crate::skipped;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

type Asked = BTreeMap<String, BTreeSet<String>>;

/// What is read of answers: the type, and its keys with the beginnings of their types.
const READ: [(&str, &[(&str, &str)]); 10] = [
    ("SimpleUserSchema", &[("username", "string")]),
    (
        "NoteSchema",
        &[
            ("id", "number"),
            ("body", "string"),
            ("author", "MappedOmit<SimpleUserSchema"),
            ("created_at", "string"),
            ("system", "boolean"),
        ],
    ),
    ("CondensedMergeRequestSchema", &[("iid", "number")]),
    (
        "MergeRequestSchema",
        &[
            ("sha", "string"),
            ("target_branch", "string"),
            ("source_project_id", "number"),
            ("target_project_id", "number"),
        ],
    ),
    ("MergeRequestDiffVersionsSchema", &[("head_commit_sha", "string"), ("created_at", "string")]),
    ("MergeRequestLevelMergeRequestApprovalSchema", &[("approved_by?", "ApprovedByEntity[]")]),
    ("ApprovedByEntity", &[("user", "MappedOmit<SimpleUserSchema")]),
    ("BranchSchema", &[("commit", "MappedOmit<CommitSchema")]),
    ("CondensedCommitSchema", &[("id", "string")]),
    ("CommitStatusSchema", &[("name", "string"), ("status", "CommitablePipelineStatus")]),
];

fn forges() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../forges").canonicalize().unwrap()
}

/// Compares what was asked of the server with what Gitbeaker asks of it now.
pub(super) fn asks_the_same(repo: &Repo, server: &Server) {
    let types = forges().join("node_modules/@gitbeaker/core/dist/index.d.ts");
    let Ok(types) = fs::read_to_string(types) else {
        skipped("gitlab: Gitbeaker is not there; fixtures/prepare.sh installs it");
        return;
    };
    let api = server.api();
    let site = ["changes", "--forge", "gitlab", "--api", &api, "--repository", "ops/fleet"];
    let changes = repo.command(&site).env("TIEDOWN_FORGE_TOKEN", TOKEN).output().unwrap();
    assert!(changes.status.success(), "{changes:?}");
    let (ours, head) = {
        let mut state = server.state();
        (std::mem::take(&mut state.asked), state.head.clone())
    };
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command_line/forge/gitbeaker.mjs");
    let output = Command::new("node")
        .arg(script)
        .env("FORGES", forges())
        .env("HOST", format!("http://{}", server.address))
        .env("TOKEN", TOKEN)
        .env("HEAD", head)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = alike(&server.state().asked);
    let ours = alike(&ours);
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (operation, said) in ours {
        let unknown: Vec<&String> = said.difference(&theirs[&operation]).collect();
        // Of versions Gitbeaker takes all; where there are pages, they are as everywhere.
        let is_paged = operation.ends_with("/versions")
            && unknown.iter().all(|name| ["page", "per_page"].contains(&name.as_str()));
        assert!(unknown.is_empty() || is_paged, "{operation} has no {unknown:?}");
    }
    for (name, keys) in READ {
        let body = types.split(&format!("\ninterface {name} ")).nth(1);
        let body = body.and_then(|rest| rest.split("\n}\n").next());
        let body = body.unwrap_or_else(|| panic!("there is no {name}"));
        for (key, kind) in keys {
            let line = format!("\n    {key}: {kind}");
            assert!(body.contains(&line), "{name} has no {key} of {kind}: {body}");
        }
    }
}

/// Without what differs from one commit or comment to another.
fn alike(asked: &Asked) -> Asked {
    let is_commit = |part: &str| part.len() == 40 && part.chars().all(|c| c.is_ascii_hexdigit());
    let is_comment = |part: &str| part.len() == 3 && part.chars().all(|c| c.is_ascii_digit());
    let mut alike = Asked::new();
    for (operation, said) in asked {
        let parts = operation.split('/').map(|part| match part {
            part if is_commit(part) => "COMMIT",
            part if is_comment(part) => "COMMENT",
            part => part,
        });
        let operation = parts.collect::<Vec<_>>().join("/");
        alike.entry(operation).or_default().extend(said.iter().cloned());
    }
    alike
}
