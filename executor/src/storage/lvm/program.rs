//! Programs of LVM and of encryption as they are run here: in their own session, never killed,
//! with a long deadline, because one that is ended half way leaves a pool suspended.

use crate::command::{Command, CommandError, Output, Overrun};
use crate::names;
use crate::storage::StorageError;
use std::time::Duration;

/// Longer than LVM takes with thousands of volumes on slow disks.
const DEADLINE: Duration = Duration::from_mins(10);

/// A program of the system that is left to finish.
pub(super) fn program(name: &str) -> Result<Command, StorageError> {
    let package = match name {
        "lvm" => "lvm2",
        "dmsetup" => "dmsetup",
        "cryptsetup" => "cryptsetup-bin",
        "blkid" | "fstrim" | "wipefs" => "util-linux",
        "thin_ls" => "thin-provisioning-tools",
        _ => "e2fsprogs",
    };
    let command = Command::named(name).map_err(|_| StorageError::Missing {
        what: format!("the program {name}"),
        hint: format!("on Debian: apt-get install {package} thin-provisioning-tools"),
    })?;
    Ok(command.deadline(DEADLINE, Overrun::Leave))
}

/// How long a program may take that reads or writes all data of a volume.
pub(super) const LONG: Duration = Duration::from_hours(12);

/// The command with another deadline; it is still left to finish.
pub(super) fn to_end(command: Command, deadline: Duration) -> Command {
    command.deadline(deadline, Overrun::Leave)
}

/// `lvm ACT …`: one command of LVM. It does not look for physical volumes in volumes that are
/// open: what is in them is the instances' own matter, there are many, and where the pool is
/// suspended it would wait for ever. lvm.conf(5): `global_filter` of the machine holds beside it.
pub(super) fn lvm(act: &str) -> Result<Command, StorageError> {
    Ok(program("lvm")?.arg(act).arg("--config").arg(filter()))
}

/// Commands of LVM, one after another in one process: it starts only once. One that fails does not
/// stop the next, and their statuses are not told: what came of them is to be read.
pub(super) async fn session(act: String, commands: Vec<Vec<String>>) -> Result<(), StorageError> {
    let mut script = String::new();
    for command in commands {
        let [name, args @ ..] = &command[..] else { continue };
        // In quotes for LVM's own shell; names, sizes and marks have none in them.
        let filter = filter();
        script += &format!("{name} --config '{filter}' {}\n", args.join(" "));
    }
    run(act, program("lvm")?.script(script)).await.map(drop)
}

/// The configuration that keeps LVM out of open volumes.
fn filter() -> String {
    format!("devices/filter=[\"r|^{}|\"]", names::device(names::OPENED).display())
}

pub(super) async fn run(act: String, command: Command) -> Result<Output, StorageError> {
    command.output().await.map_err(|source| StorageError::Command { act, source })
}

/// The status of a program whose statuses mean something.
pub(super) async fn status(act: String, command: Command) -> Result<i32, StorageError> {
    match command.output().await {
        Ok(_) => Ok(0),
        Err(CommandError::Failed { status: Some(status), .. }) => Ok(status),
        Err(source) => Err(StorageError::Command { act, source }),
    }
}
