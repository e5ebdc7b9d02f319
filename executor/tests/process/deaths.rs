//! Sudden deaths: whoever of the chain is killed, nothing is left and a start works again.

use std::fs;
use std::process::Command;

use executor::runtime::process::{self, Identity, Record, State};

use super::bed::{self, Bed, wait};
use super::volumes::{image_volume, images_work, loops};

fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.expect("kill").success(), "{pid} is gone already");
}

/// The runner: the parent of the init.
fn runner(record: &Record) -> u32 {
    let init = record.init.as_ref().expect("an init").pid;
    let status = fs::read_to_string(format!("/proc/{init}/status")).expect("a living init");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    parent.trim().parse().expect("a process id")
}

/// Kills one of the chain, sees that all goes, and that the same launch starts again.
fn dies(choose: impl Fn(&Record) -> u32, supervised: bool) {
    let bed = Bed::new();
    // A grandchild that ignores signals and its parent's death.
    let script = "(trap '' TERM HUP; while :; do sleep 0.05; done) & echo up; exec sleep 1000";
    let mut launch = bed.script("victim", script);
    bed.volume(&mut launch, "volume", "/data");
    for _ in 0..3 {
        let record = bed.up(&launch);
        let init = record.init.clone().expect("an init");
        let namespace = bed::pid_namespace(init.pid);
        wait("the grandchild", || bed::living_in(&namespace).len() >= 3);
        kill(choose(&record));
        wait("the tree to be gone", || bed::living_in(&namespace).is_empty());
        assert!(!init.alive());
        wait("the mounts to be gone", || !bed::mounted(&bed.path("volume").display().to_string()));
        if supervised {
            wait("the end", || bed.state("victim") == State::Finished { code: 137 });
        } else {
            wait("its death", || bed.state("victim") == State::Died { remains: false });
        }
        wait("the supervisor to be gone", || !record.supervisor.alive());
    }
    let record = process::stop(&bed.instance("victim")).expect("it stops").expect("a record");
    let wanted = if supervised { State::Finished { code: 137 } } else { State::Stopped };
    assert_eq!(record.state, wanted);
}

#[test]
fn of_the_supervisor() {
    if bed::able() {
        dies(|record| record.supervisor.pid, false);
    }
}

#[test]
fn of_the_runner() {
    if bed::able() {
        dies(runner, true);
    }
}

#[test]
fn of_the_init() {
    if bed::able() {
        dies(|record| record.init.as_ref().expect("an init").pid, true);
    }
}

/// The next start may come before the dead tree has gone: it waits for that.
#[test]
fn a_start_right_after_a_death_waits_for_the_remains() {
    if !images_work() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("hasty", "echo x >> /data/runs; exec sleep 1000");
    let image = image_volume(&bed, &mut launch, "image.ext4");
    let mut last: Option<Identity> = None;
    for _ in 0..5 {
        let record = bed.up(&launch);
        assert!(last.as_ref().is_none_or(|init| !init.alive()), "two trees on one volume");
        assert_eq!(loops(&image).lines().count(), 1);
        last.clone_from(&record.init);
        kill(record.supervisor.pid);
        wait("the supervisor to be gone", || !record.supervisor.alive());
    }
    assert!(matches!(bed.state("hasty"), State::Died { .. }));
    bed.stop("hasty");
    wait("the loop device to be gone", || loops(&image).is_empty());
}

/// A supervisor killed at any moment of the way up leaves nothing either.
#[test]
fn on_the_way_up() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let mut launch = bed.script("young", "exec sleep 1000");
    bed.volume(&mut launch, "volume", "/data");
    for step in 0..12 {
        let (internal, directory) = (bed::internal(), bed.instance("young"));
        let patience = std::time::Duration::from_millis(step * 4);
        let _ = process::start(&internal, &directory, &launch, patience);
        if let Ok(Some(record)) = process::state(&directory)
            && record.supervisor.alive()
        {
            kill(record.supervisor.pid);
            wait("the supervisor to be gone", || !record.supervisor.alive());
        }
        process::stop(&directory).expect("cleared");
        wait("the mounts to be gone", || !bed::mounted(&bed.path("volume").display().to_string()));
    }
    bed.up(&launch);
    bed.stop("young");
}

/// A record from before a reboot does not claim that anything runs.
#[test]
fn of_the_machine() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    bed.up(&bed.script("old", "exec sleep 1000"));
    let record = fs::read_to_string(bed.instance("old").join("state.json")).expect("a record");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    let before = record.replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    let copy = bed.path("copies").join("old");
    fs::create_dir_all(&copy).expect("a directory");
    fs::write(copy.join("state.json"), before).expect("a record");
    let all = process::list(&bed.path("copies")).expect("a list");
    assert_eq!(all[0].state, State::Died { remains: false });
}
