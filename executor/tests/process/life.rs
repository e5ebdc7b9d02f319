//! From start to stop: what a program sees, restarts, signals, logs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use executor::runtime::process::{
    self, Enforcement, Error, GuestFile, Limits, Refusal, Restart, State,
};

use super::bed::{self, Bed, wait};

#[test]
fn a_program_sees_its_own_world() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let tree = bed.path("tree");
    fs::create_dir_all(&tree).expect("a tree");
    fs::write(tree.join("hello.txt"), "from the tree").expect("a file");
    let script = r#"
        echo "uid $(id -u) greeting $GREETING host $(hostname) in $(pwd)"
        cat hello.txt; echo
        echo "secret $(cat /etc/tiedown/secret)"
        stat -c 'mode %a' /etc/tiedown/secret
        touch /app/x 2>/dev/null && echo "tree is writable"
        touch /usr/x 2>/dev/null && echo "host is writable"
        echo x > /tmp/private && echo "tmp is writable"
        ls "$STATE" 2>/dev/null | grep -q . && echo "state is visible"
        echo "processes $(ls /proc | grep -c '^[0-9]*$')"
        echo done
        exec sleep 1000
    "#;
    let mut launch = bed.script("world", script);
    launch.tree = Some(tree.clone());
    launch.env.insert("GREETING".into(), "hello".into());
    launch.env.insert("STATE".into(), bed.path("").display().to_string());
    launch.files.push(GuestFile {
        path: "/etc/tiedown/secret".into(),
        bytes: b"s3cret".to_vec(),
        mode: 0o400,
    });
    bed.volume(&mut launch, "volume", "/data");
    let record = bed.up(&launch);
    let log = bed.says("world", "done");
    assert!(log.contains("uid 0 greeting hello host world in /app\n"), "{log}");
    assert!(log.contains("from the tree\n"), "{log}");
    assert!(log.contains("secret s3cret\nmode 400\n"), "{log}");
    assert!(log.contains("tmp is writable\n"), "{log}");
    for leak in ["tree is writable", "host is writable", "state is visible"] {
        assert!(!log.contains(leak), "{leak}: {log}");
    }
    // Itself, the init, and the pipe's processes: not the host's.
    let processes = log.lines().find_map(|line| line.strip_prefix("processes ")).expect("a count");
    assert!(processes.trim().parse::<u32>().expect("a number") < 8, "{log}");
    let State::Running { pid, restarts: 0, .. } = record.state else { panic!("{record:?}") };
    assert_ne!(bed::pid_namespace(pid), bed::pid_namespace(std::process::id()));
    assert!(!tree.join("x").exists());
    // Its streams and the hold, which it keeps to the end; nothing else of ours or our caller's.
    let programs = bed::living_in(&bed::pid_namespace(pid));
    let program = programs.into_iter().find(|living| *living != pid).expect("a program");
    let log_file = bed.instance("world").join("log");
    let mut wanted = vec!["/dev/null".into(), log_file.clone(), log_file, bed.path("volume.hold")];
    wanted.sort();
    // While a program is being loaded it has its libraries open, too.
    wait("nothing else to be open", || {
        let descriptors = fs::read_dir(format!("/proc/{program}/fd")).expect("its descriptors");
        let mut open: Vec<_> =
            descriptors.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
        open.sort();
        open == wanted
    });
    bed.stop("world");
    assert!(!bed::mounted(&bed.path("").display().to_string()));
}

#[test]
fn a_program_may_not_undo_its_jail() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let script = "
        umount /proc 2>/dev/null && echo escaped
        mount -o remount,rw / 2>/dev/null && echo escaped
        mount -t tmpfs x /mnt 2>/dev/null && echo escaped
        ls /proc/1/root/ >/dev/null 2>&1 && echo escaped
        grep -q . /proc/1/environ 2>/dev/null && echo escaped
        echo 1 2>/dev/null > /proc/sys/kernel/panic_on_oops && echo escaped
        test -w /proc/sysrq-trigger && echo escaped
        kill -9 1; echo done; exec sleep 1000";
    bed.up(&bed.script("jail", script));
    let log = bed.says("jail", "done");
    assert!(!log.contains("escaped"), "{log}");
    assert!(matches!(bed.state("jail"), State::Running { .. }));
}

#[test]
fn a_visitor_joins_a_running_instance() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("open", "echo $$ > /tmp/mark; echo up; exec sleep 1000");
    let data = bed.volume(&mut launch, "volume", "/data");
    bed.up(&launch);
    bed.says("open", "up");
    let exec = |script: &str| {
        let argv = ["sh", "-c", script].map(Into::into);
        process::exec(&bed::internal(), &bed.instance("open"), &argv).expect("our binary runs")
    };
    let script = "cat /tmp/mark > /data/mark; hostname >> /data/mark; kill -0 $(cat /tmp/mark); \
                  umount /data 2>/dev/null && exit 1; exit 42";
    assert_eq!(exec(script), 42);
    assert_eq!(fs::read_to_string(data.join("mark")).expect("a mark"), "2\nopen\n");
    bed.stop("open");
    assert_eq!(exec("true"), 126);
}

#[test]
fn what_is_hidden_shows_nothing() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let script = "ls -A /usr/share 2>/dev/null | grep -q . && echo visible
        test -s /etc/passwd && echo visible
        echo done; exec sleep 1000";
    let mut launch = bed.script("hidden", script);
    launch.hidden = ["/usr/share", "/etc/passwd", "/no/such/path"].map(Into::into).to_vec();
    bed.up(&launch);
    let log = bed.says("hidden", "done");
    assert!(!log.contains("visible"), "{log}");
}

#[test]
fn an_exit_status_is_kept() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    for (id, script, code) in
        [("zero", "true", 0), ("seven", "exit 7", 7), ("shot", "kill -9 $$", 137)]
    {
        bed.up(&bed.script(id, script));
        wait("the end", || bed.state(id) == State::Finished { code });
    }
    let all = process::list(&bed.path("instances")).expect("a list");
    let ids: Vec<_> = all.iter().map(|record| record.instance.as_str()).collect();
    assert_eq!(ids, ["seven", "shot", "zero"]);
    process::remove(&bed.instance("zero")).expect("removed");
    assert_eq!(process::list(&bed.path("instances")).expect("a list").len(), 2);
}

#[test]
fn a_failing_program_is_started_again_as_often_as_it_may() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("again", "echo run >> /data/runs; exit 3");
    let data = bed.volume(&mut launch, "runs", "/data");
    launch.restart = Restart::OnFailure { retries: 1 };
    bed.up(&launch);
    wait("a pause", || matches!(bed.state("again"), State::Backoff { code: 3, .. }));
    wait("the end", || bed.state("again") == State::Finished { code: 3 });
    assert_eq!(fs::read_to_string(data.join("runs")).expect("runs"), "run\nrun\n");
}

#[test]
fn a_program_that_must_always_run_counts_its_restarts_and_stops_in_a_pause() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("always", "exit 0");
    launch.restart = Restart::Always;
    bed.up(&launch);
    wait("a restart", || matches!(bed.state("always"), State::Backoff { restarts: 1, .. }));
    bed.stop("always");
}

#[test]
fn the_kill_signal_asks_first() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let script = "trap 'echo asked; exit 0' INT; echo up; while :; do sleep 0.05; done";
    let mut launch = bed.script("polite", script);
    launch.kill_signal = 2;
    bed.up(&launch);
    bed.says("polite", "up");
    bed.stop("polite");
    assert!(bed.log("polite").contains("asked\n"), "{}", bed.log("polite"));
}

#[test]
fn what_the_caller_was_told_to_ignore_its_programs_hear() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    // As a job in the background of a shell, or one under nohup, is started.
    let caller = bed.path("caller");
    let deaf = format!("#!/bin/sh\ntrap '' HUP INT\nexec {} \"$@\"\n", bed::internal().display());
    fs::write(&caller, deaf).expect("a script");
    fs::set_permissions(&caller, Permissions::from_mode(0o755)).expect("it may run");
    let script = "trap 'echo asked; exit 0' INT; echo up; while :; do sleep 0.05; done";
    let mut launch = bed.script("heard", script);
    launch.kill_signal = 2;
    process::start(&caller, &bed.instance("heard"), &launch, bed::PATIENCE).expect("it starts");
    bed.says("heard", "up");
    bed.stop("heard");
    assert!(bed.log("heard").contains("asked\n"), "{}", bed.log("heard"));
}

#[test]
fn an_instance_is_kept_differently_while_its_program_runs() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let script = "trap 'echo int; exit 3' INT; trap 'echo term; exit 3' TERM; echo up
        while ! test -e /data/end; do sleep 0.05; done; exit 3";
    let mut launch = bed.script("changed", script);
    let data = bed.volume(&mut launch, "volume", "/data");
    let pid = bed.up(&launch).init;
    bed.says("changed", "up");
    let policy = Restart::OnFailure { retries: 1 };
    process::supervise(&bed.instance("changed"), policy, 2, Duration::from_secs(5))
        .expect("it is changed");
    assert_eq!(process::state(&bed.instance("changed")).expect("a record").expect("one").init, pid);
    fs::write(data.join("end"), "").expect("a file");
    wait("a pause", || matches!(bed.state("changed"), State::Backoff { code: 3, .. }));
    fs::remove_file(data.join("end")).expect("removed");
    wait("a restart", || matches!(bed.state("changed"), State::Running { restarts: 1, .. }));
    wait("the second run", || bed.log("changed").matches("up\n").count() == 2);
    bed.stop("changed");
    let log = bed.log("changed");
    assert!(log.contains("int\n") && !log.contains("term\n"), "{log}");
}

#[test]
fn the_kill_timeout_ends_a_program_that_does_not_listen() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let mut launch = bed.script("deaf", script);
    launch.kill_timeout_ms = 300;
    let record = bed.up(&launch);
    bed.says("deaf", "up");
    let namespace = bed::pid_namespace(record.init.expect("an init").pid);
    bed.stop("deaf");
    assert!(bed.log("deaf").contains("did not stop within 300 ms"), "{}", bed.log("deaf"));
    assert_eq!(bed::living_in(&namespace), Vec::<u32>::new());
}

#[test]
fn a_program_that_is_not_there_is_a_refusal() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("absent", "");
    launch.argv = vec!["no-such-program".into()];
    let Err(Error::Refused(Refusal::Program { program, .. })) = bed.start(&launch) else {
        panic!("it cannot start");
    };
    assert_eq!(program, "no-such-program");
    assert!(matches!(bed.state("absent"), State::Failed { .. }));
    assert!(matches!(bed.start(&launch), Err(Error::Refused(Refusal::Program { .. }))));
}

#[test]
fn a_working_directory_that_is_not_there_is_named() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("lost", "true");
    launch.directory = "/no/such/place".into();
    let Err(Error::Refused(refusal)) = bed.start(&launch) else { panic!("it cannot start") };
    assert!(
        refusal.to_string().starts_with("cannot enter the working directory /no/such/place: "),
        "{refusal}"
    );
}

#[test]
fn what_is_missing_is_named_with_a_way_out() {
    let found = bed::capabilities();
    let can = [found.instances, found.loop_devices, found.network_namespaces, found.limits];
    assert_eq!(found.lacks.len(), can.iter().filter(|can| !**can).count());
    assert_eq!(found.whole(), can.iter().all(|can| *can));
    for lack in &found.lacks {
        assert!(!lack.why.is_empty() && !lack.way_out.is_empty(), "{lack:?}");
        bed::shout(&format!("this host lacks {}: {}", lack.name, lack.why));
    }
    assert_eq!(found.root, bed::root());
}

#[test]
fn a_supervised_instance_is_not_started_twice() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let launch = bed.script("once", "exec sleep 1000");
    let record = bed.up(&launch);
    let Err(Error::Refused(refusal)) = bed.start(&launch) else { panic!("it runs already") };
    assert_eq!(refusal, Refusal::Supervised { pid: record.supervisor.pid });
    assert!(process::remove(&bed.instance("once")).is_err());
    bed.stop("once");
    bed.up(&launch);
}

#[test]
fn limits_are_enforced_or_said_not_to_be() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("small", "exec sleep 1000");
    launch.limits =
        Limits { memory_bytes: Some(64 << 20), cpu_millis: Some(500), swap_bytes: None };
    let record = bed.up(&launch);
    if bed::capabilities().limits {
        assert_eq!(record.limits, Enforcement::Enforced);
        let pid = record.init.expect("an init").pid;
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroup");
        assert!(group.contains("/tiedown/small"), "{group}");
    } else {
        assert!(matches!(record.limits, Enforcement::NotEnforced { .. }), "{record:?}");
        bed::skip("only that the limits are said not to be enforced was seen");
    }
}

#[test]
fn a_large_log_is_put_aside_when_a_run_begins() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let launch = bed.script("wordy", "echo run; head -c 17000000 /dev/zero; exec sleep 1000");
    bed.up(&launch);
    wait("a large log", || bed.log("wordy").len() > 17_000_000);
    bed.stop("wordy");
    bed.up(&launch);
    wait("a new log", || bed.log("wordy").len() < 18_000_000 && bed.log("wordy").contains("run"));
    let aside = fs::metadata(bed.instance("wordy").join("log.1")).expect("the old log");
    assert!(aside.len() > 17_000_000);
}
