//! The contract of every storage, on LVM.

use super::bed;
use crate::storage::contract::contract;

#[tokio::test]
async fn lvm_keeps_the_contract() {
    if bed::inside("lab::contract::lvm_keeps_the_contract") {
        bed::make_group().await;
        contract(&bed::open()).await;
    }
}
