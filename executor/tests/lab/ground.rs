//! A group and a pool on bare disks, their making cut short before every change that LVM makes: they
//! are made when they are asked for again, or what is in the way is told with the way out.

use super::bed::{self, GROUP, run};
use super::between::{CUT, put_programs_between};
use crate::storage::marks;
use executor::command::Command;
use executor::storage::lvm::Ground;
use executor::storage::{Contents, Storage, StorageError};
use planner::model::observed::PoolView;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// An ordinary run looks at so many changes of as many again; `BOUNDARIES=all` at all of them.
const EVERY: usize = 9;

const DISKS: [&str; 2] = ["/dev/mapper/one", "/dev/mapper/two"];

#[tokio::test]
async fn a_pool_whose_making_was_cut_short_is_made_in_the_end() {
    let all = std::env::var("BOUNDARIES").is_ok_and(|asked| asked == "all" || asked == "Pool");
    let every = if all { 1 } else { EVERY };
    let set = [("BOUNDARIES", if all { "all" } else { "usual" }.to_owned())];
    if !bed::inside_with("lab::ground::a_pool_whose_making_was_cut_short_is_made_in_the_end", &set)
    {
        return;
    }
    disks().await;
    put_programs_between().await;
    let (mut told, mut places) = (0, 0);
    for change in (1..).step_by(every) {
        let Some(ways) = cut_short(change).await else { break };
        (told, places) = (told + ways, places + 1);
    }
    println!("a pool: cut before {places} changes of LVM, one in {every}; {told} ways out told");
    assert!(places > 20 / every, "LVM makes it in {places} changes");
    assert!(told > 0 || !all, "nothing was in the way");
}

/// Two halves of the one disk.
async fn disks() {
    let half = run("blockdev --getsz /dev/ubdb").await.trim().parse::<u64>().unwrap() / 2;
    for (number, disk) in DISKS.iter().enumerate() {
        let name = Path::new(disk).file_name().unwrap().to_string_lossy();
        let table = format!("0 {half} linear /dev/ubdb {}", half * number as u64);
        let command =
            Command::named("dmsetup").unwrap().args(["create", &*name, "--table", &table]);
        command.output().await.unwrap();
        run(&format!("dmsetup mknodes {name}")).await;
    }
    let mut conf = File::options().append(true).open("/etc/lvm/lvm.conf").unwrap();
    let only = DISKS.map(|disk| format!("\"a|^{disk}$|\", ")).concat();
    let only = format!("devices {{ global_filter=[{only}\"r|.*|\"] }}");
    writeln!(conf, "{only}").unwrap();
}

/// Cuts it short before that change, and has it made in the end; how many ways out had to be told.
/// None if it was made before that.
async fn cut_short(change: usize) -> Option<usize> {
    std::fs::write(CUT, format!("{change} cut\n")).unwrap();
    let answer = init().await;
    std::fs::remove_file(CUT).unwrap();
    let mut ways = 0;
    if answer.is_err() {
        // Every other time only LVM was killed, and the host goes on.
        if change.is_multiple_of(2) {
            run("lvm vgchange -q -an").await;
        }
        let left = loop {
            match init().await {
                Ok(ground) => break ground.left,
                Err(error) => follow(&executor::chain(&error)).await,
            }
            ways += 1;
            assert!(ways < 4, "cut before change {change}, and no way out leads anywhere");
        };
        for told in left {
            follow(&told).await;
            ways += 1;
        }
    }
    assert_eq!(init().await.unwrap(), Ground::default(), "cut before change {change}");
    let storage = bed::open();
    if let Err(error) = storage.pool().await {
        follow(&executor::chain(&error)).await;
        ways += 1;
    }
    let PoolView::Present(pool) = storage.pool().await.unwrap() else { panic!("no pool") };
    assert_eq!(pool.id, marks(1).id);
    assert_eq!(storage.contents().await.unwrap(), Contents::default());
    let listed = run(&format!("lvm lvs --noheadings -o lv_name {GROUP}")).await;
    assert_eq!(listed.trim(), "thin", "cut before change {change}");
    run(&format!("lvm vgremove -q -ff -y {GROUP}")).await;
    // Nobody keeps names in /dev here: what was killed leaves some.
    run(&format!("rm -rf /dev/{GROUP}")).await;
    for disk in DISKS {
        run(&format!("wipefs -q -a {disk}")).await;
    }
    answer.is_err().then_some(ways)
}

/// Does what `tiedown host init` does; what there was to be made.
async fn init() -> Result<Ground, StorageError> {
    let storage = bed::open();
    let ground = storage.look_at_ground(&DISKS.map(PathBuf::from), None).await?;
    storage.make_ground(&ground, &marks(1)).await?;
    Ok(ground)
}

/// Does what a person is told to do.
async fn follow(told: &str) {
    let command = told.split('`').nth(1).unwrap_or_else(|| panic!("no way out: {told}"));
    let command = command.replace("lvremove ", "lvm lvremove -q -y ");
    run(&command).await;
}
