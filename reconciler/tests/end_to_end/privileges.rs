//! What is missing is named with the way out, before anything was begun.

use super::fleet::Fleet;
use std::process::Command;

/// Runs the command with this in front of it: exit code and all that was said.
fn under(fleet: &Fleet, prefix: &[&str], args: &[&str]) -> (i32, String) {
    let command = fleet.command(args);
    let output = Command::new(prefix[0])
        .args(&prefix[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", fleet.root_path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        crate::skipped(&format!("{test}: only root has privileges to give up"));
    }
    root
}

/// `doctor` and `apply` name what is missing and the way out, and nothing is begun.
fn named(fleet: &Fleet, prefix: &[&str], missing: &str, way_out: &str) {
    for args in [&["doctor"][..], &["apply", "--auto-approve"]] {
        let (code, said) = under(fleet, prefix, args);
        assert!(said.contains(missing) && said.contains(way_out), "{args:?}: {said}");
        if args[0] == "apply" {
            assert_eq!(code, 1, "{said}");
        }
    }
    let (_, said) = under(fleet, prefix, &["plan"]);
    assert!(said.contains(missing) && said.contains(way_out), "{said}");
    assert!(!fleet.state().exists(), "something was begun");
}

#[test]
fn without_the_right_to_make_namespaces_nothing_is_begun() {
    if !is_root("without_the_right_to_make_namespaces_nothing_is_begun") {
        return;
    }
    let fleet = Fleet::new(142);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    let prefix = ["setpriv", "--bounding-set", "-sys_admin"];
    named(&fleet, &prefix, "pid and mount namespaces: Operation not permitted", "CAP_SYS_ADMIN");
    // An ordinary user where no user namespace can be made.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --inh-caps=-all \
                  --ambient-caps=-all --bounding-set=-all \"$0\" \"$@\"";
    let user = ["unshare", "-U", "--map-user=61234", "--map-group=61234", "--keep-caps"];
    let prefix = [&user[..], &["sh", "-c", script]].concat();
    named(&fleet, &prefix, "pid and mount namespaces", "sysctl user.max_user_namespaces");
}

#[test]
fn without_the_right_to_make_networks_nothing_is_begun() {
    if !is_root("without_the_right_to_make_networks_nothing_is_begun") {
        return;
    }
    let fleet = Fleet::new(143);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    let prefix = ["setpriv", "--bounding-set", "-net_admin"];
    named(&fleet, &prefix, "network namespaces", "CAP_NET_ADMIN");
}

#[test]
fn without_loop_devices_volumes_are_directories_and_doctor_says_so() {
    if !is_root("without_loop_devices_volumes_are_directories_and_doctor_says_so") {
        return;
    }
    let fleet = Fleet::new(144);
    fleet.store("one", "{ ewr = 1 }");
    fleet.commit("first");
    let script = "mount --bind /dev/null /dev/loop-control; exec \"$0\" \"$@\"";
    let prefix = ["unshare", "-m", "sh", "-c", script];
    let (code, said) = under(&fleet, &prefix, &["doctor"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("loop devices") && said.contains("size is not enforced"), "{said}");
    let (code, said) = under(&fleet, &prefix, &["apply", "--auto-approve"]);
    assert_eq!(code, 0, "{said}");
    // With loop devices the pool is another's: said, and not touched.
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 7, "{said}");
    assert!(said.out.contains("its volumes are directories, not images"), "{said}");
    let (code, said) = under(&fleet, &prefix, &["down", "--purge", "--auto-approve"]);
    assert_eq!(code, 0, "{said}");
}
