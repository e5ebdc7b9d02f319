//! Units for systemd: shown, written, and understood by systemd itself where it is there.

use super::repo::Repo;
use crate::skipped;
use std::fs;
use std::process::Command;

#[test]
fn units_are_shown_and_written_and_systemd_takes_them() {
    let repo = Repo::new();
    let units = repo.dir().join("../units");
    fs::create_dir(&units).unwrap();
    let into = units.to_str().unwrap().to_owned();
    let base = ["install", "systemd", "--into", &into];
    let said = repo.run(&base);
    assert!(said.code == 1 && said.err.contains("nobody can be asked here"), "{said}");
    assert_eq!(fs::read_dir(&units).unwrap().count(), 0);
    let args = [
        "--auto-approve",
        "--listen",
        "127.0.0.1:8470",
        "--every",
        "15min",
        "--notify",
        "--mail",
        "ops@example.com",
        "--textfile",
        "/var/lib/node exporter/100%.prom",
    ];
    let said = repo.run(&[base.as_slice(), &args].concat());
    assert_eq!(said.code, 0, "{said}");
    let text = |name: &str| fs::read_to_string(units.join(name)).unwrap();
    for (name, lines) in [
        (
            "tiedown-f.service",
            ["KillMode=process", "TasksMax=infinity", "SendSIGKILL=no", "TimeoutStopSec=10min"],
        ),
        (
            "tiedown-f-resume.service",
            ["Type=oneshot", "RemainAfterExit=yes", "OOMPolicy=continue", "KillMode=process"],
        ),
        (
            "tiedown-f-drift.service",
            ["Type=oneshot", "SuccessExitStatus=2", "SendSIGKILL=no", "KillMode=process"],
        ),
        (
            "tiedown-f-drift.timer",
            ["OnUnitInactiveSec=15min", "OnBootSec=15min", "[Timer]", "WantedBy=timers.target"],
        ),
    ] {
        let written = text(name);
        assert!(said.out.contains(&written), "{name} is shown: {said}");
        for line in lines {
            assert!(written.lines().any(|found| found == line), "{line} is not in {written}");
        }
    }
    let binary = env!("CARGO_BIN_EXE_tiedown");
    let dir = repo.dir();
    let serve = format!("ExecStart={binary} serve -C {}/. --listen 127.0.0.1:8470", dir.display());
    let serve = serve.replace("/. --", " --");
    assert!(text("tiedown-f.service").contains(&serve), "{serve}: {}", text("tiedown-f.service"));
    let drift = "drift -C";
    assert!(text("tiedown-f-drift.service").contains(drift));
    let quoted = "--textfile \"/var/lib/node exporter/100%%.prom\"";
    assert!(text("tiedown-f-drift.service").contains(quoted));
    assert!(said.out.contains("systemctl enable --now tiedown-f.service tiedown-f-drift.timer"));
    // The same again is the same, and another wish is a change.
    let again = repo.run(&[base.as_slice(), &args].concat());
    assert_eq!(again.out.matches(": already so\n").count(), 4, "{again}");
    let other = ["--auto-approve", "--remote", "https://git.example.com/ops/fleet.git"];
    let other = repo.run(&[base.as_slice(), &other].concat());
    assert_eq!(other.out.matches(": changed\n").count(), 4, "{other}");
    let service = text("tiedown-f.service");
    assert!(service.contains("serve --remote https://git.example.com/ops/fleet.git -C ."));
    let look = text("tiedown-f-drift.service");
    assert!(look.contains(".mirrors/") && look.contains("--rev main"), "{look}");
    for wrong in [["--every", "soon"], ["--mail", "-oQ/tmp@x"]] {
        assert_eq!(repo.run(&[base.as_slice(), &wrong].concat()).code, 1);
    }
    verify(&units);
}

#[test]
fn keys_that_a_unit_cannot_open_are_told_of() {
    let repo = Repo::new();
    let units = repo.dir().join("../units");
    fs::create_dir(&units).unwrap();
    let args = ["install", "systemd", "--auto-approve", "--into", units.to_str().unwrap()];
    let text = fs::read_to_string(repo.dir().join("tiedown.toml")).unwrap();
    for (keys, told) in
        [("ask = true", "a unit can ask nobody"), ("credential = \"seal\"", "LoadCredential=seal:")]
    {
        repo.write(
            "tiedown.toml",
            &text.replace("region", &format!("keys = {{ {keys} }}\nregion")),
        );
        repo.commit();
        let said = repo.run(&args);
        assert!(said.code == 0 && said.err.contains(told), "{said}");
    }
}

#[test]
fn nobody_believes_that_passes_by_themselves_ask_for_requirements() {
    let repo = Repo::new();
    let settings = fs::read_to_string(repo.dir().join("tiedown.toml")).unwrap();
    let settings = format!("{settings}[policy]\nauto = \"none\"\n[require]\napprovals = 1\n");
    repo.write("tiedown.toml", &settings);
    repo.commit();
    let told = "do not ask for [require]";
    // Where no passes run by themselves there is nothing to say.
    let said = repo.run(&["validate"]);
    assert!(said.code == 0 && !said.err.contains(told), "{said}");
    repo.write("tiedown.toml", &format!("{settings}[serve]\ninterval = \"1h\"\n"));
    repo.commit();
    let said = repo.run(&["validate"]);
    assert!(said.code == 0 && said.err.contains(told), "{said}");
    let units = repo.dir().join("../units");
    fs::create_dir(&units).unwrap();
    let into = units.to_str().unwrap();
    let said = repo.run(&["install", "systemd", "--auto-approve", "--into", into]);
    assert!(said.code == 0 && said.err.contains(told), "{said}");
    let said = repo.run(&["serve", "--once"]);
    assert!(said.out.contains(told) && said.out.contains("protect the branch"), "{said}");
}

/// What systemd itself says of the units.
fn verify(units: &std::path::Path) {
    let analyze = "/usr/bin/systemd-analyze";
    if !std::path::Path::new(analyze).exists() {
        skipped("units for systemd: there is no systemd-analyze");
        return;
    }
    let mut files: Vec<_> =
        fs::read_dir(units).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let output = Command::new(analyze).args(["verify", "--man=no"]).args(&files).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let about_ours: Vec<&str> = told.lines().filter(|line| line.contains("tiedown-f")).collect();
    assert!(output.status.success() && about_ours.is_empty(), "{told}");
}
