//! The cron job that asks whether anything drifted: quiet when clean, and whoever is to know hears
//! it once when it begins and once when it is over.

use super::fleet::{Fleet, Said, kill_9};
use crate::skipped;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Paths and bodies of what was told over HTTP.
type Told = Arc<Mutex<Vec<(String, Value)>>>;

/// Listens, and answers with success unless the path is `/away`.
fn listener() -> (SocketAddr, Told) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let told = Told::default();
    let shared = Arc::clone(&told);
    // It ends with the test process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                if name == "content-length" {
                    length = value.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let path = first.split(' ').nth(1).unwrap().to_owned();
            let status = if path == "/away" { 503 } else { 200 };
            shared.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, told)
}

/// Runs `drift` where `sendmail` is a program that keeps what it is given.
fn drift(fleet: &Fleet, args: &[&str], env: &[(&str, String)]) -> Said {
    let bin = fleet.root_path().join("bin");
    let mails = fleet.root_path().join("mails");
    fs::create_dir_all(&bin).unwrap();
    let program = bin.join("sendmail");
    fs::write(&program, format!("#!/bin/sh\n{{ echo \"$*\"; cat; }} >> {}\n", mails.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("mount --bind {} /usr/local/sbin && exec \"$@\"", bin.display());
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
        .args([env!("CARGO_BIN_EXE_tiedown"), "drift", "-C"])
        .arg(fleet.repo())
        .args(args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", fleet.root_path())
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Said::of(&output)
}

#[test]
fn whoever_is_to_know_hears_it_once() {
    if !rustix::process::geteuid().is_root() {
        skipped("drift that is told: another sendmail can be put in place by root only");
        return;
    }
    let fleet = Fleet::new(196);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("one store");
    fleet.apply();
    let (address, told) = listener();
    let textfile = fleet.root_path().join("tiedown.prom");
    let args = ["--notify", "--mail", "ops@example.com", "--textfile", textfile.to_str().unwrap()];
    let env = [
        ("TIEDOWN_NOTIFY_URL", format!("http://{address}/hook")),
        ("TIEDOWN_SLACK_URL", format!("http://{address}/services/s3cret")),
    ];
    let found = || fs::read_to_string(&textfile).unwrap();
    let mails = || fs::read_to_string(fleet.root_path().join("mails")).unwrap_or_default();

    // Clean: not a word.
    let said = drift(&fleet, &args, &env);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""), "{said}");
    assert!(told.lock().unwrap().is_empty() && mails().is_empty());
    assert!(found().contains("tiedown_drift_found{fleet=\"t196\"} 0"), "{}", found());

    // Drift: once, however often it is looked. Whoever was away is told the next time.
    fleet.processes().iter().for_each(|pid| kill_9(*pid));
    let away = [("TIEDOWN_NOTIFY_URL", format!("http://{address}/away"))];
    let said = drift(&fleet, &["--notify"], &away);
    assert!(said.code == 1 && said.err.contains("could not be told: 503"), "{said}");
    told.lock().unwrap().clear();
    for _ in 0..2 {
        let said = drift(&fleet, &args, &env);
        assert_eq!(said.code, 2, "{said}");
        assert_eq!(said.out.lines().count(), 1, "{said}");
        assert!(said.out.starts_with("slot store/app/ewr/1: state: running -> "), "{said}");
    }
    {
        let told = told.lock().unwrap();
        let paths: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/hook", "/services/s3cret"]);
        let (document, chat) = (&told[0].1, &told[1].1);
        assert_eq!((&document["event"], &document["clean"]), (&"drift".into(), &false.into()));
        assert_eq!(document["drifted"]["drift"][0]["field"], "state");
        assert!(chat["text"].as_str().unwrap().starts_with("t196: 1 thing drifted\nslot store"));
    }
    let mail = mails();
    assert_eq!(mail.matches("-i -- ops@example.com\nTo: ops@example.com\n").count(), 1, "{mail}");
    assert!(mail.contains("\nSubject: t196: 1 thing drifted\n"), "{mail}");
    assert!(found().contains("tiedown_drift_found{fleet=\"t196\"} 1"), "{}", found());

    // Set right: once more.
    fleet.apply();
    told.lock().unwrap().clear();
    for _ in 0..2 {
        let said = drift(&fleet, &args, &env);
        assert_eq!((said.code, said.out.as_str()), (0, ""), "{said}");
    }
    assert_eq!(told.lock().unwrap().len(), 2);
    assert_eq!(told.lock().unwrap()[0].1["clean"], true);
    assert!(mails().contains("Subject: t196: nothing has drifted any more"), "{}", mails());

    // Nobody to tell is a mistake.
    let said = fleet.run(&["drift", "--notify"]);
    assert!(said.code == 1 && said.err.contains("there is nobody to tell"), "{said}");
}
