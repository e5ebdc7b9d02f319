//! Volumes on real LVM2, dm-crypt and ext4: this test binary again, inside a Linux host that runs
//! as one process (`fixtures/lab/run`).

mod bed;
mod between;
mod boundaries;
mod contract;
mod cuts;
mod exhausted;
mod flushes;
mod ground;
mod hazards;
mod host;
mod interrupted;
mod journal;
mod keys;
mod killed;
mod parsers;
mod speed;
mod statuses;
