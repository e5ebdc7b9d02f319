//! The same shape in terraform, with resources that do nothing: an app, two volumes and two
//! instances each, with references. Its prior state is written, not applied, for applying takes
//! it the better part of an hour.

use super::measure::{Cost, measured};
use super::row;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a plan from empty and a no-op plan cost; nothing if terraform is not there.
pub(crate) fn plan(apps: usize) -> Option<(Cost, Cost)> {
    let version = Command::new("terraform").arg("version").output();
    let Ok(version) = version else {
        println!("\nterraform is not installed, so it was not compared with.");
        return None;
    };
    let version = String::from_utf8_lossy(&version.stdout).lines().next()?.to_owned();
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("main.tf"), configuration(apps)).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new("terraform");
        command.current_dir(root.path()).args(args);
        command
    };
    assert!(run(&["init", "-input=false"]).output().unwrap().status.success());
    let plan = ["plan", "-input=false", "-no-color"];
    let empty = measured(run(&plan), &format!("Plan: {} to add", apps * 5));
    row(apps, &format!("`terraform plan`, from empty ({version})"), empty);
    fs::write(root.path().join("terraform.tfstate"), state(apps).to_string()).unwrap();
    let no_op = measured(run(&plan), "No changes. Your infrastructure matches");
    row(apps, &format!("`terraform plan`, no changes ({version})"), no_op);
    let _: &Path = root.path();
    Some((empty, no_op))
}

fn configuration(apps: usize) -> String {
    let mut text = String::new();
    for n in 0..apps {
        write!(text, "resource \"terraform_data\" \"app_{n}\" {{\n  input = \"app-{n}\"\n}}\n")
            .unwrap();
        for m in 0..2 {
            write!(
                text,
                "resource \"terraform_data\" \"volume_{n}_{m}\" {{\n  \
                 input = \"${{terraform_data.app_{n}.input}}/data/{m}\"\n}}\n\
                 resource \"terraform_data\" \"machine_{n}_{m}\" {{\n  \
                 input = \"${{terraform_data.volume_{n}_{m}.input}}/web:v1\"\n}}\n"
            )
            .unwrap();
        }
    }
    text
}

fn state(apps: usize) -> Value {
    let mut resources = Vec::new();
    let mut add = |name: String, input: String, after: Vec<String>| {
        let value = json!({ "value": input, "type": "string" });
        resources.push(json!({
            "mode": "managed", "type": "terraform_data", "name": name,
            "provider": "provider[\"terraform.io/builtin/terraform\"]",
            "instances": [{
                "schema_version": 0,
                "attributes": {
                    "id": format!("id-{name}"), "input": value, "output": value,
                    "triggers_replace": null
                },
                "sensitive_attributes": [],
                "dependencies": after,
            }],
        }));
    };
    for n in 0..apps {
        add(format!("app_{n}"), format!("app-{n}"), Vec::new());
        let app = format!("terraform_data.app_{n}");
        for m in 0..2 {
            let volume = format!("app-{n}/data/{m}");
            add(format!("volume_{n}_{m}"), volume.clone(), vec![app.clone()]);
            let after = vec![app.clone(), format!("terraform_data.volume_{n}_{m}")];
            add(format!("machine_{n}_{m}"), format!("{volume}/web:v1"), after);
        }
    }
    json!({
        "version": 4, "terraform_version": "1.11.4", "serial": 1,
        "lineage": "00000000-0000-4000-8000-000000000000", "outputs": {}, "resources": resources,
        "check_results": null,
    })
}
