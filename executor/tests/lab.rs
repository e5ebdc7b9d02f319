//! Volumes on real LVM2, dm-crypt and ext4: this test binary again, inside a Linux host that runs
//! as one process (`fixtures/lab/run`).

mod bed;
mod boundaries;
mod contract;
mod cuts;
mod exhausted;
mod flushes;
mod hazards;
mod interrupted;
mod journal;
mod keys;
mod parsers;
mod speed;
