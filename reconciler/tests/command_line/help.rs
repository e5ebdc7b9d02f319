//! The help of every command, word for word. `UPDATE_EXPECT=1` writes what it says now.

use super::repo::Repo;
use std::fs;
use std::path::Path;

const COMMANDS: [&str; 56] = [
    "",
    "init",
    "doctor",
    "validate",
    "config",
    "config show",
    "edit",
    "edit scale",
    "edit size",
    "plan",
    "comment",
    "changes",
    "apply",
    "observe",
    "simulate",
    "why",
    "drift",
    "status",
    "history",
    "logs",
    "volumes",
    "volumes list",
    "volumes show",
    "volumes snapshot",
    "volumes restore",
    "volumes destroy",
    "volumes adopt",
    "secrets",
    "secrets set",
    "secrets list",
    "secrets unset",
    "hold",
    "unhold",
    "restart",
    "run",
    "exec",
    "serve",
    "hook",
    "hook pre-receive",
    "hook post-receive",
    "approve",
    "pause",
    "unpause",
    "down",
    "resume",
    "host",
    "host init",
    "install",
    "install systemd",
    "keys",
    "keys export",
    "keys verify",
    "keys import",
    "schema",
    "completions",
    "man",
];

#[test]
fn help_is_as_written_down() {
    let repo = Repo::empty();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cli");
    let mut wrong = Vec::new();
    for command in COMMANDS {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let said = repo.run(&args);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said}");
        assert!(said.out.contains("\nExamples:\n  "), "{command} shows no example");
        let name =
            if command.is_empty() { "tiedown".to_owned() } else { command.replace(' ', "-") };
        let path = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &said.out).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if said.out != expected {
            wrong.push(format!("{}:\n{}", path.display(), said.out));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_EXPECT=1 writes them anew", wrong.join("\n"));
}

#[test]
fn every_command_has_its_help_written_down() {
    let repo = Repo::empty();
    let help = repo.run(&["--help"]).out;
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        assert!(COMMANDS.contains(&name), "{name} is not among them");
    }
}
