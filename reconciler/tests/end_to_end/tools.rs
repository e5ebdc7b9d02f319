//! Tools that were made for terraform's plan JSON take ours: two of the Python registry, installed
//! for the test.

use super::fleet::{Fleet, store_manifest};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A report in Markdown, and a gate that fails when something is deleted.
const TOOLS: [&str; 2] = ["tf-peek==1.3.0", "terrasafe==0.5.1"];

/// A directory with the tools' programs, or why there is none.
fn installed(root: &Path) -> Result<PathBuf, String> {
    let run = |program: &Path, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    let environment = root.join("tools");
    run(Path::new("python3"), &["-m", "venv", environment.to_str().unwrap()])?;
    let programs = environment.join("bin");
    let pip = ["-q", "--disable-pip-version-check", "install", "--retries", "1"];
    run(&programs.join("pip"), &[&pip[..], &TOOLS[..]].concat())?;
    Ok(programs)
}

fn fed(program: PathBuf, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn tools_made_for_terraforms_plan_json_take_ours() {
    let root = tempfile::tempdir().unwrap();
    let programs = match installed(root.path()) {
        Ok(programs) => programs,
        Err(why) => {
            crate::skipped(&format!("{TOOLS:?}: could not be installed: {why}"));
            return;
        }
    };
    let fleet = Fleet::new(127);
    let manifest = |env: &str, token: &str, scale: &str| {
        let token = format!("[env]\nAPI_TOKEN = {token:?}\n");
        let text = store_manifest("store", env, scale).replace("[env]\n", &token);
        fleet.write("store/fly.toml", &text);
        fleet.commit(env);
    };
    fleet.store("one", "{ ewr = 2 }");
    manifest("one", "hunter2", "{ ewr = 2 }");
    let plan = |fleet: &Fleet| {
        let said = fleet.run(&["plan", "--format", "json"]);
        assert_eq!(said.code, 0, "{said}");
        said.out
    };
    let first = plan(&fleet);
    let gate = fed(programs.join("terrasafe"), &[], &first);
    let told = String::from_utf8_lossy(&gate.stdout);
    assert!(gate.status.success() && told.contains("0 unauthorized deletion detected"), "{told}");
    fleet.apply();

    manifest("two", "hunter3", "{ ewr = 2 }");
    let report = fed(programs.join("tf-peek"), &["-"], &plan(&fleet));
    let told = String::from_utf8_lossy(&report.stdout);
    assert!(report.status.success(), "{told}");
    for what in ["slot.store/app/ewr/1", "slot.store/app/ewr/2", "env.VERSION", "two"] {
        assert!(told.contains(what), "{what} is not in\n{told}");
    }
    assert!(!told.contains("hunter"), "{told}");

    // The report's tool does not know terraform's `forget`; the gate does.
    manifest("two", "hunter3", "{ ewr = 1 }");
    let gate = fed(programs.join("terrasafe"), &[], &plan(&fleet));
    let told = String::from_utf8_lossy(&gate.stdout);
    assert_eq!(gate.status.code(), Some(1), "{told}");
    assert!(told.contains(" - slot.store/app/ewr/2"), "{told}");
    assert!(!told.contains("volume."), "a volume that is retired is not deleted: {told}");
}
